use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, CoverageState, Gap, Kind, NativeId};
use tokio_util::sync::CancellationToken;

use crate::{ClusterAccess, ConnectorError, Sink};

/// What a scan is given.
#[derive(Debug, Clone)]
pub struct ScanContext {
    /// Fires when the scan must stop; every wait and call observes it.
    pub cancel: CancellationToken,
    /// Kinds to read; empty means all that the connector knows by default.
    pub kinds: Vec<Kind>,
    /// When the scan began.
    pub started_at: DateTime<Utc>,
}

/// A cluster found through a cloud API.
#[derive(Clone)]
pub struct DiscoveredCluster {
    /// The cloud's id of the cluster.
    pub native_id: NativeId,
    /// Its short name.
    pub name: String,
    /// The cloud.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// How to reach its API.
    pub access: Arc<dyn ClusterAccess>,
}

impl std::fmt::Debug for DiscoveredCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiscoveredCluster").field("native_id", &self.native_id).finish_non_exhaustive()
    }
}

/// A permission that the connector uses, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Permission {
    /// The cloud's own name: `eks:DescribeCluster`, `list pods`.
    pub name: String,
    /// Kinds that are lost without it.
    pub kinds: Vec<Kind>,
}

/// What the preflight found about one permission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionState {
    /// The call was made and answered, or the review allowed it.
    Granted,
    /// It was refused; the gap says how and what to do.
    Missing(Gap),
    /// It could not be tried (nothing to try it on, no connection); the text says why.
    Unproven(String),
}

/// One line of a preflight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionCheck {
    /// The permission.
    pub permission: Permission,
    /// Where it was tried: region or cluster.
    pub scope: String,
    /// What came out.
    pub state: PermissionState,
}

impl PermissionCheck {
    /// The line for a call that was tried: granted when it answered, missing or unproven otherwise.
    pub fn from_call<T>(permission: Permission, scope: &str, result: &Result<T, ConnectorError>, remedy: &str) -> Self {
        let state = match result {
            Ok(_) => PermissionState::Granted,
            Err(error) => match error.coverage() {
                state @ (CoverageState::Denied | CoverageState::Unauthorized) => {
                    PermissionState::Missing(Gap { state, message: error.to_string(), remedy: remedy.to_owned() })
                }
                _ => PermissionState::Unproven(error.to_string()),
            },
        };
        Self { permission, scope: scope.to_owned(), state }
    }
}

/// A source of inventory.
#[async_trait]
pub trait Connector: Send + Sync {
    /// Every permission that a scan uses. Templates and the preflight are made from it.
    fn permissions(&self) -> Vec<Permission>;

    /// Reads everything and reports through `sink`. A listing that fails is reported as incomplete and the scan goes
    /// on; an error from here means that nothing at all could be read (credentials refused, endpoint gone).
    async fn scan(&self, cx: &ScanContext, sink: &Sink) -> Result<(), ConnectorError>;

    /// The way to the API of one cluster that a scan found, without a scan; `None` when it is gone, has no API now, or this
    /// source finds no clusters.
    async fn cluster(&self, _native_id: &NativeId) -> Result<Option<DiscoveredCluster>, ConnectorError> {
        Ok(None)
    }

    /// Tries each permission once without reading the inventory.
    async fn preflight(&self, cx: &ScanContext) -> Result<Vec<PermissionCheck>, ConnectorError>;
}
