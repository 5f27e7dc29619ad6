use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::aws::identity::Identities;
use crate::azure::Directory;
use crate::calls::Calls;
use crate::faults::Faults;
use crate::gcp::identity::GoogleIdentities;
use crate::kube::log::{Logged, Logs};
use crate::kube::snapshot::Snapshots;
use crate::world::{FIRST_VERSION, World};

/// State that all servers of a simulator share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: RwLock<Arc<World>>,
    /// Changes of the world so far.
    generation: AtomicU64,
    /// Milliseconds between the bookmarks of a watch.
    bookmarks: AtomicU64,
    /// Reads so far: the clock of everything that changes by itself.
    reads: AtomicU64,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    pub(crate) identities: Identities,
    pub(crate) directory: Directory,
    pub(crate) google: GoogleIdentities,
    pub(crate) snapshots: Snapshots,
    /// What watches are told.
    pub(crate) logs: Logs,
    pub(crate) ca_pem: String,
    /// Host and port of the AWS services.
    pub(crate) aws_host: String,
    /// Host and port of the Google APIs.
    pub(crate) gcp_host: String,
    /// Addresses of the Kubernetes APIs by cluster name.
    pub(crate) urls: HashMap<String, String>,
    /// Bearer tokens of service accounts, by cluster name.
    pub(crate) tokens: HashMap<String, String>,
}

/// Addresses and certificates under which a simulator answers.
pub(crate) struct Addresses {
    pub(crate) ca_pem: String,
    pub(crate) aws_host: String,
    pub(crate) gcp_host: String,
    pub(crate) urls: HashMap<String, String>,
    pub(crate) tokens: HashMap<String, String>,
}

/// The world at one moment.
pub(crate) struct View {
    pub(crate) world: Arc<World>,
    pub(crate) generation: u64,
    pub(crate) version: u64,
}

impl Shared {
    pub(crate) fn new(world: World, addresses: Addresses) -> Self {
        Self {
            generation: AtomicU64::new(1),
            bookmarks: AtomicU64::new(60_000),
            reads: AtomicU64::new(0),
            faults: Faults::default(),
            calls: Calls::default(),
            identities: Identities::new(&world),
            directory: Directory::default(),
            google: GoogleIdentities::default(),
            snapshots: Snapshots::default(),
            logs: Logs::default(),
            ca_pem: addresses.ca_pem,
            aws_host: addresses.aws_host,
            gcp_host: addresses.gcp_host,
            urls: addresses.urls,
            tokens: addresses.tokens,
            world: RwLock::new(Arc::new(world)),
        }
    }

    pub(crate) fn world(&self) -> Arc<World> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the world by a changed copy and tells watches about it. `change` gets the resource version of the change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut World, u64) -> (T, Vec<Logged>)) -> T {
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = World::clone(&world);
        let (done, events) = change(&mut changed, FIRST_VERSION + self.next_read());
        *world = Arc::new(changed);
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.logs.append(events);
        done
    }

    /// The world of this moment with its generation and resource version: a watch of `cluster` from that version on is told
    /// every later change.
    pub(crate) fn view(&self, cluster: &str) -> View {
        // No change comes in between: changes hold the lock for writing.
        let world = self.world.read().unwrap_or_else(PoisonError::into_inner);
        let version = FIRST_VERSION + self.next_read();
        self.logs.keep(cluster, version);
        View { world: Arc::clone(&world), generation: self.generation(), version }
    }

    pub(crate) fn bookmark_every(&self) -> Duration {
        Duration::from_millis(self.bookmarks.load(Ordering::Relaxed))
    }

    pub(crate) fn set_bookmarks(&self, every: Duration) {
        self.bookmarks.store(every.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Number of this read.
    pub(crate) fn next_read(&self) -> u64 {
        self.reads.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn cluster_url(&self, name: &str) -> String {
        self.urls.get(name).cloned().unwrap_or_default()
    }
}
