//! Collectors: who may push the batches of a connector, and which cluster they speak of.

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, TokenId};
use secrecy::SecretString;

use crate::token::{self, NewToken};
use crate::{StoreError, TenantTx};

/// Who pushes for a connector.
#[derive(Debug, Clone)]
pub struct Collector {
    /// The token that is valid now; `None` when it was revoked.
    pub token_id: Option<TokenId>,
    /// Ed25519 key of that token, 32 bytes.
    pub public_key: Option<Vec<u8>>,
    /// Uid of the cluster, once a session told it.
    pub kube_uid: Option<String>,
    /// Start of the newest session that closed.
    pub newest_at: Option<DateTime<Utc>>,
    /// When the last session was taken up, or the collector was made.
    pub taken_at: DateTime<Utc>,
    /// When the token was made.
    pub rotated_at: DateTime<Utc>,
    /// When the token stops working by itself.
    pub expires_at: Option<DateTime<Utc>>,
}

const NOT_FOUND: StoreError = StoreError::NotFound { what: "collector" };

/// Makes the collector of a connector, or gives it a new token and key: the earlier ones stop working at once, and the
/// next session says anew which cluster it is about. The secret is not kept anywhere.
pub async fn rotate(
    tx: &mut TenantTx,
    connector: ConnectorId,
    name: &str,
    public_key: &[u8; 32],
    expires_at: DateTime<Utc>,
) -> Result<SecretString, StoreError> {
    revoke_token(tx, connector).await?;
    let new = NewToken { name, grants: &[], connector: Some(connector), expires_at };
    let (made, secret) = token::make(tx, &new).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into collectors (tenant_id, connector_id, token_id, public_key) values ($1, $2, $3, $4)
         on conflict (tenant_id, connector_id) do update
         set token_id = excluded.token_id, public_key = excluded.public_key, kube_uid = null, rotated_at = now()",
        tenant,
        connector.0,
        made.token_id.0,
        &public_key[..]
    )
    .execute(tx.conn())
    .await?;
    Ok(secret)
}

/// Ends the token and the key. Nothing is taken from this collector until it gets new ones.
pub async fn revoke(tx: &mut TenantTx, connector: ConnectorId) -> Result<(), StoreError> {
    revoke_token(tx, connector).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update collectors set token_id = null, public_key = null where tenant_id = $1 and connector_id = $2",
        tenant,
        connector.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn revoke_token(tx: &mut TenantTx, connector: ConnectorId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update tokens set revoked_at = coalesce(revoked_at, now()) where tenant_id = $1 and connector_id = $2",
        tenant,
        connector.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The collector of a connector; [`StoreError::NotFound`] for a connector that is not pushed to.
pub async fn get(tx: &mut TenantTx, connector: ConnectorId) -> Result<Collector, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        r#"select c.token_id, c.public_key, c.kube_uid, c.newest_at, c.taken_at, c.rotated_at,
                  t.expires_at as "expires_at?"
           from collectors c left join tokens t on t.tenant_id = c.tenant_id and t.token_id = c.token_id
           where c.tenant_id = $1 and c.connector_id = $2"#,
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?;
    Ok(Collector {
        token_id: row.token_id.map(TokenId),
        public_key: row.public_key,
        kube_uid: row.kube_uid,
        newest_at: row.newest_at,
        taken_at: row.taken_at,
        rotated_at: row.rotated_at,
        expires_at: row.expires_at,
    })
}

/// Keeps the first uid that a session told: later sessions must be about the same cluster.
pub async fn pin(tx: &mut TenantTx, connector: ConnectorId, kube_uid: &str) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update collectors set kube_uid = $3 where tenant_id = $1 and connector_id = $2 and kube_uid is null",
        tenant,
        connector.0,
        kube_uid
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
