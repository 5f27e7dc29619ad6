use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::ScanId;
use rampart_store::connector;
use rampart_store::scan::{self, PhaseProgress, Progress, Scan};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManageConnectors, NoBody, PageParams, PathOf, ReadInventory, Submission,
    Wait,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start_scan))
        .routes(routes!(list_scans))
        .routes(routes!(get_scan))
        .routes(routes!(cancel_scan))
}

/// Where a scan stands.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ScanStatus {
    /// Waits for a worker.
    Queued,
    /// Reads.
    Running,
    /// Everything was read.
    Succeeded,
    /// Something could not be read; the coverage says what and why.
    Partial,
    /// Nothing could be read.
    Failed,
    /// Somebody asked it to stop.
    Cancelled,
}

/// One run of a connector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Scan)]
pub(super) struct ScanView {
    id: Uuid,
    connector_id: Uuid,
    /// Name of the connector.
    connector: String,
    #[schema(value_type = ScanStatus)]
    status: String,
    /// `schedule`, `request` or `push`.
    trigger: String,
    requested_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    cancel_requested: bool,
    progress: ProgressView,
    /// Estimated seconds until the end; null when nothing can be said.
    eta_seconds: Option<u64>,
    /// Why nothing could be read.
    error: Option<String>,
}

/// How far a scan is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanProgress)]
struct ProgressView {
    /// Phases in the order in which they began.
    phases: Vec<PhaseView>,
    /// Resources that are new.
    added: u64,
    /// Resources whose configuration changed.
    changed: u64,
    /// Resources that are gone.
    removed: u64,
    /// Resources that are as before.
    unchanged: u64,
}

/// How far one phase is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScanPhase)]
struct PhaseView {
    /// What is read, such as a region or a cluster.
    phase: String,
    /// Listings planned so far.
    listings: u64,
    /// Listings that ended, well or not.
    finished: u64,
    /// Resources read so far.
    resources: u64,
    /// Resources expected; null when nothing can be said.
    expected: Option<u64>,
}

impl ScanView {
    pub(super) fn of(row: Scan, now: DateTime<Utc>) -> Self {
        let running = row.started_at.filter(|_| row.status == "running");
        Self {
            eta_seconds: running.and_then(|start| eta(&row.progress, (now - start).to_std().unwrap_or_default())),
            id: row.scan_id,
            connector_id: row.connector_id,
            connector: row.connector,
            status: row.status,
            trigger: row.trigger,
            requested_at: row.requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            cancel_requested: row.cancel_requested,
            progress: ProgressView {
                phases: row.progress.0.phases.into_iter().map(PhaseView::from).collect(),
                added: row.progress.0.added,
                changed: row.progress.0.changed,
                removed: row.progress.0.removed,
                unchanged: row.progress.0.unchanged,
            },
            error: row.error,
        }
    }
}

impl From<PhaseProgress> for PhaseView {
    fn from(phase: PhaseProgress) -> Self {
        Self {
            phase: phase.phase,
            listings: phase.listings,
            finished: phase.finished,
            resources: phase.resources,
            expected: phase.expected,
        }
    }
}

/// Time left at the speed so far: by resources where every phase expects a number, else by listings.
fn eta(progress: &Progress, elapsed: Duration) -> Option<u64> {
    let phases = &progress.phases;
    let expected: Option<u64> = phases.iter().map(|phase| phase.expected.map(|n| n.max(phase.resources))).sum();
    let (done, all) = match expected.filter(|all| *all > 0) {
        Some(all) => (phases.iter().map(|phase| phase.resources).sum::<u64>(), all),
        None => (phases.iter().map(|phase| phase.finished).sum(), phases.iter().map(|phase| phase.listings).sum()),
    };
    (done > 0).then(|| (elapsed.as_secs_f64() * (all.saturating_sub(done)) as f64 / done as f64).ceil() as u64)
}

/// Start a scan.
///
/// A scan that waits already is returned instead of a second one.
#[utoipa::path(post, path = "/v1/connectors/{connector}/scans", tag = "scans",
    params(("connector" = String, Path, description = "Name or id"), IdempotencyHeader, PreferHeader),
    responses((status = 202, body = ScanView), (status = 200, body = ScanView)))]
