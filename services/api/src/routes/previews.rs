use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, PreviewId};
use rampart_store::organization::Selection;
use rampart_store::preview::{self, Preview, PreviewAccount};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::accounts::organization_named;
use super::selection::SelectionSource;
use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageConnectors, PageParams, PathOf, ReadInventory,
    Submission, Wait,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start_preview, list_previews)).routes(routes!(get_preview))
}

/// One look at what a choice of accounts would do.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Preview)]
struct PreviewView {
    #[serde(flatten)]
    summary: PreviewSummary,
    /// Every account of the organisation by id; empty until it was read.
    accounts: Vec<PreviewAccountView>,
}

/// One look at what a choice of accounts would do, in numbers.
#[derive(Debug, Serialize, ToSchema)]
struct PreviewSummary {
    id: Uuid,
    connector_id: Uuid,
    /// `queued`, `running`, `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    status: String,
    /// What was tried; null for what the connector has.
    selection: Option<SelectionSource>,
    requested_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    /// Accounts that would be read from now on.
    added: usize,
    /// Accounts that would be read again.
    revived: usize,
    /// Accounts that would not be read any more.
    retired: usize,
    /// Accounts that are read and would be further on.
    kept: usize,
    /// Accounts that are left out.
    excluded: usize,
    /// Accounts that the cloud does not let be read.
    suspended: usize,
    /// Accounts that would wait to be added.
    waiting: usize,
    /// Why the organisation could not be read.
    error: Option<String>,
}

/// What would become of one account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PreviewAccount)]
struct PreviewAccountView {
    /// The cloud's id of the account.
    #[schema(example = "123456789012")]
    account: String,
    name: String,
    /// Ids of the units above it, from the root down.
    path: Vec<String>,
    /// `included`, `excluded`, `suspended`, `waiting` or `removed`.
    #[schema(example = "included")]
    decision: String,
    /// Why.
    reason: String,
    /// What would be done: `add`, `revive`, `keep`, `retire` or `none`.
    #[schema(example = "add")]
    effect: String,
}

impl From<PreviewAccount> for PreviewAccountView {
    fn from(row: PreviewAccount) -> Self {
        Self {
            account: row.account,
            name: row.name,
            path: row.path,
            decision: row.decision,
            reason: row.reason,
            effect: row.effect,
        }
    }
}

impl From<&Preview> for PreviewSummary {
    fn from(row: &Preview) -> Self {
        let effect = |word: &str| row.accounts.iter().filter(|account| account.effect == word).count();
        let decision = |word: &str| row.accounts.iter().filter(|account| account.decision == word).count();
        Self {
            id: row.preview_id,
            connector_id: row.connector_id,
            status: row.status.clone(),
            selection: row.selection.as_ref().map(|json| SelectionSource::from(json.0.clone())),
            requested_at: row.requested_at,
            finished_at: row.finished_at,
            added: effect("add"),
            revived: effect("revive"),
            retired: effect("retire"),
            kept: effect("keep"),
            excluded: decision("excluded"),
            suspended: decision("suspended"),
            waiting: decision("waiting"),
            error: row.error.clone(),
        }
    }
}

impl From<Preview> for PreviewView {
    fn from(row: Preview) -> Self {
        let summary = PreviewSummary::from(&row);
        Self { summary, accounts: row.accounts.0.into_iter().map(PreviewAccountView::from).collect() }
    }
}

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartPreview {
    /// Rules to try; those of the connector when left out.
    selection: Option<SelectionSource>,
}

fn place(row: &Preview) -> String {
    format!("/v1/connectors/{}/previews/{}", row.connector_id, row.preview_id)
}

/// See which accounts of an organisation would be read.
///
/// The organisation is read once; nothing is added, excluded or retired.
#[utoipa::path(post, path = "/v1/connectors/{connector}/previews", tag = "previews",
    params(("connector" = String, Path, description = "Name or id"), IdempotencyHeader, PreferHeader),
    request_body = StartPreview, responses((status = 202, body = PreviewView), (status = 200, body = PreviewView)))]
async fn start_preview(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Wait(patience): Wait,
    submission: Submission<StartPreview>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    let connector = organization_named(&mut tx, &name).await?;
    if let Some(earlier) = submission.replay(&mut tx, "start_preview", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let mut errors = FieldErrors::default();
    let selection: Option<Selection> = body.selection.map(|selection| selection.parse("/selection", &mut errors));
    errors.finish()?;
    let row = preview::request(&mut tx, connector, selection.as_ref()).await?;
    let answer = Answer::accepted(place(&row), PreviewView::from(row.clone()));
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    wait(&app, &caller, connector, row, patience).await
}

/// Looks at the row until it is over or patience is.
async fn wait(
    app: &App,
    caller: &Caller<ManageConnectors>,
    connector: ConnectorId,
    mut row: Preview,
    patience: Duration,
) -> Result<Answer, ApiError> {
    let deadline = Instant::now() + patience;
    while row.finished_at.is_none() && Instant::now() < deadline {
        sleep(Duration::from_millis(250)).await;
        let mut tx = app.tx(caller).await?;
        row = preview::get(&mut tx, connector, PreviewId(row.preview_id)).await?;
    }
    let over = row.finished_at.is_some();
    let answer = Answer::accepted(place(&row), PreviewView::from(row));
    Ok(if over { answer.over() } else { answer })
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the previews of an organisation, the latest first.
#[utoipa::path(get, path = "/v1/connectors/{connector}/previews", tag = "previews",
    params(("connector" = String, Path, description = "Name or id"), PageParams),
    responses((status = 200, body = List<PreviewSummary>)))]
async fn list_previews(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<PreviewSummary>>, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let connector = organization_named(&mut tx, &name).await?;
    Ok(List::of(preview::list(&mut tx, connector, &listing.page).await?, |row| PreviewSummary::from(&row)))
}

/// Get a preview of an organisation.
#[utoipa::path(get, path = "/v1/connectors/{connector}/previews/{preview_id}", tag = "previews",
    params(("connector" = String, Path, description = "Name or id"), ("preview_id" = Uuid, Path)),
    responses((status = 200, body = PreviewView)))]
async fn get_preview(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf((name, id)): PathOf<(String, Uuid)>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let connector = organization_named(&mut tx, &name).await?;
    Ok(Answer::ok(PreviewView::from(preview::get(&mut tx, connector, PreviewId(id)).await?)))
}
