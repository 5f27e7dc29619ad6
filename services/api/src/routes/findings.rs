use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, Control};
use rampart_domain::{Cause, Kind, ResourceId, Risk, Severity, Status};
use rampart_store::finding::{self, Event, Facet, Filter, Finding, Sort};
use rampart_store::moment::Moment;
use rampart_store::resource::Count;
use rampart_store::{context, governance};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::GroupCount;
use super::controls::RemediationView;
use super::finding_assignments::FindingAssignmentView;
use super::fix_units::FixUnitReference;
use super::resources::Groups;
use super::risk_factors::{FACTOR_KINDS, FactorView, risk_number, risk_word};
use crate::App;
use crate::app::control_title;
use crate::http::{
    Answer, ApiError, AsOf, At, Caller, Code, List, Listing, PageParams, Params, PathOf, ReadFindings, moment,
};

/// Changes of status shown with a finding.
const EVENTS: u16 = 100;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_findings)).routes(routes!(get_finding))
}

/// The word for a stored severity, 1 to 5.
pub(super) fn severity_word(severity: i16) -> &'static str {
    let index = usize::try_from(severity - 1).unwrap_or_default();
    Severity::ALL.get(index).unwrap_or(&Severity::Critical).as_str()
}

pub(super) fn severity_number(severity: Severity) -> i16 {
    Severity::ALL.iter().position(|other| *other == severity).map_or(5, |index| index as i16 + 1)
}

/// A control's verdict on a resource that is, or once was, not healthy.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingView {
    /// Id of the resource and number of the check.
    #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
    id: String,
    control_id: String,
    title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    severity: &'static str,
    /// `low`, `medium`, `high` or `critical`: the severity of the control, moved by where the resource stands.
    risk_level: &'static str,
    /// Who mends it, by hand or by the governance rules; null for nobody.
    owner: Option<String>,
    /// By when; null without a date, and while it is not unhealthy.
    due_at: Option<DateTime<Utc>>,
    /// From when on it is overdue: the due date and the grace period.
    overdue_at: Option<DateTime<Utc>>,
    /// `on_time` before `due_at`, `grace` from then until `overdue_at`, `overdue` from then on; null without a due date.
    governance_state: Option<String>,
    /// `unhealthy`, `healthy`, `not_applicable`, `unknown` or `exempt`.
    status: String,
    /// What made the status what it is: `discovered`, `resource`, `control`, `parameter`, `neighbour`, `coverage`,
    /// `exemption` or `gone`.
    cause: String,
    /// Whether it rests on facts that could not be read again in the last attempt; null at a past moment.
    stale: Option<bool>,
    /// When the facts were last read as part of a whole listing; null at a past moment.
    observed_at: Option<DateTime<Utc>>,
    /// Whether it counts in the secure score.
    scored: bool,
    /// What it is exempt by; null for any other status.
    exemption: Option<ExemptedBy>,
    resource_id: Uuid,
    /// Null when the resource is gone.
    resource_name: Option<String>,
    /// Null when the resource is gone.
    resource_native_id: Option<String>,
    kind: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    /// One sentence that names the element and the value.
    message: String,
    first_seen: DateTime<Utc>,
    /// When the status became what it is.
    since: DateTime<Utc>,
    /// When anything about it last changed.
    changed_at: DateTime<Utc>,
    /// What one change of its source would close it with; null for what nothing delivers to a cluster, and at a past moment.
    fix_unit: Option<FixUnitReference>,
}

/// The exemption that a finding is exempt by.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExemptedBy {
    pub(super) id: Uuid,
    /// Null when it was removed a moment ago.
    pub(super) name: Option<String>,
}

impl FindingView {
    fn of(row: &Finding, catalogue: &Catalogue) -> Self {
        Self {
            id: format!("{}.{}", row.resource_id, row.ordinal),
            title: control_title(catalogue, &row.control_id),
            control_id: row.control_id.clone(),
            severity: severity_word(row.severity),
            risk_level: risk_word(row.risk),
            owner: row.owner.clone(),
            due_at: row.due_at,
            overdue_at: row.overdue_at,
            governance_state: row.governance_state.clone(),
            status: row.status.clone(),
            cause: row.cause.clone(),
            stale: Some(row.stale),
            observed_at: row.observed_at,
            scored: row.scored,
            exemption: row.exemption_id.map(|id| ExemptedBy { id, name: row.exemption_name.clone() }),
            resource_id: row.resource_id,
            resource_name: row.resource_name.clone(),
            resource_native_id: row.native_id.clone(),
            kind: row.kind.clone(),
            account: row.account.clone(),
            cluster_id: row.cluster_id,
            namespace: row.namespace.clone(),
            message: row.evidence.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            first_seen: row.first_seen,
            since: row.since,
            changed_at: row.changed_at,
            fix_unit: FixUnitReference::of(row),
        }
    }

