//! A watch of one cluster: what changes, as it changes.
//!
//! ```text
//! position (a list's, or the last one seen) ─▶ open ─▶ lines ─▶ normalize ─▶ Change
//! pods: links (what must be known) ─▶ roll up ─▶ owner, derived owners
//! ```
//! Nothing is kept of the objects: what the roll-up of pods needs to know is looked up by whoever stores them.

mod changes;
mod known;
mod lines;

use std::fmt;
use std::sync::Arc;

use rampart_connector::{ConnectorError, ErrorKind};
use rampart_domain::{Kind, NativeId, Resource, Scope};
use tokio_util::sync::CancellationToken;

pub use changes::{Change, Changes, Gone, What};
pub use known::{Known, RolledUp};

use crate::KubeConnector;
use crate::client::{Api, Use};
use crate::discover::{self, Groups, candidates};
use crate::kinds::{Entry, watched};
use crate::normalize::Cluster;

/// One cluster's API, ready to be watched.
pub struct ClusterWatch {
    api: Api,
    groups: Option<Groups>,
    cluster: Arc<Cluster>,
    scope: Scope,
}

impl fmt::Debug for ClusterWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterWatch").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl KubeConnector {
    /// Connects and asks which cluster this is. Calls end with `cancel`.
    ///
    /// # Errors
    /// The API cannot be reached, or does not say who it is.
    pub async fn watch(&self, cancel: CancellationToken) -> Result<ClusterWatch, ConnectorError> {
        let api = self.api(cancel, Use::Watches).await?;
        let uid = discover::cluster_uid(&api).await?;
        // Without the list of groups every source is worth asking.
        let groups = discover::groups(&api).await.ok();
        let cluster = self.cluster(&uid);
        Ok(ClusterWatch { api, groups, scope: self.scope(&cluster), cluster: Arc::new(cluster) })
    }
}

impl ClusterWatch {
    /// Key of what is watched, as a scan's listings have it.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Native id of the cluster by its kube-system namespace.
    pub fn native_id(&self) -> &NativeId {
        &self.cluster.native_id
    }

    /// Begins to watch a kind after `position`. What is there already is not told.
    ///
    /// # Errors
    /// [`ErrorKind::Expired`] when the server no longer keeps what came after `position`: the kind must be listed anew.
    /// [`ErrorKind::Unsupported`] when the kind is not watched or not served.
    pub async fn open(&self, kind: Kind, position: &str) -> Result<Changes, ConnectorError> {
        let not_served = |api: String| ConnectorError::new(ErrorKind::Unsupported, api, "this kind is not served");
        let Some(entry) = watched(kind) else { return Err(not_served(format!("WATCH {kind}"))) };
        let mut last = None;
        for source in candidates(self.groups.as_ref(), entry) {
            match Changes::open(&self.api, &self.cluster, (entry, source), position).await {
                Err(error) if error.kind == ErrorKind::NotFound => last = Some(error),
                opened => return opened,
            }
        }
        Err(not_served(last.map_or_else(|| path_of(entry), |error| error.api)))
    }

    /// What must be known to roll up `pods`: their controllers and nodes, by native id.
    pub fn links(&self, pods: &[Resource]) -> Vec<NativeId> {
        let mut links: Vec<_> =
            pods.iter().flat_map(|pod| crate::normalize::rollup::links(&self.cluster, pod)).collect();
        links.sort_unstable();
        links.dedup();
        links
    }
}

fn path_of(entry: &Entry) -> String {
    format!("WATCH {}", entry.sources[0].path(entry.plural))
}
