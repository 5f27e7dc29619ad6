use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use rampart_domain::{ConnectorId, WebhookId};
use secrecy::{ExposeSecret, SecretString};

use super::{WHAT, lock};
use crate::keyring::{Keyring, Label, Sealed};
use crate::{Store, StoreError, TenantTx, tenant};

/// How long the secret before a rotation signs too, unless the caller says otherwise.
pub const KEEP_PREVIOUS: TimeDelta = TimeDelta::hours(24);

/// What is secret about a webhook.
#[derive(Debug)]
pub struct Secrets {
    /// Where it is.
    pub url: SecretString,
    /// What messages are signed with, `whsec_` and base64; the newest first.
    pub signing: Vec<SecretString>,
}

/// A new secret: 32 random bytes, as Standard Webhooks writes them.
pub(super) fn generate() -> Result<SecretString, StoreError> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| StoreError::Seal("the system gave no random bytes"))?;
    Ok(SecretString::from(format!("whsec_{}", STANDARD.encode(bytes))))
}

/// The field's name in the seal; that of a connector's field never begins so.
fn name(field: &str) -> String {
    format!("webhook/{field}")
}

pub(super) async fn seal(
    tx: &mut TenantTx,
    keyring: &Keyring,
    id: WebhookId,
    field: &str,
    value: &SecretString,
) -> Result<(), StoreError> {
    let name = name(field);
    let label = Label { tenant: tx.tenant(), connector: ConnectorId(id.0), field: &name };
    let sealed = keyring.seal(&label, value)?;
    put(tx, id, field, &sealed, None).await
}

async fn put(
    tx: &mut TenantTx,
    id: WebhookId,
    field: &str,
    sealed: &Sealed,
    expires_at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into webhook_secrets (tenant_id, webhook_id, field, key_id, sealed, expires_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (tenant_id, webhook_id, field) do update
         set key_id = excluded.key_id, sealed = excluded.sealed, expires_at = excluded.expires_at",
        tenant,
        id.0,
        field,
        sealed.key_id,
        sealed.bytes,
        expires_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Opens what is secret about a webhook.
pub async fn secrets(
    tx: &mut TenantTx,
    keyring: &Keyring,
    id: WebhookId,
    now: DateTime<Utc>,
) -> Result<Secrets, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let rows = sqlx::query!(
        "select field, key_id, sealed from webhook_secrets
         where tenant_id = $1 and webhook_id = $2 and (expires_at is null or expires_at > $3) order by field desc",
        tenant,
        id.0,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    let (mut url, mut signing) = (None, Vec::new());
    for row in rows {
        let name = name(&row.field);
        let label = Label { tenant: tenant_id, connector: ConnectorId(id.0), field: &name };
        let value = keyring.open(&label, &Sealed { key_id: row.key_id, bytes: row.sealed })?;
        match row.field.as_str() {
            "url" => url = Some(value),
            "secret" => signing.insert(0, value),
            _ => signing.push(value),
        }
    }
    Ok(Secrets { url: url.ok_or(StoreError::NotFound { what: WHAT })?, signing })
}

/// Makes a new secret and returns it to be shown once. The one before it signs too until `previous_until`.
pub async fn rotate(
    tx: &mut TenantTx,
    keyring: &Keyring,
    id: WebhookId,
    (previous_until, now): (DateTime<Utc>, DateTime<Utc>),
) -> Result<SecretString, StoreError> {
    lock(tx, id, None).await?;
    let tenant = tx.tenant_uuid();
    let current = secrets(tx, keyring, id, now).await?.signing.into_iter().next();
    sqlx::query!(
        "delete from webhook_secrets where tenant_id = $1 and webhook_id = $2 and field = 'previous'",
        tenant,
        id.0
    )
    .execute(tx.conn())
    .await?;
    if let Some(current) = current.filter(|_| previous_until > now) {
        let name = name("previous");
        let label = Label { tenant: tx.tenant(), connector: ConnectorId(id.0), field: &name };
        let sealed = keyring.seal(&label, &current)?;
        put(tx, id, "previous", &sealed, Some(previous_until)).await?;
    }
    let secret = generate()?;
    seal(tx, keyring, id, "secret", &secret).await?;
    sqlx::query!(
        "update webhooks set version = version + 1, updated_at = now() where tenant_id = $1 and webhook_id = $2",
        tenant,
        id.0
    )
    .execute(tx.conn())
    .await?;
    Ok(secret)
}

/// Seals everything again that an earlier key sealed. Returns how many values that were.
pub async fn reseal(store: &Store, keyring: &Keyring) -> Result<u64, StoreError> {
    let mut resealed = 0;
    for tenant in tenant::all(store).await? {
        let mut tx = store.tenant(tenant).await?;
        let rows = sqlx::query!(
            "select webhook_id, field, key_id, sealed, expires_at from webhook_secrets
             where tenant_id = $1 and key_id <> $2 order by webhook_id, field for update",
            tenant.0,
            keyring.active()
        )
        .fetch_all(tx.conn())
        .await?;
        for row in rows {
            let name = name(&row.field);
            let label = Label { tenant, connector: ConnectorId(row.webhook_id), field: &name };
            let value = keyring.open(&label, &Sealed { key_id: row.key_id, bytes: row.sealed })?;
            let sealed = keyring.seal(&label, &value)?;
            put(&mut tx, WebhookId(row.webhook_id), &row.field, &sealed, row.expires_at).await?;
            resealed += 1;
        }
        tx.commit().await?;
    }
    Ok(resealed)
}

impl Secrets {
    /// The text without any of what is secret here.
    pub fn redact(&self, text: &str) -> String {
        let url = self.url.expose_secret();
        // The path is the secret part of an address that holds one.
        let path = url.splitn(4, '/').nth(3).filter(|path| path.len() > 8);
        let hidden = self.signing.iter().map(ExposeSecret::expose_secret).chain([url]).chain(path);
        hidden.fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
    }
}
