use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use crate::ConnectorError;

/// Where a Kubernetes API answers and how its certificate is checked.
#[derive(Debug, Clone)]
pub struct ClusterEndpoint {
    /// `https://host[:port][/path]`.
    pub url: url::Url,
    /// PEM bundle of the cluster's own CA; `None` means the public roots.
    pub ca_pem: Option<Arc<str>>,
    /// Name to check the certificate against, when it is not the URL's host.
    pub tls_server_name: Option<String>,
}

/// A bearer token and the time after which it must not be used.
#[derive(Debug, Clone)]
pub struct BearerToken {
    /// The secret.
    pub token: SecretString,
    /// When it stops working; `None` when it does not say.
    pub expires_at: Option<DateTime<Utc>>,
}

/// How to reach one cluster's Kubernetes API. Implemented by the clouds, used by the Kubernetes connector.
#[async_trait]
pub trait ClusterAccess: Send + Sync {
    /// The endpoint.
    async fn endpoint(&self) -> Result<ClusterEndpoint, ConnectorError>;

    /// A token that is valid for at least another minute; called again when the old one nears its end or got a 401.
    async fn token(&self) -> Result<BearerToken, ConnectorError>;

    /// The HTTP proxy through which the endpoint is reached, for kubeconfigs that name one. Its address is subject to
    /// the same egress policy.
    fn proxy(&self) -> Option<url::Url> {
        None
    }

    /// What to do about a failure to reach the API, as far as the source of the cluster can tell from its configuration:
    /// a private endpoint and a list of authorised networks look the same from outside.
    fn remedy(&self, error: &ConnectorError) -> Option<String> {
        let _ = error;
        None
    }

    /// Client certificate and key in PEM, for kubeconfigs that authenticate so.
    fn client_identity_pem(&self) -> Option<SecretString> {
        None
    }
}
