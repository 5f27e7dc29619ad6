use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Duration, Utc};
use rampart_domain::TokenId;
use rampart_store::token::{self, Token};
use rampart_store::{Grant, Role, score};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_name;
use super::scope::Scope;
use crate::App;
use crate::document::IdempotencyHeader;
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageTenant, PageParams, PathOf, Submission, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_token, list_tokens)).routes(routes!(get_token, revoke_token))
}

/// What a token may do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RoleView {
    /// Everything, tokens included.
    Owner,
    /// Initiatives, assignments, and all reads.
    SecurityAdmin,
    /// All reads.
    SecurityReader,
    /// Connectors and scans, and reads of the inventory.
    ConnectorAdmin,
}

impl From<Role> for RoleView {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::SecurityAdmin => Self::SecurityAdmin,
            Role::SecurityReader => Self::SecurityReader,
            Role::ConnectorAdmin => Self::ConnectorAdmin,
        }
    }
}

impl From<RoleView> for Role {
    fn from(role: RoleView) -> Self {
        match role {
            RoleView::Owner => Self::Owner,
            RoleView::SecurityAdmin => Self::SecurityAdmin,
            RoleView::SecurityReader => Self::SecurityReader,
            RoleView::ConnectorAdmin => Self::ConnectorAdmin,
        }
    }
}

/// A role in a scope.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Grant)]
pub(super) struct GrantView {
    pub(super) role: RoleView,
    pub(super) scope: Scope,
}

impl From<Grant> for GrantView {
    fn from(grant: Grant) -> Self {
        Self { role: grant.role.into(), scope: grant.scope.into() }
    }
}

impl From<GrantView> for Grant {
    fn from(grant: GrantView) -> Self {
        Self { role: grant.role.into(), scope: grant.scope.into() }
    }
}

/// An API token.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    id: Uuid,
    #[schema(example = "ci")]
    name: String,
    grants: Vec<GrantView>,
    /// The connector that a collector pushes to with it, and the one thing that it may do; null for every other token.
    connector_id: Option<Uuid>,
    /// The secret, in the answer to its creation only, and not in a repetition of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the hour.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Token> for TokenView {
    fn from(row: Token) -> Self {
        let grants = row.grants.into_iter();
        Self {
            id: row.token_id.0,
            name: row.name,
            grants: grants.map(GrantView::from).collect(),
            connector_id: row.connector.map(|connector| connector.0),
            secret: None,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// A new token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateToken {
    /// Name, to tell it from others.
    #[schema(example = "ci")]
    name: String,
    /// What it may do where; at least one.
    grants: Vec<GrantView>,
    /// Days until it stops working, 1 to 365.
    #[serde(default = "quarter")]
    #[schema(minimum = 1, maximum = 365, default = 90)]
    expires_in_days: i64,
}

const fn quarter() -> i64 {
    90
}

impl CreateToken {
    fn parse(self) -> Result<(String, Vec<Grant>, Duration), ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        errors.check((1..=50).contains(&self.grants.len()), "/grants", "must be 1 to 50 grants");
        errors.check((1..=365).contains(&self.expires_in_days), "/expires_in_days", "must be 1 to 365");
        errors.finish()?;
        let grants = self.grants.into_iter().map(Grant::from).collect();
        Ok((self.name, grants, Duration::days(self.expires_in_days)))
    }
}

/// Make a token. The secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", params(IdempotencyHeader), request_body = CreateToken,
    responses((status = 201, body = TokenView)))]
async fn create_token(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    submission: Submission<CreateToken>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let (name, grants, life) = body.parse()?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_token", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    for grant in &grants {
        score::reach(&mut tx, &caller.visible(), &grant.scope).await?;
    }
    let (row, secret) = token::create(&mut tx, &name, &grants, Utc::now() + life).await?;
    let place = format!("/v1/tokens/{}", row.token_id);
    let view = TokenView { secret: Some(secret.expose_secret().to_owned()), ..TokenView::from(row) };
    let answer = Answer::created(place, view);
    submission.keep(&mut tx, &answer.clone().without("secret")).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List tokens, the newest first.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageParams),
    responses((status = 200, body = List<TokenView>)))]
async fn list_tokens(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<TokenView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(token::list(&mut tx, &listing.page).await?, TokenView::from))
}

/// Get a token, without its secret.
#[utoipa::path(get, path = "/v1/tokens/{token_id}", tag = "tokens", params(("token_id" = Uuid, Path)),
    responses((status = 200, body = TokenView)))]
async fn get_token(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(Answer::ok(TokenView::from(token::get(&mut tx, TokenId(id)).await?)))
}

/// Revoke a token. It stops working at once.
#[utoipa::path(delete, path = "/v1/tokens/{token_id}", tag = "tokens", params(("token_id" = Uuid, Path)),
    responses((status = 204)))]
async fn revoke_token(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    PathOf(id): PathOf<Uuid>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let before = token::get(&mut tx, TokenId(id)).await?;
    note_before(&mut tx, TokenView::from(before));
    token::revoke(&mut tx, TokenId(id)).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