    /// The view of a list at a moment: past ones do not know whether they were stale.
    fn of_moment(row: &Finding, catalogue: &Catalogue, at: Option<Moment>) -> Self {
        let view = Self::of(row, catalogue);
        Self { stale: view.stale.filter(|_| at.is_none()), ..view }
    }
}

/// A finding with its evidence and what to do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingDetail)]
struct DetailView {
    #[serde(flatten)]
    finding: FindingView,
    /// Effective parameters of the control.
    params: Value,
    /// The fields that decided: pointer, value, and where they are.
    #[schema(example = json!([{"pointer": "/spec/containers/0/securityContext/privileged", "value": true}]))]
    facts: Value,
    /// Why it matters; null when the catalogue does not have the control any more.
    rationale: Option<String>,
    /// What to do; null when the catalogue does not have the control any more.
    remediation: Option<RemediationView>,
    /// What moved the risk level away from the severity. Of exposure, of environment and of criticality only the strongest
    /// counts, and a criticality rule goes before an environment; the effects that count add up.
    ///
    /// | severity | ≤ −2 | −1 | 0 | +1 | +2 | +3 | ≥ +4 |
    /// |---|---|---|---|---|---|---|---|
    /// | informational | low | low | low | low | low | low | medium |
    /// | low | low | low | low | low | medium | medium | high |
    /// | medium | low | low | medium | medium | high | high | critical |
    /// | high | low | medium | high | high | critical | critical | critical |
    /// | critical | medium | high | critical | critical | critical | critical | critical |
    ///
    /// Null at a past moment.
    risk_factors: Option<Vec<FactorView>>,
    /// Kinds that the factors are read from and that were not read whole in the cluster: the level may be too low. Null at a
    /// past moment.
    risk_unread: Option<Vec<String>>,
    /// The governance rule that matched; null when none did.
    governance_rule_id: Option<Uuid>,
    /// What somebody decided in place of the rules; null at a past moment, which shows the owner and date that came of it.
    assignment: Option<FindingAssignmentView>,
    /// Changes of status, the latest first, at most 100.
    history: Vec<EventView>,
}

/// A change of status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingEvent)]
struct EventView {
    at: DateTime<Utc>,
    from_status: String,
    to_status: String,
    cause: String,
}

