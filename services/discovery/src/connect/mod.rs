//! From a stored row to a connector that is ready to be run; a file per provider says what it is told.

mod aws;
mod azure;
mod gcp;
mod kube;

use std::collections::BTreeMap;
use std::sync::Arc;

use rampart_connector::{Connector, Organization, WorkloadIdentity};
use rampart_connector_aws::{AwsConfigError, AwsConnector, AwsOrganization};
use rampart_connector_azure::{AzureConfigError, AzureConnector, AzureOrganization, AzureRoot, UnknownCloud};
use rampart_connector_gcp::{GcpConnector, GcpOrganization, GcpSetupError, InvalidKey, Parent};
use rampart_connector_kube::{KubeConnector, KubeconfigError};
use rampart_domain::{Cloud, Kind, Scope, TenantId};
use rampart_store::connector::{Connector as Row, Settings};
use rampart_store::inventory::ClusterSeen;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::Discovery;
use crate::issuer::FederationOff;
use crate::pushed::Pushed;

pub(crate) use kube::{cluster, seen};

/// A connector that is ready to be run.
pub(crate) enum Source {
    /// Reads a cloud account and finds clusters.
    Cloud(Box<dyn Connector>),
    /// Reads one cluster.
    Cluster {
        /// The connector.
        connector: Box<KubeConnector>,
        /// What the customer said of the cluster.
        seen: ClusterSeen,
    },
    /// One cluster, as a collector pushed it.
    Pushed {
        /// The stored session.
        connector: Box<Pushed>,
        /// What the customer said of the cluster.
        seen: ClusterSeen,
    },
    /// Reads who belongs to an organisation. Its accounts are read by connectors of their own.
    Organization {
        /// The organisation.
        organization: Box<dyn Organization>,
        /// Under which its reading is covered. From the settings alone: a reading that fails is told at the same place.
        scope: Scope,
        /// What the organisation and its units are.
        kind: Kind,
    },
}

/// Why a stored connector cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Aws(#[from] AwsConfigError),
    #[error(transparent)]
    Azure(#[from] AzureConfigError),
    #[error(transparent)]
    AzureCloud(#[from] UnknownCloud),
    #[error(
        "the operator does not let connectors use this machine's managed identity (RAMPART_AZURE_MANAGED_IDENTITY)"
    )]
    ManagedIdentityOff,
    #[error(transparent)]
    Gcp(#[from] GcpSetupError),
    #[error(transparent)]
    GcpKey(#[from] InvalidKey),
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error("the connector lacks its credential `{0}`; supply it again")]
    MissingCredential(&'static str),
    #[error("the connector reads no account in which clusters could be found")]
    NoClusters,
    #[error("the cluster is not reached from here: a collector pushes what it reads, and its log says what it lacks")]
    Pushed,
    #[error(transparent)]
    FederationOff(#[from] FederationOff),
}

/// Secrets by field.
pub(crate) type Credentials = BTreeMap<String, SecretString>;

/// Builds the connector of a stored row.
pub(crate) fn source(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    credentials: &Credentials,
    cancel: CancellationToken,
) -> Result<Source, ConnectError> {
    match &row.settings {
        Settings::Aws(aws) => {
            let config = aws::config(discovery, tenant, row, aws, credentials)?;
            let (caller, egress) = (discovery.caller.with_cancel(cancel), discovery.egress.clone());
            if aws.organization.is_none() {
                return Ok(Source::Cloud(Box::new(AwsConnector::new(config, caller, egress)?)));
            }
            Ok(Source::Organization {
                organization: Box::new(AwsOrganization::new(config, caller, egress)?),
                scope: organization_scope(row, Cloud::Aws, aws.role_account()),
                kind: Kind::AwsOrganization,
            })
        }
        Settings::Azure(azure) => {
            let config = azure::config(discovery, tenant, row, azure, credentials)?;
            let (caller, egress) = (discovery.caller.with_cancel(cancel), discovery.egress.clone());
            let Some(organization) = &azure.organization else {
                return Ok(Source::Cloud(Box::new(AzureConnector::new(config, caller, egress)?)));
            };
            let root = organization.management_group.clone().map_or(AzureRoot::Tenant, AzureRoot::ManagementGroup);
            Ok(Source::Organization {
                organization: Box::new(AzureOrganization::new(config.identity, root, caller, egress)?),
                scope: organization_scope(row, Cloud::Azure, Some(&azure.tenant_id)),
                kind: Kind::AzureManagementGroup,
            })
        }
        Settings::Gcp(gcp) => {
            let config = gcp::config(discovery, tenant, row, gcp, credentials)?;
            let caller = discovery.caller.with_cancel(cancel);
            let Some(organization) = &gcp.organization else {
                return Ok(Source::Cloud(Box::new(GcpConnector::new(config, &caller, &discovery.egress)?)));
            };
            let root = organization.parent.parse::<Parent>().map_err(GcpSetupError::from)?;
            Ok(Source::Organization {
                organization: Box::new(GcpOrganization::new(root, config.login, &caller, &discovery.egress)?),
                scope: organization_scope(row, Cloud::Gcp, Some(&organization.parent)),
                kind: Kind::GcpFolder,
            })
        }
        Settings::Kubernetes(kubernetes) if row.settings.is_pushed() => {
            tracing::debug!(connector.id = %row.id, cluster = kubernetes.cluster_name, "a pushed cluster has no address");
            Err(ConnectError::Pushed)
        }
        Settings::Kubernetes(kubernetes) => kube::source(discovery, tenant, row, kubernetes, credentials, cancel),
    }
}

/// The place of an organisation's own reading. `account` is the one that the credentials belong to, as far as the settings
/// say it.
fn organization_scope(row: &Row, cloud: Cloud, account: Option<&str>) -> Scope {
    let account = account.map_or_else(|| format!("connector:{}", row.id), str::to_owned);
    Scope::Region { cloud, account, region: "global".to_owned() }
}

/// Who states to clouds which connector this is. Accounts of an organisation trust what is said of the organisation.
fn identity(discovery: &Discovery, tenant: TenantId, row: &Row) -> Result<Arc<dyn WorkloadIdentity>, FederationOff> {
    let subject = row.member.as_ref().map_or(row.id, |member| member.organization);
    discovery.identity(tenant, subject)
}

fn field<'a>(credentials: &'a Credentials, name: &'static str) -> Result<&'a SecretString, ConnectError> {
    credentials.get(name).ok_or(ConnectError::MissingCredential(name))
}
