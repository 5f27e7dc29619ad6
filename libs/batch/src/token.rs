use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use crate::SigningKey;

/// Everything secret that a collector needs, as one text: `<bearer>.<base64url of seed and redaction key>`.
///
/// Only the part before the dot is ever sent. The redaction key is the tenant's: a value that two views of one cluster
/// hide must look the same in both.
pub struct CollectorToken {
    /// Authenticates the requests.
    pub bearer: SecretString,
    /// Signs the batches.
    pub key: SigningKey,
    /// Hides literal values before they leave the cluster.
    pub redaction_key: [u8; 32],
}

impl fmt::Debug for CollectorToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CollectorToken(..)")
    }
}

/// The text is no collector token. Never carries any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the collector token is malformed: give the whole text that was shown when the connector was made")]
pub struct TokenError;

impl CollectorToken {
    /// Reads the text, white space around it aside.
    pub fn parse(text: &SecretString) -> Result<Self, TokenError> {
        let (bearer, secret) = text.expose_secret().trim().split_once('.').ok_or(TokenError)?;
        let bytes: [u8; 64] =
            URL_SAFE_NO_PAD.decode(secret).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(TokenError)?;
        let plain = !bearer.is_empty() && bearer.bytes().all(|byte| byte.is_ascii_graphic());
        let (seed, redaction) = bytes.split_at(32);
        let halves = seed.try_into().ok().and_then(SigningKey::from_seed).zip(redaction.try_into().ok());
        let (key, redaction_key) = halves.filter(|_| plain).ok_or(TokenError)?;
        Ok(Self { bearer: SecretString::from(bearer), key, redaction_key })
    }

    /// The text to show once.
    pub fn to_text(&self) -> SecretString {
        let secret = URL_SAFE_NO_PAD.encode([&self.key.seed()[..], &self.redaction_key].concat());
        SecretString::from(format!("{}.{secret}", self.bearer.expose_secret()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_reads_back_and_shows_nothing_else() {
        let token = CollectorToken {
            bearer: SecretString::from("rmp_abc"),
            key: SigningKey::from_seed([7; 32]).unwrap(),
            redaction_key: [9; 32],
        };
        let text = token.to_text();
        let read = CollectorToken::parse(&SecretString::from(format!(" {}\n", text.expose_secret()))).unwrap();
        assert_eq!((read.key.public(), read.redaction_key), (token.key.public(), [9; 32]));
        assert_eq!(read.bearer.expose_secret(), "rmp_abc");
        assert!(!format!("{read:?}").contains("abc"));
        for bad in ["", "rmp_abc", "rmp_abc.", "rmp_abc.AAAA", ".AAAA", &text.expose_secret()[1..20]] {
            assert_eq!(CollectorToken::parse(&SecretString::from(bad)).unwrap_err(), TokenError, "{bad}");
        }
    }
}
