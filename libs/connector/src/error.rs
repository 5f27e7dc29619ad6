use std::fmt;
use std::time::Duration;

use rampart_domain::CoverageState;

/// What went wrong, in the terms on which retry and coverage decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// 429 or the provider's own word for it; `retry_after` when it said how long.
    Throttled {
        /// How long the provider asked to wait.
        retry_after: Option<Duration>,
    },
    /// 401: credentials missing, expired, or an identity that is not mapped.
    Unauthorized,
    /// 403: known identity without the permission.
    Forbidden,
    /// The thing asked for does not exist (it may have been deleted since it was listed).
    NotFound,
    /// The API does not exist here: unknown operation, CRD not installed, region without the service.
    Unsupported,
    /// No connection: DNS, refused, time-out, TLS.
    Unreachable,
    /// 5xx and cut connections: the same call may succeed later.
    Transient,
    /// A continue token expired (410): the listing must start again.
    Expired,
    /// The answer was larger than the cap.
    TooLarge,
    /// The answer or the request made no sense; repeating it changes nothing.
    Permanent,
    /// The scan was told to stop.
    Cancelled,
}

impl ErrorKind {
    /// The word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Throttled { .. } => "throttled",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Unsupported => "unsupported",
            Self::Unreachable => "unreachable",
            Self::Transient => "transient",
            Self::Expired => "expired",
            Self::TooLarge => "too_large",
            Self::Permanent => "permanent",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A failed call to a provider. Never carries credentials, tokens or response bodies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConnectorError {
    /// The class of failure.
    pub kind: ErrorKind,
    /// The call in the cloud's own words, such as `eks:ListClusters` or `GET /api/v1/pods`.
    pub api: String,
    /// What the provider said, shortened and without secrets.
    pub message: String,
    /// What an operator can do about it, where the connector knows better than the class of failure tells.
    pub remedy: Option<Box<str>>,
}

impl ConnectorError {
    /// A failure of `api`. The message is cut at 500 characters.
    pub fn new(kind: ErrorKind, api: impl Into<String>, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if let Some((cut, _)) = message.char_indices().nth(500) {
            message.truncate(cut);
        }
        Self { kind, api: api.into(), message, remedy: None }
    }

    /// The same failure with what to do about it.
    #[must_use]
    pub fn with_remedy(self, remedy: impl Into<Box<str>>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// Whether the same call may succeed if repeated a little later.
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled { .. } | ErrorKind::Transient | ErrorKind::Unreachable)
    }

    /// The coverage state that this failure leaves behind.
    pub const fn coverage(&self) -> CoverageState {
        match self.kind {
            ErrorKind::Throttled { .. } => CoverageState::Throttled,
            ErrorKind::Unauthorized => CoverageState::Unauthorized,
            ErrorKind::Forbidden => CoverageState::Denied,
            ErrorKind::Unsupported => CoverageState::Unsupported,
            ErrorKind::Unreachable => CoverageState::Unreachable,
            ErrorKind::Cancelled => CoverageState::Partial,
            ErrorKind::NotFound
            | ErrorKind::Transient
            | ErrorKind::Expired
            | ErrorKind::TooLarge
            | ErrorKind::Permanent => CoverageState::Failed,
        }
    }
}

impl fmt::Display for ConnectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.api, self.message)
    }
}

/// An error with its causes, outermost first, without repeating what a cause says again.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
    }
    text
}
