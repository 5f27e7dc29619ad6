use rampart_connector_aws::{AwsAuth, AwsConfig, AwsConfigError, Federation, Partition, Regions, StaticKeys};
use rampart_domain::TenantId;
use rampart_store::connector::{AwsSettings, Connector as Row, RoleTrust};
use secrecy::ExposeSecret;

use super::{ConnectError, Credentials, field, identity};
use crate::Discovery;

/// What the AWS connector is told.
pub(super) fn config(
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
