//! The keys with which this installation signs what it gives away to be checked elsewhere.
//!
//! The first is made when it is needed. Their public halves stay published for good, since what they signed is kept for
//! years; a key that is not secret any more is followed by another, and whoever checks decides which keys to trust.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, TenantId};
use secrecy::{ExposeSecret as _, SecretString, zeroize::Zeroizing};
use uuid::Uuid;

use crate::keyring::{Keyring, Label, Sealed};
use crate::{Store, StoreError, TenantTx};

/// Whose the keys are: nobody's among the customers.
const INSTALLATION: TenantId = TenantId(Uuid::nil());

/// The public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The SHA-256 thumbprint of the key as a JWK (RFC 7638), in base64url.
    pub key_id: String,
    /// Ed25519.
    pub public_key: [u8; 32],
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A key that signs.
pub struct Signer {
    /// Its public half.
    pub public: PublicKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    /// The signature of a message.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

struct Row {
    key_id: String,
    created_at: DateTime<Utc>,
    public_key: Vec<u8>,
    sealed_by: String,
    sealed: Vec<u8>,
}

impl Row {
    fn public(&self) -> Result<PublicKey, StoreError> {
        let public_key = self.public_key.as_slice().try_into();
        let public_key = public_key.map_err(|_| StoreError::Corrupt(format!("bundle key `{}`", self.key_id)))?;
        Ok(PublicKey { key_id: self.key_id.clone(), public_key, created_at: self.created_at })
    }

    fn seed(&self, keyring: &Keyring) -> Result<SecretString, StoreError> {
        let sealed = Sealed { key_id: self.sealed_by.clone(), bytes: self.sealed.clone() };
        keyring.open(&label(&field(&self.key_id)), &sealed)
    }
}

/// Every key there was, the oldest first.
pub async fn published(store: &Store) -> Result<Vec<PublicKey>, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    rows(&mut tx).await?.iter().map(Row::public).collect()
}

/// The key that signs, made now if there is none.
pub async fn signing(store: &Store, keyring: &Keyring, now: DateTime<Utc>) -> Result<Signer, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    let mut latest = rows(&mut tx).await?.pop();
    if latest.is_none() {
        lock(&mut tx).await?;
        if rows(&mut tx).await?.is_empty() {
            create(&mut tx, keyring, now).await?;
        }
        latest = rows(&mut tx).await?.pop();
        tx.commit().await?;
    }
    let row = latest.ok_or(StoreError::NotFound { what: "bundle key" })?;
    let failed = StoreError::Seal("the seed of a bundle key does not fit");
    let seed = Zeroizing::new(STANDARD.decode(row.seed(keyring)?.expose_secret()).unwrap_or_default());
    let public = row.public()?;
    let Ok(pair) = Ed25519KeyPair::from_seed_and_public_key(&seed, &public.public_key) else { return Err(failed) };
    Ok(Signer { public, pair })
}

/// Makes a new key that signs from now on, and returns its id.
pub async fn rotate(store: &Store, keyring: &Keyring, now: DateTime<Utc>) -> Result<String, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    lock(&mut tx).await?;
    let key_id = create(&mut tx, keyring, now).await?;
    tx.commit().await?;
    Ok(key_id)
}

/// Seals every key again that an earlier key-encryption key sealed. Returns how many those were.
pub async fn reseal(store: &Store, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    lock(&mut tx).await?;
    let mut count = 0;
    for row in rows(&mut tx).await?.iter().filter(|row| row.sealed_by != keyring.active()) {
        let sealed = keyring.seal(&label(&field(&row.key_id)), &row.seed(keyring)?)?;
        sqlx::query!(
            "update bundle_keys set sealed_by = $3, sealed = $4 where tenant_id = $1 and key_id = $2",
            INSTALLATION.0,
            row.key_id,
            sealed.key_id,
            sealed.bytes
        )
        .execute(tx.conn())
        .await?;
        count += 1;
    }
    tx.commit().await?;
    Ok(count)
}

/// Lets nobody else change the keys until the transaction ends.
async fn lock(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query("select pg_advisory_xact_lock(7241874)").execute(tx.conn()).await?;
    Ok(())
}

async fn rows(tx: &mut TenantTx) -> Result<Vec<Row>, StoreError> {
    Ok(sqlx::query_as!(
        Row,
        "select key_id, created_at, public_key, sealed_by, sealed from bundle_keys where tenant_id = $1
         order by created_at, key_id",
        INSTALLATION.0
    )
    .fetch_all(tx.conn())
    .await?)
}

fn field(key_id: &str) -> String {
    format!("bundle_key|{key_id}")
}

fn label(field: &str) -> Label<'_> {
    Label { tenant: INSTALLATION, connector: ConnectorId(Uuid::nil()), field }
}

async fn create(tx: &mut TenantTx, keyring: &Keyring, now: DateTime<Utc>) -> Result<String, StoreError> {
    let failed = |_| StoreError::Seal("the key could not be generated");
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(&mut *seed).map_err(failed)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| failed(aws_lc_rs::error::Unspecified))?;
    let public = pair.public_key().as_ref();
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, URL_SAFE_NO_PAD.encode(public));
    let key_id = URL_SAFE_NO_PAD.encode(digest(&SHA256, jwk.as_bytes()));
    let sealed = keyring.seal(&label(&field(&key_id)), &SecretString::from(STANDARD.encode(*seed)))?;
    sqlx::query!(
        "insert into bundle_keys (tenant_id, key_id, created_at, public_key, sealed_by, sealed)
         values ($1, $2, $3, $4, $5, $6)",
        INSTALLATION.0,
        key_id,
        now,
        public,
        sealed.key_id,
        sealed.bytes
    )
    .execute(tx.conn())
    .await?;
    Ok(key_id)
}
