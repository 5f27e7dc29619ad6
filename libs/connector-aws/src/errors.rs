//! From the SDK's errors to ours: the provider's own code decides, then the HTTP status, then the transport.

use std::error::Error;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use chrono::{DateTime, Utc};
use rampart_connector::{ConnectorError, ErrorKind};

/// Stands for the call in errors of the transport, which does not know it.
pub(crate) const TRANSPORT: &str = "aws";

/// What became of a failed call of `api`.
pub(crate) fn from_sdk<E>(api: &str, error: &SdkError<E, HttpResponse>) -> ConnectorError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    // The body cap and the role's credentials fail with our own error, deep inside the SDK's. The first does not know which
    // call it was; the second names the call that really failed.
    if let Some(own) = sources(error).find_map(|source| source.downcast_ref::<ConnectorError>()) {
        let api = if own.api == TRANSPORT { api } else { own.api.as_str() };
        return ConnectorError::new(own.kind, api, own.message.clone());
    }
    match error {
        SdkError::ServiceError(failure) => answered(api, failure.raw(), failure.err().code(), failure.err().message()),
        SdkError::ResponseError(failure) => answered(api, failure.raw(), None, None),
        SdkError::TimeoutError(_) => ConnectorError::new(ErrorKind::Unreachable, api, "no answer in time"),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => unanswered(api, error),
        _ => ConnectorError::new(ErrorKind::Permanent, api, "the call failed in an unknown way"),
    }
}

fn unanswered<E: Error + 'static>(api: &str, error: &SdkError<E, HttpResponse>) -> ConnectorError {
    if let Some(refused) = sources(error).find_map(|source| source.downcast_ref::<CredentialsError>()) {
        let message = format!("no credentials: {}", last_word(refused));
        return ConnectorError::new(ErrorKind::Unauthorized, api, message);
    }
    let kind = match error {
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => ErrorKind::Unreachable,
        SdkError::DispatchFailure(failure) if failure.is_user() => ErrorKind::Permanent,
        SdkError::DispatchFailure(_) => ErrorKind::Transient,
        _ => ErrorKind::Permanent,
    };
    ConnectorError::new(kind, api, last_word(error))
}

fn answered(api: &str, raw: &HttpResponse, code: Option<&str>, message: Option<&str>) -> ConnectorError {
    let status = raw.status().as_u16();
    let wait = raw.headers().get("retry-after").and_then(|value| retry_after(value, Utc::now()));
    let kind = classify(status, code, wait);
    let text = match (code, message) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        (None, Some(message)) => format!("HTTP {status}: {message}"),
        (None, None) => format!("HTTP {status} without an AWS error code"),
    };
    ConnectorError::new(kind, api, text)
}

/// The class of an answer. Codes come with and without `Exception`, and services mix both.
fn classify(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> ErrorKind {
    let code = code.map(|code| code.strip_suffix("Exception").unwrap_or(code));
    match code {
        Some(
            "Throttling"
            | "Throttled"
            | "ThrottledRequest"
            | "RequestThrottled"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "BandwidthLimitExceeded"
            | "LimitExceeded"
            | "PriorRequestNotComplete"
            | "ProvisionedThroughputExceeded"
            | "SlowDown",
        ) => ErrorKind::Throttled { retry_after },
        Some(
            "ExpiredToken"
            | "ExpiredTokenError"
            | "InvalidClientTokenId"
            | "UnrecognizedClient"
            | "InvalidAccessKeyId"
            | "InvalidToken"
            | "SignatureDoesNotMatch"
            | "InvalidSignature"
            | "IncompleteSignature"
            | "MissingAuthenticationToken"
            | "AuthFailure"
            | "RequestExpired"
            | "RequestTimeTooSkewed"
            | "InvalidIdentityToken",
        ) => ErrorKind::Unauthorized,
        // STS could not fetch the issuer's keys.
        Some("IDPCommunicationError") => ErrorKind::Transient,
        Some(
            "IDPRejectedClaim"
            | "AccessDenied"
            | "UnauthorizedOperation"
            | "AuthorizationError"
            | "NotAuthorized"
            | "Forbidden",
        ) => ErrorKind::Forbidden,
        Some(
            "UnknownOperation"
            | "InvalidAction"
            | "UnsupportedOperation"
            | "NotImplemented"
            | "RegionDisabled"
            | "OptInRequired",
        ) => ErrorKind::Unsupported,
        Some(code) if code.ends_with("NotFound") => ErrorKind::NotFound,
        _ => match status {
            401 => ErrorKind::Unauthorized,
            403 => ErrorKind::Forbidden,
            // A missing thing has a code; a 404 without one comes from something that does not know the path.
            404 | 501 => ErrorKind::Unsupported,
            429 => ErrorKind::Throttled { retry_after },
            408 | 500.. => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        },
    }
}

/// Seconds or an HTTP date.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = DateTime::parse_from_rfc2822(value.trim()).ok()?;
    Some((at.with_timezone(&Utc) - now).to_std().unwrap_or(Duration::ZERO))
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause: the SDK's outer layers only say that something failed.
fn last_word(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROTTLED: ErrorKind = ErrorKind::Throttled { retry_after: None };

    #[test]
    fn codes_decide_before_the_status() {
        for (status, code, want) in [
            (400, Some("ThrottlingException"), THROTTLED),
            (503, Some("SlowDown"), THROTTLED),
            (429, None, THROTTLED),
            (403, Some("ExpiredTokenException"), ErrorKind::Unauthorized),
            (403, Some("InvalidClientTokenId"), ErrorKind::Unauthorized),
            (400, Some("AccessDeniedException"), ErrorKind::Forbidden),
            (403, Some("IDPRejectedClaim"), ErrorKind::Forbidden),
            (400, Some("InvalidIdentityToken"), ErrorKind::Unauthorized),
            (400, Some("IDPCommunicationError"), ErrorKind::Transient),
            (403, None, ErrorKind::Forbidden),
            (404, Some("ResourceNotFoundException"), ErrorKind::NotFound),
            (400, Some("RepositoryPolicyNotFoundException"), ErrorKind::NotFound),
            (404, None, ErrorKind::Unsupported),
            (400, Some("UnknownOperationException"), ErrorKind::Unsupported),
            (503, Some("ServiceUnavailableException"), ErrorKind::Transient),
            (500, None, ErrorKind::Transient),
            (400, Some("InvalidParameterException"), ErrorKind::Permanent),
            (200, None, ErrorKind::Permanent),
        ] {
            assert_eq!(classify(status, code, None), want, "{status} {code:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let check = |text, want: Option<u64>| assert_eq!(retry_after(text, now), want.map(Duration::from_secs));
        check("7", Some(7));
        check("Thu, 01 Jan 2026 00:00:09 GMT", Some(9));
        check("Wed, 31 Dec 2025 00:00:00 GMT", Some(0));
        check("-1", None);
        check("soon", None);
    }
}
