use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::faults::FaultKind;

/// An error in the shape that Google's APIs share, or in that of the token endpoints.
#[derive(Debug, Clone)]
pub(crate) struct GoogleError {
    status: StatusCode,
    body: Value,
}

impl GoogleError {
    fn new(status: StatusCode, word: &str, message: &str, details: &[Value]) -> Self {
        let error = json!({ "code": status.as_u16(), "message": message, "status": word });
        let mut body = json!({ "error": error });
        if !details.is_empty() {
            body["error"]["details"] = details.into();
        }
        Self { status, body }
    }

    pub(crate) fn invalid(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", message, &[])
    }

    pub(crate) fn not_found(message: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", message, &[])
    }

    pub(crate) fn unauthenticated() -> Self {
        let message = "Request had invalid authentication credentials.";
        let details = [info("ACCESS_TOKEN_EXPIRED", &json!({ "service": "googleapis.com" }))];
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", message, &details)
    }

    pub(crate) fn denied(permission: &str, resource: &str) -> Self {
        let message = format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
        let details = [info("IAM_PERMISSION_DENIED", &json!({ "permission": permission, "resource": resource }))];
        Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", &message, &details)
    }

    /// A refusal of a token endpoint.
    pub(crate) fn grant(message: &str) -> Self {
        let body = json!({ "error": "invalid_grant", "error_description": message });
        Self { status: StatusCode::BAD_REQUEST, body }
    }

    /// The error that a fault stands for, when it replaces the answer.
    pub(crate) fn of_fault(fault: FaultKind, operation: &str) -> Option<Self> {
        let error = match fault {
            FaultKind::Throttle { retry_after } => {
                let mut details = vec![info("RATE_LIMIT_EXCEEDED", &json!({ "service": service(operation) }))];
                details.extend(retry_after.map(|seconds| {
                    json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s") })
                }));
                let message = "Quota exceeded for quota metric 'Read requests'.";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED", message, &details)
            }
            FaultKind::Unauthorized => Self::unauthenticated(),
            FaultKind::Forbidden => Self::denied(operation, "projects"),
            FaultKind::Disabled => {
                let service = service(operation);
                let message = format!("{service} has not been used in project 77 before or it is disabled.");
                let details = [info("SERVICE_DISABLED", &json!({ "service": service, "consumer": "projects/77" }))];
                Self::new(StatusCode::FORBIDDEN, "PERMISSION_DENIED", &message, &details)
            }
            FaultKind::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::new(
                    status,
                    if status == StatusCode::SERVICE_UNAVAILABLE { "UNAVAILABLE" } else { "INTERNAL" },
                    "",
                    &[],
                )
            }
            FaultKind::ExpiredToken => Self::invalid("Invalid page token."),
            _ => return None,
        };
        Some(error)
    }

    pub(crate) fn answer(&self) -> Answer {
        Answer::new(self.status, "application/json; charset=UTF-8", self.body.to_string())
    }
}

fn info(reason: &str, metadata: &Value) -> Value {
    json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com",
        "metadata": metadata })
}

fn service(operation: &str) -> String {
    let name = match operation.split(['.', ':']).next() {
        Some("resourcemanager") => "cloudresourcemanager",
        Some("iam") => "iamcredentials",
        other => other.unwrap_or_default(),
    };
    format!("{name}.googleapis.com")
}
