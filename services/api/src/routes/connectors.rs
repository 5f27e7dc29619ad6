use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use rampart_domain::Kind;
use rampart_store::connector::{self, Change, Connector, NewConnector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::connector_source::{Source, SourceView};
use super::{check_name, collectors};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageConnectors, PageParams, PathOf, Payload, ReadInventory,
    Submission, if_match,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_connector, list_connectors))
        .routes(routes!(get_connector, update_connector, delete_connector))
        .routes(routes!(pause_connector))
        .routes(routes!(resume_connector))
}

/// An onboarded account or cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connector)]
struct ConnectorView {
    id: Uuid,
    /// Unique name; stands for the id in paths.
    #[schema(example = "production")]
    name: String,
    source: SourceView,
    /// Kinds to read; empty means all that are read by default.
    #[schema(value_type = Vec<String>)]
    kinds: Vec<Kind>,
    /// For the trust policy of an AWS role; null otherwise.
    external_id: Option<String>,
    /// For `rampart collect`, in the answer to the creation of a connector that is pushed to, and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    collector_token: Option<String>,
    /// Minutes between scheduled scans; between pushes, where a collector pushes.
    interval_minutes: i32,
    /// Whether the schedule is off.
    paused: bool,
    /// Whether it is being deleted with its data.
    deleting: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Connector> for ConnectorView {
    fn from(row: Connector) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            kinds: row.settings.kinds().to_vec(),
            source: row.settings.into(),
            external_id: row.external_id,
            collector_token: None,
            interval_minutes: row.interval_minutes,
            paused: row.paused,
            deleting: row.deleting,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: Connector) -> Answer {
    let version = row.version;
    Answer::ok(ConnectorView::from(row)).version(version)
}

/// A new connector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateConnector {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "production")]
    name: String,
    source: Source,
    /// Kinds to read; all that are read by default when left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["aws.eks.cluster", "k8s.pod"]))]
    kinds: Vec<Kind>,
    /// Minutes between scheduled scans, 60 to 1440.
    #[serde(default = "hourly")]
    #[schema(minimum = 60, maximum = 1440, default = 60)]
    interval_minutes: i32,
}

const fn hourly() -> i32 {
    60
}

fn check_interval(errors: &mut FieldErrors, minutes: i32) {
    errors.check((60..=1440).contains(&minutes), "/interval_minutes", "must be 60 to 1440");
}

impl CreateConnector {
    fn parse(self) -> Result<NewConnector, ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        check_interval(&mut errors, self.interval_minutes);
        let (settings, credentials) = self.source.parse(&self.name, self.kinds, &mut errors)?;
        errors.finish()?;
        Ok(NewConnector { name: self.name, settings, credentials, interval_minutes: self.interval_minutes })
    }
}

/// Onboard an account or cluster.
///
/// Credentials are sealed at once and never returned. For an AWS role the answer holds the external id that its trust
/// policy must demand; for a cluster that is pushed, the token of its collector, which is shown only this once.
#[utoipa::path(post, path = "/v1/connectors", tag = "connectors", params(IdempotencyHeader),
    request_body = CreateConnector, responses((status = 201, body = ConnectorView)))]
async fn create_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    submission: Submission<CreateConnector>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let new = body.parse()?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_connector", caller.access.token).await? {
        return Ok(earlier);
    }
    let row = connector::create(&mut tx, app.keyring(), &new).await?;
    let pushed = row.settings.is_pushed();
    let collector_token =
        if pushed { Some(collectors::issue(&app, &mut tx, row.id, &row.name).await?) } else { None };
    let (place, version) = (format!("/v1/connectors/{}", row.id), row.version);
    let view = ConnectorView { collector_token, ..ConnectorView::from(row) };
    let answer = Answer::created(place, view).version(version);
    let kept = if pushed { answer.clone().without("collector_token") } else { answer.clone() };
    submission.keep(&mut tx, &kept).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List connectors by name.
#[utoipa::path(get, path = "/v1/connectors", tag = "connectors", params(PageParams),
    responses((status = 200, body = List<ConnectorView>)))]
async fn list_connectors(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<ConnectorView>>, ApiError> {
    if !caller.visible().all {
        return Ok(List::empty());
    }
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(connector::list(&mut tx, &listing.page).await?, ConnectorView::from))
}

