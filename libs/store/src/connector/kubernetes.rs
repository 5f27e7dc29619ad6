use rampart_domain::{Cloud, Kind};
use serde::{Deserialize, Serialize};

/// How to read a Kubernetes API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesSettings {
    /// API server; `None` when the kubeconfig says it.
    pub server: Option<String>,
    /// CA bundle of the API server in PEM; `None` with a kubeconfig, or for the public roots.
    pub ca_pem: Option<String>,
    /// Context of the kubeconfig; `None` for its current one.
    pub context: Option<String>,
    /// Name to check the certificate against, when it is not the host of the server.
    pub tls_server_name: Option<String>,
    /// Name to show for the cluster.
    pub cluster_name: String,
    /// Where the cluster runs, as far as the caller knows.
    pub cloud: Option<Cloud>,
    /// Account that it belongs to.
    pub account: Option<String>,
    /// Region that it runs in.
    pub region: Option<String>,
    /// Id that its cloud has for the cluster, as the cloud's connector stores it.
    #[serde(default)]
    pub native_id: Option<String>,
    /// Who makes the connection.
    #[serde(default)]
    pub delivery: Delivery,
    /// Kinds to read; empty means the default.
    #[serde(default)]
    pub kinds: Vec<Kind>,
}

/// Who makes the connection between Rampart and a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Rampart calls the cluster's API.
    #[default]
    Pull,
    /// A collector beside the cluster pushes what it reads; there are no credentials of the cluster.
    Push,
}
