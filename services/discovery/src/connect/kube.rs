use std::sync::Arc;

use rampart_connector::{ClusterAccess, DiscoveredCluster};
use rampart_connector_kube::{KubeConnector, KubeIdentity, Options, StaticAccess, parse_kubeconfig};
use rampart_domain::{Cloud, TenantId};
use rampart_store::connector::{Connector as Row, KubernetesSettings};
use rampart_store::inventory::ClusterSeen;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::{ConnectError, Credentials, Source, field};
use crate::Discovery;

/// The connector of one cluster that the customer gave.
pub(super) fn source(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    kubernetes: &KubernetesSettings,
    credentials: &Credentials,
    cancel: CancellationToken,
) -> Result<Source, ConnectError> {
    let access = access(kubernetes, credentials)?;
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

/// What the customer said of a cluster.
pub(crate) fn seen(kubernetes: &KubernetesSettings) -> ClusterSeen {
    ClusterSeen {
        name: kubernetes.cluster_name.clone(),
        cloud: kubernetes.cloud,
        account: kubernetes.account.clone(),
        region: kubernetes.region.clone(),
        native_id: kubernetes.native_id.clone(),
        is_claim: true,
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

fn access(kubernetes: &KubernetesSettings, credentials: &Credentials) -> Result<Arc<dyn ClusterAccess>, ConnectError> {
    if let Some(kubeconfig) = credentials.get("kubeconfig") {
        let access = parse_kubeconfig(kubeconfig.expose_secret(), kubernetes.context.as_deref())?;
        return Ok(Arc::new(access));
    }
    let server = kubernetes.server.as_deref().ok_or(ConnectError::MissingCredential("server"))?;
    let token = field(credentials, "token")?.clone();
    let access = StaticAccess::from_token(server, token, kubernetes.ca_pem.as_deref())?;
    Ok(Arc::new(access.with_tls_server_name(kubernetes.tls_server_name.clone())))
}
