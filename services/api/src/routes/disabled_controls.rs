use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use rampart_content::selects_control;
use rampart_domain::DisabledControlId;
use rampart_store::disabled_control::{self, DisabledControl};
use rampart_store::{AccessScope, TenantTx, assignment};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::assignments::{must_cover, must_decide};
use super::exemption_terms::refuse_unknown;
use super::scope::Scope;
use crate::App;
use crate::document::IdempotencyHeader;
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManagePolicy, PageParams, PathOf, Permit, ReadInventory,
    Submission, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(disable_control, list_disabled_controls))
        .routes(routes!(get_disabled_control, enable_control))
}

/// A control, or a family of them, that is turned off for a scope: it gives no verdicts there.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = DisabledControl)]
pub(super) struct DisabledControlView {
    id: Uuid,
    /// Id of the control, or `prefix.*`.
    #[schema(example = "k8s.pod.host_port")]
    pub control: String,
    scope: Scope,
    reason: String,
    created_at: DateTime<Utc>,
}

impl From<DisabledControl> for DisabledControlView {
    fn from(row: DisabledControl) -> Self {
        Self {
            id: row.id.0,
            control: row.control,
            scope: row.scope.into(),
            reason: row.reason,
            created_at: row.created_at,
        }
    }
}

/// What to turn off.
#[derive(Debug, Deserialize, ToSchema)]
struct DisableControl {
    /// Id of a control, or `prefix.*`.
    #[schema(example = "k8s.pod.host_port")]
    control: String,
    scope: Scope,
    /// Why, 1 to 2000 characters.
    reason: String,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// Turn a control off for a scope, whatever is assigned there. What it judged is assessed again without it.
#[utoipa::path(post, path = "/v1/disabled-controls", tag = "controls", params(IdempotencyHeader),
    request_body = DisableControl, responses((status = 201, body = DisabledControlView)))]
async fn disable_control(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    submission: Submission<DisableControl>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut errors = FieldErrors::default();
    refuse_unknown(&mut errors, &body.rest);
    let catalogue = app.catalogue_of(&mut app.tx(&caller).await?).await?;
    let selects = catalogue.controls().any(|control| selects_control(&body.control, &control.id));
    errors.check(selects, "/control", "selects no control");
    errors.check((1..=2000).contains(&body.reason.trim().len()), "/reason", "must be 1 to 2000 characters");
    errors.finish()?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "disable_control", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let scope: AccessScope = body.scope.into();
    must_decide(&mut tx, &caller, &scope).await?;
    let row = disabled_control::create(&mut tx, &body.control, &scope, &body.reason).await?;
    let answer = Answer::created(format!("/v1/disabled-controls/{}", row.id), DisabledControlView::from(row));
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the controls that are turned off for what the caller may see, the oldest first.
#[utoipa::path(get, path = "/v1/disabled-controls", tag = "controls", params(PageParams),
    responses((status = 200, body = List<DisabledControlView>)))]
async fn list_disabled_controls(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<DisabledControlView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let listed = disabled_control::list(&mut tx, &caller.visible(), &listing.page).await?;
    Ok(List::of(listed, DisabledControlView::from))
}

/// One of them, when it touches what the caller may see.
async fn seen<P: Permit>(tx: &mut TenantTx, caller: &Caller<P>, id: Uuid) -> Result<DisabledControl, ApiError> {
    let row = disabled_control::get(tx, DisabledControlId(id)).await?;
    if assignment::is_visible(tx, &caller.visible(), &row.scope).await? {
        Ok(row)
    } else {
        Err(ApiError::not_found("disabled control"))
    }
}

/// Get one of the controls that are turned off.
#[utoipa::path(get, path = "/v1/disabled-controls/{disabled_control_id}", tag = "controls",
    params(("disabled_control_id" = Uuid, Path)), responses((status = 200, body = DisabledControlView)))]
async fn get_disabled_control(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(Answer::ok(DisabledControlView::from(seen(&mut tx, &caller, id).await?)))
}

/// Turn a control on again. What it judges is assessed again.
#[utoipa::path(delete, path = "/v1/disabled-controls/{disabled_control_id}", tag = "controls",
    params(("disabled_control_id" = Uuid, Path)), responses((status = 204)))]
async fn enable_control(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = seen(&mut tx, &caller, id).await?;
    must_cover(&mut tx, &caller, &row.scope).await?;
    disabled_control::delete(&mut tx, row.id).await?;
    note_before(&mut tx, DisabledControlView::from(row));
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
