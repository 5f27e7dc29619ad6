use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use chrono::{DateTime, Utc};
use rampart_domain::Kind;
use rampart_store::connector::{self, Change, Connector, NewConnector, Settings};
use rampart_store::preflight;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_name;
use super::connector_source::{Source, SourceView};
use crate::App;
use crate::document::IfMatchHeader;
use crate::http::{
    Answer, ApiError, Caller, Code, FieldErrors, List, Listing, ManageConnectors, PageParams, PathOf, Payload,
    ReadInventory, if_match, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_connectors))
        .routes(routes!(get_connector, update_connector, delete_connector))
        .routes(routes!(pause_connector))
        .routes(routes!(resume_connector))
        .merge(super::onboarding::router())
}

/// An onboarded account or cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Connector)]
pub(super) struct ConnectorView {
    id: Uuid,
    /// Unique name; stands for the id in paths.
    #[schema(example = "production")]
    name: String,
    source: SourceView,
    /// Kinds to read; empty means all that are read by default.
    #[schema(value_type = Vec<String>)]
    kinds: Vec<Kind>,
    /// For the trust policy of an AWS role that asks for it; null otherwise.
    external_id: Option<String>,
    /// For `rampart collect`, in the answer to the creation of a connector that is pushed to, and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) collector_token: Option<String>,
    /// Minutes between scheduled scans; between pushes, where a collector pushes.
    interval_minutes: i32,
    /// Whether the schedule is off. Watching goes on: it has its own switch.
    paused: bool,
    /// Whether clusters are watched between scans, so that a change is known seconds later. How each watch fares stands with
    /// its cluster.
    watch: bool,
    /// Whether it is being deleted with its data.
    deleting: bool,
    /// For an account of an organisation: the organisation's connector, which says how it is read and with what.
    organization_id: Option<Uuid>,
    /// For an account of an organisation: the cloud's id of the account.
    account: Option<String>,
    /// Since when the account is not read any more; its inventory stays for the retention time.
    retired_at: Option<DateTime<Utc>>,
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
            watch: row.watch,
            deleting: row.deleting,
            organization_id: row.member.as_ref().map(|member| member.organization.0),
            account: row.member.map(|member| member.account),
            retired_at: row.retired_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Refuses a source that no scan could use, because the operator has not made Rampart an issuer.
pub(super) fn check_federation(app: &App, settings: Option<&Settings>) -> Result<(), ApiError> {
    let usable = app.issuer_url().is_some() || !settings.is_some_and(Settings::needs_issuer);
    let mut errors = FieldErrors::default();
    let off = "workload-identity federation is off: the operator must set --issuer-url (RAMPART_ISSUER_URL)";
    errors.check(usable, "/source", off);
    errors.finish()
}

fn answer(row: Connector) -> Answer {
    let version = row.version;
    Answer::ok(ConnectorView::from(row)).version(version)
}

/// A new connector.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateConnector {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "production")]
    pub(super) name: String,
    source: Source,
    /// Kinds to read; all that are read by default when left out.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["aws.eks.cluster", "k8s.pod"]))]
    kinds: Vec<Kind>,
    /// Minutes between scheduled scans, 60 to 1440.
    #[serde(default = "hourly")]
    #[schema(minimum = 60, maximum = 1440, default = 60)]
    interval_minutes: i32,
    /// Whether to watch clusters between scans. It needs the right to watch what is listed, and begins with the first scan.
    #[serde(default)]
    watch: bool,
}

const fn hourly() -> i32 {
    60
}

fn check_interval(errors: &mut FieldErrors, minutes: i32) {
    errors.check((60..=1440).contains(&minutes), "/interval_minutes", "must be 60 to 1440");
}

impl CreateConnector {
    pub(super) fn parse(self) -> Result<NewConnector, ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        check_interval(&mut errors, self.interval_minutes);
        let (settings, credentials) = self.source.parse(&self.name, self.kinds, &mut errors)?;
        errors.finish()?;
        let (name, interval_minutes, watch) = (self.name, self.interval_minutes, self.watch);
        Ok(NewConnector { name, settings, credentials, interval_minutes, watch })
    }
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
    /// Whether to watch clusters between scans. Switching it on asks for a scan, with which watching begins.
    watch: Option<bool>,
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
        let mut change = Change {
            interval_minutes: self.interval_minutes,
            name: self.name.clone(),
            watch: self.watch,
            ..Change::default()
        };
        let kinds = self.kinds.unwrap_or_else(|| current.settings.kinds().to_vec());
        if let Some(source) = self.source {
            let name = self.name.as_deref().unwrap_or(&current.name);
            let (settings, credentials) = source.parse(name, kinds, &mut errors)?;
            let same = settings.provider() == current.settings.provider();
            errors.check(same, "/source/provider", "cannot change; onboard a new connector instead");
            let as_before = settings.is_pushed() == current.settings.is_pushed();
            errors.check(as_before, "/source/delivery", "cannot change; onboard a new connector instead");
            let whole = settings.selection().is_some() == current.settings.selection().is_some();
            errors.check(whole, "/source/organization", "cannot come or go; onboard a new connector instead");
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
///
/// A new source replaces all earlier credentials, for every account of an organisation at once, and starts a test of the
/// connector's permissions.
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
    let before = connector::get(&mut tx, id).await?;
    note_before(&mut tx, ConnectorView::from(before.clone()));
    let change = body.parse(before)?;
    check_federation(&app, change.settings.as_ref())?;
    let row = connector::update(&mut tx, app.keyring(), id, version, &change).await?;
    if change.credentials.is_some() {
        preflight::request(&mut tx, id).await?;
    }
    answer(row).commit(tx).await
}

/// Delete a connector with its data.
///
/// An organisation goes with all its accounts; a single account is excluded instead. Nothing starts any more, running scans are asked to stop, and the data is removed in the background; until then the
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
    let before = connector::get(&mut tx, id).await?;
    let is_member = before.member.is_some();
    note_before(&mut tx, ConnectorView::from(before));
    if is_member {
        let detail = "the connector belongs to an organisation; exclude the account there";
        return Err(ApiError::new(Code::WrongState, detail));
    }
    let row = connector::delete(&mut tx, id, version).await?;
    let version = row.version;
    Answer::accepted(format!("/v1/connectors/{id}"), ConnectorView::from(row)).version(version).commit(tx).await
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
    answer(row).commit(tx).await
}
