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

use super::custom_source::{ControlView, Noun, PutSource, VersionView, check_bundle, controls};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageInitiatives, PageParams, PathOf, Payload,
    ReadInventory, Submission,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_policies, list_policies))
        .routes(routes!(get_policies, update_policies, delete_policies))
        .routes(routes!(list_policies_versions))
}

const NOUN: Noun<PoliciesView> = Noun {
    format: custom::Format::Policies,
    path: "/v1/policies",
    operation: "create_policies",
    view: PoliciesView::of,
};

/// Policies in formats of others, handed in together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyBundle)]
struct PoliciesView {
    #[schema(example = "gatekeeper")]
    name: String,
    /// What initiatives select: one control for each constraint, and for each binding of an admission policy.
    controls: Vec<ControlView>,
    /// The documents, as they were given.
    source: String,
    /// Rises with every change.
    version: i64,
    /// Who changed it last: the id of the token, or as in the audit log.
    changed_by: Uuid,
    changed_at: DateTime<Utc>,
}

impl PoliciesView {
    fn of(row: CustomSource, catalogue: &Catalogue) -> Self {
        Self {
            controls: controls(catalogue, NOUN.format, &row.name),
            name: row.name,
            source: row.source,
            version: row.version,
            changed_by: row.changed_by,
            changed_at: row.changed_at,
        }
    }
}

/// A new bundle of policies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreatePolicies {
    /// Unique name, 1 to 60 lower-case letters, digits, `-` or `_`; a part of the ids of its controls.
    #[schema(example = "gatekeeper")]
    name: String,
    /// Constraint templates with their constraints, validating admission policies with their bindings and parameters: YAML
    /// or JSON documents, at most 256 KiB.
    source: String,
}

/// Import policies.
///
/// What cannot be loaded is told with JSON pointer, line and column. `POST /v1/policy-trials` tells beforehand what the
/// policies would find. They judge once an initiative selects them, by ids such as
/// `policy.gatekeeper.K8sRequiredLabels.owner` or `policy.gatekeeper.*`.
#[utoipa::path(post, path = "/v1/policies", tag = "policies", params(IdempotencyHeader),
    request_body = CreatePolicies, responses((status = 201, body = PoliciesView)))]
async fn create_policies(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    submission: Submission<CreatePolicies>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut errors = FieldErrors::default();
    check_bundle(&mut errors, &body.name);
    errors.finish()?;
    let source = Source { format: Format::Policies, name: body.name, text: body.source };
    NOUN.create(&app, &caller, submission, source).await
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List bundles of policies by name.
#[utoipa::path(get, path = "/v1/policies", tag = "policies", params(PageParams),
    responses((status = 200, body = List<PoliciesView>)))]
async fn list_policies(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<PoliciesView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let listed = custom::list(&mut tx, NOUN.format, &listing.page).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    Ok(List::of(listed, |row| PoliciesView::of(row, &catalogue)))
}

/// Get a bundle of policies.
#[utoipa::path(get, path = "/v1/policies/{bundle}", tag = "policies", params(("bundle" = String, Path)),
    responses((status = 200, body = PoliciesView)))]
async fn get_policies(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
) -> Result<Answer, ApiError> {
    NOUN.get(&app, &mut app.tx(&caller).await?, &name).await
}

/// Replace a bundle of policies. What they are assigned to is assessed again.
#[utoipa::path(put, path = "/v1/policies/{bundle}", tag = "policies",
    params(("bundle" = String, Path), IfMatchHeader), request_body = PutSource,
    responses((status = 200, body = PoliciesView)))]
async fn update_policies(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(name): PathOf<String>,
    headers: HeaderMap,
    Payload(body): Payload<PutSource>,
) -> Result<Answer, ApiError> {
    NOUN.update(&app, &caller, &name, &headers, body.source).await
}

/// Delete a bundle of policies of which no initiative and no assignment names any. Its versions stay.
#[utoipa::path(delete, path = "/v1/policies/{bundle}", tag = "policies", params(("bundle" = String, Path)),
    responses((status = 204)))]
async fn delete_policies(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(name): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    NOUN.delete(&app, &caller, &name, &headers).await
}

/// List the versions of a bundle of policies, the latest first.
#[utoipa::path(get, path = "/v1/policies/{bundle}/versions", tag = "policies",
    params(("bundle" = String, Path), PageParams), responses((status = 200, body = List<VersionView>)))]
async fn list_policies_versions(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<VersionView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(custom::history(&mut tx, NOUN.format, &name, &listing.page).await?, VersionView::from))
}
