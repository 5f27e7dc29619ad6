use rampart_domain::Kind;
use serde::{Deserialize, Serialize};

use crate::organization::Selection;

/// How to read an AWS account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsSettings {
    /// Role to assume with the connector's external id; `None` when static keys are used.
    pub role_arn: Option<String>,
    /// Regions to read; `None` means all that the account has enabled.
    pub regions: Option<Vec<String>>,
    /// `aws`, `aws-us-gov` or `aws-cn`.
    pub partition: String,
    /// Kinds to read; empty means the default.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// What the role trusts; without a meaning for static keys.
    #[serde(default)]
    pub trust: RoleTrust,
    /// Set when the role or the keys are for a whole AWS Organization: then its accounts are read, each by a role of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<AwsOrganization>,
}

/// What an AWS role asks for before it lets itself be assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleTrust {
    /// Rampart's AWS identity and the external id of the connector.
    #[default]
    ExternalId,
    /// A statement of Rampart's OIDC issuer about the connector.
    WebIdentity,
}

/// The accounts of an AWS Organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwsOrganization {
    /// Name, with its path, of the role that every account has for Rampart.
    pub role_name: String,
    /// Which accounts are read.
    #[serde(flatten)]
    pub selection: Selection,
}

impl AwsSettings {
    /// The account whose role is assumed; `None` with static keys, which do not say it.
    pub fn role_account(&self) -> Option<&str> {
        self.role_arn.as_deref()?.split(':').nth(4)
    }

    /// The account of the organisation's own role is read by that role, every other by the role of the agreed name.
    pub(super) fn of_account(&self, account: &str) -> Option<Self> {
        let role = &self.organization.as_ref()?.role_name;
        let own = self.role_arn.clone().filter(|_| self.role_account() == Some(account));
        let role_arn = own.unwrap_or_else(|| format!("arn:{}:iam::{account}:role/{role}", self.partition));
        Some(Self { role_arn: Some(role_arn), organization: None, ..self.clone() })
    }
}
