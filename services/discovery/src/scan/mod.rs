//! The scan of a connector, from its claim to its row's end; [`Reading`] is what happens in between.

mod reading;

use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_connector::{ConnectorError, ScanContext};
use rampart_domain::{CoverageState, Gap, ScanId};
use rampart_store::batch::{self, Session};
use rampart_store::connector::Connector as Row;
use rampart_store::inventory;
use rampart_store::permission_use::Declaration;
use rampart_store::plan::{self, Plan, PlanScope};
use rampart_store::scan_run::{self, ScanEnd};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::Failure;
use rampart_store::{StoreError, TenantTx, Transient, connector};
use tokio_util::sync::CancellationToken;

use crate::Discovery;
use crate::connect::{self, Credentials, Source};
use crate::gap::gap_of;
use crate::progress::Progress;
use crate::pushed::{self, Due};
use crate::usage::{Counted, Counting};

pub(crate) use reading::Reading;

/// Runs the scan of a claimed connector.
pub(crate) async fn run(discovery: &Discovery, lease: &Lease, cancel: CancellationToken) -> Result<(), Failure> {
    let mut tx = discovery.store.fenced(lease).await?;
    let connector = match connector::get(&mut tx, lease.subject.into()).await {
        Ok(connector) if !connector.deleting && connector.retired_at.is_none() => connector,
        // Deleted or retired while the work waited: nothing is left to do.
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let session = match pushed::due(&mut tx, &connector).await? {
        Due::Nothing => return Ok(tx.commit().await?),
        Due::Session(session) => Some(session),
        Due::Live => None,
    };
    let started_at = lease.now();
    let scan = scan_run::begin(&mut tx, connector.id, started_at).await?;
    if !plan::one(&mut tx, PlanScope::Connector(connector.id), Plan::Discovery).await?.enabled {
        return switched_off(tx, lease, &connector, scan, started_at).await;
    }
    let credentials = connector::credentials(&mut tx, &discovery.keyring, connector.id).await;
    tx.commit().await?;
    // What a collector read is as old as its reading.
    let read_at = session.as_ref().map(|session| session.started_at.min(started_at));

    let progress = Progress::default();
    let stop = cancel.child_token();
    let (counted, counting) = Counting::start(discovery, lease);
    let reporter = tokio::spawn(report(discovery.clone(), lease.clone(), scan, progress.clone(), stop.clone()));
    let outcome = match credentials {
        Ok(credentials) => match source(&counted, lease, &connector, (&credentials, session.as_ref()), &stop).await {
            Ok(source) => {
                let kinds = connector.settings.kinds().to_vec();
                let cx = ScanContext { cancel: stop.clone(), kinds, started_at: lease.now() };
                let discovery = &counted;
                let progress = &progress;
                let reading = Reading { discovery, lease, scan, cx, progress, read_at, counting: &counting };
                reading.read(&source).await
            }
            Err(error) => Err(error),
        },
        Err(error) => Err(error.into()),
    };
    let asked_to_stop = stop.is_cancelled() && !cancel.is_cancelled();
    reporter.abort();
    let counted = counting.end().await;
    if cancel.is_cancelled() {
        return Err("the process is stopping".into());
    }
    if let Err(error) = &outcome
        && Transient::behind(error.as_ref()).is_some()
    {
        // Postgres was away, which says nothing of the connector: the scan stays open and goes on once it is back.
        return outcome;
    }
    let run = Run { scan, session, since: read_at.unwrap_or(started_at), asked_to_stop, counted };
    conclude(discovery, lease, &progress, run, outcome).await
}

/// The connector of a stored row: a live one, or the stored session of a collector.
async fn source(
    discovery: &Discovery,
    lease: &Lease,
    row: &Row,
    (credentials, session): (&Credentials, Option<&Session>),
    stop: &CancellationToken,
) -> Result<Source, Failure> {
    match session {
        Some(session) => Ok(pushed::source(discovery, lease, row, session).await?),
        None => Ok(connect::source(discovery, lease.tenant, row, credentials, stop.clone())?),
    }
}

/// A run that is over.
struct Run {
    scan: ScanId,
    /// The session that was taken up.
    session: Option<Session>,
    /// What was not tried since then was not read by this run.
    since: DateTime<Utc>,
    asked_to_stop: bool,
    /// What it asked of the provider.
    counted: Counted,
}

/// Discovery is off: nothing is read, and what was read before says that it grows old.
async fn switched_off(
    mut tx: TenantTx,
    lease: &Lease,
    connector: &Row,
    scan: ScanId,
    started_at: DateTime<Utc>,
) -> Result<(), Failure> {
    let gap = plan::off_gap(Plan::Discovery);
    inventory::fail_untouched(&mut tx, connector.id, &gap, started_at, started_at).await?;
    let progress = Progress::default().to_json();
    scan_run::end(&mut tx, scan, ScanEnd::Cancelled, &progress, Some(&gap.message), started_at).await?;
    work::finish_with(&mut tx, lease).await?;
    tx.commit().await?;
    Ok(())
}

async fn conclude(
    discovery: &Discovery,
    lease: &Lease,
    progress: &Progress,
    Run { scan, session, since, asked_to_stop, counted }: Run,
    outcome: Result<(), Failure>,
) -> Result<(), Failure> {
    let error = outcome.as_ref().err().map(ToString::to_string);
    let how = match (&outcome, asked_to_stop) {
        (_, true) => ScanEnd::Cancelled,
        (Err(_), _) => ScanEnd::Failed,
        (Ok(()), _) if progress.incomplete() > 0 => ScanEnd::Partial,
        (Ok(()), _) => ScanEnd::Succeeded,
    };
    let mut tx = discovery.store.fenced(lease).await?;
    if how == ScanEnd::Succeeded {
        inventory::forget_empty_places(&mut tx, lease.subject.into(), since).await?;
    }
    if !asked_to_stop {
        let gap = outcome.as_ref().map_or_else(failure_gap, |()| no_longer_read());
        inventory::fail_untouched(&mut tx, lease.subject.into(), &gap, since, lease.now()).await?;
    }
    if let Some(session) = &session {
        let stopped = asked_to_stop.then_some("somebody asked the scan to stop");
        batch::taken(&mut tx, session, scan, error.as_deref().or(stopped)).await?;
    }
    // Nothing more is coming: what waited for it is assessed now.
    work::hasten(&mut tx, WorkKind::Assess).await?;
    scan_run::end(&mut tx, scan, how, &progress.to_json(), error.as_deref(), lease.now()).await?;
    // Only a scan that came to every place knows everything that is needed.
    let declaration = if how == ScanEnd::Succeeded { Declaration::Whole } else { Declaration::Partial };
    counted.declare(&mut tx, lease, declaration).await?;
    counted.conclude(&mut tx, scan).await?;
    // Together: a scan that has ended and is still to be done would be another one.
    work::finish_with(&mut tx, lease).await?;
    tx.commit().await?;
    let (applied, removed) = progress.applied();
    tracing::info!(tenant.id = %lease.tenant, connector.id = %lease.subject, scan.id = %scan, outcome = ?how,
        added = applied.added, changed = applied.changed, unchanged = applied.unchanged, removed,
        incomplete = progress.incomplete(), error, "scan ended");
    // A scan that failed is done: it is told in its row and in coverage, and the schedule tries again.
    Ok(())
}

/// What a failure of the whole scan means for what an earlier one had read.
fn failure_gap(error: &Failure) -> Gap {
    match error.downcast_ref::<ConnectorError>() {
        Some(error) => gap_of(error),
        None => Gap {
            state: CoverageState::Failed,
            message: error.to_string(),
            remedy: "Correct the connector and scan again.".to_owned(),
        },
    }
}

/// What is left of places and kinds that a scan did not come to: taken out of the connector, or behind a failed listing.
fn no_longer_read() -> Gap {
    Gap {
        state: CoverageState::Failed,
        message: "the last scan did not come to this place or kind".to_owned(),
        remedy: "See what failed before it; if the region or kind was taken out of the connector, delete the connector with \
            its data or add it again."
            .to_owned(),
    }
}

/// Writes the progress every half second and passes on the wish to stop.
async fn report(discovery: Discovery, lease: Lease, scan: ScanId, progress: Progress, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut last = serde_json::Value::Null;
    let mut checked = tokio::time::Instant::now();
    loop {
        tick.tick().await;
        let now = progress.to_json();
        if now == last && checked.elapsed() < Duration::from_secs(2) {
            continue;
        }
        checked = tokio::time::Instant::now();
        match report_once(&discovery, &lease, scan, &now).await {
            Ok(true) => stop.cancel(),
            Ok(false) => last = now,
            // The next tick tries again: a scan must stay stoppable after a hiccup of the database.
            Err(error) => tracing::warn!(scan.id = %scan, error = %error, "progress was not written"),
        }
    }
}

async fn report_once(
    discovery: &Discovery,
    lease: &Lease,
    scan: ScanId,
    progress: &serde_json::Value,
) -> Result<bool, StoreError> {
    let mut tx = discovery.store.tenant(lease.tenant).await?;
    let asked_to_stop = scan_run::report(&mut tx, scan, progress).await?;
    tx.commit().await?;
    Ok(asked_to_stop)
}
