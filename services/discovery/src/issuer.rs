//! Rampart as an OIDC issuer: states to clouds, for ten minutes at a time, which tenant's connector is asking.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rampart_connector::{ConnectorError, ErrorKind, IssuerUrl, WorkloadIdentity};
use rampart_domain::{ConnectorId, TenantId};
use rampart_store::keyring::Keyring;
use rampart_store::{Store, issuer_key};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Stands for the call in errors.
const API: &str = "issuer";
/// How far the clock of a cloud may be behind ours: a statement counts from that much earlier.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// After this time the database is asked again which key signs. Far below the time for which a key is announced.
const LOOK_AGAIN: TimeDelta = TimeDelta::seconds(60);

/// Federation needs an operator's consent: the address under which the issuer is known to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("workload-identity federation is off: the operator must set --issuer-url (RAMPART_ISSUER_URL)")]
pub(crate) struct FederationOff;

/// Signs statements with the key of the installation.
pub(crate) struct Issuer {
    url: IssuerUrl,
    store: Store,
    keyring: Arc<Keyring>,
    held: Mutex<Option<Held>>,
}

/// The signing key, opened.
#[derive(Clone)]
struct Held {
    key_id: String,
    key: EncodingKey,
    since: DateTime<Utc>,
}

/// Members of a statement, as RFC 7519 has them; times are seconds of the epoch.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

impl Issuer {
    pub(crate) fn new(url: IssuerUrl, store: Store, keyring: Arc<Keyring>) -> Self {
        Self { url, store, keyring, held: Mutex::new(None) }
    }

    async fn sign(&self, subject: &str, audience: &str, now: DateTime<Utc>) -> Result<SecretString, ConnectorError> {
        let held = self.key(now).await?;
        let claims = Claims {
            iss: self.url.as_str(),
            sub: subject,
            aud: audience,
            iat: now.timestamp(),
            nbf: (now - SKEW).timestamp(),
            exp: (now - SKEW + issuer_key::TOKEN_LIFETIME).timestamp(),
            jti: Uuid::new_v4(),
        };
        let header = Header { kid: Some(held.key_id), ..Header::new(Algorithm::RS256) };
        // The cause stays here: it could say something of the key.
        let failed = |_| ConnectorError::new(ErrorKind::Permanent, API, "the statement could not be signed");
        encode(&header, &claims, &held.key).map(SecretString::from).map_err(failed)
    }

    async fn key(&self, now: DateTime<Utc>) -> Result<Held, ConnectorError> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| now - held.since < LOOK_AGAIN) {
            return Ok(held.clone());
        }
        let failed = |error| {
            tracing::error!(error = %error, "the issuer's key could not be read");
            ConnectorError::new(ErrorKind::Permanent, API, "the issuer has no usable key; the log says why")
        };
        let signing = issuer_key::signing(&self.store, &self.keyring, now).await.map_err(failed)?;
        let malformed = |_| ConnectorError::new(ErrorKind::Permanent, API, "the issuer's key is malformed");
        let key = EncodingKey::from_rsa_pem(signing.pem.expose_secret().as_bytes()).map_err(malformed)?;
        let fresh = Held { key_id: signing.key_id, key, since: now };
        *held = Some(fresh.clone());
        Ok(fresh)
    }
}

/// States who one connector is.
pub(crate) struct Statement {
    issuer: Arc<Issuer>,
    tenant: TenantId,
    connector: ConnectorId,
}

impl Statement {
    pub(crate) const fn about(issuer: Arc<Issuer>, tenant: TenantId, connector: ConnectorId) -> Self {
        Self { issuer, tenant, connector }
    }
}

#[async_trait]
impl WorkloadIdentity for Statement {
    async fn token(&self, audience: &str) -> Result<SecretString, ConnectorError> {
        let subject = format!("{}:{}", self.tenant, self.connector);
        self.issuer.sign(&subject, audience, Utc::now()).await
    }

    /// A connector that no tenant has: whoever lets it in lets everybody in.
    fn stranger(&self) -> Option<Arc<dyn WorkloadIdentity>> {
        let issuer = Arc::clone(&self.issuer);
        Some(Arc::new(Self::about(issuer, TenantId(Uuid::nil()), ConnectorId(Uuid::nil()))))
    }
}

