//! The keys with which this installation signs as an OIDC issuer.
//!
//! ```text
//! created ── published, not yet signing ──▶ signs_from ── signs ──▶ the next one's signs_from ── its tokens end ──▶ gone
//! ```
//! A key is published a day before it signs, because clouds keep what they read, and stays published until the last
//! token it signed has ended. Any replica may turn the wheel at any time: a lock makes them agree on one key.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rampart_domain::{ConnectorId, TenantId};
use secrecy::SecretString;
use uuid::Uuid;

use crate::keyring::{Keyring, Label, Sealed};
use crate::token::hex;
use crate::{Store, StoreError, TenantTx};

/// Longest life of a token that these keys sign.
pub const TOKEN_LIFETIME: TimeDelta = TimeDelta::minutes(10);
/// How long a key is published before it signs.
pub const ANNOUNCED_FOR: TimeDelta = TimeDelta::hours(24);
/// How long a key signs.
pub const SIGNS_FOR: TimeDelta = TimeDelta::days(90);
/// How long a key stays published after its last signature: its tokens' life, and an hour for clocks that differ.
const KEPT_FOR: TimeDelta = TimeDelta::minutes(70);

/// Whose the keys are: nobody's among the customers.
const INSTALLATION: TenantId = TenantId(Uuid::nil());

/// The public half of a key, as a JWK has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Names the key in tokens.
    pub key_id: String,
    /// Modulus, big-endian in base64url.
    pub modulus: String,
    /// Exponent, big-endian in base64url.
    pub exponent: String,
}

/// A key that signs.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// Names the key in tokens.
    pub key_id: String,
    /// The RSA private key, PKCS #8 in PEM.
    pub pem: SecretString,
}

/// When a new key takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takeover {
    /// After it was published for [`ANNOUNCED_FOR`]; nothing that was signed stops working.
    Announced,
    /// At once, and every earlier key is gone: for a key that is not secret any more.
    AtOnce,
}

/// The keys that clouds must know at `now`, the oldest first.
pub async fn published(store: &Store, now: DateTime<Utc>) -> Result<Vec<PublicKey>, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    let keys = sqlx::query_as!(
        PublicKey,
        "select key_id, modulus, exponent from issuer_keys k
         where tenant_id = $1 and not exists (
             select from issuer_keys later
             where later.tenant_id = $1 and later.signs_from > k.signs_from and later.signs_from <= $2)
         order by signs_from",
        INSTALLATION.0,
        now - KEPT_FOR
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(keys)
}

/// The key that signs at `now`.
pub async fn signing(store: &Store, keyring: &Keyring, now: DateTime<Utc>) -> Result<SigningKey, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    let row = sqlx::query!(
        "select key_id, sealed_by, sealed from issuer_keys where tenant_id = $1 and signs_from <= $2
         order by signs_from desc limit 1",
        INSTALLATION.0,
        now
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "issuer key" })?;
    let pem = keyring.open(&label(&field(&row.key_id)), &Sealed { key_id: row.sealed_by, bytes: row.sealed })?;
    Ok(SigningKey { key_id: row.key_id, pem })
}

/// Makes the first key, announces the next one in time and removes those whose tokens have ended. Call it at start and
/// from time to time.
pub async fn keep(store: &Store, keyring: &Keyring, now: DateTime<Utc>) -> Result<(), StoreError> {
    let mut tx = locked(store).await?;
    let latest = sqlx::query_scalar!("select max(signs_from) from issuer_keys where tenant_id = $1", INSTALLATION.0)
        .fetch_one(tx.conn())
        .await?;
    match latest {
        None => drop(create(&mut tx, keyring, now, now).await?),
        Some(latest) if latest + SIGNS_FOR - ANNOUNCED_FOR <= now => {
            drop(create(&mut tx, keyring, now, now + ANNOUNCED_FOR).await?);
        }
        Some(_) => {}
    }
    sqlx::query!(
        "delete from issuer_keys k
         where tenant_id = $1 and exists (
             select from issuer_keys later
             where later.tenant_id = $1 and later.signs_from > k.signs_from and later.signs_from <= $2)",
        INSTALLATION.0,
        now - KEPT_FOR
    )
    .execute(tx.conn())
    .await?;
    tx.commit().await
}

