//! Workload-identity federation as the clouds do it: a statement counts when its issuer's published keys say so.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// Longest life that a statement may have.
const LONGEST: i64 = 24 * 3_600;

/// Why a statement is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disbelief {
    /// Not a statement of this issuer for this audience, or not signed by its keys.
    Invalid,
    /// It has ended, or has not begun.
    Expired,
    /// The issuer's keys could not be had.
    Unreachable,
}

/// Checks signature, issuer, audience and times of a statement; returns its subject. The keys are read from the issuer's
/// own documents each time.
pub(crate) async fn subject(token: &str, issuer: &str, audience: &str) -> Result<String, Disbelief> {
    let header = decode_header(token).map_err(|_| Disbelief::Invalid)?;
    let key_id = header.kid.filter(|_| header.alg == Algorithm::RS256).ok_or(Disbelief::Invalid)?;
    let configuration = read(&format!("{issuer}/.well-known/openid-configuration")).await?;
    if configuration["issuer"] != issuer {
        return Err(Disbelief::Invalid);
    }
    let keys = read(configuration["jwks_uri"].as_str().ok_or(Disbelief::Invalid)?).await?;
    let mut known = keys["keys"].as_array().into_iter().flatten();
    let key = known.find(|key| key["kid"] == key_id.as_str() && key["alg"] == "RS256").ok_or(Disbelief::Invalid)?;
    let text = |member: &str| key[member].as_str().ok_or(Disbelief::Invalid);
    let key = DecodingKey::from_rsa_components(text("n")?, text("e")?).map_err(|_| Disbelief::Invalid)?;
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = 0;
    let claims = decode::<Value>(token, &key, &validation).map_err(|error| match error.kind() {
        jsonwebtoken::errors::ErrorKind::ExpiredSignature | jsonwebtoken::errors::ErrorKind::ImmatureSignature => {
            Disbelief::Expired
        }
        _ => Disbelief::Invalid,
    })?;
    let claims = claims.claims;
    let life = claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    let subject = claims["sub"].as_str().filter(|_| life.is_some_and(|life| (1..=LONGEST).contains(&life)));
    subject.map(str::to_owned).ok_or(Disbelief::Invalid)
}

async fn read(url: &str) -> Result<Value, Disbelief> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
    let answer = client.map_err(|_| Disbelief::Unreachable)?.get(url).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status).map_err(|_| Disbelief::Unreachable)?;
    answer.json().await.map_err(|_| Disbelief::Unreachable)
}
