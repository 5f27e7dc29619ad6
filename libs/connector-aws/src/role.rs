use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind};
use tokio::sync::Mutex;

use crate::errors;

/// The call with which a role is taken on.
pub(crate) const ASSUME_ROLE: &str = "sts:AssumeRole";
/// New credentials are fetched when the old ones are this near to their end.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// What is assumed.
#[derive(Debug, Clone)]
pub(crate) struct AssumedRole {
    pub(crate) arn: String,
    pub(crate) external_id: String,
    pub(crate) session_name: String,
}

/// Whether the call carries the external id; only the preflight ever leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExternalId {
    Sent,
    LeftOut,
}

/// Temporary credentials of a role, renewed in time, fetched through the caller like everything else.
#[derive(Debug)]
pub(crate) struct RoleCredentials {
    sts: aws_sdk_sts::Client,
    caller: Caller,
    bucket: Bucket,
    role: AssumedRole,
    current: Mutex<Option<Credentials>>,
}

impl RoleCredentials {
    pub(crate) fn new(sts: aws_sdk_sts::Client, caller: Caller, role: AssumedRole) -> Self {
        // Not the account's own slots: the calls that wait for these credentials hold those.
        let bucket = Bucket::new(format!("role {}", role.arn), "", "sts");
        Self { sts, caller, bucket, role, current: Mutex::new(None) }
    }

    /// Assumes the role.
    pub(crate) async fn assume(&self, external_id: ExternalId) -> Result<Credentials, ConnectorError> {
        let id = (external_id == ExternalId::Sent).then(|| self.role.external_id.clone());
        let answer = self
            .caller
            .call(&self.bucket, ASSUME_ROLE, || async {
                let request = self.sts.assume_role().role_arn(&self.role.arn).set_external_id(id.clone());
                let answer = request.role_session_name(&self.role.session_name).send().await;
                answer.map_err(|error| errors::from_sdk(ASSUME_ROLE, &error))
            })
            .await?;
        let nothing = || ConnectorError::new(ErrorKind::Permanent, ASSUME_ROLE, "the answer has no credentials");
        let keys = answer.credentials.ok_or_else(nothing)?;
        let expiry = SystemTime::try_from(keys.expiration).map_err(|_| nothing())?;
        let token = Some(keys.session_token);
        Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, token, Some(expiry), "rampart-role"))
    }

    async fn fresh(&self) -> Result<Credentials, ConnectorError> {
        let mut current = self.current.lock().await;
        if let Some(held) = current.as_ref().filter(|held| held.expiry() > Some(SystemTime::now() + RENEW_BEFORE)) {
            return Ok(held.clone());
        }
        let renewed = self.assume(ExternalId::Sent).await?;
        *current = Some(renewed.clone());
        Ok(renewed)
    }
}

/// The SDK's trait cannot be had for `Arc<RoleCredentials>` itself.
#[derive(Debug, Clone)]
pub(crate) struct RoleProvider(pub(crate) Arc<RoleCredentials>);

impl ProvideCredentials for RoleProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.0.fresh().await.map_err(CredentialsError::provider_error) })
    }
}
