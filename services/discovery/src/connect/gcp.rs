use rampart_connector_gcp::{GcpAuth as Auth, GcpConfig, Login, ServiceAccountKey};
use rampart_domain::TenantId;
use rampart_store::connector::{Connector as Row, GcpAuth, GcpSettings};

use super::{ConnectError, Credentials, field, identity};
use crate::Discovery;

/// What the Google Cloud connector is told.
pub(super) fn config(
    discovery: &Discovery,
    tenant: TenantId,
    row: &Row,
    gcp: &GcpSettings,
    credentials: &Credentials,
) -> Result<GcpConfig, ConnectError> {
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
