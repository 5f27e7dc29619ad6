use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rampart_content::SourceProblem;
use rampart_store::{StoreError, Transient};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong, for programs. The set is closed: new codes come with a new version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// No token, or one that is unknown, expired, revoked or of nobody who is trusted.
    Unauthenticated,
    /// The caller's roles do not allow this operation.
    Forbidden,
    /// There is no such thing, or the token may not see it.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// The body is larger than the limit.
    BodyTooLarge,
    /// The body is not JSON.
    MalformedBody,
    /// The body is JSON that does not fit; `errors` names the fields.
    InvalidBody,
    /// A query parameter is unknown or does not fit.
    InvalidQuery,
    /// A list was asked for without `limit`.
    LimitRequired,
    /// The cursor was not given out by this list with these filters.
    InvalidCursor,
    /// History does not reach back to the moment that was asked for; `detail` has the earliest.
    HistoryGone,
    /// What happened until the moment that was asked for is not complete yet; `detail` has the latest that can be read.
    NotSettled,
    /// A header does not fit.
    InvalidHeader,
    /// The name is taken.
    AlreadyExists,
    /// It cannot be removed while others use it.
    InUse,
    /// Its state does not allow this; `detail` says what to do instead.
    WrongState,
    /// It was changed since the version in `If-Match`.
    VersionMismatch,
    /// An update needs `If-Match`.
    PreconditionRequired,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// A request with this idempotency key is being answered now.
    IdempotencyInFlight,
    /// The external id of an AWS role is generated, never chosen.
    ExternalIdNotAccepted,
    /// No admission policy can say what the control says; `detail` has the reason.
    NotExportable,
    /// The signature of a batch is not the collector's.
    InvalidSignature,
    /// Another batch of the session is expected.
    OutOfSequence,
    /// The session takes no more batches.
    SessionOver,
    /// Too many requests of this caller or from this address, or too much that waits to be taken up.
    RateLimited,
    /// The identity provider of the token cannot be asked for its keys; nothing says that the token is wrong.
    IdentityProviderUnavailable,
    /// The request took too long.
    Timeout,
    /// The database cannot be reached now or has no room for the request; nothing was done. Try again after
    /// `Retry-After` seconds.
    Unavailable,
    /// A fault of the server; the log has more under the request id.
    Internal,
}

impl Code {
    const fn status(self) -> StatusCode {
        match self {
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden | Self::InvalidSignature => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MalformedBody
            | Self::InvalidQuery
            | Self::LimitRequired
            | Self::InvalidCursor
            | Self::InvalidHeader => StatusCode::BAD_REQUEST,
            Self::InvalidBody
            | Self::IdempotencyKeyReused
            | Self::ExternalIdNotAccepted
            | Self::NotExportable
            | Self::NotSettled => StatusCode::UNPROCESSABLE_ENTITY,
            Self::HistoryGone => StatusCode::GONE,
            Self::AlreadyExists
            | Self::InUse
            | Self::WrongState
            | Self::IdempotencyInFlight
            | Self::OutOfSequence
            | Self::SessionOver => StatusCode::CONFLICT,
            Self::VersionMismatch => StatusCode::PRECONDITION_FAILED,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::IdentityProviderUnavailable | Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Unauthenticated => "A valid token is needed",
            Self::Forbidden => "The token does not allow this",
            Self::NotFound => "Not found",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::UnsupportedMediaType => "The body must be application/json",
            Self::BodyTooLarge => "The body is too large",
            Self::MalformedBody => "The body is not JSON",
            Self::InvalidBody => "The body does not fit",
            Self::InvalidQuery => "A query parameter does not fit",
            Self::LimitRequired => "A list needs a limit",
            Self::InvalidCursor => "The cursor does not fit",
            Self::HistoryGone => "The moment is not kept",
            Self::NotSettled => "The moment cannot be read yet",
            Self::InvalidHeader => "A header does not fit",
            Self::AlreadyExists => "The name is taken",
            Self::InUse => "It is in use",
            Self::WrongState => "Its state does not allow this",
            Self::VersionMismatch => "It was changed meanwhile",
            Self::PreconditionRequired => "An update needs If-Match",
            Self::IdempotencyKeyReused => "The idempotency key was used for another request",
            Self::IdempotencyInFlight => "A request with this idempotency key is being answered",
            Self::ExternalIdNotAccepted => "The external id is generated",
            Self::NotExportable => "There is no such policy",
            Self::InvalidSignature => "The signature does not fit",
            Self::OutOfSequence => "Another batch is expected",
            Self::SessionOver => "The session takes no more batches",
            Self::RateLimited => "Too many requests",
            Self::IdentityProviderUnavailable => "The identity provider cannot be reached",
            Self::Timeout => "The request took too long",
            Self::Unavailable => "Not available now",
            Self::Internal => "A fault of the server",
        }
    }
}

/// One field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FieldError {
    /// The field, as a JSON pointer into the body.
    #[schema(example = "/source/role_arn")]
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// Where in the field's own text, when that is a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePlace>,
}

/// A place in a text that a field holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SourcePlace {
    /// JSON pointer of the field inside its document; empty when the whole document is meant.
    #[schema(example = "/violation")]
    pub pointer: String,
    /// From 1.
    #[schema(example = 9)]
    pub line: usize,
    /// From 1.
    #[schema(example = 24)]
    pub column: usize,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct Problem {
    /// URI of the kind of problem.
    #[schema(example = "https://rampart.dev/problems/not_found")]
    pub r#type: String,
    /// What went wrong, the same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What went wrong, for programs.
    pub code: Code,
    /// What went wrong this time.
    pub detail: String,
    /// Id of the request, as in `X-Request-Id` and the server's log.
    pub request_id: String,
    /// Fields that do not fit, all of them at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

/// An answer that is an error. Becomes a [`Problem`] once the request id is known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct ApiError {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<u64>,
    contended: bool,
}

