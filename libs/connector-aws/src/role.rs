use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, error::CredentialsError, future};
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use crate::config::{Federation, WEB_IDENTITY_AUDIENCE};
use crate::errors;

/// The calls with which a role is taken on.
pub(crate) const ASSUME_ROLE: &str = "sts:AssumeRole";
pub(crate) const ASSUME_ROLE_WITH_WEB_IDENTITY: &str = "sts:AssumeRoleWithWebIdentity";
/// New credentials are fetched when the old ones are this near to their end.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// What is assumed.
#[derive(Debug, Clone)]
pub(crate) struct AssumedRole {
    pub(crate) arn: String,
    pub(crate) session_name: String,
    pub(crate) proof: Proof,
}

/// What the role's trust policy asks for.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    /// Rampart's own AWS identity and the external id of the connector.
    ExternalId(String),
    /// A statement of Rampart's issuer about the connector.
    WebIdentity(Federation),
}

/// Whether the role is asked for with what proves the connector; only the preflight ever does without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Showing {
    Proof,
    /// No external id, or the statement about another connector.
    NoProof,
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

    /// The call with which this role is taken on.
    pub(crate) const fn api(&self) -> &'static str {
        match self.role.proof {
            Proof::ExternalId(_) => ASSUME_ROLE,
            Proof::WebIdentity(_) => ASSUME_ROLE_WITH_WEB_IDENTITY,
        }
    }

    /// Assumes the role.
    pub(crate) async fn assume(&self, showing: Showing) -> Result<Credentials, ConnectorError> {
        let answer = match &self.role.proof {
            Proof::ExternalId(id) => {
                let id = (showing == Showing::Proof).then(|| id.clone());
                self.caller
                    .call(&self.bucket, ASSUME_ROLE, || async {
                        let request = self.sts.assume_role().role_arn(&self.role.arn).set_external_id(id.clone());
                        let answer = request.role_session_name(&self.role.session_name).send().await;
                        answer.map(|it| it.credentials).map_err(|error| errors::from_sdk(ASSUME_ROLE, &error))
                    })
                    .await?
            }
            Proof::WebIdentity(federation) => {
                let token = self.statement(federation, showing).await?;
                self.caller
                    .call(&self.bucket, ASSUME_ROLE_WITH_WEB_IDENTITY, || async {
                        let request = self.sts.assume_role_with_web_identity().role_arn(&self.role.arn);
                        let request = request.web_identity_token(token.expose_secret());
                        let answer = request.role_session_name(&self.role.session_name).send().await;
                        let answer = answer.map(|it| it.credentials);
                        answer.map_err(|error| errors::from_sdk(ASSUME_ROLE_WITH_WEB_IDENTITY, &error))
                    })
                    .await?
            }
        };
        let nothing = || ConnectorError::new(ErrorKind::Permanent, self.api(), "the answer has no credentials");
        let keys = answer.ok_or_else(nothing)?;
        let expiry = SystemTime::try_from(keys.expiration).map_err(|_| nothing())?;
        let token = Some(keys.session_token);
        Ok(Credentials::new(keys.access_key_id, keys.secret_access_key, token, Some(expiry), "rampart-role"))
    }

    /// What Rampart's issuer says about this connector, or about another.
    async fn statement(&self, federation: &Federation, showing: Showing) -> Result<SecretString, ConnectorError> {
        match showing {
            Showing::Proof => federation.0.token(WEB_IDENTITY_AUDIENCE).await,
            Showing::NoProof => {
                let nobody = "there is no other connector to try the role with";
                let nobody = || ConnectorError::new(ErrorKind::Unsupported, ASSUME_ROLE_WITH_WEB_IDENTITY, nobody);
                federation.0.stranger().ok_or_else(nobody)?.token(WEB_IDENTITY_AUDIENCE).await
            }
        }
    }

    async fn fresh(&self) -> Result<Credentials, ConnectorError> {
        let mut current = self.current.lock().await;
        if let Some(held) = current.as_ref().filter(|held| held.expiry() > Some(SystemTime::now() + RENEW_BEFORE)) {
            return Ok(held.clone());
        }
        let renewed = self.assume(Showing::Proof).await?;
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
