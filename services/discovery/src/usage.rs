//! The receipt of a connector's access: what its calls add up to, written now and then and at the end.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rampart_connector::{CallCount, Permission, Usage};
use rampart_domain::ScanId;
use rampart_store::permission_use::{self, Declaration, Used};
use rampart_store::scan_calls::{self, FamilyCalls};
use rampart_store::work::Lease;
use rampart_store::{Store, StoreError, TenantTx};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Discovery;

/// How often counts are written while a connector works.
const EVERY: Duration = Duration::from_secs(30);

/// Counts what one run of a connector calls.
pub(crate) struct Counting {
    usage: Usage,
    declared: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
    writer: JoinHandle<()>,
}

impl Counting {
    /// Begins to count. The returned discovery makes the calls that are counted.
    pub(crate) fn start(discovery: &Discovery, lease: &Lease) -> (Discovery, Self) {
        let usage = Usage::default();
        let stop = CancellationToken::new();
        let counted = Discovery { caller: discovery.caller.counting(usage.clone()), ..discovery.clone() };
        let writer = tokio::spawn(write(discovery.store.clone(), lease.clone(), usage.clone(), stop.clone()));
        (counted, Self { usage, declared: Arc::default(), stop, writer })
    }

    /// Notes what a connector that takes part says it needs.
    pub(crate) fn declare(&self, permissions: Vec<Permission>) {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.extend(permissions.into_iter().map(|permission| permission.name));
    }

    /// Writes what is left and ends.
    pub(crate) async fn end(self) -> Counted {
        self.stop.cancel();
        if let Err(error) = self.writer.await {
            tracing::error!(error = %error, "the calls of a connector were not counted to their end");
        }
        let declared = std::mem::take(&mut *self.declared.lock().unwrap_or_else(PoisonError::into_inner));
        Counted { usage: self.usage, declared: declared.into_iter().collect() }
    }
}

/// What a run came to.
pub(crate) struct Counted {
    usage: Usage,
    declared: Vec<String>,
}

impl Counted {
    /// Notes what the connector needs.
    pub(crate) async fn declare(&self, tx: &mut TenantTx, lease: &Lease, how: Declaration) -> Result<(), StoreError> {
        permission_use::declare(tx, lease.subject.into(), &self.declared, how).await
    }

    /// Notes what the scan asked of each API family.
    pub(crate) async fn conclude(&self, tx: &mut TenantTx, scan: ScanId) -> Result<(), StoreError> {
        let families = self.usage.families().into_iter().map(|count| FamilyCalls {
            family: count.family.to_owned(),
            calls: count.calls,
            throttled: count.throttled,
            buckets: count.buckets,
            largest: count.largest,
        });
        scan_calls::record(tx, scan, &families.collect::<Vec<_>>()).await
    }
}

async fn write(store: Store, lease: Lease, usage: Usage, stop: CancellationToken) {
    loop {
        let go_on = stop.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some();
        let taken = usage.take();
        if let Err(error) = write_once(&store, &lease, &taken).await {
            // Whoever holds the lease now counts its own calls; these are kept for the next attempt.
            tracing::warn!(connector.id = %lease.subject, error = %error, "counts of calls were not written");
            usage.give_back(taken);
        }
        if !go_on {
            return;
        }
    }
}

async fn write_once(store: &Store, lease: &Lease, taken: &[CallCount]) -> Result<(), StoreError> {
    if taken.is_empty() {
        return Ok(());
    }
    let used: Vec<Used> = taken.iter().map(used).collect();
    let mut tx = store.fenced(lease).await?;
    permission_use::record(&mut tx, lease.subject.into(), &used).await?;
    tx.commit().await
}

fn used(count: &CallCount) -> Used {
    let permission = match count.family {
        "kubernetes" => rampart_connector_kube::permission_of(&count.api),
        _ => count.api.clone(),
    };
    Used {
        permission,
        family: count.family.to_owned(),
        calls: count.calls,
        refused: count.refused,
        first: count.first,
        last: count.last,
    }
}
