use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rampart_connector::{
    Caller, ClusterAccess, Connector, ConnectorError, Egress, Permission, PermissionCheck, ScanContext, Sink,
};
use rampart_domain::{Cloud, Kind, NativeId, Scope};
use tokio_util::sync::CancellationToken;

use crate::client::{Api, Use};
use crate::kinds::{Aws, needs};
use crate::normalize::{Cluster, Redactor};
use crate::{preflight, scan};

/// How a cluster is known before its API was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeIdentity {
    /// The cloud's id of the cluster; `None` for a cluster that no cloud lists, which then goes by its kube-system uid.
    pub native_id: Option<NativeId>,
    /// Short name shown to people.
    pub name: String,
    /// Where it runs.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
}

/// What is read beside the default, and how literals are hidden.
#[derive(Clone)]
pub struct Options {
    /// Key of the hash that replaces literal environment values and arguments that look secret. Keep it per tenant and
    /// stable: another key makes every workload look changed.
    pub redaction_key: [u8; 32],
    /// Read the names of secrets. Kubernetes has no verb for names alone: the right to list secrets grants their
    /// content, although only metadata is asked for and kept.
    pub list_secret_names: bool,
    /// Read the names of config maps. As with secrets, the right to list them grants their content.
    pub list_config_map_names: bool,
    /// Whether the cluster is to be watched between scans: then the right to watch is among the permissions.
    pub watch: bool,
    /// Objects asked for at once; at least 1. Memory holds a few pages.
    pub page: usize,
    /// Lists that are read side by side; at least 1.
    pub lists_at_once: usize,
}

impl Options {
    /// The default: no names of secrets or config maps, no watch, pages of moderate size, a few lists side by side.
    pub const fn new(redaction_key: [u8; 32]) -> Self {
        Self {
            redaction_key,
            list_secret_names: false,
            list_config_map_names: false,
            watch: false,
            page: 250,
            lists_at_once: 3,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("list_secret_names", &self.list_secret_names)
            .field("list_config_map_names", &self.list_config_map_names)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}

/// Reads one cluster through its API server.
///
/// Permissions are named `list <plural>[.<group>]`, `watch <plural>[.<group>]`, `get namespaces/kube-system`, `get configmaps/aws-auth`,
/// `get /version` and `get /apis`.
pub struct KubeConnector {
    pub(crate) identity: KubeIdentity,
    access: Arc<dyn ClusterAccess>,
    egress: Egress,
    pub(crate) options: Options,
    caller: Caller,
    read: Mutex<Option<(Scope, Positions)>>,
}

/// The `resourceVersion` up to which each kind is known: where a watch goes on.
pub type Positions = BTreeMap<Kind, String>;

impl fmt::Debug for KubeConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeConnector").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl KubeConnector {
    /// A connector for one cluster. Nothing is sent before a scan or a preflight. `caller` is shared between scans; the
    /// cancellation of each scan's context applies to its own calls.
    pub fn new(
        identity: KubeIdentity,
        access: Arc<dyn ClusterAccess>,
        egress: Egress,
        options: Options,
        caller: Caller,
    ) -> Self {
        Self { identity, access, egress, options, caller, read: Mutex::default() }
    }

    async fn connect(&self, cx: &ScanContext) -> Result<Api, ConnectorError> {
        self.api(cx.cancel.clone(), Use::Calls).await
    }

    pub(crate) async fn api(&self, cancel: CancellationToken, to: Use) -> Result<Api, ConnectorError> {
        let caller = self.caller.with_cancel(cancel);
        let region = self.identity.region.as_deref().unwrap_or_default();
        Api::connect(Arc::clone(&self.access), &self.egress, caller, region, to).await
    }

    /// What the last scan read, and where a watch of each kind goes on that it listed to its end.
    pub fn positions(&self) -> Option<(Scope, Positions)> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the cluster whose kube-system namespace has this uid is known everywhere.
    pub(crate) fn cluster(&self, uid: &str) -> Cluster {
        Cluster {
            name: self.identity.name.clone(),
            cloud: self.identity.cloud,
            account: self.identity.account.clone(),
            region: self.identity.region.clone(),
            redactor: Redactor::new(self.options.redaction_key),
            native_id: NativeId::new(format!("k8s://{uid}")),
            uid: uid.to_owned(),
        }
    }

    /// Key of what a scan or a watch covers.
    pub(crate) fn scope(&self, cluster: &Cluster) -> Scope {
        let source = self.identity.native_id.as_ref().unwrap_or(&cluster.native_id);
        Scope::Cluster { native_id: source.as_str().to_owned(), uid: Some(cluster.uid.clone()) }
    }

    pub(crate) fn aws(&self) -> Aws {
        Aws::of(self.identity.cloud)
    }
}

#[async_trait]
impl Connector for KubeConnector {
    fn permissions(&self) -> Vec<Permission> {
        needs(&self.options, self.aws()).into_iter().map(|need| need.permission).collect()
    }

    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError> {
        let api = self.connect(cx).await?;
        let read = Box::pin(scan::run(self, &api, cx, sink)).await?;
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
        Ok(())
    }

    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError> {
        let api = self.connect(cx).await?;
        Ok(preflight::run(self, &api).await)
    }
}
