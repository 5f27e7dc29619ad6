use std::time::Duration;

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rampart_store::TenantTx;
use rampart_store::page::Listed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::context::note_after;
use super::{ApiError, Code};

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; null at the end.
    pub next_cursor: Option<String>,
}

impl<T: Serialize> List<T> {
    /// Maps rows to views.
    pub(crate) fn of<R>(listed: Listed<R>, view: impl FnMut(R) -> T) -> Json<Self> {
        Json(Self { items: listed.items.into_iter().map(view).collect(), next_cursor: listed.next })
    }

    /// A list without rows, for who may see none.
    pub(crate) fn empty() -> Json<Self> {
        Json(Self { items: Vec::new(), next_cursor: None })
    }
}

/// One thing, with the headers that go with it. Can be kept and given again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub version: Option<i64>,
    pub body: Value,
    #[serde(skip)]
    replayed: bool,
}

impl Answer {
    fn new(status: StatusCode, view: impl Serialize) -> Self {
        let body = serde_json::to_value(view).expect("views are strings, numbers, lists and objects with string keys");
        Self { status: status.as_u16(), location: None, version: None, body, replayed: false }
    }

    /// 200.
    pub(crate) fn ok(view: impl Serialize) -> Self {
        Self::new(StatusCode::OK, view)
    }

    /// 201 with the place of what was made.
    pub(crate) fn created(location: String, view: impl Serialize) -> Self {
        Self { location: Some(location), ..Self::new(StatusCode::CREATED, view) }
    }

    /// 202 with the place to look for the outcome.
    pub(crate) fn accepted(location: String, view: impl Serialize) -> Self {
        Self { location: Some(location), ..Self::new(StatusCode::ACCEPTED, view) }
    }

    /// 200 instead of 202: there is nothing to wait for any more.
    pub(crate) fn over(self) -> Self {
        Self { status: StatusCode::OK.as_u16(), ..self }
    }

    /// With the version that an update must name.
    pub(crate) fn version(self, version: i64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Without a field of the body.
    pub(crate) fn without(mut self, field: &str) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(field.to_owned(), Value::Null);
        }
        self
    }

    /// Commits the change that this answers, with its entry in the audit log. It must not hold secrets.
    pub(crate) async fn commit(self, mut tx: TenantTx) -> Result<Self, ApiError> {
        note_after(&mut tx, &self);
        tx.commit().await?;
        Ok(self)
    }

    pub(crate) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        let mut response = (status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        if let Some(location) = self.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
            headers.insert(header::LOCATION, location);
        }
        if let Some(etag) = self.version.and_then(|version| HeaderValue::from_str(&format!("\"{version}\"")).ok()) {
            headers.insert(header::ETAG, etag);
        }
        if self.replayed {
            headers.insert("idempotent-replayed", HeaderValue::from_static("true"));
        }
        response
    }
}

/// The version in `If-Match`; `None` for `*`.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Err(ApiError::new(Code::PreconditionRequired, "send the `ETag` that you saw as `If-Match`"));
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(|version| version.parse().ok())
        .map(Some)
        .ok_or_else(|| ApiError::new(Code::InvalidHeader, "`If-Match` must be an `ETag` of this API, or `*`"))
}

/// How long the caller is ready to wait for work to end: `Prefer: wait=N`, at most 30 seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(pub Duration);

impl<S: Send + Sync> FromRequestParts<S> for Wait {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let preferences = parts.headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
        let seconds = preferences
            .flat_map(|value| value.split([',', ';']))
            .find_map(|preference| preference.trim().strip_prefix("wait=").map(str::parse::<u64>));
        match seconds {
            None => Ok(Self(Duration::ZERO)),
            Some(Ok(seconds)) => Ok(Self(Duration::from_secs(seconds.min(30)))),
            Some(Err(_)) => Err(ApiError::new(Code::InvalidHeader, "`Prefer: wait=` takes whole seconds")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_takes_a_version_or_a_star() {
        let given = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(text));
            if_match(&headers).map_err(|error| error.to_string())
        };
        assert_eq!(given("\"7\""), Ok(Some(7)));
        assert_eq!(given("*"), Ok(None));
        assert!(given("7").is_err() && given("W/\"7\"").is_err());
        assert!(if_match(&HeaderMap::new()).is_err());
    }
}
