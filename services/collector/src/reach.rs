use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use rampart_batch::CollectorToken;
use rampart_connector::{
    BearerToken, Caller, ClusterAccess, ClusterEndpoint, ConnectorError, Egress, EgressPolicy, ErrorKind, Limits,
};
use rampart_connector_kube::{KubeConnector, KubeIdentity, Options, parse_kubeconfig};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::Args;

/// Where Kubernetes puts a pod's identity.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Objects asked for at once.
const PAGE: usize = 50;
/// Largest answer that is read; a list whose page is larger is asked for in smaller ones.
const LARGEST_ANSWER: usize = 8 << 20;
/// The kubelet rotates the token's file; it is read again after this long.
const TOKEN_LIFE: TimeDelta = TimeDelta::minutes(2);

/// The connector of the cluster that is to be read.
pub(crate) async fn connector(
    args: &Args,
    token: &CollectorToken,
    cancel: &CancellationToken,
) -> anyhow::Result<KubeConnector> {
    let access: Arc<dyn ClusterAccess> = match &args.kubeconfig {
        Some(path) if !args.in_cluster => {
            let text = tokio::fs::read_to_string(path).await;
            let text = text.with_context(|| format!("could not read {}", path.display()))?;
            let access = parse_kubeconfig(&text, args.context.as_deref());
            Arc::new(access.with_context(|| format!("{} cannot be used", path.display()))?)
        }
        _ if args.in_cluster => Arc::new(InCluster::find(Path::new(SERVICE_ACCOUNT)).await?),
        _ => anyhow::bail!("say which cluster to read: --kubeconfig FILE, or --in-cluster"),
    };
    let identity = KubeIdentity {
        native_id: None,
        // The platform has its own name for the cluster.
        name: "collected".to_owned(),
        cloud: args.cloud,
        account: None,
        region: None,
    };
    // Whoever starts the collector chose the cluster: every network is theirs, save the clouds' metadata services.
    let everywhere = Egress::from(EgressPolicy::anywhere());
    let options = Options { page: PAGE, lists_at_once: 1, ..Options::new(token.redaction_key) };
    let limits = Limits {
        rate: 40.0,
        burst: 40,
        concurrency: 1,
        attempt_timeout: Duration::from_mins(1),
        max_body: LARGEST_ANSWER,
        ..Limits::default()
    };
    Ok(KubeConnector::new(identity, access, everywhere, options, Caller::new(limits, cancel.clone())))
}

/// Access as the service account of the pod that this process runs in.
#[derive(Debug)]
struct InCluster {
    endpoint: ClusterEndpoint,
    token_file: std::path::PathBuf,
}

impl InCluster {
    async fn find(directory: &Path) -> anyhow::Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).ok().filter(|value| !value.is_empty()).with_context(|| {
                format!("{name} is not set: --in-cluster works in a pod whose service account token is mounted")
            })
        };
        let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let url = format!("https://{host}:{port}").parse().context("the API server's address is malformed")?;
        let ca_file = directory.join("ca.crt");
        let ca = tokio::fs::read_to_string(&ca_file).await;
        let ca = ca.with_context(|| format!("could not read {}", ca_file.display()))?;
        let endpoint = ClusterEndpoint { url, ca_pem: Some(ca.into()), tls_server_name: None };
        Ok(Self { endpoint, token_file: directory.join("token") })
    }
}

#[async_trait]
impl ClusterAccess for InCluster {
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError> {
        Ok(self.endpoint.clone())
    }

    async fn token(&self) -> Result<BearerToken, ConnectorError> {
        let text = tokio::fs::read_to_string(&self.token_file).await.map_err(|error| {
            let message = format!("the service account's token could not be read: {error}");
            ConnectorError::new(ErrorKind::Unauthorized, "token", message)
        })?;
        Ok(BearerToken { token: SecretString::from(text.trim()), expires_at: Some(Utc::now() + TOKEN_LIFE) })
    }
}
