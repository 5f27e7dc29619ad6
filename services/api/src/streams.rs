//! Streams of events that are open: how many there may be, what wakes them, and their end with the process.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rampart_domain::{ScanId, TenantId};
use rampart_store::Store;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Moves that a slow stream may be behind; one that is further behind looks by itself.
const BEHIND: usize = 256;

/// The streams of a process.
#[derive(Debug)]
pub(crate) struct Streams {
    most: usize,
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
    /// Scans that moved; `None` when any may have.
    moves: broadcast::Sender<Option<ScanId>>,
    feeding: AtomicBool,
    closing: CancellationToken,
}

/// An open stream; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    tenant: TenantId,
    open: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

impl Streams {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most: most.max(1),
            open: Arc::default(),
            moves: broadcast::channel(BEHIND).0,
            feeding: AtomicBool::new(false),
            closing: CancellationToken::new(),
        }
    }

    /// A place for one more stream; `None` when there is none, for this tenant or for any.
    pub(crate) fn admit(&self, tenant: TenantId) -> Option<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.entry(tenant).or_default();
        if self.closing.is_cancelled() || all >= self.most || *own >= self.most.div_ceil(4) {
            if *own == 0 {
                open.remove(&tenant);
            }
            return None;
        }
        *own += 1;
        Some(Slot { tenant, open: self.open.clone() })
    }

    /// The moves of scans from now on. The first stream opens the one connection that hears of them.
    pub(crate) fn moves(&self, store: &Store) -> broadcast::Receiver<Option<ScanId>> {
        let receiver = self.moves.subscribe();
        if !self.feeding.swap(true, Ordering::Relaxed) {
            tokio::spawn(feed(store.clone(), self.moves.clone(), self.closing.clone()));
        }
        receiver
    }

    /// Fires when streams must end.
    pub(crate) fn closing(&self) -> CancellationToken {
        self.closing.clone()
    }

    /// Ends every stream and lets no other begin.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }
}

/// Hands on what the database tells, for as long as the process lives.
async fn feed(store: Store, moves: broadcast::Sender<Option<ScanId>>, closing: CancellationToken) {
    let listen = async {
        loop {
            match store.watch_scans().await {
                Ok(mut heard) => {
                    // What moved before this connection was there was not heard.
                    drop(moves.send(None));
                    while let Ok(moved) = heard.next().await {
                        drop(moves.send(moved));
                    }
                }
                Err(error) => tracing::warn!(%error, "moves of scans are not heard"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = closing.cancelled() => {}
        () = listen => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn streams_are_bounded_for_all_and_for_each_tenant() {
        let streams = Streams::new(8);
        let tenant = |n| TenantId(Uuid::from_u128(n));
        let own: Vec<_> = std::iter::from_fn(|| streams.admit(tenant(1))).collect();
        assert_eq!(own.len(), 2, "a quarter");
        let others: Vec<_> = (2..20).filter_map(|n| streams.admit(tenant(n))).collect();
        assert_eq!(others.len(), 6);
        drop(own);
        assert!(streams.admit(tenant(30)).is_some() && streams.open.lock().unwrap().len() == 6);
        streams.close();
        assert!(streams.admit(tenant(31)).is_none());
    }
}
