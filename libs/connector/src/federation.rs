use async_trait::async_trait;
use secrecy::SecretString;

use crate::ConnectorError;

/// States to a cloud who this connector is, for credentials that hold no secret (workload-identity federation).
///
/// Implemented by Rampart's own OIDC issuer; the subject of every statement is `<tenant>:<connector>`.
#[async_trait]
pub trait WorkloadIdentity: Send + Sync {
    /// A signed JWT for `audience`, valid for at least another five minutes.
    async fn token(&self, audience: &str) -> Result<SecretString, ConnectorError>;
}
