use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use rampart_store::audit;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tracing::Instrument as _;
use uuid::Uuid;

use super::again::again;
use super::{ApiError, Code, RequestContext};
use crate::App;
use crate::limits::Admission;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Where the documentation is: the one page that runs scripts, its own.
const DOCUMENTATION: &str = "/docs";
const DOCUMENTATION_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// Puts around the routes what every request gets.
pub(crate) fn wrap(router: Router, app: App) -> Router {
    router
        .layer(from_fn(again))
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(app, envelope))
        .layer(CompressionLayer::new())
}

/// The panic itself is in the log through the panic hook; the caller learns nothing of it.
fn panicked() -> Response {
    ApiError::new(Code::Internal, "the request could not be completed").into_response()
}

pub(crate) async fn no_such_path() -> ApiError {
    ApiError::new(Code::NotFound, "there is nothing at this path")
}

pub(crate) async fn no_such_method() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this path does not take this method")
}

async fn envelope(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let id = request_id(&request);
    let method = request.method().clone();
    let context = RequestContext::of(&mut request, &id, app.trusted_proxies()).await;
    request.extensions_mut().insert(context.clone());
    let path = if context.path().is_empty() { "none" } else { context.path() }.to_owned();
    let span = tracing::info_span!("request", request.id = id, http.method = %method, http.route = path);
    let is_documentation = request.uri().path().starts_with(DOCUMENTATION);
    let began = Instant::now();
    // Until it is known whose a request is, it is its address's; before anything is looked up.
    let mut response = if let Err(wait) = app.addresses().check(context.address(), began) {
        ApiError::rate_limited(wait).into_response()
    } else {
        let answered = tokio::time::timeout(app.request_timeout(), next.run(request)).instrument(span.clone()).await;
        let response =
            answered.unwrap_or_else(|_| ApiError::new(Code::Timeout, "the request was given up").into_response());
        if context.admission().is_none() && !response.status().is_server_error() {
            app.addresses().count(context.address(), began);
        }
        response
    };
    let error = response.extensions_mut().remove::<ApiError>();
    let code = error.as_ref().map(ApiError::word);
    if let Some((tenant, entry)) = context.left_to_write(response.status().as_u16(), code)
        && let Err(error) = audit::record(app.store(), tenant, &entry).await
    {
        tracing::error!(%error, operation = entry.operation, "an entry of the audit log could not be written");
    }
    if let Some(error) = error {
        response = render(&error, &id, response);
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let headers = response.headers_mut();
    if let Some(Admission { limit, remaining, reset, .. }) = context.admission() {
        headers.insert(HeaderName::from_static("ratelimit-limit"), limit.into());
        headers.insert(HeaderName::from_static("ratelimit-remaining"), remaining.into());
        headers.insert(HeaderName::from_static("ratelimit-reset"), reset.into());
    }
    protect(headers, is_documentation);
    report(&span, &method, path, response.status().as_u16(), began.elapsed());
    response
}

/// What browsers and caches must keep to. What a route says itself stands.
fn protect(headers: &mut HeaderMap, is_documentation: bool) {
    let policy = if is_documentation { DOCUMENTATION_POLICY } else { POLICY };
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn report(span: &tracing::Span, method: &axum::http::Method, path: String, status: u16, took: Duration) {
    span.in_scope(|| tracing::debug!(http.status = status, duration_ms = took.as_millis() as u64, "request answered"));
    let labels = [("method", method.to_string()), ("route", path), ("status", status.to_string())];
    metrics::counter!("rampart_http_requests_total", &labels).increment(1);
    metrics::histogram!("rampart_http_request_duration_seconds", &labels[..2]).record(took.as_secs_f64());
}

fn render(error: &ApiError, id: &str, response: Response) -> Response {
    let (mut parts, _) = response.into_parts();
    let body = serde_json::to_vec(&error.problem(id)).unwrap_or_default();
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(body))
}

/// The caller's own id when it is short and plain, else a new one.
fn request_id(request: &Request) -> String {
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
    given.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}
