use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_content::Catalogue;
use rampart_posture::custom::{Format, Source};
use rampart_store::custom::{self, CustomSource};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::custom_source::{Noun, PutSource, VersionView};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManageInitiatives, PageParams, PathOf, Payload, ReadInventory, Submission,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_custom_control, list_custom_controls))
        .routes(routes!(get_custom_control, update_custom_control, delete_custom_control))
        .routes(routes!(list_custom_control_versions))
}

const NOUN: Noun<CustomControlView> = Noun {
    format: custom::Format::Control,
    path: "/v1/custom-controls",
    operation: "create_custom_control",
    view: CustomControlView::of,
};

/// A control of one's own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomControl)]
struct CustomControlView {
    /// `custom.` and the words after it; initiatives select it by that.
    #[schema(example = "custom.owner_label")]
    id: String,
    title: String,
    /// YAML or JSON, as it was given.
    source: String,
    /// Rises with every change.
    version: i64,
    /// Who changed it last: the id of the token, or as in the audit log.
    changed_by: Uuid,
    changed_at: DateTime<Utc>,
}

impl CustomControlView {
    fn of(row: CustomSource, catalogue: &Catalogue) -> Self {
        let title = catalogue.control(&row.name).map_or_else(|| row.name.clone(), |control| control.title.clone());
        Self {
            id: row.name,
            title,
            source: row.source,
            version: row.version,
            changed_by: row.changed_by,
            changed_at: row.changed_at,
        }
    }
}

/// A new control.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateCustomControl {
    /// A control in the format of the built-in ones, YAML or JSON, at most 64 KiB. Its id begins with `custom.`.
    source: String,
}

/// Make a control of one's own.
///
/// What is wrong with the source is told with JSON pointer, line and column. `POST /v1/policy-trials` tells beforehand what
/// the control would find. It judges once an initiative selects it.
#[utoipa::path(post, path = "/v1/custom-controls", tag = "custom-controls", params(IdempotencyHeader),
    request_body = CreateCustomControl, responses((status = 201, body = CustomControlView)))]
async fn create_custom_control(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    submission: Submission<CreateCustomControl>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let source = Source { format: Format::Control, name: String::new(), text: body.source };
    NOUN.create(&app, &caller, submission, source).await
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List controls of one's own by id.
#[utoipa::path(get, path = "/v1/custom-controls", tag = "custom-controls", params(PageParams),
    responses((status = 200, body = List<CustomControlView>)))]
async fn list_custom_controls(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<CustomControlView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let listed = custom::list(&mut tx, NOUN.format, &listing.page).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    Ok(List::of(listed, |row| CustomControlView::of(row, &catalogue)))
}

/// Get a control of one's own.
#[utoipa::path(get, path = "/v1/custom-controls/{custom_control}", tag = "custom-controls",
    params(("custom_control" = String, Path, description = "Id, such as `custom.owner_label`")),
    responses((status = 200, body = CustomControlView)))]
async fn get_custom_control(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<String>,
) -> Result<Answer, ApiError> {
    NOUN.get(&app, &mut app.tx(&caller).await?, &id).await
}

/// Replace a control of one's own. What it is assigned to is assessed again.
#[utoipa::path(put, path = "/v1/custom-controls/{custom_control}", tag = "custom-controls",
    params(("custom_control" = String, Path), IfMatchHeader), request_body = PutSource,
    responses((status = 200, body = CustomControlView)))]
async fn update_custom_control(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
    Payload(body): Payload<PutSource>,
) -> Result<Answer, ApiError> {
    NOUN.update(&app, &caller, &id, &headers, body.source).await
}

/// Delete a control of one's own that no initiative and no assignment names. Its versions stay.
#[utoipa::path(delete, path = "/v1/custom-controls/{custom_control}", tag = "custom-controls",
    params(("custom_control" = String, Path)), responses((status = 204)))]
async fn delete_custom_control(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    NOUN.delete(&app, &caller, &id, &headers).await
}

/// List the versions of a control of one's own, the latest first.
#[utoipa::path(get, path = "/v1/custom-controls/{custom_control}/versions", tag = "custom-controls",
    params(("custom_control" = String, Path), PageParams), responses((status = 200, body = List<VersionView>)))]
async fn list_custom_control_versions(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<String>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<VersionView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(custom::history(&mut tx, NOUN.format, &id, &listing.page).await?, VersionView::from))
}
