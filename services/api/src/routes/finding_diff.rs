use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_content::Catalogue;
use rampart_domain::{Kind, Severity, Status};
use rampart_store::finding::{self, Change, Filter};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::findings::{severity_number, severity_word};
use super::resource_diff::ChangeWord;
use crate::App;
use crate::app::control_title;
use crate::http::{ApiError, Caller, List, Listing, PageParams, ReadFindings, moments};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(diff_findings))
}

/// A finding that was not the same at both moments. What it says beside the two statuses is of the second moment, and of the
/// first for what was removed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingChange)]
struct FindingChangeView {
    /// Id of the resource and number of the check.
    id: String,
    change: ChangeWord,
    control_id: String,
    title: String,
    /// Status at the first moment; null when there was no such finding.
    from_status: Option<String>,
    /// Status at the second moment; null when there is no such finding any more.
    to_status: Option<String>,
    /// What made the status what it is; null for what was removed.
    cause: Option<String>,
    /// When the status became what it is.
    since: DateTime<Utc>,
    from_severity: Option<&'static str>,
    to_severity: Option<&'static str>,
    /// Whether both have evidence, and it differs.
    evidence_changed: bool,
    resource_id: Uuid,
    kind: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    /// One sentence that names the element and the value.
    message: String,
}

impl FindingChangeView {
    fn of(row: Change, catalogue: &Catalogue) -> Option<Self> {
        let (before, after) = (row.before.map(|side| side.0), row.after.map(|side| side.0));
        let change = ChangeWord::of(before.as_ref(), after.as_ref());
        let (from_status, from_severity) =
            before.as_ref().map(|side| (side.status.clone(), severity_word(side.severity))).unzip();
        let (to_status, to_severity) =
            after.as_ref().map(|side| (side.status.clone(), severity_word(side.severity))).unzip();
        let cause = after.as_ref().map(|side| side.cause.clone());
        let shown = after.or(before)?;
        Some(Self {
            id: format!("{}.{}", row.resource_id, row.ordinal),
            change,
            title: control_title(catalogue, &shown.control_id),
            control_id: shown.control_id,
            from_status,
            to_status,
            cause,
            since: shown.since,
            from_severity,
            to_severity,
            evidence_changed: row.evidence_changed,
            resource_id: row.resource_id,
            kind: shown.kind,
            account: shown.account,
            cluster_id: shown.cluster_id,
            namespace: shown.namespace,
            message: shown.message.unwrap_or_default(),
        })
    }
}

/// Which moments and findings to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FindingDiffFilter {
    /// The first moment.
    from: DateTime<Utc>,
    /// The second moment, not earlier than the first.
    to: DateTime<Utc>,
    /// With one of these statuses at one of the moments.
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
}

/// List what differs between two moments: findings whose status, severity or evidence is another, by id.
#[utoipa::path(get, path = "/v1/findings/diff", tag = "findings", params(PageParams, FindingDiffFilter),
    responses((status = 200, body = List<FindingChangeView>)))]
async fn diff_findings(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Listing { filter, page }: Listing<FindingDiffFilter>,
) -> Result<Json<List<FindingChangeView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let between = moments(&mut tx, filter.from, filter.to).await?;
    let filter = Filter {
        statuses: filter.status.iter().map(ToString::to_string).collect(),
        severities: filter.severity.into_iter().map(severity_number).collect(),
        controls: filter.control,
        kinds: filter.kind.iter().map(ToString::to_string).collect(),
        cluster: filter.cluster,
        account: filter.account,
        namespace: filter.namespace,
        resource: filter.resource,
        ..Filter::default()
    };
    let rows = finding::changes(&mut tx, &caller.visible(), &filter, &page, between).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let items = rows.items.into_iter().filter_map(|row| FindingChangeView::of(row, &catalogue)).collect();
    Ok(Json(List { items, next_cursor: rows.next }))
}
