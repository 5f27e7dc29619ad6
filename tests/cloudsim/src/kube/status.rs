use http::StatusCode;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::faults::FaultKind;

/// A failure in the shape of a Kubernetes `Status`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Value,
}

impl Failure {
    fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(user: &str, verb: &str, group: &str, resource: &str) -> Self {
        let message = format!(
            "{resource} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" at the cluster scope"
        );
        Self {
            details: json!({ "kind": resource, "group": group }),
            ..Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
        }
    }

    pub(crate) fn not_found(resource: &str, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" not found");
        Self {
            details: json!({ "kind": resource, "name": name }),
            ..Self::new(StatusCode::NOT_FOUND, "NotFound", message)
        }
    }

    pub(crate) fn no_such_api() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    pub(crate) fn expired() -> Self {
        Self::new(
            StatusCode::GONE,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
        )
    }

    /// What a watch gets that comes from before what is kept.
    pub(crate) fn too_old(version: u64) -> Self {
        Self::new(StatusCode::GONE, "Expired", format!("too old resource version: {version}"))
    }

    /// Too many requests; `retry_after` in seconds.
    pub(crate) fn throttled(retry_after: Option<u64>) -> Self {
        Self {
            details: json!({ "retryAfterSeconds": retry_after.unwrap_or_default() }),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Too many requests, please try again later.")
        }
    }

    /// The failure that a fault stands for, when it replaces the answer.
    pub(crate) fn of_fault(fault: FaultKind) -> Option<Self> {
        let failure = match fault {
            FaultKind::Throttle { retry_after } => Self::throttled(retry_after),
            FaultKind::Unauthorized => Self::unauthorized(),
            FaultKind::Forbidden => Self::forbidden("rampart", "list", "", "resources"),
            FaultKind::ExpiredToken => Self::expired(),
            FaultKind::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::new(status, "InternalError", "an error on the server has prevented the request from succeeding")
            }
            _ => return None,
        };
        Some(failure)
    }

    /// The `Status` object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
            "reason": self.reason, "code": self.code.as_u16(),
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }

    pub(crate) fn answer(&self) -> Answer {
        let answer = Answer::new(self.code, "application/json", self.status().to_string());
        match self.details["retryAfterSeconds"].as_u64() {
            Some(seconds) if seconds > 0 => answer.header("retry-after", &seconds.to_string()),
            _ => answer,
        }
    }
}
