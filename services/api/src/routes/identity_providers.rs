use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_domain::{IdentityProviderId, TenantId};
use rampart_store::identity_provider::{self, ClaimMatch, ClaimRule, IdentityProvider, NewIdentityProvider};
use rampart_store::{TenantTx, score};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::check_name;
use super::scope::Scope;
use super::tokens::{GrantView, RoleView};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageTenant, PageParams, PathOf, Payload, Submission,
    if_match, note_before,
};
use crate::oidc::{audience_of, is_issuer, tenant_of};

/// Rules of one provider.
const MOST_RULES: usize = 200;
/// Claims of one rule.
const MOST_CLAIMS: usize = 5;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_identity_provider, list_identity_providers)).routes(routes!(
        get_identity_provider,
        update_identity_provider,
        delete_identity_provider
    ))
}

/// A claim that a token must have.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClaimMatch)]
struct ClaimView {
    /// Where it is, as a JSON pointer: `/groups`, `/realm_access/roles`, `/https:~1~1acme.example~1role`.
    #[schema(example = "/groups")]
    path: String,
    /// The text that it is; one of its elements, when it is a list. Nothing in it stands for anything else.
    #[schema(example = "security")]
    value: String,
}

/// A role in a scope, for whoever has all of the claims.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClaimRule)]
struct RuleView {
    /// 1 to 5 claims.
    claims: Vec<ClaimView>,
    role: RoleView,
    scope: Scope,
}

impl From<ClaimRule> for RuleView {
    fn from(rule: ClaimRule) -> Self {
        let GrantView { role, scope } = rule.grant.into();
        let claims = rule.claims.into_iter().map(|claim| ClaimView { path: claim.path, value: claim.value });
        Self { claims: claims.collect(), role, scope }
    }
}

impl From<RuleView> for ClaimRule {
    fn from(rule: RuleView) -> Self {
        let claims = rule.claims.into_iter().map(|claim| ClaimMatch { path: claim.path, value: claim.value });
        Self { claims: claims.collect(), grant: GrantView { role: rule.role, scope: rule.scope }.into() }
    }
}

/// An OIDC issuer whose tokens are taken as bearer tokens of this API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IdentityProvider)]
struct IdentityProviderView {
    id: Uuid,
    #[schema(example = "acme-sso")]
    name: String,
    #[schema(example = "https://sso.acme.example/realms/acme")]
    issuer: String,
    audience: String,
    /// Whether a request must name the tenant in `Rampart-Tenant`, because the audience does not.
    needs_tenant_header: bool,
    rules: Vec<RuleView>,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<IdentityProvider> for IdentityProviderView {
    fn from(row: IdentityProvider) -> Self {
        Self {
            id: row.id.0,
            name: row.provider.name,
            issuer: row.provider.issuer,
            needs_tenant_header: tenant_of(&row.provider.audience).is_none(),
            audience: row.provider.audience,
            rules: row.provider.rules.into_iter().map(RuleView::from).collect(),
            enabled: row.provider.enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: IdentityProvider) -> Answer {
    let version = row.version;
    Answer::ok(IdentityProviderView::from(row)).version(version)
}

/// What an identity provider says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutIdentityProvider {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "acme-sso")]
    name: String,
    /// The `iss` of its tokens, to the letter: an https URL below which `/.well-known/openid-configuration` lies.
    #[schema(example = "https://sso.acme.example/realms/acme")]
    issuer: String,
    /// The `aud` that its tokens must have. Left out, it is `rampart:<tenant id>`, which alone says whose data is meant;
    /// for any other, requests name the tenant in the header `Rampart-Tenant`.
    audience: Option<String>,
    /// What claims grant, 1 to 200 rules. A token to which none applies may do nothing.
    rules: Vec<RuleView>,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

impl PutIdentityProvider {
    fn parse(self, tenant: TenantId) -> Result<NewIdentityProvider, ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        let fits = self.issuer.len() <= 500 && is_issuer(&self.issuer);
        errors.check(fits, "/issuer", "must be an https URL without user, query or fragment");
        let audience = self.audience.unwrap_or_else(|| audience_of(tenant));
        let fits = (1..=500).contains(&audience.len()) && !audience.contains(char::is_control);
        errors.check(fits, "/audience", "must have 1 to 500 characters");
        let is_own = tenant_of(&audience).is_none_or(|named| named == tenant);
        errors.check(is_own, "/audience", "names another tenant");
        errors.check((1..=MOST_RULES).contains(&self.rules.len()), "/rules", "must be 1 to 200 rules");
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check(&mut errors, &format!("/rules/{index}"));
        }
        errors.finish()?;
        Ok(NewIdentityProvider {
            name: self.name,
            issuer: self.issuer,
            audience,
            rules: self.rules.into_iter().map(ClaimRule::from).collect(),
            enabled: self.enabled,
        })
    }
}

impl RuleView {
    fn check(&self, errors: &mut FieldErrors, at: &str) {
        let fits = (1..=MOST_CLAIMS).contains(&self.claims.len());
        errors.check(fits, &format!("{at}/claims"), "must be 1 to 5 claims");
        for (index, claim) in self.claims.iter().enumerate() {
            let is_pointer = claim.path.starts_with('/') && (2..=500).contains(&claim.path.len());
            errors.check(is_pointer, &format!("{at}/claims/{index}/path"), "must be a JSON pointer, such as `/groups`");
            let fits = (1..=500).contains(&claim.value.len());
            errors.check(fits, &format!("{at}/claims/{index}/value"), "must have 1 to 500 characters");
        }
    }
}

/// What the rules give rights over must be there.
async fn must_reach(
    tx: &mut TenantTx,
    caller: &Caller<ManageTenant>,
    new: &NewIdentityProvider,
) -> Result<(), ApiError> {
    for rule in &new.rules {
        score::reach(tx, &caller.visible(), &rule.grant.scope).await?;
    }
    Ok(())
}

/// Take the tokens of an OIDC issuer.
///
/// Tokens are JWTs with an asymmetric signature, `iss`, `aud`, `sub` and `exp`. Keys are read from the issuer's discovery
/// document, whose `issuer` must be the same; clocks may differ by 60 seconds.
#[utoipa::path(post, path = "/v1/identity-providers", tag = "identity-providers", params(IdempotencyHeader),
    request_body = PutIdentityProvider, responses((status = 201, body = IdentityProviderView)))]
