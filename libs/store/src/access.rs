//! Who asks, what they may do, and what they may see.

use rampart_domain::{ActorId, ClusterId, ConnectorId, TenantId, TokenId};
use serde::{Deserialize, Serialize};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::StoreError;

/// What a caller may do. The order is not a ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything, including tokens.
    Owner,
    /// Assignments, initiatives, exemptions, and all reads.
    SecurityAdmin,
    /// All reads.
    SecurityReader,
    /// Connectors and scans, and reads of the inventory.
    ConnectorAdmin,
}

impl Role {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::SecurityAdmin => "security_admin",
            Self::SecurityReader => "security_reader",
            Self::ConnectorAdmin => "connector_admin",
        }
    }

    /// Whether the role allows `permission`.
    pub const fn allows(self, permission: Permission) -> bool {
        match permission {
            Permission::ReadInventory => true,
            Permission::ReadFindings => !matches!(self, Self::ConnectorAdmin),
            Permission::ManageConnectors => matches!(self, Self::Owner | Self::ConnectorAdmin),
            Permission::ManagePolicy => matches!(self, Self::Owner | Self::SecurityAdmin),
            Permission::ManageTenant => matches!(self, Self::Owner),
            Permission::ReadAuditLog => matches!(self, Self::Owner | Self::SecurityAdmin),
        }
    }
}

impl std::str::FromStr for Role {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Owner, Self::SecurityAdmin, Self::SecurityReader, Self::ConnectorAdmin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("role `{text}`")))
    }
}

/// What an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Clusters, resources, images, coverage, scans.
    ReadInventory,
    /// Findings, recommendations, score.
    ReadFindings,
    /// Create, change, test, scan and delete connectors. Needs a tenant-wide grant.
    ManageConnectors,
    /// Initiatives, assignments, exemptions, controls that are turned off, rules of governance and criticality, and who
    /// mends a finding.
    ManagePolicy,
    /// Tokens, identity providers and the tenant itself. Needs a tenant-wide grant.
    ManageTenant,
    /// Who did what. Needs a tenant-wide grant.
    ReadAuditLog,
}

/// Where a grant holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccessScope {
    /// The whole tenant.
    Tenant,
    /// One cloud account with its clusters.
    Account(String),
    /// One cluster.
    Cluster(ClusterId),
    /// One namespace of one cluster.
    Namespace(ClusterId, String),
}

/// A role in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// Where.
    pub scope: AccessScope,
}

/// Who calls, whichever way that was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The id of the token; or what is derived from provider and subject.
    pub id: ActorId,
    /// Name of the token; or the name that the identity provider gives, else the subject.
    pub name: String,
    /// The identity provider that speaks for the caller; `None` for a token.
    pub identity: Option<Identity>,
}

/// A caller as an identity provider knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name of the provider.
    pub provider: String,
    /// What the provider calls the caller.
    pub subject: String,
}

impl Actor {
    /// The bearer of an API token.
    pub fn token(id: TokenId, name: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), identity: None }
    }

    /// The word for how the caller was recognised.
    pub const fn kind(&self) -> &'static str {
        match self.identity {
            None => "token",
            Some(_) => "identity",
        }
    }
}

/// An authenticated caller.
#[derive(Debug, Clone)]
pub struct Access {
    /// Whose data.
    pub tenant: TenantId,
    /// Who calls.
    pub actor: Actor,
    /// What it may do where; empty only for a collector.
    pub grants: Vec<Grant>,
    /// The connector that it may push batches to, when it is a collector's. It may do nothing else.
    pub collector: Option<ConnectorId>,
}

impl Access {
    /// Whether any grant allows `permission`, wherever.
    pub fn allows_somewhere(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.role.allows(permission))
    }

    /// Whether a tenant-wide grant allows `permission`.
    pub fn allows_everywhere(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.scope == AccessScope::Tenant && grant.role.allows(permission))
    }

    /// What the grants that allow `permission` make visible.
    pub fn visible(&self, permission: Permission) -> Visible {
        let mut visible = Visible::default();
        for grant in self.grants.iter().filter(|grant| grant.role.allows(permission)) {
            match &grant.scope {
                AccessScope::Tenant => visible.all = true,
                AccessScope::Account(account) => visible.accounts.push(account.clone()),
                AccessScope::Cluster(cluster) => visible.clusters.push(cluster.0),
                AccessScope::Namespace(cluster, namespace) => {
                    // Two roles in one namespace show it once.
                    if !visible.has_namespace(cluster.0, namespace) {
                        visible.namespace_clusters.push(cluster.0);
                        visible.namespaces.push(namespace.clone());
                    }
                }
            }
        }
        visible
    }
}

/// The part of a tenant that a caller may see. Filters every read in SQL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visible {
    /// The whole tenant.
    pub all: bool,
    /// Cloud accounts, with their clusters.
    pub accounts: Vec<String>,
    /// Clusters.
    pub clusters: Vec<Uuid>,
    /// Clusters of the namespaces, pairwise with `namespaces`.
    pub namespace_clusters: Vec<Uuid>,
    /// Namespaces, pairwise with `namespace_clusters`.
    pub namespaces: Vec<String>,
}

impl Visible {
    /// Whether something with these columns is visible.
    pub fn sees(&self, account: Option<&str>, cluster: Option<Uuid>, namespace: Option<&str>) -> bool {
        self.all
            || account.is_some_and(|account| self.accounts.iter().any(|own| own == account))
            || cluster.is_some_and(|cluster| {
                self.clusters.contains(&cluster) || namespace.is_some_and(|name| self.has_namespace(cluster, name))
            })
    }

    /// Whether a grant names this namespace.
    pub(crate) fn has_namespace(&self, cluster: Uuid, namespace: &str) -> bool {
        self.namespace_clusters.iter().zip(&self.namespaces).any(|(c, n)| *c == cluster && n == namespace)
    }

    /// Appends ` and (…)` over the columns `account`, `cluster_id` and `namespace` of `alias`.
    pub(crate) fn push(&self, query: &mut QueryBuilder<Postgres>, alias: &'static str) {
        if self.all {
            return;
        }
        query.push(format!(" and ({alias}.account = any("));
        query.push_bind(self.accounts.clone());
        query.push(format!(") or {alias}.cluster_id = any("));
        query.push_bind(self.clusters.clone());
        query.push(format!(") or ({alias}.cluster_id, {alias}.namespace) in (select * from unnest("));
        query.push_bind(self.namespace_clusters.clone());
        query.push(", ");
        query.push_bind(self.namespaces.clone());
        query.push(")))");
    }

    /// Appends ` and (…)` over the columns `account` and `cluster_id` of `alias`, for tables without a namespace: a
    /// namespace grant makes its cluster visible as such.
    pub(crate) fn push_cluster(&self, query: &mut QueryBuilder<Postgres>, alias: &'static str) {
        if self.all {
            return;
        }
        query.push(format!(" and ({alias}.account = any("));
        query.push_bind(self.accounts.clone());
        query.push(format!(") or {alias}.cluster_id = any("));
        query.push_bind([self.clusters.clone(), self.namespace_clusters.clone()].concat());
        query.push("))");
    }
}
