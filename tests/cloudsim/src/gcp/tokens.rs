use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::HeaderMap;
use serde_json::{Value, json};

use super::Asked;
use super::error::GoogleError;
use crate::aws::sigv4::pairs;
use crate::shared::Shared;

/// How long an access token lasts.
const LIFETIME: TimeDelta = TimeDelta::hours(1);
/// Who the machine is that the simulator plays metadata service for.
const MACHINE: &str = "rampart@operator-tools.iam.gserviceaccount.com";

/// Answers the token endpoints: of OAuth, for the assertion of a key; of STS, for the statement of a trusted issuer.
pub(crate) fn exchange(shared: &Shared, asked: &Asked<'_>, now: DateTime<Utc>) -> Result<Value, GoogleError> {
    let form = pairs(std::str::from_utf8(asked.body).unwrap_or_default());
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let member = if asked.operation.name == "oauth2:token" {
        if field("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
            return Err(GoogleError::grant("unsupported grant type"));
        }
        shared.google.of_assertion(field("assertion"), now)
    } else {
        let expected = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ];
        if expected.iter().any(|(name, value)| field(name) != *value) {
            return Err(GoogleError::grant("unsupported token exchange"));
        }
        shared.google.of_statement(field("audience"), field("subject_token"), now)
    };
    let member = member.map_err(|why| GoogleError::grant(&why))?;
    Ok(issued(shared, &member, now))
}

/// Answers as the metadata service of a machine does.
pub(crate) fn machine(shared: &Shared, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Value, GoogleError> {
    if headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
        return Err(GoogleError::denied("metadata", "the header Metadata-Flavor is missing"));
    }
    Ok(issued(shared, MACHINE, now))
}

fn issued(shared: &Shared, member: &str, now: DateTime<Utc>) -> Value {
    let token = shared.google.issue(member, now + LIFETIME);
    json!({ "access_token": token, "expires_in": LIFETIME.num_seconds(), "token_type": "Bearer" })
}

/// `generateAccessToken`: a token of a service account that the caller may act as.
pub(crate) fn acting(
    shared: &Shared,
    asked: &Asked<'_>,
    caller: &str,
    now: DateTime<Utc>,
) -> Result<Value, GoogleError> {
    let account = asked.part(0);
    if !shared.google.may_act_as(caller, account) {
        return Err(GoogleError::denied(asked.operation.name, account));
    }
    let ends = now + LIFETIME;
    let expire_time = ends.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(json!({ "accessToken": shared.google.issue(account, ends), "expireTime": expire_time }))
}
