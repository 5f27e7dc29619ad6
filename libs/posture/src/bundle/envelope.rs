//! The envelope of a bundle: a JSON Web Signature in its compact form (RFC 7515) with Ed25519 (RFC 8037). Its header holds
//! the public key, and the key's thumbprint (RFC 7638) as `kid`. Signing and verifying themselves are the caller's.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What the header calls it.
pub const TYPE: &str = "rampart-finding-bundle+json";

/// A public Ed25519 key, as a JWK has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, 32 bytes in base64url.
    pub x: String,
}

impl Jwk {
    /// A key.
    pub fn new(public: &[u8; 32]) -> Self {
        Self { kty: "OKP".to_owned(), crv: "Ed25519".to_owned(), x: URL_SAFE_NO_PAD.encode(public) }
    }

    /// The key itself; `None` when it is of another kind.
    pub fn bytes(&self) -> Option<[u8; 32]> {
        if self.kty != "OKP" || self.crv != "Ed25519" {
            return None;
        }
        URL_SAFE_NO_PAD.decode(&self.x).ok()?.try_into().ok()
    }

    /// What the SHA-256 of is the key's thumbprint.
    pub fn thumbprint_input(&self) -> String {
        format!(r#"{{"crv":"{}","kty":"{}","x":"{}"}}"#, self.crv, self.kty, self.x)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
    jwk: Jwk,
}

/// Puts a payload into an envelope. `sign` gives the signature of a message under the key.
pub fn seal(payload: &str, (key_id, public): (&str, &[u8; 32]), sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let jwk = Jwk::new(public);
    let header = Header { alg: "EdDSA".to_owned(), typ: TYPE.to_owned(), kid: key_id.to_owned(), jwk };
    let header = serde_json::json!(header).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An envelope that was taken apart, and not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'t> {
    /// What the header calls the key; says nothing of whose it is.
    pub key_id: String,
    /// The key that the header holds; says nothing of whose it is.
    pub key: Jwk,
    /// What is signed.
    pub message: &'t str,
    /// The signature.
    pub signature: Vec<u8>,
    /// The bundle.
    pub payload: Vec<u8>,
}

/// Takes an envelope apart. Every byte counts: nothing is skipped, and no other text stands for the same.
///
/// # Errors
/// Why it is no such envelope.
pub fn open(text: &str) -> Result<Opened<'_>, String> {
    let (message, signature) = text.rsplit_once('.').ok_or("it is no signed bundle")?;
    let (header, payload) = message.split_once('.').ok_or("it is no signed bundle")?;
    let decode = |part: &str, what: &str| {
        URL_SAFE_NO_PAD.decode(part).map_err(|error| format!("its {what} is no base64url: {error}"))
    };
    let header = decode(header, "header")?;
    let header: Header = serde_json::from_slice(&header).map_err(|error| format!("its header: {error}"))?;
    if header.alg != "EdDSA" || header.typ != TYPE {
        return Err(format!("it is a `{}` signed by {}, not a `{TYPE}` signed by EdDSA", header.typ, header.alg));
    }
    let (signature, payload) = (decode(signature, "signature")?, decode(payload, "payload")?);
    Ok(Opened { key_id: header.kid, key: header.jwk, message, signature, payload })
}
