use std::collections::BTreeMap;
use std::sync::Arc;

use rampart_connector::{ClusterAccess, Connector, DiscoveredCluster, Organization, WorkloadIdentity};
use rampart_connector_aws::{
    AwsAuth, AwsConfig, AwsConfigError, AwsConnector, AwsOrganization, Federation, Partition, Regions, StaticKeys,
};
use rampart_connector_azure::{
    AzureAuth, AzureCloud, AzureConfig, AzureConfigError, AzureConnector, AzureIdentity, AzureOrganization, AzureRoot,
    LocalAccounts, UnknownCloud,
};
use rampart_connector_gcp::{
    GcpConfig, GcpConnector, GcpOrganization, GcpSetupError, InvalidKey, Login, Parent, ServiceAccountKey,
};
use rampart_connector_kube::{KubeConnector, KubeIdentity, KubeconfigError, Options, StaticAccess, parse_kubeconfig};
use rampart_domain::{Cloud, Kind, Scope, TenantId};
use rampart_store::connector::{
    AwsSettings, AzureAuth as AzureAuthWord, AzureSettings, Connector as Row, GcpAuth, GcpSettings, KubernetesSettings,
    RoleTrust, Settings,
};
use rampart_store::inventory::ClusterSeen;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::Discovery;
use crate::issuer::FederationOff;
use crate::pushed::Pushed;

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
            let config = aws_config(discovery, tenant, row, aws, credentials)?;
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
            let config = azure_config(discovery, tenant, row, azure, credentials)?;
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
            let config = gcp_config(discovery, tenant, row, gcp, credentials)?;
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
        Settings::Kubernetes(kubernetes) => {
            let access = kubernetes_access(kubernetes, credentials)?;
            let identity = KubeIdentity {
                native_id: None,
                name: kubernetes.cluster_name.clone(),
                cloud: kubernetes.cloud.unwrap_or(Cloud::OnPremises),
                account: kubernetes.account.clone(),
                region: kubernetes.region.clone(),
            };
            let seen = seen(kubernetes);
            let mut options = options(discovery, tenant);
            options.watch = row.watch;
            let caller = discovery.caller.with_cancel(cancel);
            let connector = KubeConnector::new(identity, access, discovery.egress.clone(), options, caller);
            Ok(Source::Cluster { connector: Box::new(connector), seen })
        }
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

/// What the customer said of a cluster.
pub(crate) fn seen(kubernetes: &KubernetesSettings) -> ClusterSeen {
    ClusterSeen {
        name: kubernetes.cluster_name.clone(),
        cloud: kubernetes.cloud,
        account: kubernetes.account.clone(),
        region: kubernetes.region.clone(),
        ..ClusterSeen::default()
    }
}

/// Builds the connector of a cluster that a cloud connector found.
pub(crate) fn cluster(
    discovery: &Discovery,
    tenant: TenantId,
    found: &DiscoveredCluster,
    cancel: CancellationToken,
) -> KubeConnector {
    let identity = KubeIdentity {
        native_id: Some(found.native_id.clone()),
        name: found.name.clone(),
        cloud: found.cloud,
        account: found.account.clone(),
        region: found.region.clone(),
    };
    let (options, caller) = (options(discovery, tenant), discovery.caller.with_cancel(cancel));
    KubeConnector::new(identity, found.access.clone(), discovery.egress.clone(), options, caller)
}

fn options(discovery: &Discovery, tenant: TenantId) -> Options {
    // Hashes of literal values are comparable inside a tenant and useless outside it.
    Options::new(discovery.keyring.redaction_key(tenant))
}

fn aws_config(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    aws: &AwsSettings,
    credentials: &Credentials,
) -> Result<AwsConfig, ConnectError> {
    let session_name = row.session_name();
    let auth = match (&aws.role_arn, &row.external_id) {
        (Some(role_arn), _) if aws.trust == RoleTrust::WebIdentity => {
            let identity = Federation(identity(discovery, tenant, row)?);
            AwsAuth::WebIdentity { role_arn: role_arn.clone(), session_name, identity }
        }
        (Some(role_arn), Some(external_id)) => {
            AwsAuth::Role { role_arn: role_arn.clone(), external_id: external_id.clone(), session_name }
        }
        (Some(_), None) => return Err(ConnectError::MissingCredential("external_id")),
        (None, _) => AwsAuth::Static(static_keys(credentials)?),
    };
    // The keys of an organisation assume the roles of its accounts.
    let inherited = row.member.as_ref().and_then(|_| static_keys(credentials).ok());
    let own = discovery.config.aws_access_key_id.as_ref().zip(discovery.config.aws_secret_access_key.as_ref()).map(
        |(id, secret)| StaticKeys { access_key_id: id.clone(), secret_access_key: secret.clone(), session_token: None },
    );
    Ok(AwsConfig {
        auth,
        partition: Some(aws.partition.parse::<Partition>().map_err(AwsConfigError::from)?),
        regions: aws.regions.clone().map_or(Regions::Enabled, Regions::Chosen),
        endpoint_override: discovery.config.aws_endpoint.clone(),
        base: inherited.or(own),
    })
}

