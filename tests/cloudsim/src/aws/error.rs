use http::StatusCode;
use serde_json::json;

use super::identity::Refusal;
use super::operation::Protocol;
use crate::answer::Answer;
use crate::faults::FaultKind;

/// An error of an AWS service, before it takes the shape of the service's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AwsError {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
}

impl AwsError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameterException", message)
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        let (code, message) = match refusal {
            Refusal::MissingToken => ("MissingAuthenticationTokenException", "Missing Authentication Token"),
            Refusal::UnknownKey => {
                ("UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            Refusal::BadSignature => (
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided.",
            ),
            Refusal::Expired => ("ExpiredTokenException", "The security token included in the request is expired"),
        };
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// The error that a fault stands for, when it replaces the answer.
    pub(crate) fn of_fault(fault: FaultKind, caller: &str, call: &str) -> Option<Self> {
        let error = match fault {
            FaultKind::Throttle { retry_after } => {
                Self { retry_after, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "Rate exceeded") }
            }
            FaultKind::Unauthorized => Self::refused(Refusal::Expired),
            FaultKind::Forbidden => {
                let message = format!("User: {caller} is not authorized to perform: {call}");
                Self::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
            }
            FaultKind::Status(status) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Self::new(status, "ServerException", "Internal server error")
            }
            FaultKind::ExpiredToken => Self::invalid("The provided next token is expired"),
            _ => return None,
        };
        Some(error)
    }

    /// In the words of a protocol.
    pub(crate) fn answer(&self, protocol: Protocol) -> Answer {
        let request_id = uuid::Uuid::new_v4().to_string();
        let answer = match protocol {
            Protocol::RestJson => {
                let body = json!({ "message": self.message }).to_string();
                Answer::new(self.status, "application/json", body).header("x-amzn-errortype", self.code)
            }
            Protocol::Json => {
                let body = json!({ "__type": self.code, "message": self.message }).to_string();
                Answer::new(self.status, "application/x-amz-json-1.1", body)
            }
            Protocol::Query => {
                let code = self.code.trim_end_matches("Exception");
                let kind = if self.status.is_server_error() { "Receiver" } else { "Sender" };
                let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
                let body = format!(
                    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>{kind}</Type>\
                     <Code>{code}</Code><Message>{message}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
                );
                Answer::new(self.status, "text/xml", body)
            }
        };
        let answer = answer.header("x-amzn-requestid", &request_id);
        match self.retry_after {
            Some(seconds) => answer.header("retry-after", &seconds.to_string()),
            None => answer,
        }
    }
}
