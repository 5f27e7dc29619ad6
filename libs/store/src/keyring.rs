//! Keys that seal what must not lie in the database in the clear.
//!
//! A value is sealed with AES-256-GCM under one of several key-encryption keys. The associated data names tenant,
//! connector and field, so a sealed value that is copied to another row does not open there.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use crate::StoreError;

/// A sealed value as the database holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which key sealed it.
    pub key_id: String,
    /// Nonce, ciphertext, tag.
    pub bytes: Vec<u8>,
}

/// What a sealed value belongs to.
#[derive(Debug, Clone, Copy)]
pub struct Label<'a> {
    /// The tenant.
    pub tenant: rampart_domain::TenantId,
    /// The connector.
    pub connector: rampart_domain::ConnectorId,
    /// The field.
    pub field: &'a str,
}

impl Label<'_> {
    fn associated_data(&self) -> Aad<Vec<u8>> {
        Aad::from(format!("{}|{}|{}", self.tenant, self.connector, self.field).into_bytes())
    }
}

/// Why a keyring could not be read.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The key file could not be read or written.
    #[error("key file `{path}`")]
    File {
        /// Path of the file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no key at all.
    #[error("no key: give lines of base64 (32 bytes) or `id:base64`, the active key first")]
    Empty,
    /// A line is not a key.
    #[error("key {line} is not base64 of 32 bytes, optionally led by `id:`")]
    Malformed {
        /// Line number, from 1.
        line: usize,
    },
    /// Two keys have one id.
    #[error("key {line} has the same id as an earlier one")]
    Duplicate {
        /// Line number, from 1.
        line: usize,
    },
}

struct Key {
    id: String,
    cipher: RandomizedNonceKey,
    /// Derived from the key, for what must stay equal as long as the key is there.
    redaction: aws_lc_rs::hmac::Key,
}

/// Key-encryption keys: the first seals, all open.
pub struct Keyring {
    keys: Vec<Key>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Keyring {
    /// Reads keys from text: one a line or separated by commas, `base64` or `id:base64`; `#` starts a comment.
    /// A key without an id is named by a fingerprint of itself.
    pub fn parse(text: &SecretString) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
        let lines = text.expose_secret().split(['\n', ',']).map(str::trim);
        for (index, line) in lines.enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let line_number = index + 1;
            let key = Self::parse_key(line).ok_or(KeyringError::Malformed { line: line_number })?;
            if keys.iter().any(|earlier| earlier.id == key.id) {
                return Err(KeyringError::Duplicate { line: line_number });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyringError::Empty) } else { Ok(Self { keys }) }
    }

    fn parse_key(line: &str) -> Option<Key> {
        let (id, encoded) = line.split_once(':').map_or((None, line), |(id, rest)| (Some(id.trim()), rest.trim()));
        let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() == 32)?;
        let id = match id {
            Some(id) => id.to_owned(),
            None => fingerprint(&bytes),
        };
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()?;
        let root = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &bytes);
        let derived = aws_lc_rs::hmac::sign(&root, b"rampart redaction");
        let redaction = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, derived.as_ref());
        (!id.is_empty()).then_some(Key { id, cipher, redaction })
    }

    /// Reads keys from a file.
    pub fn from_file(path: &Path) -> Result<Self, KeyringError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| KeyringError::File { path: path.display().to_string(), source })?;
        Self::parse(&SecretString::from(text))
    }

    /// Id of the key that seals.
    pub fn active(&self) -> &str {
        &self.keys[0].id
    }

    /// Whether the key of this name is there.
    pub fn has(&self, key_id: &str) -> bool {
        self.keys.iter().any(|key| key.id == key_id)
    }

    /// The names of all keys, the active one first.
    pub fn ids(&self) -> String {
        self.keys.iter().map(|key| format!("`{}`", key.id)).collect::<Vec<_>>().join(", ")
    }

    /// Key of the hash that stands for literal values of a tenant's workloads. It comes from the oldest key, so that
    /// adding one changes nothing; dropping the oldest makes every workload look changed once.
    ///
    /// # Panics
    /// Never: a keyring holds at least one key.
    pub fn redaction_key(&self, tenant: rampart_domain::TenantId) -> [u8; 32] {
        let oldest = self.keys.last().expect("a keyring has at least one key");
        let tag = aws_lc_rs::hmac::sign(&oldest.redaction, tenant.0.as_bytes());
        tag.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Seals a value for one place.
    pub fn seal(&self, label: &Label<'_>, value: &SecretString) -> Result<Sealed, StoreError> {
        let key = &self.keys[0];
        let mut body = value.expose_secret().as_bytes().to_vec();
        let nonce = key
            .cipher
            .seal_in_place_append_tag(label.associated_data(), &mut body)
            .map_err(|_| StoreError::Seal("could not be sealed"))?;
        let mut bytes = nonce.as_ref().to_vec();
        bytes.append(&mut body);
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    /// Opens a value that was sealed for the same place.
    pub fn open(&self, label: &Label<'_>, sealed: &Sealed) -> Result<SecretString, StoreError> {
        let key = self
            .keys
            .iter()
            .find(|key| key.id == sealed.key_id)
            .ok_or(StoreError::Seal("the key that sealed it is not in the keyring"))?;
        let (nonce, body) =
            sealed.bytes.split_at_checked(NONCE_LEN).ok_or(StoreError::Seal("the sealed value is cut short"))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| StoreError::Seal("the nonce is malformed"))?;
        let mut body = body.to_vec();
        let opened = key
            .cipher
            .open_in_place(nonce, label.associated_data(), &mut body)
            .map_err(|_| StoreError::Seal("it was not sealed for this place, or was changed"))?;
        let text = std::str::from_utf8(opened).map_err(|_| StoreError::Seal("it is not text"))?;
        Ok(SecretString::from(text))
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    crate::token::hex(&digest.as_ref()[..4])
}

/// Writes a new key to a file that only its owner may read. Fails when the file exists.
pub fn generate_key_file(path: &Path) -> Result<(), KeyringError> {
    use std::io::Write as _;
    let fail = |source| KeyringError::File { path: path.display().to_string(), source };
    let mut key = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| fail(std::io::Error::other("the system gave no random bytes")))?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(fail)?;
    writeln!(file, "{}:{}", fingerprint(&key), STANDARD.encode(key)).map_err(fail)?;
    file.sync_all().map_err(fail)
}

