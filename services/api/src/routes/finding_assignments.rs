use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_store::finding;
use rampart_store::governance::{self, FindingAssignment, NewFindingAssignment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_owner;
use super::findings::parse_id;
use crate::App;
use crate::http::{Answer, ApiError, Caller, FieldErrors, ManagePolicy, PathOf, Payload, if_match, note_before};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(set_finding_assignment, delete_finding_assignment))
}

/// What somebody decided about a finding, in place of what the governance rules say. It holds for the control on the
/// resource: no re-evaluation, other severity or later version of the control loses it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingAssignment)]
pub(super) struct FindingAssignmentView {
    /// Null where the rules decide.
    owner: Option<String>,
    /// Null where the rules decide.
    due_at: Option<DateTime<Utc>>,
    note: String,
    /// Id of who decided: of the token, or as in the audit log.
    set_by: Uuid,
    set_at: DateTime<Utc>,
    version: i64,
}

impl From<FindingAssignment> for FindingAssignmentView {
    fn from(row: FindingAssignment) -> Self {
        Self {
            owner: row.owner,
            due_at: row.due_at,
            note: row.note,
            set_by: row.set_by,
            set_at: row.set_at,
            version: row.version,
        }
    }
}

/// Who mends a finding, and by when. What is left out stays with the rules; a grace period is the rule's.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutFindingAssignment {
    /// E-mail address or team, 1 to 200 characters.
    #[schema(example = "jo@acme.example")]
    owner: Option<String>,
    due_at: Option<DateTime<Utc>>,
    /// Why, at most 2000 characters.
    #[serde(default)]
    #[schema(example = "agreed in the weekly meeting")]
    note: String,
}

impl PutFindingAssignment {
    fn parse(self) -> Result<NewFindingAssignment, ApiError> {
        let mut errors = FieldErrors::default();
        if let Some(owner) = &self.owner {
            check_owner(&mut errors, "/owner", owner);
        }
        let says = self.owner.is_some() || self.due_at.is_some();
        errors.check(says, "/owner", "give `owner` or `due_at`; DELETE leaves both to the rules");
        errors.check(self.note.chars().count() <= 2000, "/note", "must have at most 2000 characters");
        errors.finish()?;
        Ok(NewFindingAssignment { owner: self.owner, due_at: self.due_at, note: self.note })
    }
}

/// The version that the caller saw, where it says one.
fn seen(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    if headers.contains_key("if-match") { if_match(headers) } else { Ok(None) }
}

/// Assign a finding to somebody, or give it another due date.
#[utoipa::path(put, path = "/v1/findings/{finding_id}/assignment", tag = "governance",
    params(("finding_id" = String, Path, example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")),
    request_body = PutFindingAssignment, responses((status = 200, body = FindingAssignmentView)))]
async fn set_finding_assignment(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
    Payload(body): Payload<PutFindingAssignment>,
) -> Result<Answer, ApiError> {
    let (resource, ordinal) = parse_id(&id).ok_or_else(|| ApiError::not_found("finding"))?;
    let mut tx = app.tx(&caller).await?;
    let row = finding::get(&mut tx, &caller.visible(), resource, ordinal).await?;
    let (version, new) = (seen(&headers)?, body.parse()?);
    let subject = (resource, row.control_id.as_str());
    if let Some(before) = governance::assignment_of(&mut tx, resource, &row.control_id).await? {
        note_before(&mut tx, FindingAssignmentView::from(before));
    }
    let assigned = governance::assign(&mut tx, subject, version, caller.access.actor.id, &new).await?;
    let version = assigned.version;
    Answer::ok(FindingAssignmentView::from(assigned)).version(version).commit(tx).await
}

/// Leave a finding to the governance rules again.
#[utoipa::path(delete, path = "/v1/findings/{finding_id}/assignment", tag = "governance",
    params(("finding_id" = String, Path, example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")),
    responses((status = 204)))]
async fn delete_finding_assignment(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let (resource, ordinal) = parse_id(&id).ok_or_else(|| ApiError::not_found("finding"))?;
    let mut tx = app.tx(&caller).await?;
    let row = finding::get(&mut tx, &caller.visible(), resource, ordinal).await?;
    if let Some(before) = governance::assignment_of(&mut tx, resource, &row.control_id).await? {
        note_before(&mut tx, FindingAssignmentView::from(before));
    }
    governance::unassign(&mut tx, (resource, &row.control_id), seen(&headers)?).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
