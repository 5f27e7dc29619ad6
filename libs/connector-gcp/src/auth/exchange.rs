use chrono::{DateTime, TimeDelta, Utc};
use rampart_connector::{BearerToken, ConnectorError, ErrorKind, WorkloadIdentity};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Tokens;
use super::key::{SCOPE, ServiceAccountKey};
use crate::http::{Ask, Body, Service};

/// The permission on a service account that acting as it needs.
pub(crate) const IMPERSONATE: &str = "iam.serviceAccounts.getAccessToken";
const OAUTH: &str = "oauth2:token";
const STS: &str = "sts:token";
const METADATA: &str = "metadata:token";

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

impl Tokens {
    /// The token of a key's service account.
    pub(super) async fn of_key(&self, key: &ServiceAccountKey) -> Result<BearerToken, ConnectorError> {
        let unusable = |error| ConnectorError::new(ErrorKind::Unauthorized, OAUTH, format!("{error}"));
        let assertion = key.assertion(Utc::now()).map_err(unusable)?;
        let form = vec![
            ("grant_type", SecretString::from("urn:ietf:params:oauth:grant-type:jwt-bearer")),
            ("assertion", assertion),
        ];
        let answer = self.ask(OAUTH, Service::OAuth, "/token", Body::Form(form), None).await;
        let email = key.client_email();
        let remedy = format!(
            "Check that the service account {email} and this key of it exist and are enabled; else supply a new key."
        );
        issued(OAUTH, &answer.map_err(|error| advised(error, remedy))?)
    }

    /// The token of a federated identity: Rampart's statement about itself, exchanged at the customer's pool.
    pub(super) async fn of_statement(
        &self,
        provider: &str,
        identity: &dyn WorkloadIdentity,
    ) -> Result<BearerToken, ConnectorError> {
        let statement = identity.token(&format!("https://iam.googleapis.com/{provider}")).await?;
        let form = vec![
            ("grant_type", SecretString::from("urn:ietf:params:oauth:grant-type:token-exchange")),
            ("audience", format!("//iam.googleapis.com/{provider}").into()),
            ("scope", SCOPE.into()),
            ("requested_token_type", ACCESS_TOKEN.into()),
            ("subject_token", statement),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt".into()),
        ];
        let answer = self.ask(STS, Service::Sts, "/v1/token", Body::Form(form), None).await;
        let remedy = format!(
            "Check that {provider} exists, trusts Rampart's issuer, keeps the default audience, and that its condition lets \
             the subject of this connector in."
        );
        issued(STS, &answer.map_err(|error| advised(error, remedy))?)
    }

    /// The token of the machine that Rampart runs on.
    pub(super) async fn of_machine(&self) -> Result<BearerToken, ConnectorError> {
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        let answer = self.ask(METADATA, Service::Metadata, path, Body::None, None).await;
        let remedy = "Rampart has no Google identity of its own here: run it with a service account on Google Cloud, or give \
            it a key with RAMPART_GCP_CREDENTIALS.";
        issued(METADATA, &answer.map_err(|error| error.with_remedy(remedy))?)
    }

    /// A token of `account`, for whoever holds `base`.
    pub(super) async fn acting_as(&self, account: &str, base: &BearerToken) -> Result<BearerToken, ConnectorError> {
        let path = format!("/v1/projects/-/serviceAccounts/{account}:generateAccessToken");
        let body = Body::Json(json!({ "scope": [SCOPE], "lifetime": "3600s" }));
        let answer = self.ask(IMPERSONATE, Service::IamCredentials, &path, body, Some(&base.token)).await;
        let answer = answer.map_err(|error| match error.kind {
            ErrorKind::Forbidden | ErrorKind::NotFound => error.with_remedy(format!(
                "Grant roles/iam.serviceAccountTokenCreator on {account} to the identity that acts as it."
            )),
            _ => error,
        })?;
        let ends = answer["expireTime"].as_str().and_then(|at| DateTime::parse_from_rfc3339(at).ok());
        let (Some(token), Some(ends)) = (answer["accessToken"].as_str(), ends) else {
            return Err(ConnectorError::new(ErrorKind::Permanent, IMPERSONATE, "the answer has no token"));
        };
        Ok(BearerToken { token: token.into(), expires_at: Some(ends.to_utc()) })
    }

    async fn ask(
        &self,
        api: &str,
        service: Service,
        path: &str,
        body: Body,
        token: Option<&SecretString>,
    ) -> Result<Value, ConnectorError> {
        let ask = Ask { service, path, query: Vec::new(), body };
        self.caller.call(&self.bucket, api, || self.http.send(api, &ask, token)).await
    }
}

/// Credentials that were refused come with what to do about it.
fn advised(error: ConnectorError, remedy: String) -> ConnectorError {
    if error.kind == ErrorKind::Unauthorized { error.with_remedy(remedy) } else { error }
}

/// The answer of a token endpoint.
fn issued(api: &str, answer: &Value) -> Result<BearerToken, ConnectorError> {
    let lifetime = answer["expires_in"].as_i64().and_then(TimeDelta::try_seconds);
    let (Some(token), Some(lifetime)) = (answer["access_token"].as_str(), lifetime) else {
        return Err(ConnectorError::new(ErrorKind::Permanent, api, "the answer has no token"));
    };
    Ok(BearerToken { token: token.into(), expires_at: Some(Utc::now() + lifetime) })
}
