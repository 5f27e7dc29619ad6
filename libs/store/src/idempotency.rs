//! Answers to creating requests, kept for a day so that a repeated request gets the same answer and does nothing.
//!
//! The row is written in the transaction of the effect: either both are there or neither.

use std::time::Duration;

use serde_json::Value;

use crate::{StoreError, TenantTx};

/// What became of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Begun {
    /// Not seen before: do the work, then call [`finish`].
    Fresh,
    /// Done before with the same request: answer this.
    Replay {
        /// HTTP status.
        status: u16,
        /// JSON body.
        body: Value,
    },
    /// Another request with this key is being answered now.
    InFlight,
    /// The key was used for another request.
    Mismatch,
}

/// How often a claim is tried. Half a second: the claim of a request that was just answered ends a moment after its answer.
const ATTEMPTS: u32 = 10;
const ATTEMPT_EVERY: Duration = Duration::from_millis(50);

/// Claims a key for a request. The claim is held until the transaction ends.
pub async fn begin(
    tx: &mut TenantTx,
    key: &str,
    operation: &str,
    request_hash: &[u8; 32],
) -> Result<Begun, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut attempts = ATTEMPTS;
    while !is_alone(tx, key).await? {
        attempts -= 1;
        if attempts == 0 {
            return Ok(Begun::InFlight);
        }
        tokio::time::sleep(ATTEMPT_EVERY).await;
    }
    let inserted = sqlx::query!(
        "insert into idempotency_keys (tenant_id, key, operation, request_hash) values ($1, $2, $3, $4)
         on conflict (tenant_id, key) do nothing",
        tenant,
        key,
        operation,
        &request_hash[..]
    )
    .execute(tx.conn())
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Begun::Fresh);
    }
    let row = sqlx::query!(
        "select operation, request_hash, status, body from idempotency_keys where tenant_id = $1 and key = $2",
        tenant,
        key
    )
    .fetch_one(tx.conn())
    .await?;
    if row.operation != operation || row.request_hash != request_hash {
        return Ok(Begun::Mismatch);
    }
    match (row.status, row.body) {
        (Some(status), Some(body)) => Ok(Begun::Replay { status: status as u16, body }),
        _ => Ok(Begun::InFlight),
    }
}

async fn is_alone(tx: &mut TenantTx, key: &str) -> Result<bool, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended($1 || '|' || $2, 7241872)) as "alone!""#,
        tenant.to_string(),
        key
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Stores the answer to a claimed key. It must not hold secrets.
pub async fn finish(tx: &mut TenantTx, key: &str, status: u16, body: &Value) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update idempotency_keys set status = $3, body = $4 where tenant_id = $1 and key = $2",
        tenant,
        key,
        i32::from(status),
        body
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets keys older than a day, of every tenant.
pub async fn sweep(tx: &mut crate::WorkerTx) -> Result<u64, StoreError> {
    let done = sqlx::query!("delete from idempotency_keys where created_at < now() - interval '1 day'")
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected())
}
