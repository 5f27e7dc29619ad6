use std::collections::BTreeMap;
use std::sync::Arc;

use rampart_connector::{ClusterAccess, Connector, DiscoveredCluster};
use rampart_connector_aws::{AwsAuth, AwsConfig, AwsConfigError, AwsConnector, Partition, Regions, StaticKeys};
use rampart_connector_kube::{KubeConnector, KubeIdentity, KubeconfigError, Options, StaticAccess, parse_kubeconfig};
use rampart_domain::{Cloud, TenantId};
use rampart_store::connector::{AwsSettings, Connector as Row, KubernetesSettings, Settings};
use rampart_store::inventory::ClusterSeen;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::sync::CancellationToken;

use crate::Discovery;

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
}

/// Why a stored connector cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Aws(#[from] AwsConfigError),
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    #[error("the connector lacks its credential `{0}`; supply it again")]
    MissingCredential(&'static str),
}

type Credentials = BTreeMap<String, SecretString>;

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
            let config = aws_config(discovery, row, aws, credentials)?;
            let connector = AwsConnector::new(config, discovery.caller.with_cancel(cancel))?;
            Ok(Source::Cloud(Box::new(connector)))
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
            let seen = ClusterSeen {
                name: kubernetes.cluster_name.clone(),
                cloud: kubernetes.cloud,
                account: kubernetes.account.clone(),
                region: kubernetes.region.clone(),
                ..ClusterSeen::default()
            };
            let mut options = options(discovery, tenant);
            options.watch = row.watch;
            let caller = discovery.caller.with_cancel(cancel);
            let connector = KubeConnector::new(identity, access, discovery.egress.clone(), options, caller);
            Ok(Source::Cluster { connector: Box::new(connector), seen })
        }
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
    row: &Row,
    aws: &AwsSettings,
    credentials: &Credentials,
) -> Result<AwsConfig, ConnectError> {
    let auth = match (&aws.role_arn, &row.external_id) {
        (Some(role_arn), Some(external_id)) => AwsAuth::Role {
            role_arn: role_arn.clone(),
            external_id: external_id.clone(),
            session_name: format!("rampart-{}", row.id.0.simple()),
        },
        (Some(_), None) => return Err(ConnectError::MissingCredential("external_id")),
        (None, _) => AwsAuth::Static(StaticKeys {
            access_key_id: field(credentials, "access_key_id")?.expose_secret().to_owned(),
            secret_access_key: field(credentials, "secret_access_key")?.clone(),
            session_token: credentials.get("session_token").cloned(),
        }),
    };
    let base = discovery.config.aws_access_key_id.as_ref().zip(discovery.config.aws_secret_access_key.as_ref()).map(
        |(id, secret)| StaticKeys { access_key_id: id.clone(), secret_access_key: secret.clone(), session_token: None },
    );
    Ok(AwsConfig {
        auth,
        partition: Some(aws.partition.parse::<Partition>().map_err(AwsConfigError::from)?),
        regions: aws.regions.clone().map_or(Regions::Enabled, Regions::Chosen),
        endpoint_override: discovery.config.aws_endpoint.clone(),
        base,
    })
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
