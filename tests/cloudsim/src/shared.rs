use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::aws::identity::Identities;
use crate::calls::Calls;
use crate::faults::Faults;
use crate::gcp::identity::GoogleIdentities;
use crate::kube::snapshot::Snapshots;
use crate::world::World;

/// State that all servers of a simulator share.
#[derive(Debug)]
pub(crate) struct Shared {
    world: RwLock<Arc<World>>,
    /// Changes of the world so far.
    generation: AtomicU64,
    /// Reads so far: the clock of everything that changes by itself.
    reads: AtomicU64,
    pub(crate) faults: Faults,
    pub(crate) calls: Calls,
    pub(crate) identities: Identities,
    pub(crate) google: GoogleIdentities,
    pub(crate) snapshots: Snapshots,
    pub(crate) ca_pem: String,
    /// Host and port of the AWS services.
    pub(crate) aws_host: String,
    /// Host and port of the Google APIs.
    pub(crate) gcp_host: String,
    /// Addresses of the Kubernetes APIs by cluster name.
    pub(crate) urls: HashMap<String, String>,
    /// Bearer tokens of clusters that are reached by kubeconfig, by cluster name.
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

impl Shared {
    pub(crate) fn new(world: World, addresses: Addresses) -> Self {
        Self {
            generation: AtomicU64::new(1),
            reads: AtomicU64::new(0),
            faults: Faults::default(),
            calls: Calls::default(),
            identities: Identities::new(&world),
            google: GoogleIdentities::default(),
            snapshots: Snapshots::default(),
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

    /// Replaces the world by a changed copy.
    pub(crate) fn change(&self, change: impl FnOnce(&mut World)) {
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = World::clone(&world);
        change(&mut changed);
        *world = Arc::new(changed);
        self.generation.fetch_add(1, Ordering::Relaxed);
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