impl From<Event> for EventView {
    fn from(event: Event) -> Self {
        Self { at: event.at, from_status: event.from_status, to_status: event.to_status, cause: event.cause }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SortWord {
    #[default]
    Severity,
    ChangedAt,
    Risk,
    DueAt,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GroupWord {
    Control,
    Severity,
    Cluster,
    Namespace,
    Kind,
    Status,
    Risk,
    Owner,
}

/// Which findings to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FindingFilter {
    /// With one of these statuses; `unhealthy` when left out.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    status: Vec<Status>,
    /// With one of these severities.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    severity: Vec<Severity>,
    /// Of one of these controls, by id.
    #[serde(default)]
    control: Vec<String>,
    /// On resources of one of these kinds.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    kind: Vec<Kind>,
    /// In this cluster, by id.
    cluster: Option<Uuid>,
    /// In this account.
    account: Option<String>,
    /// In this namespace.
    namespace: Option<String>,
    /// On this resource, by id.
    resource: Option<Uuid>,
    /// On resources of this fix unit, by id.
    fix_unit: Option<Uuid>,
    /// Exempt by this exemption, by id; without `status`, the exempt ones.
    exemption: Option<Uuid>,
    /// Whose status came about so.
    #[param(value_type = Option<String>)]
    cause: Option<Cause>,
    /// Only those that rest on facts that could not be read again, or only the others.
    stale: Option<bool>,
    /// Changed at or after this time. With `sort=changed_at` and any status, a feed to follow.
    changed_since: Option<DateTime<Utc>>,
    /// At one of these risk levels.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    risk: Vec<Risk>,
    /// Mended by this owner.
    owner: Option<String>,
    /// Only those with an owner, or only the others.
    owned: Option<bool>,
    /// Only those past due date and grace period, or only the others.
    overdue: Option<bool>,
    /// Due before this time.
    due_before: Option<DateTime<Utc>>,
    /// As it was at this moment; `overdue` is meant of it. `stale` and `fix_unit` cannot be combined with it.
    pub(super) as_of: Option<DateTime<Utc>>,
    /// `severity`: the worst first. `changed_at`: the oldest change first. `risk`: the riskiest first. `due_at`: the
    /// earliest due date first, without those that have none.
    #[serde(default)]
    #[param(inline)]
    sort: SortWord,
    /// Count instead of list: `{"groups": [{"key", "count"}]}`, the most first, `limit` of them.
    #[param(inline)]
    group_by: Option<GroupWord>,
}

impl FindingFilter {
    /// Refuses what the past does not know.
    pub(super) fn check_past(&self) -> Result<(), ApiError> {
        if self.stale.is_some() || self.fix_unit.is_some() {
            return Err(ApiError::new(Code::InvalidQuery, "`stale` and `fix_unit` cannot be asked of the past"));
        }
        Ok(())
    }

    pub(super) fn parse(self) -> (Filter, Sort, Option<Facet>) {
        let mut statuses: Vec<String> = self.status.iter().map(ToString::to_string).collect();
        // A feed of changes shows what turned healthy, too.
        if statuses.is_empty() && self.changed_since.is_none() && !matches!(self.group_by, Some(GroupWord::Status)) {
            let status = if self.exemption.is_some() { Status::Exempt } else { Status::Unhealthy };
            statuses.push(status.to_string());
        }
        let filter = Filter {
            statuses,
            severities: self.severity.into_iter().map(severity_number).collect(),
            controls: self.control,
            kinds: self.kind.iter().map(ToString::to_string).collect(),
            cluster: self.cluster,
            account: self.account,
            namespace: self.namespace,
            resource: self.resource,
            fix_unit: self.fix_unit,
            exemption: self.exemption,
            cause: self.cause.map(|cause| cause.to_string()),
            stale: self.stale,
            changed_since: self.changed_since,
            risks: self.risk.into_iter().map(risk_number).collect(),
            owner: self.owner,
            owned: self.owned,
            overdue: self.overdue,
            due_before: self.due_before,
        };
        let sort = match self.sort {
            SortWord::Severity => Sort::Severity,
            SortWord::ChangedAt => Sort::ChangedAt,
            SortWord::Risk => Sort::Risk,
            SortWord::DueAt => Sort::DueAt,
        };
        let facet = self.group_by.map(|word| match word {
            GroupWord::Control => Facet::Control,
            GroupWord::Severity => Facet::Severity,
            GroupWord::Cluster => Facet::Cluster,
            GroupWord::Namespace => Facet::Namespace,
            GroupWord::Kind => Facet::Kind,
            GroupWord::Status => Facet::Status,
            GroupWord::Risk => Facet::Risk,
            GroupWord::Owner => Facet::Owner,
        });
        (filter, sort, facet)
    }
}

/// A list, or counts when `group_by` was given.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the two forms of the answer")]
enum FindingsOrGroups {
    List(At<List<FindingView>>),
    Groups(At<Groups>),
}

/// List or count findings.
///
/// Without `status`, the unhealthy ones, or the exempt ones of an `exemption`; with `changed_since` and without `status`, all that changed.
#[utoipa::path(get, path = "/v1/findings", tag = "findings", params(PageParams, FindingFilter),
    responses((status = 200, body = FindingsOrGroups)))]
async fn list_findings(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Listing { filter, page }: Listing<FindingFilter>,
) -> Result<Response, ApiError> {
    let visible = caller.visible();
    let as_of = filter.as_of;
    if as_of.is_some() {
        filter.check_past()?;
    }
    let (filter, sort, facet) = filter.parse();
    let mut tx = app.tx(&caller).await?;
    let at = moment(&mut tx, as_of).await?;
    if let Some(facet) = facet {
        let counts = match at {
            Some(at) => finding::facets_at(&mut tx, &visible, &filter, facet, page.limit, at).await?,
            None => finding::facets(&mut tx, &visible, &filter, facet, page.limit).await?,
        };
        let groups = counts.into_iter().map(|count| named(count, facet)).collect();
        return Ok(Json(At::of(at, Groups { groups })).into_response());
    }
    let rows = match at {
        Some(at) => finding::list_at(&mut tx, &visible, &filter, sort, &page, at).await?,
        None => finding::list(&mut tx, &visible, &filter, sort, &page).await?,
    };
    let catalogue = app.catalogue_of(&mut tx).await?;
    let Json(list) = List::of(rows, |row| FindingView::of_moment(&row, &catalogue, at));
    Ok(Json(At::of(at, list)).into_response())
}

