use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, KindSelector, Variant};
use rampart_domain::{ConnectorId, PreflightId};
use rampart_store::preflight::{self, PermissionCheck, Preflight};
use rampart_store::{TenantTx, connector};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManageConnectors, NoBody, PageParams, PathOf, ReadInventory, Submission,
    Wait,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(test_connector)).routes(routes!(list_preflights)).routes(routes!(get_preflight))
}

/// One run of a connector's permission check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preflight)]
struct PreflightView {
    id: Uuid,
    connector_id: Uuid,
    /// `queued`, `running`, `succeeded` (checked, whatever came out) or `failed` (nothing could be checked).
    #[schema(example = "succeeded")]
    status: String,
    requested_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// Permissions that are missing.
    missing: usize,
    checks: Vec<CheckView>,
    /// Why nothing could be checked.
    error: Option<String>,
}

/// What was found about one permission in one place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PermissionCheck)]
struct CheckView {
    /// The cloud's own name for it.
    #[schema(example = "eks:ListClusters")]
    permission: String,
    /// Region or cluster in which it was tried.
    #[schema(example = "eu-west-1")]
    scope: String,
    /// `granted`, `missing` or `unproven`.
    #[schema(example = "granted")]
    state: String,
    /// What the provider said; empty when granted.
    message: String,
    /// What to do about it; empty when granted.
    remedy: String,
    /// Kinds that are lost without it.
    kinds: Vec<String>,
    /// Controls that are lost without it.
    controls: Vec<String>,
}

impl CheckView {
    fn of(check: PermissionCheck, catalogue: &Catalogue) -> Self {
        let controls = if check.state == "granted" { Vec::new() } else { controls_on(&check.kinds, catalogue) };
        Self {
            permission: check.permission,
            scope: check.scope,
            state: check.state,
            message: check.message,
            remedy: check.remedy,
            kinds: check.kinds,
            controls,
        }
    }
}

/// Controls that judge one of the kinds or look at it.
fn controls_on(kinds: &[String], catalogue: &Catalogue) -> Vec<String> {
    let meant = |selectors: &[KindSelector]| {
        selectors.iter().flat_map(|it| it.kinds()).any(|kind| kinds.iter().any(|lost| lost == kind.as_str()))
    };
    let looks = |variant: &Variant| {
        meant(&variant.kinds) || variant.neighbours.values().any(|neighbour| meant(&neighbour.kinds))
    };
    let lost = catalogue.controls().filter(|control| control.variants.iter().any(looks));
    lost.map(|control| control.id.clone()).collect()
}

impl PreflightView {
    fn of(row: Preflight, catalogue: &Catalogue) -> Self {
        Self {
            id: row.preflight_id,
            connector_id: row.connector_id,
            status: row.status,
            requested_at: row.requested_at,
            finished_at: row.finished_at,
            missing: row.checks.iter().filter(|check| check.state == "missing").count(),
            checks: row.checks.0.into_iter().map(|check| CheckView::of(check, catalogue)).collect(),
            error: row.error,
        }
    }
}

/// Where a test is.
pub(super) fn place(row: &Preflight) -> String {
    format!("/v1/connectors/{}/preflights/{}", row.connector_id, row.preflight_id)
}

/// Test a connector's permissions.
///
/// Every call that a scan makes is tried once. A test that waits already is returned instead of a second one.
#[utoipa::path(post, path = "/v1/connectors/{connector}/test", tag = "preflights",
    params(("connector" = String, Path, description = "Name or id"), IdempotencyHeader, PreferHeader),
    responses((status = 202, body = PreflightView), (status = 200, body = PreflightView)))]
async fn test_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Wait(patience): Wait,
    submission: Submission<NoBody>,
) -> Result<Answer, ApiError> {
    let (submission, _) = submission.split();
    let mut tx = app.tx(&caller).await?;
    let connector = connector::resolve(&mut tx, &name).await?;
    if let Some(earlier) = submission.replay(&mut tx, "test_connector", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let row = preflight::request(&mut tx, connector).await?;
    let answer = Answer::accepted(place(&row), PreflightView::of(row.clone(), app.catalogue()));
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    wait(&app, &caller, connector, row, patience).await
}

/// Looks at the row until it is over or patience is.
async fn wait(
    app: &App,
    caller: &Caller<ManageConnectors>,
    connector: ConnectorId,
    mut row: Preflight,
    patience: Duration,
) -> Result<Answer, ApiError> {
    let deadline = Instant::now() + patience;
    while row.finished_at.is_none() && Instant::now() < deadline {
        sleep(Duration::from_millis(250)).await;
        let mut tx: TenantTx = app.tx(caller).await?;
        row = preflight::get(&mut tx, connector, PreflightId(row.preflight_id)).await?;
    }
    let over = row.finished_at.is_some();
    let answer = Answer::accepted(place(&row), PreflightView::of(row, app.catalogue()));
    Ok(if over { answer.over() } else { answer })
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the tests of a connector, the latest first.
#[utoipa::path(get, path = "/v1/connectors/{connector}/preflights", tag = "preflights",
    params(("connector" = String, Path, description = "Name or id"), PageParams),
    responses((status = 200, body = List<PreflightView>)))]
async fn list_preflights(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<PreflightView>>, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let connector = connector::resolve(&mut tx, &name).await?;
    Ok(List::of(preflight::list(&mut tx, connector, &listing.page).await?, |row| {
        PreflightView::of(row, app.catalogue())
    }))
}

/// Get a test of a connector.
#[utoipa::path(get, path = "/v1/connectors/{connector}/preflights/{preflight_id}", tag = "preflights",
    params(("connector" = String, Path, description = "Name or id"), ("preflight_id" = Uuid, Path)),
    responses((status = 200, body = PreflightView)))]
async fn get_preflight(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf((name, id)): PathOf<(String, Uuid)>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let connector = connector::resolve(&mut tx, &name).await?;
    Ok(Answer::ok(PreflightView::of(preflight::get(&mut tx, connector, PreflightId(id)).await?, app.catalogue())))
}