async fn create_identity_provider(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    submission: Submission<PutIdentityProvider>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let new = body.parse(caller.access.tenant)?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_identity_provider", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    must_reach(&mut tx, &caller, &new).await?;
    let row = identity_provider::create(&mut tx, &new).await?;
    let (place, version) = (format!("/v1/identity-providers/{}", row.id), row.version);
    let answer = Answer::created(place, IdentityProviderView::from(row)).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the identity providers, by name.
#[utoipa::path(get, path = "/v1/identity-providers", tag = "identity-providers", params(PageParams),
    responses((status = 200, body = List<IdentityProviderView>)))]
async fn list_identity_providers(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<IdentityProviderView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(identity_provider::list(&mut tx, &listing.page).await?, IdentityProviderView::from))
}

/// Get an identity provider.
#[utoipa::path(get, path = "/v1/identity-providers/{identity_provider_id}", tag = "identity-providers",
    params(("identity_provider_id" = Uuid, Path)), responses((status = 200, body = IdentityProviderView)))]
async fn get_identity_provider(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(answer(identity_provider::get(&mut tx, IdentityProviderId(id)).await?))
}

/// Replace an identity provider. What its tokens may do changes with the next request.
#[utoipa::path(put, path = "/v1/identity-providers/{identity_provider_id}", tag = "identity-providers",
    params(("identity_provider_id" = Uuid, Path), IfMatchHeader), request_body = PutIdentityProvider,
    responses((status = 200, body = IdentityProviderView)))]
async fn update_identity_provider(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutIdentityProvider>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let before = identity_provider::get(&mut tx, IdentityProviderId(id)).await?;
    note_before(&mut tx, IdentityProviderView::from(before));
    let version = if_match(&headers)?;
    let new = body.parse(caller.access.tenant)?;
    must_reach(&mut tx, &caller, &new).await?;
    let row = identity_provider::update(&mut tx, IdentityProviderId(id), version, &new).await?;
    answer(row).commit(tx).await
}

/// Delete an identity provider. Its tokens are refused at once.
#[utoipa::path(delete, path = "/v1/identity-providers/{identity_provider_id}", tag = "identity-providers",
    params(("identity_provider_id" = Uuid, Path)), responses((status = 204)))]
async fn delete_identity_provider(
    State(app): State<App>,
    caller: Caller<ManageTenant>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let before = identity_provider::get(&mut tx, IdentityProviderId(id)).await?;
    note_before(&mut tx, IdentityProviderView::from(before));
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    identity_provider::delete(&mut tx, IdentityProviderId(id), version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
