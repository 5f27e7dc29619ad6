use rampart_domain::Kind;
use serde::{Deserialize, Serialize};

use crate::organization::Selection;

/// How to read an Azure subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureSettings {
    /// UUID of the subscription; empty for an organisation, whose subscriptions are read one by one.
    pub subscription_id: String,
    /// UUID of the directory (Entra tenant) that the identity is in.
    pub tenant_id: String,
    /// How the identity proves itself.
    pub auth: AzureAuth,
    /// UUID of the application, or of a user-assigned managed identity; `None` for the machine's own.
    pub client_id: Option<String>,
    /// `commercial`, `us_government` or `china`.
    pub cloud: String,
    /// Whether clusters that do not know Entra ID are read with the credentials of their user kubeconfig, which is in
    /// effect that of an administrator.
    #[serde(default)]
    pub local_accounts: bool,
    /// Kinds to read; empty means the default.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Set when the identity may read a whole directory or management group: then its subscriptions are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<AzureOrganization>,
}

/// The subscriptions of a directory or management group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AzureOrganization {
    /// Id of the management group; `None` for the whole directory.
    pub management_group: Option<String>,
    /// Which subscriptions are read.
    #[serde(flatten)]
    pub selection: Selection,
}

impl AzureSettings {
    pub(super) fn of_account(&self, subscription: &str) -> Option<Self> {
        self.organization.as_ref()?;
        Some(Self { subscription_id: subscription.to_owned(), organization: None, ..self.clone() })
    }
}

/// How an identity on Azure proves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AzureAuth {
    /// A secret. Credential: `client_secret`.
    ClientSecret,
    /// A certificate with its key. Credential: `certificate`.
    Certificate,
    /// A statement of Rampart's own issuer about the connector. No credential.
    WorkloadIdentity,
    /// The identity of the machine that Rampart runs on, where the operator lets connectors use it. No credential.
    ManagedIdentity,
}
