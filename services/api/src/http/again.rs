use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt as _;

use super::ApiError;

/// Attempts at a request, the first included.
const ATTEMPTS: u32 = 4;
/// Wait before the second attempt; each later one waits as long again.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs a request again that Postgres gave up in favour of another: a deadlock, a serialisation failure. Its transaction
/// left nothing behind.
pub(crate) async fn again(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // What the handler has read of the body when it begins its transaction is all that it will read.
    let kept: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let keeping = Arc::clone(&kept);
    let body = Body::new(body.map_frame(move |frame| {
        if let Some(data) = frame.data_ref() {
            keeping.lock().unwrap_or_else(PoisonError::into_inner).push(data.clone());
        }
        frame
    }));
    let mut response = next.clone().run(Request::from_parts(parts.clone(), body)).await;
    for attempt in 1..ATTEMPTS {
        if !response.extensions().get::<ApiError>().is_some_and(ApiError::is_contended) {
            break;
        }
        tokio::time::sleep(PAUSE * attempt).await;
        let body = kept.lock().unwrap_or_else(PoisonError::into_inner).concat();
        response = next.clone().run(Request::from_parts(parts.clone(), Body::from(body))).await;
    }
    response
}
