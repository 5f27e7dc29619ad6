//! What a collector pushed: a stored session is read back as the events of a scan.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use rampart_batch::{Place, Replay, Unpacker};
use rampart_connector::{Connector, ConnectorError, ErrorKind, Permission, PermissionCheck, ScanContext, Sink};
use rampart_domain::{Cloud, CoverageState, Gap};
use rampart_store::batch::{self, Session};
use rampart_store::connector::{Connector as Row, Settings};
use rampart_store::scan_run::{self, ScanEnd};
use rampart_store::work::Lease;
use rampart_store::{Store, StoreError, TenantTx, collector, inventory};
use serde_json::json;
use tokio::runtime::Handle;

use crate::Discovery;
use crate::connect::{self, ConnectError, Source};

/// A session to which nothing came for so long is taken up as far as it goes.
const IDLE: Duration = Duration::from_mins(10);

/// What is to be done about a connector that is due.
pub(crate) enum Due {
    /// Call its API.
    Live,
    /// Take up this session.
    Session(Session),
    /// Nothing: a collector pushes to it, and nothing waits.
    Nothing,
}

/// Finds out what is due, and notes it when a collector is overdue.
pub(crate) async fn due(tx: &mut TenantTx, row: &Row) -> Result<Due, StoreError> {
    if !row.settings.is_pushed() {
        return Ok(Due::Live);
    }
    if let Some(session) = batch::take(tx, row.id, IDLE).await? {
        return Ok(Due::Session(session));
    }
    let (now, collector) = (Utc::now(), collector::get(tx, row.id).await?);
    // Somebody asked for a scan, but only the collector can begin one.
    if scan_run::is_waiting(tx, row.id).await? {
        let scan = scan_run::begin(tx, row.id, now).await?;
        let why = format!("nothing was pushed since {}: run `rampart collect`", collector.taken_at);
        scan_run::end(tx, scan, ScanEnd::Failed, &json!({}), Some(&why), now).await?;
    }
    // A quarter more than the interval: a collector's own schedule is not ours to the minute.
    let patience = TimeDelta::minutes(i64::from(row.interval_minutes) * 5 / 4);
    if collector.taken_at + patience < now {
        let gap = Gap {
            state: CoverageState::Unreachable,
            message: format!("the collector has pushed nothing since {}", collector.taken_at),
            remedy: "See that `rampart collect` runs beside the cluster and reaches the API; its log says what fails."
                .to_owned(),
        };
        // What was noted before is newer than the last session, and is left as it is.
        inventory::fail_untouched(tx, row.id, &gap, collector.taken_at, now).await?;
    }
    Ok(Due::Nothing)
}

/// The connector that reads a stored session.
pub(crate) async fn source(
    discovery: &Discovery,
    lease: &Lease,
    row: &Row,
    session: &Session,
) -> Result<Source, StoreError> {
    let Settings::Kubernetes(kubernetes) = &row.settings else {
        return Err(StoreError::Corrupt(format!("connector {} is pushed to and is no cluster", row.id)));
    };
    let mut tx = discovery.store.tenant(lease.tenant).await?;
    let collector = collector::get(&mut tx, row.id).await?;
    let place = Place {
        name: kubernetes.cluster_name.clone(),
        cloud: kubernetes.cloud.unwrap_or(Cloud::OnPremises),
        account: kubernetes.account.clone(),
        region: kubernetes.region.clone(),
        uid: collector.kube_uid,
        kinds: kubernetes.kinds.clone(),
    };
    let pushed = Pushed { store: discovery.store.clone(), lease: lease.clone(), session: session.clone(), place };
    Ok(Source::Pushed { connector: Box::new(pushed), seen: connect::seen(kubernetes) })
}

/// Reads one stored session.
pub(crate) struct Pushed {
    store: Store,
    lease: Lease,
    session: Session,
    place: Place,
}

impl Pushed {
    /// Whether the collector came to the end.
    pub(crate) fn is_whole(&self) -> bool {
        self.session.closed_at.is_some()
    }

    async fn body(&self, sequence: i32) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.store.tenant(self.lease.tenant).await?;
        let body = batch::body(&mut tx, self.session.session_id, sequence).await?;
        body.ok_or(StoreError::NotFound { what: "batch" })
    }

    /// Keeps the cluster's uid, once the session told it.
    async fn pin(&self, replay: &Replay) -> Result<(), StoreError> {
        let (None, Some(uid)) = (&self.place.uid, replay.uid()) else { return Ok(()) };
        let mut tx = self.store.fenced(&self.lease).await?;
        collector::pin(&mut tx, self.session.connector, uid).await?;
        tx.commit().await
    }
}

#[async_trait]
impl Connector for Pushed {
    /// None of ours: the collector has its own.
    fn permissions(&self) -> Vec<Permission> {
        Vec::new()
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        let mut replay = Replay::new(self.place.clone(), self.is_whole());
        for sequence in 0..self.session.next_sequence {
            let body = self.body(sequence).await.map_err(|error| stored(&error))?;
            let (sink, cancel) = (sink.clone(), cx.cancel.clone());
            let handle = Handle::current();
            let read = tokio::task::spawn_blocking(move || {
                let (mut lines, mut line) = (Unpacker::new(&body), Vec::new());
                while lines.next_line(&mut line).map_err(|error| unreadable(&error))? {
                    for event in replay.line(&line)? {
                        handle.block_on(sink.send(event)).map_err(|_| stopped())?;
                    }
                    if cancel.is_cancelled() {
                        return Err(stopped());
                    }
                }
                Ok(replay)
            });
            replay = read.await.map_err(|_| unreadable(&"reading the batch panicked"))??;
            if sequence == 0 {
                self.pin(&replay).await.map_err(|error| stored(&error))?;
            }
        }
        for event in replay.rest()? {
            sink.send(event).await.map_err(|_| stopped())?;
        }
        Ok(())
    }

    async fn preflight(&self, _: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        Err(ConnectorError::new(ErrorKind::Unsupported, "preflight", ConnectError::Pushed.to_string()))
    }
}

fn stored(error: &StoreError) -> ConnectorError {
    ConnectorError::new(ErrorKind::Transient, "pushed session", error.to_string())
}

fn unreadable(error: &impl ToString) -> ConnectorError {
    ConnectorError::new(ErrorKind::Permanent, "pushed session", error.to_string())
}

fn stopped() -> ConnectorError {
    ConnectorError::new(ErrorKind::Cancelled, "pushed session", "the scan was told to stop")
}
