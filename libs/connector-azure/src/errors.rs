//! From answers of Entra ID, Azure Resource Manager and the registries to our errors: the code decides, then the status.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::{HeaderMap, header};
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

use crate::http::Answer;

/// What a subscription says of a service that it never switched on. There is nothing to read then, and never was.
const UNREGISTERED: &[&str] = &[
    "MissingSubscriptionRegistration",
    "MissingRegistrationForType",
    "SubscriptionNotRegistered",
    "FeatureNotRegistered",
    // Defender for Cloud has a spelling of its own.
    "Subscription Not Registered",
];

/// What a registry says to a caller from an address that its network rules keep out.
const KEPT_OUT: &str = "is not allowed access";

/// What became of a call of `api` that was answered with something else than success.
pub(crate) fn answered(api: &str, answer: &Answer) -> ConnectorError {
    let status = answer.status;
    let (code, message) = told(&answer.body);
    let code = code.as_deref();
    let kind = match classify(status, code, retry_after(&answer.headers, Utc::now())) {
        // A registry's token is good and does not cover this: that is a matter of rights, not of identity.
        ErrorKind::Unauthorized if lacks_scope(&answer.headers) => ErrorKind::Forbidden,
        kind => kind,
    };
    let text = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(message)) => format!("HTTP {status}: {message}"),
        (None, None) => format!("HTTP {status} without an error code"),
    };
    let error = ConnectorError::new(kind, api, text);
    match remedy(&error) {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// What to do, where Azure's own words for it help.
fn remedy(error: &ConnectorError) -> Option<String> {
    match error.kind {
        ErrorKind::Unauthorized => Some(
            "The identity was refused. Check directory, application and its secret or certificate, and that neither has \
             expired."
                .to_owned(),
        ),
        // No role helps against a network rule.
        ErrorKind::Forbidden if error.message.contains(KEPT_OUT) => Some(
            "Add the address from which Rampart connects to the registry's network rules, or run Rampart where one of its \
             private endpoints answers."
                .to_owned(),
        ),
        ErrorKind::Forbidden => {
            Some(format!("Assign a role with {} to the connector's identity in the subscription.", error.api))
        }
        _ => None,
    }
}

/// Whether the error says that the service is switched off in this subscription.
pub(crate) fn is_unregistered(error: &ConnectorError) -> bool {
    error.kind == ErrorKind::Unsupported && UNREGISTERED.iter().any(|code| error.message.starts_with(code))
}

/// What became of a request that got no answer.
pub(crate) fn unanswered(api: &str, error: &reqwest::Error) -> ConnectorError {
    let kind = if error.is_connect() || error.is_timeout() { ErrorKind::Unreachable } else { ErrorKind::Transient };
    let cause = std::iter::successors(error.source(), |source| (*source).source()).last();
    let message = cause.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
    ConnectorError::new(kind, api, message)
}

/// Code and message, in any of the four shapes in which Azure tells them.
fn told(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return (None, None) };
    let error = match (&body["error"], &body["errors"]) {
        (nested @ Value::Object(_), _) => nested,
        (_, Value::Array(errors)) => errors.first().unwrap_or(&Value::Null),
        _ => &body,
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    // Entra ID's `error` is the code itself.
    let code = text(&error["code"]).or_else(|| text(&body["error"]));
    let message = text(&error["message"]).or_else(|| text(&body["error_description"]));
    let first_line = |message: String| message.lines().next().unwrap_or_default().trim().to_owned();
    (code, message.map(first_line))
}

fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> ErrorKind {
    match code {
        Some(
            "SubscriptionRequestsThrottled" | "TooManyRequests" | "RateLimiting" | "TOOMANYREQUESTS" | "Throttled",
        ) => ErrorKind::Throttled { retry_after },
        Some(
            "ExpiredAuthenticationToken"
            | "InvalidAuthenticationToken"
            | "InvalidAuthenticationTokenTenant"
            | "InvalidAuthenticationTokenAudience"
            | "AuthenticationFailed"
            | "AuthenticationFailedMissingToken"
            | "invalid_client"
            | "invalid_grant"
            | "invalid_request"
            | "unauthorized_client",
        ) => ErrorKind::Unauthorized,
        // A subscription that the identity has no role in does not exist for it.
        Some("AuthorizationFailed" | "LinkedAuthorizationFailed" | "SubscriptionNotFound" | "Forbidden" | "DENIED") => {
            ErrorKind::Forbidden
        }
        Some(
            "NoRegisteredProviderFound"
            | "NoRegisteredProviderForLocation"
            | "InvalidResourceType"
            | "InvalidApiVersionParameter"
            | "UnsupportedApiVersion"
            | "UNSUPPORTED",
        ) => ErrorKind::Unsupported,
        Some(code) if UNREGISTERED.contains(&code) => ErrorKind::Unsupported,
        Some(code) if code.ends_with("NotFound") || code.ends_with("_UNKNOWN") => ErrorKind::NotFound,
        _ => match status {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            // A missing thing has a code; a 404 without one comes from something that does not know the path.
            404 if code.is_some() => ErrorKind::NotFound,
            404 | 405 | 501 => ErrorKind::Unsupported,
            429 => ErrorKind::Throttled { retry_after },
            408 | 500.. => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        },
    }
}

fn lacks_scope(headers: &HeaderMap) -> bool {
    let challenge = headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
    challenge.is_some_and(|text| text.contains("insufficient_scope"))
}

/// Seconds or an HTTP date.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[track_caller]
    fn check(status: u16, headers: &[(&'static str, &'static str)], body: &str, kind: ErrorKind, message: &str) {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let error = answered("api", &Answer { status, headers, body: Bytes::from(body.to_owned()) });
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
    }

    #[test]
    fn every_shape_of_error_is_read() {
        let seconds = |n| ErrorKind::Throttled { retry_after: Some(Duration::from_secs(n)) };
        let throttled = r#"{"error":{"code":"SubscriptionRequestsThrottled","message":"slow"}}"#;
        check(429, &[("retry-after", "17")], throttled, seconds(17), "SubscriptionRequestsThrottled: slow");
        let flat = r#"{"code":"NotFound","message":"gone","subcode":"NotFound"}"#;
        check(404, &[], flat, ErrorKind::NotFound, "NotFound: gone");
        let entra = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid secret.\r\nTrace ID: 1"}"#;
        check(401, &[], entra, ErrorKind::Unauthorized, "invalid_client: AADSTS7000215: Invalid secret.");
        let registry = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        check(401, &[], registry, ErrorKind::Unauthorized, "UNAUTHORIZED: authentication required");
        let challenge = ("www-authenticate", "Bearer realm=\"https://r/oauth2/token\",error=\"insufficient_scope\"");
        check(401, &[challenge], registry, ErrorKind::Forbidden, "UNAUTHORIZED: authentication required");
        check(502, &[], "<html>", ErrorKind::Transient, "HTTP 502 without an error code");
        check(404, &[], "<html>", ErrorKind::Unsupported, "HTTP 404 without an error code");
    }

    #[test]
    fn codes_decide_before_the_status() {
        for (status, code, want) in [
            (404, "SubscriptionNotFound", ErrorKind::Forbidden),
            (404, "ResourceGroupNotFound", ErrorKind::NotFound),
            (404, "NAME_UNKNOWN", ErrorKind::NotFound),
            (404, "InvalidResourceType", ErrorKind::Unsupported),
            (400, "NoRegisteredProviderFound", ErrorKind::Unsupported),
            (409, "MissingSubscriptionRegistration", ErrorKind::Unsupported),
            (404, "Subscription Not Registered", ErrorKind::Unsupported),
            (403, "AuthorizationFailed", ErrorKind::Forbidden),
            (401, "ExpiredAuthenticationToken", ErrorKind::Unauthorized),
            (400, "invalid_grant", ErrorKind::Unauthorized),
            (429, "Whatever", ErrorKind::Throttled { retry_after: None }),
            (400, "BadRequest", ErrorKind::Permanent),
        ] {
            assert_eq!(classify(status, Some(code), None), want, "{status} {code}");
        }
    }

    #[test]
    fn what_helps_is_told_apart() {
        let of = |kind, message: &str| remedy(&ConnectorError::new(kind, "Microsoft.X/read", message));
        assert!(of(ErrorKind::Forbidden, "AuthorizationFailed: no").unwrap().contains("Microsoft.X/read"));
        let kept_out = of(ErrorKind::Forbidden, "DENIED: client with IP '1.2.3.4' is not allowed access");
        assert!(kept_out.unwrap().contains("network rules"));
        assert!(of(ErrorKind::Unauthorized, "invalid_client").is_some());
        assert_eq!(of(ErrorKind::Transient, "HTTP 500"), None);
    }

    #[test]
    fn only_a_missing_registration_means_that_there_is_nothing() {
        let of = |kind, message: &str| is_unregistered(&ConnectorError::new(kind, "api", message));
        assert!(of(ErrorKind::Unsupported, "MissingSubscriptionRegistration: not registered"));
        assert!(of(ErrorKind::Unsupported, "Subscription Not Registered: Please register to Microsoft.Security"));
        assert!(!of(ErrorKind::Unsupported, "NoRegisteredProviderFound: no such version"));
        assert!(!of(ErrorKind::Forbidden, "MissingSubscriptionRegistration: no"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let of = |text: &str| retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]), now);
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Thu, 01 Jan 2026 00:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(of("soon"), None);
    }
}
