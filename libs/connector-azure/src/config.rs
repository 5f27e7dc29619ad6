use std::fmt;
use std::sync::Arc;

use rampart_connector::{Limits, WorkloadIdentity};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

use crate::certificate::{CertificateError, ClientCertificate};
use crate::cloud::AzureCloud;

/// How one subscription is reached and how much of it is read.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// Whose rights are used, and where.
    pub identity: AzureIdentity,
    /// UUID of the subscription.
    pub subscription_id: String,
    /// What becomes of clusters that do not know Entra ID.
    pub local_accounts: LocalAccounts,
}

/// An identity in a directory, and the cloud that the directory belongs to.
#[derive(Debug, Clone)]
pub struct AzureIdentity {
    /// UUID of the directory (Entra tenant).
    pub tenant_id: String,
    /// The cloud.
    pub cloud: AzureCloud,
    /// How the identity proves itself.
    pub auth: AzureAuth,
    /// Every request goes to this address instead, with the `Host` of the service that it is for. Set by the operator only,
    /// never by a tenant.
    pub endpoint_override: Option<Url>,
}

/// How an identity proves itself.
#[derive(Clone)]
pub enum AzureAuth {
    /// An application with a secret.
    ClientSecret {
        /// UUID of the application.
        client_id: String,
        /// The secret.
        secret: SecretString,
    },
    /// An application with a certificate.
    Certificate {
        /// UUID of the application.
        client_id: String,
        /// Certificate and RSA key, both in PEM.
        pem: SecretString,
    },
    /// An application that trusts what Rampart's own issuer states about this connector.
    Federated {
        /// UUID of the application.
        client_id: String,
        /// The issuer.
        identity: Arc<dyn WorkloadIdentity>,
    },
    /// The identity of the machine that Rampart runs on.
    Managed {
        /// UUID of a user-assigned identity; `None` for the machine's own.
        client_id: Option<String>,
        /// The machine's identity service. From the operator's configuration only: whoever answers there hands out tokens.
        endpoint: Url,
    },
}

impl fmt::Debug for AzureAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, client_id) = match self {
            Self::ClientSecret { client_id, .. } => ("ClientSecret", Some(client_id)),
            Self::Certificate { client_id, .. } => ("Certificate", Some(client_id)),
            Self::Federated { client_id, .. } => ("Federated", Some(client_id)),
            Self::Managed { client_id, .. } => ("Managed", client_id.as_ref()),
        };
        f.debug_struct(name).field("client_id", &client_id).finish_non_exhaustive()
    }
}

/// What becomes of clusters that do not know Entra ID. Their user kubeconfig is in effect that of an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalAccounts {
    /// They are not read, and coverage says why.
    #[default]
    Refused,
    /// They are read with the credentials of the user kubeconfig.
    Used,
}

/// What is wrong with a configuration. Safe to show: no variant carries a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureConfigError {
    /// An id that is not a UUID.
    #[error("the {what} {value:?} is not a UUID")]
    NotUuid {
        /// `subscription id`, `tenant id` or `client id`.
        what: &'static str,
        /// What was given.
        value: String,
    },
    /// A management group's name that Azure would not take.
    #[error("the management group must have 1 to 90 letters, digits or - _ ( ) .")]
    ManagementGroup,
    /// The secret is empty.
    #[error("the client secret is empty")]
    NoSecret,
    /// No HTTP client can be built on this machine; the text says why.
    #[error("{0}")]
    Client(String),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl AzureConfig {
    /// Checks everything that can be checked without a call.
    pub fn validate(&self) -> Result<(), AzureConfigError> {
        uuid("subscription id", &self.subscription_id)?;
        self.identity.validate()
    }
}

impl AzureIdentity {
    /// Checks everything that can be checked without a call.
    pub fn validate(&self) -> Result<(), AzureConfigError> {
        uuid("tenant id", &self.tenant_id)?;
        if let Some(client_id) = self.client_id() {
            uuid("client id", client_id)?;
        }
        match &self.auth {
            AzureAuth::ClientSecret { secret, .. } if secret.expose_secret().is_empty() => {
                Err(AzureConfigError::NoSecret)
            }
            AzureAuth::Certificate { pem, .. } => {
                ClientCertificate::parse(pem)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The application or user-assigned identity; not a secret.
    pub(crate) fn client_id(&self) -> Option<&str> {
        match &self.auth {
            AzureAuth::ClientSecret { client_id, .. }
            | AzureAuth::Certificate { client_id, .. }
            | AzureAuth::Federated { client_id, .. } => Some(client_id),
            AzureAuth::Managed { client_id, .. } => client_id.as_deref(),
        }
    }
}

fn uuid(what: &'static str, value: &str) -> Result<(), AzureConfigError> {
    match value.parse::<Uuid>() {
        Ok(_) => Ok(()),
        Err(_) => Err(AzureConfigError::NotUuid { what, value: value.to_owned() }),
    }
}

/// Limits that suit Azure Resource Manager: a subscription's reads refill at 25 a second, and a page is a few megabytes.
pub fn default_limits() -> Limits {
    Limits { rate: 20.0, burst: 100, max_body: 16 << 20, ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn check(subscription: &str, tenant: &str, auth: AzureAuth) -> Result<(), AzureConfigError> {
        let identity =
            AzureIdentity { tenant_id: tenant.into(), cloud: AzureCloud::Commercial, auth, endpoint_override: None };
        AzureConfig { identity, subscription_id: subscription.into(), local_accounts: LocalAccounts::Refused }
            .validate()
    }

    fn secret(client_id: &str, secret: &str) -> AzureAuth {
        AzureAuth::ClientSecret { client_id: client_id.into(), secret: secret.to_owned().into() }
    }

    #[test]
    fn ids_are_uuids_and_secrets_are_there() {
        assert_eq!(check(ID, ID, secret(ID, "s")), Ok(()));
        let of = |what, value: &str| Err(AzureConfigError::NotUuid { what, value: value.into() });
        assert_eq!(check("prod", ID, secret(ID, "s")), of("subscription id", "prod"));
        assert_eq!(check(ID, "example.com", secret(ID, "s")), of("tenant id", "example.com"));
        assert_eq!(check(ID, ID, secret("app", "s")), of("client id", "app"));
        assert_eq!(check(ID, ID, secret(ID, "")), Err(AzureConfigError::NoSecret));
        let pem = AzureAuth::Certificate { client_id: ID.into(), pem: "no pem".to_owned().into() };
        assert!(matches!(check(ID, ID, pem), Err(AzureConfigError::Certificate(_))));
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert!(!format!("{:?}", secret(ID, "hush-hush")).contains("hush"));
    }
}
