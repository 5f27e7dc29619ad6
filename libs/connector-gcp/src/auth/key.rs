use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Where assertions are exchanged: the audience that they name, whatever the key's file says.
pub(crate) const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// What Google itself has put into key files over the years; all are one service.
const KNOWN_URIS: [&str; 3] =
    [TOKEN_URI, "https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token"];
/// Everything that the identity's roles allow: reading a cluster's API has no narrower scope.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Longest life of an assertion.
const LIFETIME_SECONDS: i64 = 3600;

/// The key of a service account. Clones share it; it is never shown.
#[derive(Clone)]
pub struct ServiceAccountKey {
    client_email: String,
    key_id: Option<String>,
    key: Arc<EncodingKey>,
}

/// Why a key file cannot be used. Never carries its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// Not JSON, or without the fields of a key file.
    #[error("the service account key is not the JSON file that Google Cloud issues")]
    Malformed,
    /// A file of another kind of credentials.
    #[error("the credentials are not of type service_account")]
    OtherType,
    /// It names a token endpoint that is not Google's.
    #[error("the key names a token endpoint other than {TOKEN_URI}")]
    TokenUri,
    /// It belongs to another universe than Google's public cloud.
    #[error("the key belongs to a universe other than googleapis.com")]
    Universe,
    /// The private key is not an RSA key in PEM.
    #[error("the private key is not an RSA key in PEM")]
    PrivateKey,
}

#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    of_type: String,
    client_email: String,
    private_key: SecretString,
    private_key_id: Option<String>,
    token_uri: Option<String>,
    universe_domain: Option<String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

impl ServiceAccountKey {
    /// Reads a key file.
    pub fn parse(json: &SecretString) -> Result<Self, InvalidKey> {
        let file: File = serde_json::from_str(json.expose_secret()).map_err(|_| InvalidKey::Malformed)?;
        if file.of_type != "service_account" {
            return Err(InvalidKey::OtherType);
        }
        if file.token_uri.is_some_and(|uri| !KNOWN_URIS.contains(&uri.as_str())) {
            return Err(InvalidKey::TokenUri);
        }
        if file.universe_domain.is_some_and(|domain| domain != "googleapis.com") {
            return Err(InvalidKey::Universe);
        }
        if file.client_email.is_empty() {
            return Err(InvalidKey::Malformed);
        }
        let key = EncodingKey::from_rsa_pem(file.private_key.expose_secret().as_bytes());
        let key = key.map_err(|_| InvalidKey::PrivateKey)?;
        Ok(Self { client_email: file.client_email, key_id: file.private_key_id, key: Arc::new(key) })
    }

    /// The service account's address.
    pub fn client_email(&self) -> &str {
        &self.client_email
    }

    /// A signed statement that the holder of the key asks for a token.
    pub(crate) fn assertion(&self, now: DateTime<Utc>) -> Result<SecretString, InvalidKey> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid.clone_from(&self.key_id);
        let iat = now.timestamp();
        let exp = iat + LIFETIME_SECONDS;
        let claims = Claims { iss: &self.client_email, scope: SCOPE, aud: TOKEN_URI, iat, exp };
        let signed = jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| InvalidKey::PrivateKey)?;
        Ok(signed.into())
    }
}

impl fmt::Debug for ServiceAccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccountKey").field("client_email", &self.client_email).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(change: impl FnOnce(&mut Value)) -> Result<ServiceAccountKey, InvalidKey> {
        let mut file = json!({ "type": "service_account", "client_email": "rampart@shop-prod.iam.gserviceaccount.com",
            "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            "private_key_id": "1", "token_uri": TOKEN_URI });
        change(&mut file);
        ServiceAccountKey::parse(&file.to_string().into())
    }

    #[test]
    fn a_key_that_leads_elsewhere_is_refused_before_it_is_used() {
        assert_eq!(
            parse(|file| file["token_uri"] = json!("https://evil.example/token")).unwrap_err(),
            InvalidKey::TokenUri
        );
        assert_eq!(parse(|file| file["universe_domain"] = json!("evil.example")).unwrap_err(), InvalidKey::Universe);
        assert_eq!(parse(|file| file["type"] = json!("external_account")).unwrap_err(), InvalidKey::OtherType);
        assert_eq!(parse(|file| file["client_email"] = Value::Null).unwrap_err(), InvalidKey::Malformed);
        assert_eq!(parse(|_| ()).unwrap_err(), InvalidKey::PrivateKey);
    }
}
