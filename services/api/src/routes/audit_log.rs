use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::ActorId;
use rampart_store::audit::{self, Filter, Outcome, Written};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadAuditLog};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_audit_log)).routes(routes!(get_audit_log_entry))
}

/// How a request ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AuditOutcome)]
enum OutcomeWord {
    /// As it was asked for.
    Succeeded,
    /// The caller may not, or what it asked for does not fit: a status of 4xx.
    Refused,
    /// A fault of the server: a status of 5xx.
    Failed,
}

impl From<Outcome> for OutcomeWord {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Refused => Self::Refused,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl From<OutcomeWord> for Outcome {
    fn from(outcome: OutcomeWord) -> Self {
        match outcome {
            OutcomeWord::Succeeded => Self::Succeeded,
            OutcomeWord::Refused => Self::Refused,
            OutcomeWord::Failed => Self::Failed,
        }
    }
}

/// Who made a request.
#[derive(Debug, Serialize, ToSchema)]
struct AuditActor {
    /// `token` or `identity`.
    #[schema(example = "identity")]
    r#type: &'static str,
    /// Id of the token; or the id that stands for the subject of an identity provider.
    id: Uuid,
    /// Name of the token, or of the caller as its provider gives it.
    #[schema(example = "jo@acme.example")]
    name: String,
    /// Name of the identity provider; null for a token.
    provider: Option<String>,
    /// What the provider calls the caller; null for a token.
    subject: Option<String>,
}

/// A request that was made.
#[derive(Debug, Serialize, ToSchema)]
struct AuditLogEntry {
    id: Uuid,
    at: DateTime<Utc>,
    actor: AuditActor,
    /// Id of the operation in this document.
    #[schema(example = "update_exemption")]
    operation: String,
    #[schema(example = "PUT")]
    method: String,
    /// Template of the path.
    #[schema(example = "/v1/exemptions/{exemption_id}")]
    path: String,
    /// What it was about: the last variable part of the path, or the id of what was made.
    target: Option<String>,
    /// Every variable part of the path.
    #[schema(value_type = Object)]
    params: Value,
    /// Address of the client; null when it is not known.
    #[schema(example = "192.0.2.7")]
    address: Option<String>,
    outcome: OutcomeWord,
    #[schema(example = 200)]
    status: u16,
    /// Code of the problem; null when it succeeded.
    code: Option<String>,
    /// Id of the request, as in `X-Request-Id` and the server's log.
    request_id: String,
}

/// A request that was made, with what it changed.
#[derive(Debug, Serialize, ToSchema)]
struct AuditLogEntryDetail {
    #[serde(flatten)]
    entry: AuditLogEntry,
    /// What was there before the change, as this API showed it.
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// What the change answered, without secrets.
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

impl From<Written> for AuditLogEntryDetail {
    fn from(row: Written) -> Self {
        let Written { id, at, entry } = row;
        let kind = entry.actor.kind();
        let (provider, subject) = entry.actor.identity.map(|who| (who.provider, who.subject)).unzip();
        Self {
            entry: AuditLogEntry {
                id,
                at,
                actor: AuditActor { r#type: kind, id: entry.actor.id.0, name: entry.actor.name, provider, subject },
                operation: entry.operation,
                method: entry.method,
                path: entry.path,
                target: entry.target,
                params: entry.params,
                address: entry.address,
                outcome: Outcome::of(entry.status).into(),
                status: entry.status,
                code: entry.code,
                request_id: entry.request_id,
            },
            before: entry.before,
            after: entry.after,
        }
    }
}

/// Which entries to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditFilter {
    /// Id of who made the request, as in `actor.id`.
    actor: Option<Uuid>,
    /// Id of the operation.
    #[param(example = "update_exemption")]
    operation: Option<String>,
    /// What it was about, as in `target`.
    target: Option<String>,
    #[param(inline)]
    outcome: Option<OutcomeWord>,
    /// Not before this time.
    from: Option<DateTime<Utc>>,
    /// Before this time.
    to: Option<DateTime<Utc>>,
}

/// List who did what, the latest first.
///
/// Every request that would change something is listed, whatever came of it, as are reads that were refused and exports.
/// Not listed are other reads, requests of nobody who could be recognised, and those beyond the rate limit.
#[utoipa::path(get, path = "/v1/audit-log", tag = "audit-log", params(AuditFilter, PageParams),
    responses((status = 200, body = List<AuditLogEntry>)))]
async fn list_audit_log(
    State(app): State<App>,
    caller: Caller<ReadAuditLog>,
    listing: Listing<AuditFilter>,
) -> Result<Json<List<AuditLogEntry>>, ApiError> {
    let AuditFilter { actor, operation, target, outcome, from, to } = listing.filter;
    let (actor, outcome) = (actor.map(ActorId), outcome.map(Outcome::from));
    let filter = Filter { actor, operation, target, outcome, from, to };
    let mut tx = app.tx(&caller).await?;
    let rows = audit::list(&mut tx, &filter, &listing.page).await?;
    Ok(List::of(rows, |row| AuditLogEntryDetail::from(row).entry))
}

/// Get an entry with what was before and after.
#[utoipa::path(get, path = "/v1/audit-log/{entry_id}", tag = "audit-log", params(("entry_id" = Uuid, Path)),
    responses((status = 200, body = AuditLogEntryDetail)))]
async fn get_audit_log_entry(
    State(app): State<App>,
    caller: Caller<ReadAuditLog>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(Answer::ok(AuditLogEntryDetail::from(audit::get(&mut tx, id).await?)))
}
