//! Tokens of Entra ID: one per scope, shared by everything that needs it, renewed before it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use http::Method;
use rampart_connector::{Bucket, Caller, ConnectorError, ErrorKind};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Mutex as AsyncMutex;
use url::Url;

use crate::certificate::ClientCertificate;
use crate::config::{AzureAuth, AzureConfigError, AzureIdentity};
use crate::errors;
use crate::http::{Answer, Body, Chosen, Http, Request, form};

/// The call in errors. Not an action of Azure: there is no right to it.
pub(crate) const TOKEN: &str = "Entra ID token";
/// A token is renewed this long before its end, or at half of its life if that comes first.
const EARLY: TimeDelta = TimeDelta::minutes(5);
/// The kind of statement that stands in for a secret.
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A bearer token.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) secret: SecretString,
    pub(crate) expires_at: DateTime<Utc>,
    renew_at: DateTime<Utc>,
}

type Slot = Arc<AsyncMutex<Option<Token>>>;

/// Gets tokens for one identity.
pub(crate) struct Credentials {
    identity: AzureIdentity,
    certificate: Option<ClientCertificate>,
    http: Http,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Credentials {
    pub(crate) fn new(identity: AzureIdentity, http: Http) -> Result<Self, AzureConfigError> {
        identity.validate()?;
        let certificate = match &identity.auth {
            AzureAuth::Certificate { pem, .. } => Some(ClientCertificate::parse(pem)?),
            _ => None,
        };
        Ok(Self { identity, certificate, http, slots: Mutex::default() })
    }

    pub(crate) fn identity(&self) -> &AzureIdentity {
        &self.identity
    }

    /// A token for `scope` (`<resource>/.default`). Callers that come while one is fetched wait for the same one.
    pub(crate) async fn token(&self, caller: &Caller, scope: &str) -> Result<Token, ConnectorError> {
        let slot = self.slot(scope);
        let mut held = slot.lock().await;
        if let Some(token) = held.as_ref().filter(|token| Utc::now() < token.renew_at) {
            return Ok(token.clone());
        }
        let token = self.fetch(caller, scope).await?;
        *held = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused, unless it has been replaced already.
    pub(crate) async fn refused(&self, scope: &str, token: &Token) {
        let slot = self.slot(scope);
        let mut held = slot.lock().await;
        let same = |held: &Token| held.secret.expose_secret() == token.secret.expose_secret();
        if held.as_ref().is_some_and(same) {
            *held = None;
        }
    }

    fn slot(&self, scope: &str) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(slots.entry(scope.to_owned()).or_default())
    }

    async fn fetch(&self, caller: &Caller, scope: &str) -> Result<Token, ConnectorError> {
        let tenant = &self.identity.tenant_id;
        // An account of its own: a listing that waits for a token must not hold the place that the token needs.
        let bucket = Bucket::new(format!("entra/{tenant}"), "", "entra");
        let answer = caller
            .call(&bucket, TOKEN, || async {
                let request = self.request(scope).await?;
                let answer = self.http.send(TOKEN, Chosen::Here, request).await?;
                if answer.status == 200 { Ok(answer) } else { Err(errors::answered(TOKEN, &answer)) }
            })
            .await?;
        parse(&answer, Utc::now())
    }

    async fn request(&self, scope: &str) -> Result<Request, ConnectorError> {
        let identity = &self.identity;
        let (client_id, proof) = match &identity.auth {
            AzureAuth::ClientSecret { client_id, secret } => (client_id, Proof::Secret(secret.clone())),
            AzureAuth::Certificate { client_id, .. } => {
                let certificate = self.certificate.as_ref().expect("parsed when this was made");
                let signed = certificate.assertion(client_id, self.endpoint().as_str(), Utc::now());
                let failed = |error: crate::CertificateError| {
                    ConnectorError::new(ErrorKind::Unauthorized, TOKEN, error.to_string())
                };
                (client_id, Proof::Assertion(signed.map_err(failed)?))
            }
            AzureAuth::Federated { client_id, identity: issuer } => {
                let stated = issuer.token(identity.cloud.federation_audience()).await?;
                (client_id, Proof::Assertion(stated))
            }
            AzureAuth::Managed { client_id, endpoint } => return Ok(managed(endpoint, client_id.as_deref(), scope)),
        };
        let fixed = [("grant_type", "client_credentials"), ("client_id", client_id.as_str()), ("scope", scope)];
        let body = match &proof {
            Proof::Secret(secret) => form(&[&fixed[..], &[("client_secret", secret.expose_secret())]].concat()),
            Proof::Assertion(signed) => {
                let assertion = signed.expose_secret();
                form(&[&fixed[..], &[("client_assertion_type", ASSERTION), ("client_assertion", assertion)]].concat())
            }
        };
        Ok(Request { method: Method::POST, url: self.endpoint(), bearer: None, body })
    }

    /// Where this directory hands out tokens.
    fn endpoint(&self) -> Url {
        let mut url = self.identity.cloud.authority();
        url.set_path(&format!("{}/oauth2/v2.0/token", self.identity.tenant_id));
        url
    }
}

enum Proof {
    Secret(SecretString),
    Assertion(SecretString),
}

/// What the identity service of a machine is asked. It knows resources, not scopes.
fn managed(endpoint: &Url, client_id: Option<&str>, scope: &str) -> Request {
    let mut url = endpoint.clone();
    let resource = scope.strip_suffix("/.default").unwrap_or(scope);
    url.query_pairs_mut().append_pair("api-version", "2018-02-01").append_pair("resource", resource);
    if let Some(client_id) = client_id {
        url.query_pairs_mut().append_pair("client_id", client_id);
    }
    Request { method: Method::GET, url, bearer: None, body: Body::Metadata }
}

/// Entra ID tells the life of a token as a number, a machine's identity service as text.
fn parse(answer: &Answer, now: DateTime<Utc>) -> Result<Token, ConnectorError> {
    let bad = |message: &str| ConnectorError::new(ErrorKind::Permanent, TOKEN, message);
    let fields: Value = serde_json::from_slice(&answer.body).map_err(|_| bad("the answer is not JSON"))?;
    let secret = fields["access_token"].as_str().filter(|token| !token.is_empty());
    let secret = secret.ok_or_else(|| bad("the answer has no token"))?;
    let life = match &fields["expires_in"] {
        Value::String(text) => text.parse().ok(),
        number => number.as_i64(),
    };
    let life = TimeDelta::seconds(life.filter(|seconds| *seconds > 0).ok_or_else(|| bad("the token has no life"))?);
    let expires_at = now + life;
    Ok(Token { secret: secret.to_owned().into(), expires_at, renew_at: (expires_at - EARLY).max(now + life / 2) })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn life(body: &str) -> Result<(i64, i64), ErrorKind> {
        let now = DateTime::UNIX_EPOCH;
        let body = Bytes::from(body.to_owned());
        let token = parse(&Answer { status: 200, headers: http::HeaderMap::new(), body }, now).map_err(|e| e.kind)?;
        Ok(((token.expires_at - now).num_seconds(), (token.renew_at - now).num_seconds()))
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        assert_eq!(life(r#"{"access_token":"t","expires_in":3600}"#), Ok((3600, 3300)));
        assert_eq!(life(r#"{"access_token":"t","expires_in":"120"}"#), Ok((120, 60)));
        for broken in [r#"{"access_token":"t"}"#, r#"{"access_token":"","expires_in":9}"#, "token"] {
            assert_eq!(life(broken), Err(ErrorKind::Permanent), "{broken}");
        }
    }

    #[test]
    fn a_machine_is_asked_for_a_resource_with_the_header_that_it_demands() {
        let endpoint: Url = "http://169.254.169.254/metadata/identity/oauth2/token".parse().unwrap();
        let request = managed(&endpoint, Some("id"), "https://management.azure.com/.default");
        let query: HashMap<_, _> = request.url.query_pairs().into_owned().collect();
        assert_eq!((query["resource"].as_str(), query["client_id"].as_str()), ("https://management.azure.com", "id"));
        assert!(matches!(request.body, Body::Metadata));
    }
}
