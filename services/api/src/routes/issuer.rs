//! Rampart as an OIDC issuer: what clouds read to check its statements. Public, as nothing here is secret.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, header};
use chrono::Utc;
use rampart_connector::IssuerUrl;
use rampart_store::issuer_key::{self, PublicKey};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::{ApiError, Code};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_openid_configuration)).routes(routes!(get_issuer_keys))
}

/// Clouds may keep what they read for an hour; a key is announced a day before it is used.
const CACHEABLE: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "public, max-age=3600")];

/// The discovery document of an OIDC issuer.
#[derive(Debug, Serialize, ToSchema)]
struct OpenIdConfiguration {
    /// The issuer, as in the `iss` of its tokens.
    #[schema(example = "https://rampart.example.com")]
    issuer: String,
    /// Where its keys are.
    #[schema(example = "https://rampart.example.com/.well-known/jwks.json")]
    jwks_uri: String,
    response_types_supported: [&'static str; 1],
    subject_types_supported: [&'static str; 1],
    id_token_signing_alg_values_supported: [&'static str; 1],
    claims_supported: [&'static str; 7],
}

/// A public key, as RFC 7517 has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jwk)]
struct JwkView {
    kty: &'static str,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    /// Names the key in tokens.
    kid: String,
    /// Modulus.
    n: String,
    /// Exponent.
    e: String,
}

impl From<PublicKey> for JwkView {
    fn from(key: PublicKey) -> Self {
        Self { kty: "RSA", purpose: "sig", alg: "RS256", kid: key.key_id, n: key.modulus, e: key.exponent }
    }
}

/// Public keys: those that sign, have signed what still lives, and will sign next.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JwkSet)]
struct JwkSetView {
    keys: Vec<JwkView>,
}

fn issuer(app: &App) -> Result<&IssuerUrl, ApiError> {
    let off = "workload-identity federation is off: the operator must set --issuer-url (RAMPART_ISSUER_URL)";
    app.issuer_url().ok_or_else(|| ApiError::new(Code::NotFound, off))
}

/// Get the discovery document of Rampart as an OIDC issuer.
#[utoipa::path(get, path = "/.well-known/openid-configuration", tag = "issuer", security(()),
    responses((status = 200, body = OpenIdConfiguration)))]
async fn get_openid_configuration(
    State(app): State<App>,
) -> Result<([(HeaderName, &'static str); 1], Json<OpenIdConfiguration>), ApiError> {
    let issuer = issuer(&app)?;
    let configuration = OpenIdConfiguration {
        issuer: issuer.to_string(),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        response_types_supported: ["id_token"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        claims_supported: ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"],
    };
    Ok((CACHEABLE, Json(configuration)))
}

/// Get the public keys of Rampart as an OIDC issuer.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "issuer", security(()),
    responses((status = 200, body = JwkSetView)))]
async fn get_issuer_keys(
    State(app): State<App>,
) -> Result<([(HeaderName, &'static str); 1], Json<JwkSetView>), ApiError> {
    issuer(&app)?;
    let keys = issuer_key::published(app.store(), Utc::now()).await?;
    Ok((CACHEABLE, Json(JwkSetView { keys: keys.into_iter().map(JwkView::from).collect() })))
}