/// Get a connector.
#[utoipa::path(get, path = "/v1/connectors/{connector}", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 200, body = ConnectorView)))]
async fn get_connector(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(connector): PathOf<String>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &connector).await?;
    Ok(answer(connector::get(&mut tx, id).await?))
}

/// What to change; what is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UpdateConnector {
    /// New name.
    name: Option<String>,
    /// New source of the same provider; its credentials replace all earlier ones.
    source: Option<Source>,
    /// New kinds to read.
    #[schema(value_type = Option<Vec<String>>)]
    kinds: Option<Vec<Kind>>,
    /// New minutes between scheduled scans, 60 to 1440.
    interval_minutes: Option<i32>,
}

impl UpdateConnector {
    fn parse(self, current: Connector) -> Result<Change, ApiError> {
        let mut errors = FieldErrors::default();
        if let Some(name) = &self.name {
            check_name(&mut errors, "/name", name);
        }
        if let Some(minutes) = self.interval_minutes {
            check_interval(&mut errors, minutes);
        }
        let mut change =
            Change { interval_minutes: self.interval_minutes, name: self.name.clone(), ..Change::default() };
        let kinds = self.kinds.unwrap_or_else(|| current.settings.kinds().to_vec());
        if let Some(source) = self.source {
            let name = self.name.as_deref().unwrap_or(&current.name);
            let (settings, credentials) = source.parse(name, kinds, &mut errors)?;
            let same = settings.provider() == current.settings.provider();
            errors.check(same, "/source/provider", "cannot change; onboard a new connector instead");
            let as_before = settings.is_pushed() == current.settings.is_pushed();
            errors.check(as_before, "/source/delivery", "cannot change; onboard a new connector instead");
            change.settings = Some(settings);
            change.credentials = Some(credentials);
        } else if kinds != current.settings.kinds() {
            change.settings = Some(current.settings.with_kinds(kinds));
        }
        errors.finish()?;
        Ok(change)
    }
}

/// Change a connector.
#[utoipa::path(patch, path = "/v1/connectors/{connector}", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id"), IfMatchHeader), request_body = UpdateConnector,
    responses((status = 200, body = ConnectorView)))]
async fn update_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(connector): PathOf<String>,
    headers: HeaderMap,
    Payload(body): Payload<UpdateConnector>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &connector).await?;
    let version = if_match(&headers)?;
    let change = body.parse(connector::get(&mut tx, id).await?)?;
    let row = connector::update(&mut tx, app.keyring(), id, version, &change).await?;
    tx.commit().await?;
    Ok(answer(row))
}

/// Delete a connector with its data.
///
/// Nothing starts any more, running scans are asked to stop, and the data is removed in the background; until then the
/// connector can be read with `deleting` set.
#[utoipa::path(delete, path = "/v1/connectors/{connector}", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 202, body = ConnectorView)))]
async fn delete_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(connector): PathOf<String>,
    headers: HeaderMap,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &connector).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    let row = connector::delete(&mut tx, id, version).await?;
    tx.commit().await?;
    let version = row.version;
    Ok(Answer::accepted(format!("/v1/connectors/{id}"), ConnectorView::from(row)).version(version))
}

/// Switch the schedule off.
#[utoipa::path(post, path = "/v1/connectors/{connector}/pause", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 200, body = ConnectorView)))]
async fn pause_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(connector): PathOf<String>,
) -> Result<Answer, ApiError> {
    set_paused(&app, &caller, &connector, Some(true)).await
}

/// Switch the schedule on again.
#[utoipa::path(post, path = "/v1/connectors/{connector}/resume", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 200, body = ConnectorView)))]
async fn resume_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(connector): PathOf<String>,
) -> Result<Answer, ApiError> {
    set_paused(&app, &caller, &connector, Some(false)).await
}

async fn set_paused(
    app: &App,
    caller: &Caller<ManageConnectors>,
    connector: &str,
    paused: Option<bool>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(caller).await?;
    let id = connector::resolve(&mut tx, connector).await?;
    let change = Change { paused, ..Change::default() };
    let row = connector::update(&mut tx, app.keyring(), id, None, &change).await?;
    tx.commit().await?;
    Ok(answer(row))
}
