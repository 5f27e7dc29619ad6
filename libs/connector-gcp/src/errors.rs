//! From Google's errors to ours: the reason in the details decides, then the status word, then the HTTP status.

use std::time::Duration;

use http::StatusCode;
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

/// The error that an answer other than 2xx stands for. `retry_after` is the header's value in seconds.
pub(crate) fn refused(api: &str, status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> ConnectorError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    match &body["error"] {
        Value::String(code) => of_token_endpoint(api, status, retry_after, code, &body),
        error if error.is_object() => of_api(api, status, retry_after, error),
        _ => {
            let kind = match status.as_u16() {
                // A missing thing has an error of its own; a 404 without one comes from something that does not know the path.
                404 | 501 => ErrorKind::Unsupported,
                status => by_status(status, retry_after),
            };
            let hint =
                if status.is_redirection() { "redirects are not followed" } else { "an answer that is not Google's" };
            ConnectorError::new(kind, api, format!("HTTP {}: {hint}", status.as_u16()))
        }
    }
}

/// RFC 6749: `{"error": "invalid_grant", "error_description": "…"}`.
fn of_token_endpoint(
    api: &str,
    status: StatusCode,
    retry_after: Option<Duration>,
    code: &str,
    body: &Value,
) -> ConnectorError {
    let kind = match code {
        "invalid_grant" | "invalid_client" | "unauthorized_client" | "invalid_target" | "access_denied" => {
            ErrorKind::Unauthorized
        }
        "temporarily_unavailable" | "server_error" | "internal_failure" => ErrorKind::Transient,
        "slow_down" => ErrorKind::Throttled { retry_after },
        _ => by_status(status.as_u16(), retry_after),
    };
    let message = match body["error_description"].as_str() {
        Some(words) => format!("{code}: {words}"),
        None => code.to_owned(),
    };
    ConnectorError::new(kind, api, message)
}

fn of_api(api: &str, status: StatusCode, retry_after: Option<Duration>, error: &Value) -> ConnectorError {
    let info = detail(error, "ErrorInfo");
    let reason = info.and_then(|info| info["reason"].as_str()).or_else(|| error["errors"][0]["reason"].as_str());
    let reason = reason.unwrap_or_default();
    let word = error["status"].as_str().unwrap_or_default();
    let wait = detail(error, "RetryInfo").and_then(|retry| seconds(retry["retryDelay"].as_str()?));
    let kind = classify(status.as_u16(), word, reason, wait.or(retry_after));
    let said = error["message"].as_str().unwrap_or_default();
    let message = if word.is_empty() { format!("HTTP {}: {said}", status.as_u16()) } else { format!("{word}: {said}") };
    let error = ConnectorError::new(kind, api, message);
    let metadata = info.map_or(&Value::Null, |info| &info["metadata"]);
    match remedy(api, kind, reason, metadata) {
        Some(remedy) => error.with_remedy(remedy),
        None => error,
    }
}

/// The first detail of a type of `google.rpc`.
fn detail<'a>(error: &'a Value, of_type: &str) -> Option<&'a Value> {
    let details = error["details"].as_array()?;
    details.iter().find(|detail| {
        let name = detail["@type"].as_str().unwrap_or_default();
        name.strip_prefix("type.googleapis.com/google.rpc.").is_some_and(|name| name == of_type)
    })
}

fn classify(status: u16, word: &str, reason: &str, retry_after: Option<Duration>) -> ErrorKind {
    match reason {
        "SERVICE_DISABLED" | "accessNotConfigured" => return ErrorKind::Unsupported,
        "RATE_LIMIT_EXCEEDED" | "RESOURCE_QUOTA_EXCEEDED" | "rateLimitExceeded" | "userRateLimitExceeded" => {
            return ErrorKind::Throttled { retry_after };
        }
        _ => {}
    }
    match word {
        "UNAUTHENTICATED" => ErrorKind::Unauthorized,
        "PERMISSION_DENIED" => ErrorKind::Forbidden,
        "NOT_FOUND" => ErrorKind::NotFound,
        "RESOURCE_EXHAUSTED" => ErrorKind::Throttled { retry_after },
        "UNIMPLEMENTED" => ErrorKind::Unsupported,
        "UNAVAILABLE" | "INTERNAL" | "ABORTED" | "DEADLINE_EXCEEDED" | "UNKNOWN" | "CANCELLED" => ErrorKind::Transient,
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => ErrorKind::Permanent,
        _ => by_status(status, retry_after),
    }
}

fn by_status(status: u16, retry_after: Option<Duration>) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthorized,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        429 => ErrorKind::Throttled { retry_after },
        501 => ErrorKind::Unsupported,
        408 | 500.. => ErrorKind::Transient,
        _ => ErrorKind::Permanent,
    }
}

