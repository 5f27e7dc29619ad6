use rampart_domain::ClusterId;
use rampart_store::AccessScope;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::{ApiError, Code};

/// A part of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Scope {
    /// All of it.
    Tenant {},
    /// A cloud account with its clusters.
    Account {
        /// Account, subscription or project.
        #[schema(example = "123456789012")]
        account: String,
    },
    /// A cluster.
    Cluster {
        /// Its id.
        cluster_id: Uuid,
    },
    /// A namespace of a cluster.
    Namespace {
        /// The cluster's id.
        cluster_id: Uuid,
        /// The namespace.
        #[schema(example = "payments")]
        namespace: String,
    },
}

impl From<Scope> for AccessScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Tenant {} => Self::Tenant,
            Scope::Account { account } => Self::Account(account),
            Scope::Cluster { cluster_id } => Self::Cluster(ClusterId(cluster_id)),
            Scope::Namespace { cluster_id, namespace } => Self::Namespace(ClusterId(cluster_id), namespace),
        }
    }
}

impl From<AccessScope> for Scope {
    fn from(scope: AccessScope) -> Self {
        match scope {
            AccessScope::Tenant => Self::Tenant {},
            AccessScope::Account(account) => Self::Account { account },
            AccessScope::Cluster(cluster) => Self::Cluster { cluster_id: cluster.0 },
            AccessScope::Namespace(cluster, namespace) => Self::Namespace { cluster_id: cluster.0, namespace },
        }
    }
}

/// The part of the tenant that numbers are wanted for; without any, all that the caller may see.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScopeQuery {
    /// A cloud account with its clusters.
    pub account: Option<String>,
    /// Id of a cluster.
    pub cluster: Option<Uuid>,
    /// A namespace of `cluster`.
    pub namespace: Option<String>,
}

impl ScopeQuery {
    /// The one scope that is meant.
    pub(crate) fn scope(self) -> Result<AccessScope, ApiError> {
        match (self.account, self.cluster, self.namespace) {
            (None, None, None) => Ok(AccessScope::Tenant),
            (Some(account), None, None) => Ok(AccessScope::Account(account)),
            (None, Some(cluster), None) => Ok(AccessScope::Cluster(ClusterId(cluster))),
            (None, Some(cluster), Some(namespace)) => Ok(AccessScope::Namespace(ClusterId(cluster), namespace)),
            _ => Err(ApiError::new(
                Code::InvalidQuery,
                "give nothing, `account`, `cluster`, or `cluster` and `namespace`",
            )),
        }
    }
}
