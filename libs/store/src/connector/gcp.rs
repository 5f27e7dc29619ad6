use rampart_domain::Kind;
use serde::{Deserialize, Serialize};

use crate::organization::Selection;

/// How to read a Google Cloud project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcpSettings {
    /// The project's id; empty for an organisation, whose projects are read one by one.
    pub project_id: String,
    /// Which credentials are used.
    pub auth: GcpAuth,
    /// Regions, multi-regions and zones to read; `None` means all.
    pub locations: Option<Vec<String>>,
    /// Kinds to read; empty means the default.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Set when the credentials may read a whole organisation or folder: then its projects are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<GcpOrganization>,
}

/// The projects of an organisation or folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcpOrganization {
    /// `organizations/<number>` or `folders/<number>`.
    pub parent: String,
    /// Which projects are read.
    #[serde(flatten)]
    pub selection: Selection,
}

impl GcpSettings {
    pub(super) fn of_account(&self, project: &str) -> Option<Self> {
        self.organization.as_ref()?;
        Some(Self { project_id: project.to_owned(), organization: None, ..self.clone() })
    }
}

/// Which credentials a Google Cloud project is read with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GcpAuth {
    /// A key of a service account. Credential: `service_account_key`.
    ServiceAccountKey {
        /// Service account that it acts as, when that is another one.
        service_account: Option<String>,
    },
    /// A statement of Rampart's own issuer.
    WorkloadIdentity {
        /// `projects/<number>/locations/global/workloadIdentityPools/<pool>/providers/<provider>`.
        provider: String,
        /// Service account that the federated identity acts as; `None` when roles are granted to it directly.
        service_account: Option<String>,
    },
    /// Rampart's own identity acts as a service account that is named by the connector's external id: so nobody can
    /// point Rampart at an account that was made for somebody else.
    Impersonation {
        /// Project of the service account.
        service_account_project: String,
    },
}

impl GcpAuth {
    /// The address of the service account that a connector with this external id acts as; `None` without one.
    pub fn service_account(&self, external_id: Option<&str>) -> Option<String> {
        match self {
            Self::ServiceAccountKey { service_account } | Self::WorkloadIdentity { service_account, .. } => {
                service_account.clone()
            }
            Self::Impersonation { service_account_project } => {
                Some(format!("{}@{service_account_project}.iam.gserviceaccount.com", external_id?))
            }
        }
    }
}
