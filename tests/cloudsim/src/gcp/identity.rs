use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::anyhow;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::world::World;

/// The audience of every assertion.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// Keys, trust and tokens of all of Google Cloud.
#[derive(Debug, Default)]
pub(crate) struct GoogleIdentities(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Public keys by key id, with the service account.
    keys: HashMap<String, (String, Vec<u8>)>,
    /// Issuers' keys and the subjects that are let in, by provider.
    providers: HashMap<String, Vec<(Value, String)>>,
    /// Who may act as whom.
    acting: HashSet<(String, String)>,
    /// Who may read everything.
    readers: HashSet<String>,
    /// Tokens with their member and their end.
    tokens: HashMap<String, (String, DateTime<Utc>)>,
}

impl GoogleIdentities {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new key of a service account, as a key file.
    pub(crate) fn issue_key(&self, service_account: &str) -> anyhow::Result<String> {
        let failed = |_| anyhow!("no RSA key could be made");
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
        let der = aws_lc_rs::encoding::AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let file = json!({
            "type": "service_account", "project_id": service_account.split(['@', '.']).nth(1), "private_key_id": id,
            "private_key": format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref())),
            "client_email": service_account, "client_id": "100000000000000000001", "token_uri": TOKEN_URI,
            "auth_uri": "https://accounts.google.com/o/oauth2/auth", "universe_domain": "googleapis.com",
        });
        self.state().keys.insert(id, (service_account.to_owned(), pair.public_key().as_ref().to_vec()));
        Ok(file.to_string())
    }

    pub(crate) fn allow_acting(&self, member: &str, service_account: &str) {
        self.state().acting.insert((member.to_owned(), service_account.to_owned()));
    }

    pub(crate) fn grant(&self, member: &str) {
        self.state().readers.insert(member.to_owned());
    }

    pub(crate) fn federate(&self, provider: &str, jwks: &Value, subject: &str) {
        let trusted = (jwks.clone(), subject.to_owned());
        self.state().providers.entry(provider.to_owned()).or_default().push(trusted);
    }

    /// Makes every token worthless.
    pub(crate) fn expire_tokens(&self) {
        self.state().tokens.clear();
    }

    /// A token of `member`.
    pub(crate) fn issue(&self, member: &str, ends: DateTime<Utc>) -> String {
        let token = format!("ya29.{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        self.state().tokens.insert(token.clone(), (member.to_owned(), ends));
        token
    }

    /// Who a token belongs to.
    pub(crate) fn bearer(&self, token: &str, now: DateTime<Utc>) -> Option<String> {
        let state = self.state();
        let (member, ends) = state.tokens.get(token)?;
        (*ends > now).then(|| member.clone())
    }

    pub(crate) fn may_act_as(&self, member: &str, service_account: &str) -> bool {
        self.state().acting.contains(&(member.to_owned(), service_account.to_owned()))
    }

    /// Whether somebody may read a project; the empty one stands for the organisation.
    pub(crate) fn may_read(&self, world: &World, member: &str, project: &str) -> bool {
        let own = world.projects().iter().any(|known| known.id == project && known.scanner == member);
        own || self.state().readers.contains(member)
    }

    /// The service account that signed an assertion.
    pub(crate) fn of_assertion(&self, assertion: &str, now: DateTime<Utc>) -> Result<String, String> {
        let (header, claims) = parts(assertion).ok_or("Invalid JWT: not three parts of JSON")?;
        let state = self.state();
        let key = state.keys.get(header["kid"].as_str().unwrap_or_default());
        let (account, key) = key.ok_or("Invalid JWT Signature.")?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        let valid = verified(assertion, |message, signature| key.verify(message, signature).is_ok());
        if !valid || header["alg"] != "RS256" {
            return Err("Invalid JWT Signature.".to_owned());
        }
        let (issued, ends) = (claims["iat"].as_i64().unwrap_or_default(), claims["exp"].as_i64().unwrap_or_default());
        let fresh =
            issued <= (now + TimeDelta::minutes(5)).timestamp() && now.timestamp() < ends && ends - issued <= 3600;
        let scoped = claims["scope"].as_str().is_some_and(|scope| scope.contains("/auth/cloud-platform"));
        if claims["iss"] != account.as_str() || claims["aud"] != TOKEN_URI || !fresh || !scoped {
            return Err("Invalid JWT: issuer, audience, scope or time".to_owned());
        }
        Ok(account.clone())
    }

    /// The federated identity that a statement is about: its subject.
    pub(crate) fn of_statement(&self, audience: &str, statement: &str, now: DateTime<Utc>) -> Result<String, String> {
        let provider = audience.strip_prefix("//iam.googleapis.com/").unwrap_or_default();
        let (header, claims) = parts(statement).ok_or("the subject token is not a JWT")?;
        let state = self.state();
        let trusted = state.providers.get(provider).ok_or("the provider does not exist")?;
        let subject = claims["sub"].as_str().unwrap_or_default();
        let signed = trusted.iter().any(|(jwks, let_in)| {
            let keys = jwks["keys"].as_array().into_iter().flatten();
            let_in == subject && keys.filter(|key| key["kid"] == header["kid"]).any(|key| signed_by(key, statement))
        });
        let meant = claims["aud"] == format!("https://iam.googleapis.com/{provider}");
        let fresh = claims["exp"].as_i64().is_some_and(|ends| now.timestamp() < ends);
        if signed && meant && fresh {
            Ok(subject.to_owned())
        } else {
            Err("the subject token is not accepted".to_owned())
        }
    }
}

/// Header and claims of a JWT.
fn parts(jwt: &str) -> Option<(Value, Value)> {
    let mut parts = jwt.split('.').map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok());
    Some((parts.next()??, parts.next()??))
}

fn verified(jwt: &str, verify: impl FnOnce(&[u8], &[u8]) -> bool) -> bool {
    let Some((message, signature)) = jwt.rsplit_once('.') else { return false };
    URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| verify(message.as_bytes(), &signature))
}

/// Whether the RSA key of a JWK signed a JWT.
fn signed_by(key: &Value, jwt: &str) -> bool {
    let part = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap_or_default()).unwrap_or_default();
    let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
    verified(jwt, |message, signature| key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok())
}