/// Announces the next key in time and removes what has ended, every hour.
pub(crate) async fn keep_hourly(store: Store, keyring: Arc<Keyring>, cancel: CancellationToken) {
    let hour = Duration::from_hours(1);
    let mut hourly = tokio::time::interval_at(tokio::time::Instant::now() + hour, hour);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = hourly.tick() => {}
        }
        if let Err(error) = issuer_key::keep(&store, &keyring, Utc::now()).await {
            tracing::error!(error = %error, "the issuer's keys were not looked after");
        }
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::errors::ErrorKind as JwtError;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use rampart_store::issuer_key::{ANNOUNCED_FOR, Takeover};
    use rampart_store::testing::database;
    use serde_json::Value;

    use super::*;

    const AUDIENCE: &str = "sts.amazonaws.com";

    fn keyring() -> Arc<Keyring> {
        let key = SecretString::from("test:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
        Arc::new(Keyring::parse(&key).unwrap())
    }

    fn issuer(store: &Store, keyring: &Arc<Keyring>) -> Issuer {
        Issuer::new("https://rampart.example".parse().unwrap(), store.clone(), Arc::clone(keyring))
    }

    /// As a cloud does it: by the published keys alone.
    async fn verify(store: &Store, token: &SecretString, at: DateTime<Utc>) -> Result<Value, JwtError> {
        let token = token.expose_secret();
        let key_id = decode_header(token).unwrap().kid.unwrap();
        let keys = issuer_key::published(store, at).await.unwrap();
        let key = keys.iter().find(|key| key.key_id == key_id).ok_or(JwtError::InvalidKeyFormat)?;
        let key = DecodingKey::from_rsa_components(&key.modulus, &key.exponent).unwrap();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&["https://rampart.example"]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        decode::<Value>(token, &key, &validation).map(|data| data.claims).map_err(|error| error.kind().clone())
    }

    #[tokio::test]
    async fn a_statement_names_one_connector_for_one_audience_and_ten_minutes() {
        let db = database().await;
        let keyring = keyring();
        let now = Utc::now();
        issuer_key::keep(&db.store, &keyring, now).await.unwrap();
        let (tenant, connector) = (TenantId(Uuid::new_v4()), ConnectorId(Uuid::new_v4()));
        let statement = Statement::about(Arc::new(issuer(&db.store, &keyring)), tenant, connector);
        let token = statement.token(AUDIENCE).await.unwrap();
        let claims = verify(&db.store, &token, now).await.unwrap();
        assert_eq!(claims["sub"], format!("{tenant}:{connector}"));
        let number = |claim: &str| claims[claim].as_i64().unwrap();
        assert_eq!(number("exp") - number("nbf"), 600, "short-lived");
        assert!(number("exp") - Utc::now().timestamp() >= 300, "long enough to be used");
        let again = verify(&db.store, &statement.token(AUDIENCE).await.unwrap(), now).await.unwrap();
        assert_ne!(claims["jti"], again["jti"]);

        let other = statement.token("somebody.else").await.unwrap();
        assert_eq!(verify(&db.store, &other, now).await, Err(JwtError::InvalidAudience));
        let stranger = statement.stranger().unwrap().token(AUDIENCE).await.unwrap();
        assert_ne!(verify(&db.store, &stranger, now).await.unwrap()["sub"], claims["sub"]);
        let old = statement.issuer.sign("x", AUDIENCE, now - TimeDelta::minutes(10)).await.unwrap();
        assert_eq!(verify(&db.store, &old, now).await, Err(JwtError::ExpiredSignature));
    }

    #[tokio::test]
    async fn rotation_interrupts_nobody() {
        let db = database().await;
        let keyring = keyring();
        let start = Utc::now();
        issuer_key::keep(&db.store, &keyring, start).await.unwrap();
        let replicas = [issuer(&db.store, &keyring), issuer(&db.store, &keyring)];
        let key_of = |token: &SecretString| decode_header(token.expose_secret()).unwrap().kid.unwrap();
        let before = replicas[0].sign("x", AUDIENCE, start).await.unwrap();
        let (next, _) = issuer_key::rotate(&db.store, &keyring, Takeover::Announced, start).await.unwrap();
        let during = replicas[1].sign("x", AUDIENCE, start).await.unwrap();
        assert_eq!(key_of(&before), key_of(&during), "an announced key does not sign yet, and replicas agree");
        assert!(issuer_key::published(&db.store, start).await.unwrap().iter().any(|key| key.key_id == next));

        let after = start + ANNOUNCED_FOR;
        for replica in &replicas {
            assert_eq!(key_of(&replica.sign("x", AUDIENCE, after).await.unwrap()), next);
        }
        issuer_key::keep(&db.store, &keyring, after).await.unwrap();
        assert!(verify(&db.store, &before, after).await.is_ok(), "what the old key signed still holds");

        let (fresh, _) = issuer_key::rotate(&db.store, &keyring, Takeover::AtOnce, start).await.unwrap();
        assert_eq!(
            verify(&db.store, &before, start).await,
            Err(JwtError::InvalidKeyFormat),
            "a lost key holds nothing"
        );
        for replica in &replicas {
            let late = replica.sign("x", AUDIENCE, after + LOOK_AGAIN).await.unwrap();
            assert_eq!(key_of(&late), fresh, "what is held is looked at again");
        }
    }

    #[tokio::test]
    async fn without_a_key_the_error_says_nothing_secret() {
        let db = database().await;
        let error = issuer(&db.store, &keyring()).sign("x", AUDIENCE, Utc::now()).await.unwrap_err();
        assert_eq!((error.kind, error.api.as_str()), (ErrorKind::Permanent, API));
        assert!(FederationOff.to_string().contains("RAMPART_ISSUER_URL"));
    }
}
