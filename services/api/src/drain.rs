//! How the API leaves: load balancers need a moment to see that this process takes no more.
//!
//! ```text
//! SIGTERM ─▶ /readyz says no ─▶ for a while every answer ends its connection ─▶ no new connections ─▶ what runs is finished
//! ```

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

/// From when `leaving` fires, answers tell their clients to connect anew, and so to another replica.
pub(crate) fn hand_over(router: Router, leaving: CancellationToken) -> Router {
    router.layer(map_response(move |mut response: Response| {
        let is_leaving = leaving.is_cancelled();
        async move {
            if is_leaving {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }))
}
