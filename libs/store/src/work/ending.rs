use sqlx::PgConnection;

use super::{CHANNEL, Lease};
use crate::{StoreError, TenantTx, WorkerTx};

/// Ends a run that did what was asked. Returns whether something was asked meanwhile.
/// What repeats by itself is due again after its interval, give or take a tenth.
pub async fn finish(tx: &mut WorkerTx, lease: &Lease) -> Result<bool, StoreError> {
    end(tx.conn(), lease).await
}

/// The same in one transaction with the last effects, for work that must not be done again once they are written.
/// [`finish`] may follow and changes nothing more.
pub async fn finish_with(tx: &mut TenantTx, lease: &Lease) -> Result<(), StoreError> {
    if end(tx.conn(), lease).await? {
        sqlx::query!("select pg_notify($1, $2)", CHANNEL, lease.kind.as_str()).execute(tx.conn()).await?;
    }
    Ok(())
}

async fn end(conn: &mut PgConnection, lease: &Lease) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"update work
           set done = claimed, lease_until = null, attempts = 0, last_error = null,
               want = case when every_s is null then want else greatest(want, claimed + 1) end,
               run_at = case when want > claimed or every_s is null then run_at
                             else now() + (0.9 + 0.2 * random()) * make_interval(secs => every_s) end
           where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4
           returning run_at <= now() and want > done as "again!""#,
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.again).ok_or(StoreError::LeaseLost)
}

/// Gives a subject back after a failure: it is due again after a delay that doubles with each attempt, up to an hour.
pub async fn fail(tx: &mut WorkerTx, lease: &Lease, error: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update work
         set lease_until = null, last_error = left($5, 2000),
             run_at = now() + least(3600, 5 * power(2, least(attempts, 10))) * (0.8 + 0.4 * random()) * interval '1 second'
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence,
        error
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives a subject back at once, as when the process is asked to stop: it counts as no attempt.
pub async fn release(tx: &mut WorkerTx, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query!(
        "update work set lease_until = null, attempts = greatest(attempts - 1, 0)
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, lease.kind.as_str()).execute(tx.conn()).await?;
    Ok(())
}

/// Gives a subject back that failed for no fault of its own, as in a deadlock: it is due again within a second, and it counts
/// as no attempt. At random, so that those who were in each other's way are not again.
pub async fn repeat(tx: &mut WorkerTx, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query!(
        "update work
         set lease_until = null, attempts = greatest(attempts - 1, 0),
             run_at = greatest(run_at, now()) + (0.2 + 0.8 * random()) * interval '1 second'
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
