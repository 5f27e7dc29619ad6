use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Cloud;

/// What one listing covers. Completeness, coverage and deletion are decided per scope and kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Scope {
    /// A region of a cloud account; `region` is `global` for account-wide APIs.
    Region {
        /// The cloud.
        cloud: Cloud,
        /// Account, subscription or project id.
        account: String,
        /// Region name as the cloud spells it.
        region: String,
    },
    /// A Kubernetes API.
    Cluster {
        /// Native id of the cluster: the cloud's id, or `k8s://<kube-system uid>`.
        native_id: String,
        /// Uid of the kube-system namespace; unknown until the API was reached once.
        uid: Option<String>,
    },
}

impl fmt::Display for Scope {
    /// The stable key under which coverage and ownership are stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region { cloud, account, region } => write!(f, "{cloud}/{account}/{region}"),
            Self::Cluster { native_id, .. } => write!(f, "cluster/{native_id}"),
        }
    }
}