/// What to do, where the reason tells more than the class of the failure.
fn remedy(api: &str, kind: ErrorKind, reason: &str, metadata: &Value) -> Option<String> {
    let text = |field: &str| metadata[field].as_str();
    let project = text("consumer").and_then(|consumer| consumer.strip_prefix("projects/")).unwrap_or("<project>");
    match reason {
        "SERVICE_DISABLED" | "accessNotConfigured" => {
            let service = text("service").unwrap_or_else(|| service_of(api));
            Some(format!(
                "The API {service} is not enabled in project {project}. If it is used there, enable it: gcloud services \
                 enable {service} --project {project}. If it is not, take its kinds out of the connector."
            ))
        }
        "BILLING_DISABLED" => Some(format!("Billing is disabled for project {project}: link a billing account.")),
        "SECURITY_POLICY_VIOLATED" => Some(
            "A VPC Service Controls perimeter keeps Rampart out: let its identity in by an ingress rule or an access level."
                .to_owned(),
        ),
        "CONSUMER_INVALID" | "USER_PROJECT_DENIED" => {
            Some(format!("Project {project} does not exist, is being deleted, or may not be used by this identity."))
        }
        _ if kind == ErrorKind::Forbidden => {
            let permission = text("permission").unwrap_or(api);
            Some(format!("Grant the permission {permission} to the connector's identity, or remove the deny policy."))
        }
        _ => None,
    }
}

/// The service behind a permission.
fn service_of(api: &str) -> &'static str {
    match api.split(['.', ':']).next() {
        Some("container") => "container.googleapis.com",
        Some("artifactregistry") => "artifactregistry.googleapis.com",
        Some("compute") => "compute.googleapis.com",
        Some("serviceusage") => "serviceusage.googleapis.com",
        Some("iam") => "iamcredentials.googleapis.com",
        Some("sts") => "sts.googleapis.com",
        _ => "cloudresourcemanager.googleapis.com",
    }
}

/// Google's JSON for durations: `12s`, `0.500s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// One error of the shape that the APIs share.
    fn error(status: u16, word: &str, reason: &str) -> ConnectorError {
        let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason,
            "domain": "googleapis.com", "metadata": { "service": "container.googleapis.com", "consumer": "projects/77" } });
        let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12s" });
        let body = json!({ "error": { "code": status, "message": "m", "status": word, "details": [info, retry] } });
        let status = StatusCode::from_u16(status).unwrap();
        refused("container.clusters.list", status, Some(Duration::from_secs(1)), body.to_string().as_bytes())
    }

    #[test]
    fn the_reason_decides_before_the_status() {
        let throttled = ErrorKind::Throttled { retry_after: Some(Duration::from_secs(12)) };
        for (status, word, reason, want) in [
            (403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED", ErrorKind::Forbidden),
            (403, "PERMISSION_DENIED", "SERVICE_DISABLED", ErrorKind::Unsupported),
            (403, "PERMISSION_DENIED", "rateLimitExceeded", throttled),
            (429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED", throttled),
            (429, "RESOURCE_EXHAUSTED", "", throttled),
            (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", ErrorKind::Unauthorized),
            (404, "NOT_FOUND", "", ErrorKind::NotFound),
            (503, "UNAVAILABLE", "", ErrorKind::Transient),
            (400, "INVALID_ARGUMENT", "", ErrorKind::Permanent),
            (500, "", "", ErrorKind::Transient),
        ] {
            assert_eq!(error(status, word, reason).kind, want, "{status} {word} {reason}");
        }
    }

    #[test]
    fn a_disabled_api_is_named_with_the_project_that_lacks_it() {
        let disabled = error(403, "PERMISSION_DENIED", "SERVICE_DISABLED");
        let remedy = disabled.remedy.unwrap();
        assert!(remedy.contains("gcloud services enable container.googleapis.com --project 77"), "{remedy}");
        let denied = error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED");
        assert!(denied.remedy.unwrap().contains("container.clusters.list"));
        let perimeter = error(403, "PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED");
        assert_eq!(perimeter.kind, ErrorKind::Forbidden);
        assert!(perimeter.remedy.unwrap().contains("VPC Service Controls"));
    }

    #[test]
    fn errors_of_the_older_shape_are_understood() {
        let old = |reason: &str| {
            let error = json!({ "code": 403, "message": "m", "errors": [{ "domain": "global", "reason": reason }] });
            let body = json!({ "error": error }).to_string();
            refused("compute.subnetworks.list", StatusCode::FORBIDDEN, None, body.as_bytes())
        };
        let denied = old("forbidden");
        assert_eq!(denied.kind, ErrorKind::Forbidden);
        assert!(denied.remedy.unwrap().contains("compute.subnetworks.list"));
        let disabled = old("accessNotConfigured");
        assert_eq!(disabled.kind, ErrorKind::Unsupported);
        assert!(disabled.remedy.unwrap().contains("gcloud services enable compute.googleapis.com"));
        assert_eq!(old("rateLimitExceeded").kind, ErrorKind::Throttled { retry_after: None });
    }

    #[test]
    fn token_endpoints_and_strangers_speak_otherwise() {
        let check = |status, body: &str| {
            refused("oauth2:token", StatusCode::from_u16(status).unwrap(), None, body.as_bytes()).kind
        };
        assert_eq!(
            check(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT"}"#),
            ErrorKind::Unauthorized
        );
        assert_eq!(check(503, r#"{"error":"temporarily_unavailable"}"#), ErrorKind::Transient);
        assert_eq!(check(404, "<html>"), ErrorKind::Unsupported);
        assert_eq!(check(502, "<html>"), ErrorKind::Transient);
        assert_eq!(check(302, ""), ErrorKind::Permanent);
    }
}
