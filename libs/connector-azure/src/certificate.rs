//! Proves an application's identity by a statement that its certificate's key signed.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use uuid::Uuid;

/// How long a statement is good for. It is sent at once.
const VALID: TimeDelta = TimeDelta::minutes(10);

/// Why a certificate cannot be used. Safe to show: no variant carries any of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no certificate.
    #[error("the text holds no certificate in PEM")]
    NoCertificate,
    /// There is no key, or it is encrypted.
    #[error("the text holds no unencrypted private key in PEM")]
    NoKey,
    /// The key cannot sign what Entra ID takes.
    #[error("the private key is not an RSA key that can be read")]
    NotRsa,
    /// Signing failed.
    #[error("the private key cannot sign")]
    Signing,
}

/// A certificate with its key.
pub(crate) struct ClientCertificate {
    /// SHA-256 of the certificate, by which Entra ID finds it.
    thumbprint: String,
    key: EncodingKey,
}

impl ClientCertificate {
    /// From PEM that holds both. The first certificate is the application's own.
    pub(crate) fn parse(pem: &SecretString) -> Result<Self, CertificateError> {
        let text = pem.expose_secret();
        let certificate =
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|_| CertificateError::NoCertificate)?;
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate));
        let key = key_block(text).ok_or(CertificateError::NoKey)?;
        let key = EncodingKey::from_rsa_pem(key.as_bytes()).map_err(|_| CertificateError::NotRsa)?;
        Ok(Self { thumbprint, key })
    }

    /// A statement that `client_id` speaks to `audience`, which is the address of the token endpoint.
    pub(crate) fn assertion(
        &self,
        client_id: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<SecretString, CertificateError> {
        let header = Header { x5t_s256: Some(self.thumbprint.clone()), ..Header::new(Algorithm::PS256) };
        let claims = json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": Uuid::new_v4(),
            "iat": now.timestamp(), "nbf": now.timestamp(), "exp": (now + VALID).timestamp(),
        });
        encode(&header, &claims, &self.key).map(SecretString::from).map_err(|_| CertificateError::Signing)
    }
}

/// The block of the private key: its parser takes the first block of a text, whatever that is.
fn key_block(text: &str) -> Option<&str> {
    ["PRIVATE KEY", "RSA PRIVATE KEY"].iter().find_map(|label| {
        let end = format!("-----END {label}-----");
        let from = text.find(&format!("-----BEGIN {label}-----"))?;
        let to = text[from..].find(&end)? + end.len();
        Some(&text[from..from + to])
    })
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256};
    use serde_json::Value;

    use super::*;

    fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> (KeyPair, rcgen::Certificate) {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = CertificateParams::new(vec!["rampart".to_owned()]).unwrap().self_signed(&key).unwrap();
        (key, certificate)
    }

    #[test]
    fn the_statement_is_signed_by_the_key_and_names_the_certificate() {
        let (key, certificate) = pem(&PKCS_RSA_SHA256);
        for text in [certificate.pem() + &key.serialize_pem(), key.serialize_pem() + &certificate.pem()] {
            let own = ClientCertificate::parse(&text.into()).unwrap();
            let token = own.assertion("app", "https://login/t/token", Utc::now()).unwrap();
            let header = decode_header(token.expose_secret()).unwrap();
            assert_eq!(header.x5t_s256, Some(URL_SAFE_NO_PAD.encode(digest(&SHA256, certificate.der()))));
            let mut rules = Validation::new(Algorithm::PS256);
            rules.set_audience(&["https://login/t/token"]);
            let public = DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
            let claims = decode::<Value>(token.expose_secret(), &public, &rules).unwrap().claims;
            assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("app"), Some("app")));
        }
    }

    #[test]
    fn what_cannot_sign_is_refused_with_its_reason() {
        let refused = |text: String| ClientCertificate::parse(&text.into()).err();
        let (key, certificate) = pem(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(refused("words".into()), Some(CertificateError::NoCertificate));
        assert_eq!(refused(certificate.pem()), Some(CertificateError::NoKey));
        assert_eq!(refused(certificate.pem() + &key.serialize_pem()), Some(CertificateError::NotRsa));
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(refused(certificate.pem() + encrypted), Some(CertificateError::NoKey));
    }
}
