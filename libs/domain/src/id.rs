use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The UUID inside, for the database and for views.
            pub const fn get(self) -> Uuid { self.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::from_str(text).map(Self) }
        }
    )+};
}

uuid_id! {
    /// A customer: the outermost boundary of every read and write.
    TenantId,
    /// One onboarded account or cluster with its credentials.
    ConnectorId,
    /// One run of a connector.
    ScanId,
    /// One run of a connector's permission check.
    PreflightId,
    /// One preview of what a choice of an organisation's accounts would do.
    PreviewId,
    /// One job that a caller asked for.
    JobId,
    /// One Kubernetes cluster, whichever source it was seen through.
    ClusterId,
    /// What is assessed at once: a cluster, or a cloud account without its clusters.
    UnitId,
    /// One thing in the inventory; derived from tenant and native id.
    ResourceId,
    /// What one change of one source reaches; derived from tenant and source.
    FixUnitId,
    /// A set of controls.
    InitiativeId,
    /// An initiative applied to a scope.
    AssignmentId,
    /// A deviation that was accepted.
    ExemptionId,
    /// A control that is turned off for a scope.
    DisabledControlId,
    /// A rule that says how much depends on some resources.
    CriticalityRuleId,
    /// A rule that says who mends some findings, and by when.
    GovernanceRuleId,
    /// An API token (never its secret).
    TokenId,
    /// Somebody who is told of findings and scans.
    WebhookId,
    /// One message to a webhook, however often it is sent.
    DeliveryId,
    /// An OIDC issuer whose tokens a tenant takes.
    IdentityProviderId,
    /// Whoever calls: the id of a token, or derived from an identity provider and the subject there.
    ActorId,
}

impl ActorId {
    /// The id of the caller that `provider` calls `subject` (`UUIDv5`, so that every replica agrees).
    pub fn derive(provider: IdentityProviderId, subject: &str) -> Self {
        Self(Uuid::new_v5(&provider.0, subject.as_bytes()))
    }
}

impl From<TokenId> for ActorId {
    fn from(token: TokenId) -> Self {
        Self(token.0)
    }
}

impl ResourceId {
    /// The id of the resource that the provider calls `native` in this tenant (`UUIDv5`, so that every replica agrees).
    pub fn derive(tenant: TenantId, native: &NativeId) -> Self {
        Self(Uuid::new_v5(&tenant.0, native.as_str().as_bytes()))
    }
}

impl UnitId {
    /// The unit of a cloud account: everything in it that belongs to no cluster.
    pub fn account(tenant: TenantId, cloud: crate::Cloud, account: &str) -> Self {
        Self(Uuid::new_v5(&tenant.0, format!("account:{cloud}:{account}").as_bytes()))
    }
}

impl FixUnitId {
    /// The unit of a source: the same in every cluster, and for every replica.
    pub fn derive(tenant: TenantId, source: crate::SourceType, key: &str) -> Self {
        Self(Uuid::new_v5(&tenant.0, format!("fix-unit:{source}:{key}").as_bytes()))
    }
}

impl From<ClusterId> for UnitId {
    fn from(id: ClusterId) -> Self {
        Self(id.0)
    }
}

/// The provider's own name for a resource: an ARN, an ARM id, or `k8s://<cluster uid>/<group>/<kind>/<namespace>/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NativeId(Box<str>);

impl NativeId {
    /// Wraps an id that a provider gave.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(id.into())
    }

    /// The id of a Kubernetes object. `group` is empty for the core group, `namespace` for cluster-wide objects.
    /// `cluster_uid` is the uid of the cluster's kube-system namespace: a recreated cluster has other objects.
    pub fn kubernetes(cluster_uid: &str, group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self(format!("k8s://{cluster_uid}/{group}/{kind}/{namespace}/{name}").into())
    }

    /// The id of an image that runs in a cluster. It begins with the digest, so that one prefix finds the image in every
    /// cluster, and ends with the cluster, so that each cluster's scan keeps its own row.
    pub fn running_image(digest: &str, cluster_uid: &str) -> Self {
        Self(format!("image://{digest}@{cluster_uid}").into())
    }

    /// The text as the provider spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NativeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
