use rampart_connector_azure::{AzureAuth, AzureCloud, AzureConfig, AzureIdentity, LocalAccounts};
use rampart_domain::TenantId;
use rampart_store::connector::{AzureAuth as AzureAuthWord, AzureSettings, Connector as Row};

use super::{ConnectError, Credentials, field, identity};
use crate::Discovery;

/// What the Azure connector is told.
pub(super) fn config(
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
