use rampart_domain::Kind;
use serde::{Deserialize, Serialize};

use super::aws::{AwsSettings, RoleTrust};
use super::azure::{AzureAuth, AzureSettings};
use super::gcp::{GcpAuth, GcpSettings};
use super::kubernetes::{Delivery, KubernetesSettings};
use crate::organization::Selection;

/// Everything about a source that is not secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "provider", rename_all = "snake_case")]
pub enum Settings {
    /// An AWS account, or those of an AWS Organization. Credentials: none with a role, else `access_key_id`, `secret_access_key`, `session_token`.
    Aws(AwsSettings),
    /// An Azure subscription, or those of a directory or management group. Credentials: `client_secret` or `certificate`, else none.
    Azure(AzureSettings),
    /// A Google Cloud project, or those of an organisation or folder. Credentials: `service_account_key` with a key, else none.
    Gcp(GcpSettings),
    /// A Kubernetes API. Credentials: `kubeconfig`, or `token`.
    Kubernetes(KubernetesSettings),
}

impl Settings {
    /// The word of the provider column.
    pub const fn provider(&self) -> &'static str {
        match self {
            Self::Aws(_) => "aws",
            Self::Azure(_) => "azure",
            Self::Gcp(_) => "gcp",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    /// Whether a collector pushes what is read.
    pub const fn is_pushed(&self) -> bool {
        matches!(self, Self::Kubernetes(KubernetesSettings { delivery: Delivery::Push, .. }))
    }

    /// Kinds to read; empty means all that are read by default.
    pub fn kinds(&self) -> &[Kind] {
        match self {
            Self::Aws(aws) => &aws.kinds,
            Self::Azure(azure) => &azure.kinds,
            Self::Gcp(gcp) => &gcp.kinds,
            Self::Kubernetes(kubernetes) => &kubernetes.kinds,
        }
    }

    /// The same source with other kinds to read.
    #[must_use]
    pub fn with_kinds(self, kinds: Vec<Kind>) -> Self {
        match self {
            Self::Aws(aws) => Self::Aws(AwsSettings { kinds, ..aws }),
            Self::Azure(azure) => Self::Azure(AzureSettings { kinds, ..azure }),
            Self::Gcp(gcp) => Self::Gcp(GcpSettings { kinds, ..gcp }),
            Self::Kubernetes(kubernetes) => Self::Kubernetes(KubernetesSettings { kinds, ..kubernetes }),
        }
    }

    /// Which accounts are read, when this is an organisation.
    pub fn selection(&self) -> Option<&Selection> {
        match self {
            Self::Aws(aws) => aws.organization.as_ref().map(|organization| &organization.selection),
            Self::Azure(azure) => azure.organization.as_ref().map(|organization| &organization.selection),
            Self::Gcp(gcp) => gcp.organization.as_ref().map(|organization| &organization.selection),
            Self::Kubernetes(_) => None,
        }
    }

    /// How one account of this organisation is read; `None` when this is no organisation.
    #[must_use]
    pub fn of_account(&self, account: &str) -> Option<Self> {
        match self {
            Self::Aws(aws) => aws.of_account(account).map(Self::Aws),
            Self::Azure(azure) => azure.of_account(account).map(Self::Azure),
            Self::Gcp(gcp) => gcp.of_account(account).map(Self::Gcp),
            Self::Kubernetes(_) => None,
        }
    }

    /// Whether the source trusts statements of Rampart's OIDC issuer, which an operator must have switched on.
    pub fn needs_issuer(&self) -> bool {
        match self {
            Self::Aws(aws) => aws.role_arn.is_some() && aws.trust == RoleTrust::WebIdentity,
            Self::Azure(azure) => azure.auth == AzureAuth::WorkloadIdentity,
            Self::Gcp(gcp) => matches!(gcp.auth, GcpAuth::WorkloadIdentity { .. }),
            Self::Kubernetes(_) => false,
        }
    }
}