/// Seconds after which a request is worth another attempt that found no database, or took too long.
const RETRY_AFTER: u64 = 2;

impl ApiError {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), retry_after: None, contended: false }
    }

    /// Code, detail and fields, for a problem that is a part of an answer.
    pub(crate) fn into_parts(self) -> (Code, String, Vec<FieldError>) {
        (self.code, self.detail, self.errors)
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("{what} not found"))
    }

    pub(crate) fn rate_limited(wait_s: u64) -> Self {
        let error = Self::new(Code::RateLimited, format!("try again in {wait_s} s"));
        Self { retry_after: Some(wait_s), ..error }
    }

    pub(crate) fn provider_unavailable(wait_s: u64) -> Self {
        let detail = "the keys of the token's issuer could not be read; try again later";
        Self { retry_after: Some(wait_s), ..Self::new(Code::IdentityProviderUnavailable, detail) }
    }

    /// The code, as programs read it.
    pub(crate) fn word(&self) -> String {
        self.code.word()
    }

    /// Whether another request was in the way, so that the same one may succeed at once.
    pub(crate) fn is_contended(&self) -> bool {
        self.contended
    }

    fn passing(transient: Transient) -> Self {
        let error = Self::new(Code::Unavailable, "the database cannot take the request now");
        Self { contended: transient == Transient::Contended, ..error }
    }

    /// The problem document for a request.
    pub(crate) fn problem(&self, request_id: &str) -> Problem {
        Problem {
            r#type: format!("https://rampart.dev/problems/{}", self.code.word()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            code: self.code,
            detail: self.detail.clone(),
            request_id: request_id.to_owned(),
            errors: self.errors.clone(),
        }
    }
}

impl Code {
    fn word(self) -> String {
        serde_json::to_value(self).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if self.code == Code::Unauthenticated {
            let challenge = HeaderValue::from_static("Bearer realm=\"rampart\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        let passes = matches!(self.code, Code::Timeout | Code::Unavailable);
        if let Some(wait) = self.retry_after.or(passes.then_some(RETRY_AFTER)) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { .. } => Self::new(Code::NotFound, error.to_string()),
            StoreError::Exists { .. } => Self::new(Code::AlreadyExists, error.to_string()),
            StoreError::VersionMismatch { .. } => Self::new(Code::VersionMismatch, error.to_string()),
            StoreError::InUse { .. } => Self::new(Code::InUse, error.to_string()),
            StoreError::WrongState { .. } => Self::new(Code::WrongState, error.to_string()),
            StoreError::NotKept { .. } => Self::new(Code::HistoryGone, error.to_string()),
            StoreError::NotSettled { .. } => Self::new(Code::NotSettled, error.to_string()),
            StoreError::Cursor => Self::new(Code::InvalidCursor, error.to_string()),
            _ if error.is_unstorable() => Self::new(
                Code::InvalidBody,
                "a value cannot be stored: texts have no NUL, numbers and times are in the range of the database",
            ),
            _ if error.took_too_long() => {
                tracing::warn!(error = %error, "a request took the database too long");
                Self::new(Code::Timeout, "the request was given up")
            }
            _ if let Some(transient) = Transient::behind(&error) => {
                tracing::warn!(error = %error, "a request could not be answered now");
                Self::passing(transient)
            }
            _ => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "a request failed in the store");
                Self::new(Code::Internal, "the request could not be completed")
            }
        }
    }
}

/// Collects what is wrong with a body, so that the caller learns everything at once.
#[derive(Debug, Default)]
pub(crate) struct FieldErrors {
    errors: Vec<FieldError>,
    /// How many of them name what is not there.
    absent: usize,
}

impl FieldErrors {
    /// Notes a field that does not fit.
    pub(crate) fn add(&mut self, field: &str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.to_owned(), message: message.into(), source: None });
    }

    /// Notes what does not fit in the text that a field holds.
    pub(crate) fn add_in_source(&mut self, field: &str, problem: &SourceProblem) {
        let SourceProblem { pointer, line, column, message } = problem.clone();
        let source = Some(SourcePlace { pointer, line, column });
        self.errors.push(FieldError { field: field.to_owned(), message, source });
    }

    /// Notes a field unless `fits`.
    pub(crate) fn check(&mut self, fits: bool, field: &str, message: &str) {
        if !fits {
            self.add(field, message);
        }
    }

    /// Notes a field unless what its id names is there and the caller may see it.
    pub(crate) fn must_be_there(&mut self, seen: bool, field: &str, message: &str) {
        if !seen {
            self.add(field, message);
            self.absent += 1;
        }
    }

    /// The problem, if anything was noted: that something is not there, once all else fits.
    pub(crate) fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut fields: Vec<&str> = self.errors.iter().map(|error| error.field.as_str()).collect();
        fields.dedup();
        let fields = fields.join(", ");
        let error = if self.absent == self.errors.len() {
            ApiError::new(Code::NotFound, format!("what these fields name was not found: {fields}"))
        } else {
            ApiError::new(Code::InvalidBody, format!("these fields do not fit: {fields}"))
        };
        Err(ApiError { errors: self.errors, ..error })
    }
}
