use http::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::faults::FaultKind;

/// A refusal; every service tells it in a shape of its own.
#[derive(Debug, Clone)]
pub(crate) struct AzureError {
    status: StatusCode,
    code: String,
    message: String,
    retry_after: Option<u64>,
    challenge: Option<&'static str>,
}

impl AzureError {
    pub(crate) fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after: None, challenge: None }
    }

    pub(crate) fn unauthorized(code: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, "The access token is missing, invalid or has expired.")
    }

    pub(crate) fn not_found(code: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "It was not found.")
    }

    /// The caller has no role for an action.
    pub(crate) fn denied(action: &str) -> Self {
        let message = format!("The client does not have authorization to perform action '{action}'.");
        Self::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message)
    }

    /// A registry's token does not cover what is asked.
    pub(crate) fn insufficient_scope() -> Self {
        let challenge = Some("Bearer realm=\"https://registry/oauth2/token\",error=\"insufficient_scope\"");
        Self { challenge, ..Self::unauthorized("UNAUTHORIZED") }
    }

    pub(crate) fn of_fault(fault: FaultKind) -> Option<Self> {
        Some(match fault {
            FaultKind::Throttle { retry_after } => Self {
                retry_after,
                ..Self::new(StatusCode::TOO_MANY_REQUESTS, "SubscriptionRequestsThrottled", "Too many requests.")
            },
            FaultKind::Unauthorized => Self::unauthorized("ExpiredAuthenticationToken"),
            FaultKind::Forbidden => {
                Self::new(StatusCode::FORBIDDEN, "AuthorizationFailed", "The client has no authorization to do this.")
            }
            FaultKind::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::new(status, "InternalServerError", "Something went wrong.")
            }
            FaultKind::ExpiredToken => {
                Self::new(StatusCode::BAD_REQUEST, "InvalidSkipToken", "The skip token is invalid.")
            }
            _ => return None,
        })
    }

    /// Nested, as Azure Resource Manager tells most of its errors.
    pub(crate) fn arm(self) -> Answer {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        self.answer(&body)
    }

    /// Flat, as some providers behind Azure Resource Manager do.
    pub(crate) fn flat(self) -> Answer {
        let body = json!({ "code": self.code, "message": self.message, "subcode": self.code });
        self.answer(&body)
    }

    pub(crate) fn entra(self) -> Answer {
        let body = json!({ "error": self.code, "error_description": format!("{}\r\nTrace ID: none", self.message) });
        self.answer(&body)
    }

    pub(crate) fn registry(self) -> Answer {
        let body = json!({ "errors": [{ "code": self.code, "message": self.message }] });
        self.answer(&body)
    }

    fn answer(self, body: &serde_json::Value) -> Answer {
        let mut answer = Answer::new(self.status, "application/json; charset=utf-8", body.to_string());
        if let Some(seconds) = self.retry_after {
            answer = answer.header("retry-after", &seconds.to_string());
        }
        if let Some(challenge) = self.challenge {
            answer = answer.header("www-authenticate", challenge);
        }
        answer
    }
}
