use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use rampart_store::idempotency::{self, Begun};
use rampart_store::{TenantTx, token};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::context::note_after;
use super::{Answer, ApiError, Code};

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Payload<T>(pub T);

/// A body of any bytes, up to the route's limit.
#[derive(Debug)]
pub(crate) struct Octets(pub Bytes);

/// The body of an operation that takes none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoBody {}

/// A JSON body of a creating request, with its idempotency key.
#[derive(Debug)]
pub(crate) struct Submission<T> {
    body: T,
    request: Repeatable,
}

/// A request that may be sent again and must take effect once.
#[derive(Debug)]
pub(crate) struct Repeatable {
    key: Option<String>,
    hash: [u8; 32],
}

impl<T> Submission<T> {
    /// The request and what it says.
    pub(crate) fn split(self) -> (Repeatable, T) {
        (self.request, self.body)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Payload<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (_, bytes) = read(request, state).await?;
        parse(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Submission<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let target = format!("{} {}", request.method(), request.uri().path());
        let (headers, bytes) = read(request, state).await?;
        let key = idempotency_key(&headers)?;
        let text = String::from_utf8_lossy(&bytes);
        let request = Repeatable { key, hash: token::hash(&format!("{target}\n{text}")) };
        Ok(Self { body: parse(&bytes)?, request })
    }
}

impl<S: Send + Sync> FromRequest<S> for Octets {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        bytes(request, state).await.map(Self)
    }
}

async fn bytes<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|rejection| match rejection.into_response().status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::BodyTooLarge, "the body is larger than the limit"),
        _ => ApiError::new(Code::MalformedBody, "the body could not be read"),
    })
}

async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<(HeaderMap, Bytes), ApiError> {
    let headers = request.headers().clone();
    let bytes = bytes(request, state).await?;
    let is_json = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json") || essence.eq_ignore_ascii_case("application/merge-patch+json")
    });
    if is_json || bytes.is_empty() {
        Ok((headers, bytes))
    } else {
        Err(ApiError::new(Code::UnsupportedMediaType, "send `Content-Type: application/json`"))
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // An empty body says nothing, like an empty object; what is required is then reported as missing.
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    if has_nul(bytes) {
        return Err(ApiError::new(Code::InvalidBody, "texts must not contain NUL (`\\u0000`)"));
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => ApiError::new(Code::InvalidBody, error.to_string()),
        _ => ApiError::new(Code::MalformedBody, error.to_string()),
    })
}

/// Whether a JSON text spells a NUL, which no text of the database can hold. Raw ones are not JSON.
fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let escape = &rest[at + 1..];
        if escape.starts_with(b"u0000") {
            return true;
        }
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let fits = |key: &&str| (1..=128).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    match value.to_str().ok().filter(fits) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(ApiError::new(Code::InvalidHeader, "`Idempotency-Key` must be 1 to 128 visible ASCII characters")),
    }
}

impl Repeatable {
    /// The earlier answer, when this request was answered before. Call first in the transaction of the effect.
    pub(crate) async fn replay(
        &self,
        tx: &mut TenantTx,
        operation: &str,
        actor: rampart_domain::ActorId,
    ) -> Result<Option<Answer>, ApiError> {
        let Some(key) = &self.key else { return Ok(None) };
        // Another caller must not read what this one was answered.
        let operation = format!("{operation} {actor}");
        match idempotency::begin(tx, key, &operation, &self.hash).await? {
            Begun::Fresh => Ok(None),
            Begun::Replay { body, .. } => {
                let kept = serde_json::from_value(body);
                let answer: Answer =
                    kept.map_err(|error| rampart_store::StoreError::Corrupt(format!("kept answer: {error}")))?;
                Ok(Some(answer.replayed()))
            }
            Begun::InFlight => Err(ApiError::new(Code::IdempotencyInFlight, "try again shortly")),
            Begun::Mismatch => {
                Err(ApiError::new(Code::IdempotencyKeyReused, "use a new key for every different request"))
            }
        }
    }

    /// Keeps the answer for a repetition of this request, and for the audit log. It must not hold secrets.
    pub(crate) async fn keep(&self, tx: &mut TenantTx, answer: &Answer) -> Result<(), ApiError> {
        note_after(tx, answer);
        if let Some(key) = &self.key {
            let kept = serde_json::to_value(answer).expect("an answer is made of JSON, numbers and strings");
            idempotency::finish(tx, key, answer.status, &kept).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_seen_however_it_is_led() {
        for (text, expected) in [
            (r#"{"a":"x\u0000y"}"#, true),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\u0001"}"#, false),
            (r#"{"a":"\"#, false),
            ("", false),
        ] {
            assert_eq!(has_nul(text.as_bytes()), expected, "{text}");
        }
    }
}
