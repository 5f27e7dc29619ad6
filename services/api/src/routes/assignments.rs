use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_content::Catalogue;
use rampart_domain::AssignmentId;
use rampart_store::assignment::{self, Assignment, NewAssignment};
use rampart_store::{AccessScope, TenantTx, initiative, score};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_name;
use super::initiatives::check_params;
use super::scope::Scope;
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, Code, FieldErrors, List, Listing, ManagePolicy, PageParams, PathOf, Payload,
    ReadInventory, Submission, if_match, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_assignment, list_assignments)).routes(routes!(
        get_assignment,
        update_assignment,
        delete_assignment
    ))
}

/// An initiative applied to a scope.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Assignment)]
struct AssignmentView {
    id: Uuid,
    #[schema(example = "default")]
    name: String,
    /// Id of a built-in initiative or name of a custom one.
    #[schema(example = "rampart-default")]
    initiative: String,
    scope: Scope,
    /// Parameters by control id.
    params: Value,
    /// Namespaces that it leaves out.
    excluded_namespaces: Vec<String>,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Assignment> for AssignmentView {
    fn from(row: Assignment) -> Self {
        Self {
            id: row.id.0,
            name: row.name,
            initiative: row.initiative,
            scope: row.scope.into(),
            params: row.params,
            excluded_namespaces: row.excluded_namespaces,
            enabled: row.enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: Assignment) -> Answer {
    let version = row.version;
    Answer::ok(AssignmentView::from(row)).version(version)
}

/// What an assignment says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutAssignment {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "payments-strict")]
    name: String,
    /// Id of a built-in initiative or name of a custom one.
    #[schema(example = "pss-restricted")]
    initiative: String,
    scope: Scope,
    /// Parameters by control id, over those that the initiative sets; under the initiative's own id those of the whole set,
    /// such as `{"pss-baseline": {"version": "v1.25"}}`.
    #[serde(default)]
    params: BTreeMap<String, BTreeMap<String, Value>>,
    /// Namespaces to leave out.
    #[serde(default)]
    excluded_namespaces: Vec<String>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

impl PutAssignment {
    async fn parse(self, app: &App, tx: &mut TenantTx) -> Result<NewAssignment, ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        let known = app.catalogue().initiative(&self.initiative).is_some()
            || initiative::get(tx, &self.initiative).await.is_ok();
        errors.check(known, "/initiative", "is neither a built-in nor a custom initiative");
        let excluded = self.excluded_namespaces.len();
        let catalogue = app.catalogue_of(tx).await?;
        check_assigned(&mut errors, "", &catalogue, &self.initiative, &self.params, excluded);
        errors.finish()?;
        Ok(NewAssignment {
            name: self.name,
            initiative: self.initiative,
            scope: self.scope.into(),
            params: json!(self.params),
            excluded_namespaces: self.excluded_namespaces,
            enabled: self.enabled,
        })
    }
}

/// Notes what does not fit below the field `at` of what an assignment says: parameters that neither a control nor the
/// initiative has, and too many namespaces left out.
pub(super) fn check_assigned(
    errors: &mut FieldErrors,
    at: &str,
    catalogue: &Catalogue,
    initiative: &str,
    params: &BTreeMap<String, BTreeMap<String, Value>>,
    excluded: usize,
) {
    errors.check(excluded <= 1000, &format!("{at}/excluded_namespaces"), "must be at most 1000");
    for (id, params) in params {
        let field = format!("{at}/params/{id}");
        let own = catalogue.initiative(initiative).filter(|initiative| initiative.id == *id);
        match (catalogue.control(id), own) {
            (Some(control), _) => {
                check_params(errors, &field, id, |name| control.parameters.get(name), params);
            }
            (None, Some(initiative)) => {
                check_params(errors, &field, id, |name| initiative.parameters.get(name), params);
            }
            (None, None) => errors.add(&field, "is neither a control nor the initiative"),
        }
    }
}

/// A caller decides only about scopes that its grants cover whole.
pub(super) async fn must_cover(
    tx: &mut TenantTx,
    caller: &Caller<ManagePolicy>,
    scope: &AccessScope,
) -> Result<(), ApiError> {
    if assignment::is_covered(tx, &caller.visible(), scope).await? {
        Ok(())
    } else {
        Err(ApiError::new(Code::Forbidden, "the scope reaches beyond what this token may decide about"))
    }
}

/// As [`must_cover`], for a scope that the caller names: one that it cannot see, or that is not there, is not found.
pub(super) async fn must_decide(
    tx: &mut TenantTx,
    caller: &Caller<ManagePolicy>,
    scope: &AccessScope,
) -> Result<(), ApiError> {
    score::reach(tx, &caller.visible(), scope).await?;
    must_cover(tx, caller, scope).await
}

/// Assign an initiative to a scope.
#[utoipa::path(post, path = "/v1/assignments", tag = "assignments", params(IdempotencyHeader),
    request_body = PutAssignment, responses((status = 201, body = AssignmentView)))]
async fn create_assignment(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    submission: Submission<PutAssignment>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_assignment", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let new = body.parse(&app, &mut tx).await?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = assignment::create(&mut tx, &new).await?;
    let (place, version) = (format!("/v1/assignments/{}", row.id), row.version);
    let answer = Answer::created(place, AssignmentView::from(row)).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the assignments that touch what the caller may see, by name.
#[utoipa::path(get, path = "/v1/assignments", tag = "assignments", params(PageParams),
    responses((status = 200, body = List<AssignmentView>)))]
async fn list_assignments(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<AssignmentView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(assignment::list(&mut tx, &caller.visible(), &listing.page).await?, AssignmentView::from))
}

/// Get an assignment.
#[utoipa::path(get, path = "/v1/assignments/{assignment_id}", tag = "assignments",
    params(("assignment_id" = Uuid, Path)), responses((status = 200, body = AssignmentView)))]
async fn get_assignment(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = assignment::get(&mut tx, AssignmentId(id)).await?;
    if assignment::is_visible(&mut tx, &caller.visible(), &row.scope).await? {
        Ok(answer(row))
    } else {
        Err(ApiError::not_found("assignment"))
    }
}

/// The assignment, when the caller may see it and decide about it.
async fn decidable(tx: &mut TenantTx, caller: &Caller<ManagePolicy>, id: Uuid) -> Result<AssignmentId, ApiError> {
    let row = assignment::get(tx, AssignmentId(id)).await?;
    if !assignment::is_visible(tx, &caller.visible(), &row.scope).await? {
        return Err(ApiError::not_found("assignment"));
    }
    must_cover(tx, caller, &row.scope).await?;
    let id = row.id;
    note_before(tx, AssignmentView::from(row));
    Ok(id)
}

/// Replace an assignment. What it leaves and what it reaches is assessed again.
#[utoipa::path(put, path = "/v1/assignments/{assignment_id}", tag = "assignments",
    params(("assignment_id" = Uuid, Path), IfMatchHeader), request_body = PutAssignment,
    responses((status = 200, body = AssignmentView)))]
async fn update_assignment(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutAssignment>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if_match(&headers)?;
    let new = body.parse(&app, &mut tx).await?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = assignment::update(&mut tx, id, version, &new).await?;
    answer(row).commit(tx).await
}

/// Delete an assignment. What it reached is assessed again.
#[utoipa::path(delete, path = "/v1/assignments/{assignment_id}", tag = "assignments",
    params(("assignment_id" = Uuid, Path)), responses((status = 204)))]
async fn delete_assignment(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    assignment::delete(&mut tx, id, version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
