use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use chrono::Utc;
use futures::{StreamExt as _, stream};
use rampart_domain::{ScanId, TenantId};
use rampart_store::scan::{self, Scan};
use rampart_store::{StoreError, token};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::scans::ScanView;
use crate::App;
use crate::http::{ApiError, Bearer, Caller, PathOf, ReadInventory};
use crate::streams::Slot;

/// How often a stream without news shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// After how long a stream looks by itself, and whether its token still holds.
const LOOK: Duration = Duration::from_secs(5);
/// How often a stream tells at most.
const PACE: Duration = Duration::from_millis(200);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(stream_scan_events))
}

/// Where a reader of a stream was.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header that the handler reads")]
struct LastEventIdHeader {
    /// `id` of the last event that was read. What it told is not told again; for a scan that ended with it the answer is 204.
    #[param(rename = "Last-Event-ID")]
    last_event_id: Option<String>,
}

/// Watch a scan until it ends.
///
/// Server-sent events: `progress` while it waits and runs, `finished` at last, after which the stream ends. The data of each is
/// the scan as `GET /v1/scans/{scan_id}` shows it at that time; what lies between two events is not told. A stream also ends
/// when its token does and when the server stops: read on with `Last-Event-ID`.
#[utoipa::path(get, path = "/v1/scans/{scan_id}/events", tag = "scans",
    params(("scan_id" = Uuid, Path), LastEventIdHeader),
    responses((status = 200, body = serde_json::Value, content_type = "text/event-stream"), (status = 204)))]
async fn stream_scan_events(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    bearer: Bearer,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.must_see_everything("scan")?;
    // Before the first look, so that nothing is missed in between.
    let moves = app.streams().moves(app.store());
    let mut tx = app.tx(&caller).await?;
    let row = scan::get(&mut tx, ScanId(id)).await?;
    drop(tx);
    let told = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if row.finished_at.is_some() && told == event_id(&row) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let tenant = caller.access.tenant;
    let slot = app.streams().admit(tenant).ok_or_else(|| ApiError::rate_limited(10))?;
    let closing = app.streams().closing();
    let watch = Watch { app, tenant, scan: ScanId(id), bearer, moves, told, row: Some(row), _slot: slot };
    let events = stream::unfold(watch, Watch::next).take_until(closing.cancelled_owned());
    let alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    // Proxies that hold answers back until they are whole would hold this one back for ever.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// What of a scan's row a reader sees move.
fn event_id(row: &Scan) -> String {
    let moving = serde_json::json!([row.status, row.cancel_requested, row.progress.0, row.finished_at]);
    token::hex(&token::hash(&moving.to_string())[..8])
}

/// One reader of one scan.
struct Watch {
    app: App,
    tenant: TenantId,
    scan: ScanId,
    bearer: Bearer,
    moves: Receiver<Option<ScanId>>,
    /// Id of the last event.
    told: String,
    /// The row as it was read but not told; none after the end.
    row: Option<Scan>,
    _slot: Slot,
}

impl Watch {
    /// The next event, once there is something to tell.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        let mut row = self.row.take()?;
        let mut first = self.told.is_empty();
        loop {
            let id = event_id(&row);
            if id != self.told {
                if !first {
                    tokio::time::sleep(PACE).await;
                }
                let over = row.finished_at.is_some();
                let name = if over { "finished" } else { "progress" };
                let data = serde_json::to_string(&ScanView::of(row.clone(), Utc::now())).ok()?;
                self.told.clone_from(&id);
                self.row = (!over).then_some(row);
                return Some((Ok(Event::default().id(id).event(name).data(data)), self));
            }
            first = false;
            self.moved().await;
            row = self.look().await?;
        }
    }

    /// Returns when the scan moved, or may have.
    async fn moved(&mut self) {
        let heard = async {
            loop {
                match self.moves.recv().await {
                    Ok(Some(scan)) if scan != self.scan => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return,
                    Err(RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        drop(tokio::time::timeout(LOOK, heard).await);
    }

    /// The scan as it is now; `None` when it is gone, or the token does not hold any more.
    async fn look(&self) -> Option<Scan> {
        loop {
            match self.try_look().await {
                Ok(found) => return found,
                Err(StoreError::NotFound { .. }) => return None,
                Err(error) => {
                    tracing::warn!(%error, "a scan could not be looked at for its watchers");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    async fn try_look(&self) -> Result<Option<Scan>, StoreError> {
        if !self.bearer.still_holds::<ReadInventory>(&self.app).await? {
            return Ok(None);
        }
        let mut tx = self.app.store().tenant(self.tenant).await?;
        scan::get(&mut tx, self.scan).await.map(Some)
    }
}