fn static_keys(credentials: &Credentials) -> Result<StaticKeys, ConnectError> {
    Ok(StaticKeys {
        access_key_id: field(credentials, "access_key_id")?.expose_secret().to_owned(),
        secret_access_key: field(credentials, "secret_access_key")?.clone(),
        session_token: credentials.get("session_token").cloned(),
    })
}

fn azure_config(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    azure: &AzureSettings,
    credentials: &Credentials,
) -> Result<AzureConfig, ConnectError> {
    let client_id = || azure.client_id.clone().ok_or(ConnectError::MissingCredential("client_id"));
    let auth = match azure.auth {
        AzureAuthWord::ClientSecret => {
            AzureAuth::ClientSecret { client_id: client_id()?, secret: field(credentials, "client_secret")?.clone() }
        }
        AzureAuthWord::Certificate => {
            AzureAuth::Certificate { client_id: client_id()?, pem: field(credentials, "certificate")?.clone() }
        }
        AzureAuthWord::WorkloadIdentity => {
            AzureAuth::Federated { client_id: client_id()?, identity: identity(discovery, tenant, row)? }
        }
        AzureAuthWord::ManagedIdentity => AzureAuth::Managed {
            client_id: azure.client_id.clone(),
            endpoint: discovery.config.azure_managed_identity.clone().ok_or(ConnectError::ManagedIdentityOff)?,
        },
    };
    let identity = AzureIdentity {
        tenant_id: azure.tenant_id.clone(),
        cloud: azure.cloud.parse::<AzureCloud>()?,
        auth,
        endpoint_override: discovery.config.azure_endpoint.clone(),
    };
    let local_accounts = if azure.local_accounts { LocalAccounts::Used } else { LocalAccounts::Refused };
    Ok(AzureConfig { identity, subscription_id: azure.subscription_id.clone(), local_accounts })
}

fn gcp_config(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    gcp: &GcpSettings,
    credentials: &Credentials,
) -> Result<GcpConfig, ConnectError> {
    use rampart_connector_gcp::GcpAuth as Auth;

    let service_account = gcp.auth.service_account(row.external_id.as_deref());
    let auth = match &gcp.auth {
        GcpAuth::ServiceAccountKey { .. } => {
            let key = ServiceAccountKey::parse(field(credentials, "service_account_key")?)?;
            Auth::Key { key, impersonate: service_account }
        }
        GcpAuth::WorkloadIdentity { provider, .. } => Auth::Federated {
            provider: provider.clone(),
            identity: identity(discovery, tenant, row)?,
            impersonate: service_account,
        },
        GcpAuth::Impersonation { .. } => {
            let service_account = service_account.ok_or(ConnectError::MissingCredential("external_id"))?;
            Auth::Impersonated { service_account }
        }
    };
    let operator = discovery.config.gcp_credentials.as_ref().map(ServiceAccountKey::parse).transpose()?;
    let login = Login { auth, operator, endpoint_override: discovery.config.gcp_endpoint.clone() };
    Ok(GcpConfig { project_id: gcp.project_id.clone(), locations: gcp.locations.clone(), login })
}

fn kubernetes_access(
    kubernetes: &KubernetesSettings,
    credentials: &Credentials,
) -> Result<Arc<dyn ClusterAccess>, ConnectError> {
    if let Some(kubeconfig) = credentials.get("kubeconfig") {
        let access = parse_kubeconfig(kubeconfig.expose_secret(), kubernetes.context.as_deref())?;
        return Ok(Arc::new(access));
    }
    let server = kubernetes.server.as_deref().ok_or(ConnectError::MissingCredential("server"))?;
    let token = field(credentials, "token")?.clone();
    let access = StaticAccess::from_token(server, token, kubernetes.ca_pem.as_deref())?;
    Ok(Arc::new(access.with_tls_server_name(kubernetes.tls_server_name.clone())))
}

fn field<'a>(credentials: &'a Credentials, name: &'static str) -> Result<&'a SecretString, ConnectError> {
    credentials.get(name).ok_or(ConnectError::MissingCredential(name))
}
