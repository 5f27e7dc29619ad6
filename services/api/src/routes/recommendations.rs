use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use rampart_content::{Catalogue, Control};
use rampart_domain::Severity;
use rampart_posture::score::{ControlTally, Tally, gain};
use rampart_store::recommendation::{self, ControlCounts};
use rampart_store::score::{self, GroupCounts, Reach};
use rampart_store::{AccessScope, TenantTx, Visible};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::controls::{RemediationView, VariantView};
use super::risk_factors::risk_word;
use super::scope::ScopeQuery;
use super::secure_score::tallies;
use crate::App;
use crate::app::groups;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, Params, PathOf, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_recommendations)).routes(routes!(get_recommendation))
}

/// What to do, with what it would bring.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recommendation)]
pub(super) struct RecommendationView {
    /// The control that would be satisfied.
    #[schema(example = "k8s.pod.privileged")]
    control_id: String,
    title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    severity: String,
    /// Control group of the secure score.
    group: String,
    /// Resources that are unhealthy.
    affected: i64,
    /// Of those, how many at which risk level: `low`, `medium`, `high`, `critical`; levels without any are left out.
    #[schema(example = json!({"critical": 2, "high": 11}))]
    risk_levels: BTreeMap<&'static str, i64>,
    /// Resources that are healthy.
    healthy: i64,
    /// Resources about which a fact is missing.
    unknown: i64,
    /// Of the affected and healthy ones, those whose last reading could not be repeated.
    stale: i64,
    /// Resources about which the control says nothing; `GET /v1/recommendations/{control_id}/not-applicable` has them.
    not_applicable: i64,
    /// Resources whose finding is exempt.
    exempt: i64,
    /// Percentage points that the secure score of the scope would gain.
    score_gain: f64,
}

/// A recommendation with its reasons.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RecommendationDetail)]
struct DetailView {
    #[serde(flatten)]
    recommendation: RecommendationView,
    /// Why it matters.
    rationale: String,
    remediation: RemediationView,
    /// What to do about it by kind; where there are several, `remediation` has only what is the same for all.
    variants: Vec<VariantView>,
}

/// Which recommendations to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RecommendationFilter {
    /// Within a cloud account with its clusters.
    account: Option<String>,
    /// Within a cluster, by id.
    cluster: Option<Uuid>,
    /// Within a namespace of `cluster`.
    namespace: Option<String>,
    /// With one of these severities.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    severity: Vec<Severity>,
    /// Also controls that affect nothing now, those whose findings are all exempt included.
    #[serde(default)]
    satisfied: bool,
}

/// Numbers of one scope.
struct Numbers {
    counts: BTreeMap<String, ControlCounts>,
    groups: Vec<GroupCounts>,
    risks: BTreeMap<String, BTreeMap<i16, i64>>,
}

async fn numbers(catalogue: &Catalogue, tx: &mut TenantTx, reach: &Reach) -> Result<Numbers, ApiError> {
    let groups = groups(catalogue);
    Ok(Numbers {
        counts: recommendation::counts(tx, reach, &groups).await?,
        groups: score::groups(tx, reach, &groups).await?,
        risks: recommendation::risks(tx, reach).await?,
    })
}

impl RecommendationView {
    fn of(catalogue: &Catalogue, control: &Control, numbers: &Numbers) -> Self {
        let counts = numbers.counts.get(&control.id).cloned().unwrap_or_default();
        let healed = counts.decisive.max(0).unsigned_abs();
        let tally = Tally { unhealthy: healed, ..Tally::default() };
        let risks = numbers.risks.get(&control.id).into_iter().flatten();
        let own = ControlTally { group: &control.group, tally };
        Self {
            control_id: control.id.clone(),
            title: control.title.clone(),
            severity: control.severity.to_string(),
            group: control.group.clone(),
            affected: counts.unhealthy,
            risk_levels: risks.map(|(risk, resources)| (risk_word(*risk), *resources)).collect(),
            healthy: counts.healthy,
            unknown: counts.unknown,
            stale: counts.stale,
            not_applicable: counts.not_applicable,
            exempt: counts.exempt,
            score_gain: gain(catalogue.groups(), &tallies(&numbers.groups), own),
        }
    }
}

/// List recommendations: the worst first, then what affects most, then what gains most.
#[utoipa::path(get, path = "/v1/recommendations", tag = "recommendations", params(PageParams, RecommendationFilter),
    responses((status = 200, body = List<RecommendationView>)))]
async fn list_recommendations(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Listing { filter, page }: Listing<RecommendationFilter>,
) -> Result<Json<List<RecommendationView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let rows = ordered(&app, &mut tx, &caller.visible(), filter).await?;
    let listed = page.slice(rows, |(key, _)| key.clone())?;
    Ok(List::of(listed, |(_, view)| view))
}

/// Every recommendation in order.
pub(super) async fn ordered(
    app: &App,
    tx: &mut TenantTx,
    visible: &Visible,
    filter: RecommendationFilter,
) -> Result<Vec<(SortKey, RecommendationView)>, ApiError> {
    let scope = ScopeQuery { account: filter.account, cluster: filter.cluster, namespace: filter.namespace }.scope()?;
    let reach = score::reach(tx, visible, &scope).await?;
    let catalogue = app.catalogue_of(tx).await?;
    let numbers = numbers(&catalogue, tx, &reach).await?;
    let wanted = |control: &&Control| {
        let counts = numbers.counts.get(&control.id);
        counts.is_some_and(|counts| counts.unhealthy > 0 || filter.satisfied)
            && (filter.severity.is_empty() || filter.severity.contains(&control.severity))
    };
    let mut rows: Vec<(SortKey, RecommendationView)> = catalogue
        .controls()
        .filter(wanted)
        .map(|control| (control, RecommendationView::of(&catalogue, control, &numbers)))
        .map(|(control, view)| (sort_key(control.severity, &view), view))
        .collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(rows)
}

/// Worst severity, most affected, largest gain (in millionths), id.
pub(super) type SortKey = (u8, Reverse<i64>, Reverse<i64>, String);

fn sort_key(severity: Severity, view: &RecommendationView) -> SortKey {
    let rank = Severity::ALL.iter().rev().position(|other| *other == severity).unwrap_or_default() as u8;
    (rank, Reverse(view.affected), Reverse((view.score_gain * 1e6) as i64), view.control_id.clone())
}

/// Get one control's recommendation, with rationale and remediation.
#[utoipa::path(get, path = "/v1/recommendations/{control_id}", tag = "recommendations",
    params(("control_id" = String, Path), ScopeQuery), responses((status = 200, body = DetailView)))]
async fn get_recommendation(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<String>,
    Params(query): Params<ScopeQuery>,
) -> Result<Answer, ApiError> {
    let scope: AccessScope = query.scope()?;
    let mut tx = app.tx(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let control = catalogue.control(&id).ok_or_else(|| ApiError::not_found("control"))?;
    let reach = score::reach(&mut tx, &caller.visible(), &scope).await?;
    let numbers = numbers(&catalogue, &mut tx, &reach).await?;
    Ok(Answer::ok(DetailView {
        recommendation: RecommendationView::of(&catalogue, control, &numbers),
        rationale: control.rationale.clone(),
        remediation: control.remediation.clone().into(),
        variants: VariantView::of(control),
    }))
}
