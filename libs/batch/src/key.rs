use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// Length of a seed and of a public key, in bytes.
const KEY: usize = 32;

/// What a collector signs with (Ed25519). The platform shows it once and keeps only the public half.
pub struct SigningKey {
    seed: [u8; KEY],
    pair: Ed25519KeyPair,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl SigningKey {
    /// A new key; `None` when the system gives no random bytes.
    pub fn generate() -> Option<Self> {
        let mut seed = [0; KEY];
        aws_lc_rs::rand::fill(&mut seed).ok()?;
        Self::from_seed(seed)
    }

    /// The key of a seed.
    pub fn from_seed(seed: [u8; KEY]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).ok()?;
        Some(Self { seed, pair })
    }

    pub(crate) const fn seed(&self) -> &[u8; KEY] {
        &self.seed
    }

    /// The half that verifies.
    ///
    /// # Panics
    /// Never: an Ed25519 public key has 32 bytes.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes"))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// What tells the batches of one collector from those of everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY]);

impl PublicKey {
    /// A key as it was stored; `None` for another length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// SHA-256 of a body.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}