#[cfg(test)]
mod tests {
    use rampart_domain::{ConnectorId, TenantId};
    use uuid::Uuid;

    use super::*;

    fn ring(text: &str) -> Keyring {
        Keyring::parse(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn a_value_opens_only_where_it_was_sealed() {
        let keys = ring(&format!("a:{}", STANDARD.encode([1; 32])));
        let here =
            Label { tenant: TenantId(Uuid::nil()), connector: ConnectorId(Uuid::nil()), field: "secret_access_key" };
        let sealed = keys.seal(&here, &SecretString::from("hunter2")).unwrap();
        assert_eq!(keys.open(&here, &sealed).unwrap().expose_secret(), "hunter2");
        assert!(keys.open(&Label { field: "session_token", ..here }, &sealed).is_err());
        assert!(keys.open(&Label { tenant: TenantId(Uuid::max()), ..here }, &sealed).is_err());
        let mut bent = sealed.clone();
        *bent.bytes.last_mut().unwrap() ^= 1;
        assert!(keys.open(&here, &bent).is_err());
    }

    #[test]
    fn a_new_active_key_still_opens_what_the_old_one_sealed() {
        let old = format!("a:{}", STANDARD.encode([1; 32]));
        let new = format!("b:{}", STANDARD.encode([2; 32]));
        let label = Label { tenant: TenantId(Uuid::nil()), connector: ConnectorId(Uuid::nil()), field: "token" };
        let sealed = ring(&old).seal(&label, &SecretString::from("x")).unwrap();
        let both = ring(&format!("# rotation\n{new}\n{old}"));
        assert_eq!(both.active(), "b");
        assert_eq!(both.open(&label, &sealed).unwrap().expose_secret(), "x");
        assert!(ring(&new).open(&label, &sealed).is_err());
    }

    #[test]
    fn malformed_keys_are_refused_without_being_shown() {
        for (text, line) in [("a:c2hvcnQ=", 1), ("# c\nnonsense!", 2)] {
            let error = Keyring::parse(&SecretString::from(text)).unwrap_err();
            assert!(matches!(error, KeyringError::Malformed { line: found } if found == line), "{error}");
            assert!(!error.to_string().contains("c2hvcnQ") && !error.to_string().contains("nonsense"));
        }
        assert!(matches!(Keyring::parse(&SecretString::from(" \n")), Err(KeyringError::Empty)));
    }
}
