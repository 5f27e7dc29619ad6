//! Watches: what changes in a cluster is in the inventory seconds later, and its assessment is asked for at once.
//!
//! ```text
//! scan ─▶ positions ─▶ work(watch), held ─▶ one task per cluster ─┬ one stream per kind ─▶ batch ─▶ write (fenced)
//!                                                                  └ 410, too large ─▶ list of that kind, by a scan's code
//! ```
//! The position of each kind is stored with what was read up to it: whoever takes over goes on from there.

mod batch;
mod images;
mod session;
mod status;
mod streams;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rampart_connector::{Connector, ConnectorError};
use rampart_domain::{ClusterId, ConnectorId, Gap, TenantId};
use rampart_store::hold::{self, Ended, Options};
use rampart_store::watch::{self, State};
use rampart_store::work::{Lease, WorkKind};
use rampart_store::{StoreError, Transient};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::Discovery;
use crate::connect::ConnectError;
use crate::gap::gap_of;

/// Batches written at once: few, so that scans and the API get their connections.
const WRITES: usize = 6;
/// Of these for one tenant: a busy one leaves room for the others.
const WRITES_PER_TENANT: usize = 3;
/// Kinds listed anew at once, as many as scans read clusters: each holds pages in memory.
const LISTS: usize = 4;
/// Waits between attempts to reach a cluster.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_mins(5);

/// What all watches of a process share.
#[derive(Clone)]
struct Watcher {
    discovery: Discovery,
    writes: Arc<Semaphore>,
    tenants: Arc<Mutex<HashMap<TenantId, Arc<Semaphore>>>>,
    lists: Arc<Semaphore>,
    accounts: Arc<Mutex<HashMap<ConnectorId, Account>>>,
}

/// A cloud account whose clusters are watched, with one session for all of them.
#[derive(Clone)]
struct Account {
    version: i64,
    connector: Arc<dyn Connector>,
}

/// Why a cluster is not watched right now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Cluster(#[from] ConnectorError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0}")]
    Other(&'static str),
}

/// Why a session ended without trouble.
enum Over {
    /// Nobody wants the cluster watched.
    NotWanted,
    /// It was told to stop.
    Told,
}

/// Watches what is to be watched until `cancel` fires.
pub(crate) async fn run(discovery: &Discovery, cancel: &CancellationToken) -> Result<(), StoreError> {
    let options = Options {
        kind: WorkKind::Watch,
        capacity: discovery.config.watches,
        per_tenant: discovery.config.watches_per_tenant,
        grace: Duration::from_secs(10),
    };
    let watcher = Watcher {
        discovery: discovery.clone(),
        writes: Arc::new(Semaphore::new(WRITES)),
        tenants: Arc::default(),
        lists: Arc::new(Semaphore::new(LISTS)),
        accounts: Arc::default(),
    };
    let task = |lease: Lease, cancel: CancellationToken| {
        let watcher = watcher.clone();
        async move { watcher.hold(&lease, &cancel).await }
    };
    hold::run(&discovery.store, &options, cancel, task).await
}

/// Counts a watch for as long as it lives.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("rampart_watches").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("rampart_watches").decrement(1.0);
    }
}

impl Watcher {
    /// Watches one cluster for as long as it is wanted and the lease is held.
    async fn hold(&self, lease: &Lease, cancel: &CancellationToken) -> Ended {
        let _counted = Counted::new();
        let mut failures = 0;
        loop {
            let trouble = match Box::pin(session::run(self, lease, cancel, &mut failures)).await {
                Ok(Over::NotWanted) => return Ended::Done,
                Ok(Over::Told) | Err(Trouble::Store(StoreError::LeaseLost)) => return Ended::Told,
                Err(trouble) => trouble,
            };
            if cancel.is_cancelled() {
                return Ended::Told;
            }
            // That Postgres is away says nothing of the cluster.
            if Transient::behind(&trouble).is_none() {
                failures += 1;
            }
            let delay = streams::backoff(failures, RETRY_FIRST, RETRY_LONGEST);
            tracing::info!(tenant.id = %lease.tenant, cluster.id = %lease.subject, error = %trouble,
                delay_ms = delay.as_millis() as u64, "the watch of a cluster broke and is tried again");
            metrics::counter!("rampart_watch_failures_total").increment(1);
            match self.tell_failure(lease, &trouble).await {
                Err(StoreError::LeaseLost) => return Ended::Told,
                Err(error) => tracing::warn!(error = %error, "the state of a watch was not written"),
                Ok(()) => {}
            }
            if cancel.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                return Ended::Told;
            }
        }
    }

    /// Waits until a tenant may write; the turn ends when this is dropped.
    async fn turn(&self, tenant: TenantId) -> (OwnedSemaphorePermit, OwnedSemaphorePermit) {
        let own = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tenants.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(WRITES_PER_TENANT))))
        };
        let own = own.acquire_owned().await.expect("the semaphore is never closed");
        let any = Arc::clone(&self.writes).acquire_owned().await.expect("the semaphore is never closed");
        (own, any)
    }

    async fn tell_failure(&self, lease: &Lease, trouble: &Trouble) -> Result<(), StoreError> {
        let message = match trouble {
            Trouble::Cluster(error) => {
                let Gap { message, remedy, .. } = gap_of(error);
                format!("{message} {remedy}")
            }
            other => other.to_string(),
        };
        let mut tx = self.discovery.store.fenced(lease).await?;
        let cluster = ClusterId::from(lease.subject);
        watch::set_state(&mut tx, cluster, State::Failing, Some(&message), &std::collections::BTreeMap::new()).await?;
        tx.commit().await
    }

    /// The session with a cloud account, kept while its connector is not changed.
    fn account(
        &self,
        connector: &rampart_store::connector::Connector,
        open: impl FnOnce() -> Result<Arc<dyn Connector>, ConnectError>,
    ) -> Result<Arc<dyn Connector>, ConnectError> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = accounts.get(&connector.id).filter(|held| held.version == connector.version) {
            return Ok(Arc::clone(&held.connector));
        }
        let session = open()?;
        accounts.insert(connector.id, Account { version: connector.version, connector: Arc::clone(&session) });
        Ok(session)
    }
}