async fn start_scan(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
    Wait(patience): Wait,
    submission: Submission<NoBody>,
) -> Result<Answer, ApiError> {
    let (submission, _) = submission.split();
    let mut tx = app.tx(&caller).await?;
    let connector = connector::resolve(&mut tx, &name).await?;
    if let Some(earlier) = submission.replay(&mut tx, "start_scan", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let row = scan::request(&mut tx, connector).await?;
    let answer = Answer::accepted(format!("/v1/scans/{}", row.scan_id), ScanView::of(row.clone(), Utc::now()));
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    wait(&app, &caller, row, patience).await
}

/// Looks at the row until it is over or patience is.
async fn wait(
    app: &App,
    caller: &Caller<ManageConnectors>,
    mut row: Scan,
    patience: Duration,
) -> Result<Answer, ApiError> {
    let deadline = Instant::now() + patience;
    while row.finished_at.is_none() && Instant::now() < deadline {
        sleep(Duration::from_millis(250)).await;
        let mut tx = app.tx(caller).await?;
        row = scan::get(&mut tx, ScanId(row.scan_id)).await?;
    }
    let over = row.finished_at.is_some();
    let answer = Answer::accepted(format!("/v1/scans/{}", row.scan_id), ScanView::of(row, Utc::now()));
    Ok(if over { answer.over() } else { answer })
}

/// Which scans to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScanFilter {
    /// Name or id of a connector.
    connector: Option<String>,
    /// In one of these states.
    #[serde(default)]
    status: Vec<ScanStatus>,
}

/// List scans, the latest first.
#[utoipa::path(get, path = "/v1/scans", tag = "scans", params(PageParams, ScanFilter),
    responses((status = 200, body = List<ScanView>)))]
async fn list_scans(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<ScanFilter>,
) -> Result<Json<List<ScanView>>, ApiError> {
    if !caller.visible().all {
        return Ok(List::empty());
    }
    let mut tx = app.tx(&caller).await?;
    let connector = match &listing.filter.connector {
        Some(name) => Some(connector::resolve(&mut tx, name).await?),
        None => None,
    };
    let status = listing.filter.status.iter().map(|status| status.word()).collect();
    let rows = scan::list(&mut tx, &scan::Filter { connector, status }, &listing.page).await?;
    let now = Utc::now();
    Ok(List::of(rows, |row| ScanView::of(row, now)))
}

impl ScanStatus {
    fn word(self) -> String {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
        .to_owned()
    }
}

/// Get a scan.
#[utoipa::path(get, path = "/v1/scans/{scan_id}", tag = "scans", params(("scan_id" = Uuid, Path)),
    responses((status = 200, body = ScanView)))]
async fn get_scan(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("scan")?;
    let mut tx = app.tx(&caller).await?;
    Ok(Answer::ok(ScanView::of(scan::get(&mut tx, ScanId(id)).await?, Utc::now())))
}

/// Cancel a scan. What was read stays; nothing is removed by it.
#[utoipa::path(post, path = "/v1/scans/{scan_id}/cancel", tag = "scans", params(("scan_id" = Uuid, Path)),
    responses((status = 200, body = ScanView)))]
async fn cancel_scan(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = scan::cancel(&mut tx, ScanId(id)).await?;
    Answer::ok(ScanView::of(row, Utc::now())).commit(tx).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(phases: &[(u64, u64, u64, Option<u64>)], expected: Option<u64>) {
        let phases = phases.iter().map(|(listings, finished, resources, expected)| PhaseProgress {
            phase: String::new(),
            listings: *listings,
            finished: *finished,
            resources: *resources,
            expected: *expected,
        });
        let progress = Progress { phases: phases.collect(), ..Progress::default() };
        assert_eq!(eta(&progress, Duration::from_secs(10)), expected);
    }

    #[test]
    fn time_left_is_told_by_the_speed_so_far() {
        check(&[], None);
        check(&[(4, 0, 0, Some(100))], None);
        check(&[(4, 1, 50, Some(100)), (4, 0, 0, Some(50))], Some(20));
        check(&[(4, 1, 50, Some(40))], Some(0));
        check(&[(4, 1, 50, None), (4, 0, 0, Some(50))], Some(70));
    }
}