/// Severities and risk levels are stored as numbers and shown as words.
fn named(count: Count, facet: Facet) -> GroupCount {
    let mut group = GroupCount::from(count);
    let word = match facet {
        Facet::Severity => severity_word,
        Facet::Risk => risk_word,
        _ => return group,
    };
    let number = group.key.and_then(|number| number.parse().ok());
    group.key = number.map(|number| word(number).to_owned());
    group
}

/// Get a finding with its evidence, remediation and history.
#[utoipa::path(get, path = "/v1/findings/{finding_id}", tag = "findings",
    params(("finding_id" = String, Path, example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17"), AsOf),
    responses((status = 200, body = At<DetailView>)))]
async fn get_finding(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<String>,
    Params(AsOf { as_of }): Params<AsOf>,
) -> Result<Answer, ApiError> {
    let (resource, ordinal) = parse_id(&id).ok_or_else(|| ApiError::not_found("finding"))?;
    let mut tx = app.tx(&caller).await?;
    let at = moment(&mut tx, as_of).await?;
    let row = match at {
        Some(at) => finding::get_at(&mut tx, &caller.visible(), resource, ordinal, at).await?,
        None => finding::get(&mut tx, &caller.visible(), resource, ordinal).await?,
    };
    let mut events = finding::events(&mut tx, resource, ordinal, EVENTS).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let control = catalogue.control(&row.control_id);
    let mut detail = DetailView {
        finding: FindingView::of_moment(&row, &catalogue, at),
        facts: row.evidence.get("facts").cloned().unwrap_or_else(|| Value::Array(Vec::new())),
        params: row.params,
        rationale: control.map(|control| control.rationale.clone()),
        remediation: control.map(|control| remediation(control, row.kind.parse().ok())),
        risk_factors: None,
        risk_unread: None,
        governance_rule_id: row.governance_rule_id,
        assignment: None,
        history: Vec::new(),
    };
    if let Some(at) = at {
        events.retain(|event| event.at <= at.as_of);
    } else {
        let factors = context::factors(&mut tx, resource.0).await?;
        detail.risk_factors = Some(factors.as_array().into_iter().flatten().filter_map(FactorView::of).collect());
        detail.risk_unread = Some(match row.cluster_id {
            Some(cluster) => context::unread(&mut tx, cluster, &FACTOR_KINDS.map(Kind::as_str)).await?,
            None => Vec::new(),
        });
        let assignment = governance::assignment_of(&mut tx, resource, &row.control_id).await?;
        detail.assignment = assignment.map(FindingAssignmentView::from);
    }
    detail.history = events.into_iter().map(EventView::from).collect();
    Ok(Answer::ok(At::of(at, detail)))
}

/// What to do about it for a resource of that kind; a kind that the control judges no more leaves what holds for all.
pub(super) fn remediation(control: &Control, kind: Option<Kind>) -> RemediationView {
    let variant = kind.and_then(|kind| control.variant(kind));
    variant.map_or(&control.remediation, |variant| &variant.remediation).clone().into()
}

pub(super) fn parse_id(id: &str) -> Option<(ResourceId, i32)> {
    let (resource, ordinal) = id.split_once('.')?;
    Some((resource.parse().ok()?, ordinal.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_read_back() {
        for severity in Severity::ALL {
            assert_eq!(severity_word(severity_number(*severity)), severity.as_str());
        }
    }

    #[test]
    fn the_kind_of_the_resource_picks_the_remediation() {
        let catalogue = Catalogue::embedded().unwrap();
        let control = catalogue.control("cluster.secrets_kms").unwrap();
        let cli = |kind| serde_json::to_value(remediation(control, kind)).unwrap()["cli"].clone();
        let starts = |kind, word: &str| cli(Some(kind)).as_str().is_some_and(|cli| cli.starts_with(word));
        assert!(starts(Kind::AwsEksCluster, "aws ") && starts(Kind::AzureAksCluster, "az "));
        assert!(starts(Kind::GcpGkeCluster, "gcloud "));
        assert_eq!(cli(None), Value::Null, "what holds for all clouds is no command");
    }

    #[test]
    fn ids_are_resource_and_ordinal() {
        let id = Uuid::new_v4();
        assert_eq!(parse_id(&format!("{id}.7")), Some((ResourceId(id), 7)));
        assert_eq!(parse_id("7"), None);
        assert_eq!(parse_id(&format!("{id}.x")), None);
    }
}