/// Makes a new key although none is due, and returns its id and when it signs. One that is announced already is not
/// followed by another.
pub async fn rotate(
    store: &Store,
    keyring: &Keyring,
    takeover: Takeover,
    now: DateTime<Utc>,
) -> Result<(String, DateTime<Utc>), StoreError> {
    let mut tx = locked(store).await?;
    let made = match takeover {
        Takeover::AtOnce => {
            sqlx::query!("delete from issuer_keys where tenant_id = $1", INSTALLATION.0).execute(tx.conn()).await?;
            (create(&mut tx, keyring, now, now).await?, now)
        }
        Takeover::Announced => {
            let waiting = sqlx::query!(
                "select key_id, signs_from from issuer_keys where tenant_id = $1 and signs_from > $2 limit 1",
                INSTALLATION.0,
                now
            )
            .fetch_optional(tx.conn())
            .await?;
            if let Some(row) = waiting {
                (row.key_id, row.signs_from)
            } else {
                let signs_from = now + ANNOUNCED_FOR;
                (create(&mut tx, keyring, now, signs_from).await?, signs_from)
            }
        }
    };
    tx.commit().await?;
    Ok(made)
}

/// Seals every key again that an earlier key-encryption key sealed. Returns how many those were.
pub async fn reseal(store: &Store, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut tx = locked(store).await?;
    let rows = sqlx::query!(
        "select key_id, sealed_by, sealed from issuer_keys where tenant_id = $1 and sealed_by <> $2",
        INSTALLATION.0,
        keyring.active()
    )
    .fetch_all(tx.conn())
    .await?;
    let count = rows.len() as u64;
    for row in rows {
        let field = field(&row.key_id);
        let pem = keyring.open(&label(&field), &Sealed { key_id: row.sealed_by, bytes: row.sealed })?;
        let sealed = keyring.seal(&label(&field), &pem)?;
        sqlx::query!(
            "update issuer_keys set sealed_by = $3, sealed = $4 where tenant_id = $1 and key_id = $2",
            INSTALLATION.0,
            row.key_id,
            sealed.key_id,
            sealed.bytes
        )
        .execute(tx.conn())
        .await?;
    }
    tx.commit().await?;
    Ok(count)
}

/// By which key each stored key is sealed, and whether it opens.
pub(crate) async fn sealed_by(store: &Store, keyring: &Keyring) -> Result<Vec<(String, bool)>, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    let rows = sqlx::query!("select key_id, sealed_by, sealed from issuer_keys where tenant_id = $1", INSTALLATION.0)
        .fetch_all(tx.conn())
        .await?;
    let rows = rows.into_iter().map(|row| {
        let sealed = Sealed { key_id: row.sealed_by.clone(), bytes: row.sealed };
        (row.sealed_by, keyring.open(&label(&field(&row.key_id)), &sealed).is_ok())
    });
    Ok(rows.collect())
}

/// A transaction in which nobody else changes the keys.
async fn locked(store: &Store) -> Result<TenantTx, StoreError> {
    let mut tx = store.tenant(INSTALLATION).await?;
    sqlx::query("select pg_advisory_xact_lock(7241871)").execute(tx.conn()).await?;
    Ok(tx)
}

fn field(key_id: &str) -> String {
    format!("issuer_key|{key_id}")
}

fn label(field: &str) -> Label<'_> {
    Label { tenant: INSTALLATION, connector: ConnectorId(Uuid::nil()), field }
}

async fn create(
    tx: &mut TenantTx,
    keyring: &Keyring,
    now: DateTime<Utc>,
    signs_from: DateTime<Utc>,
) -> Result<String, StoreError> {
    // Finding the primes takes a good part of a second.
    let made = tokio::task::spawn_blocking(generate).await;
    let (public, pem) = made.map_err(|_| StoreError::Seal("the key could not be generated"))??;
    let sealed = keyring.seal(&label(&field(&public.key_id)), &pem)?;
    sqlx::query!(
        "insert into issuer_keys (tenant_id, key_id, created_at, signs_from, modulus, exponent, sealed_by, sealed)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        INSTALLATION.0,
        public.key_id,
        now,
        signs_from,
        public.modulus,
        public.exponent,
        sealed.key_id,
        sealed.bytes
    )
    .execute(tx.conn())
    .await?;
    Ok(public.key_id)
}

/// A new RSA key: the one kind that AWS, Entra and Google Cloud all take.
fn generate() -> Result<(PublicKey, SecretString), StoreError> {
    let failed = |_| StoreError::Seal("the key could not be generated");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(failed)?;
    let body = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = (0..body.len()).step_by(64).map(|at| &body[at..body.len().min(at + 64)]).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    let public = pair.public_key();
    let modulus = public.modulus().big_endian_without_leading_zero();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, modulus);
    let public = PublicKey {
        key_id: hex(&digest.as_ref()[..10]),
        modulus: URL_SAFE_NO_PAD.encode(modulus),
        exponent: URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
    };
    Ok((public, SecretString::from(pem)))
}
