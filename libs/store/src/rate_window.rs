//! How much a caller may still ask for, agreed between replicas without a write per request.
//!
//! Time is cut into windows by the clock of the database. A replica takes a slice of what a caller may do in the current
//! window and spends it by itself; the slices of all replicas never add up to more than the limit.

use std::time::Duration;

use rampart_domain::ActorId;

use crate::{StoreError, TenantTx};

/// A slice of the current window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Requests that were granted, at most as many as were asked for.
    pub granted: u32,
    /// Requests that nobody took yet.
    pub left: u32,
    /// How long the window goes on.
    pub ends_in: Duration,
}

/// Takes up to `want` of the `limit` requests that a caller may make in each `window`.
pub async fn take(
    tx: &mut TenantTx,
    actor: ActorId,
    want: u32,
    limit: u32,
    window: Duration,
) -> Result<Slice, StoreError> {
    let tenant = tx.tenant_uuid();
    let length = window.as_secs_f64();
    let row = sqlx::query!(
        r#"insert into rate_windows as r (tenant_id, actor_id, window_no, taken)
           values ($1, $2, floor(extract(epoch from clock_timestamp())::float8 / $4)::bigint, $3)
           on conflict (tenant_id, actor_id) do update set
               window_no = greatest(r.window_no, excluded.window_no),
               taken = case when excluded.window_no > r.window_no then excluded.taken else r.taken + excluded.taken end
           returning taken, (window_no + 1) * $4 - extract(epoch from clock_timestamp())::float8 as "ends_in!""#,
        tenant,
        actor.0,
        i64::from(want),
        length
    )
    .fetch_one(tx.conn())
    .await?;
    let (limit, before) = (i64::from(limit), row.taken - i64::from(want));
    Ok(Slice {
        granted: (limit - before).clamp(0, i64::from(want)) as u32,
        left: (limit - row.taken).max(0) as u32,
        ends_in: Duration::from_secs_f64(row.ends_in.clamp(0.0, length)),
    })
}

/// Forgets callers that did not come for a day or more.
pub(crate) async fn forget(tx: &mut TenantTx) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    // Windows are seconds long, so that this many of them are days.
    sqlx::query!(
        "delete from rate_windows where tenant_id = $1
           and window_no < (select max(window_no) from rate_windows where tenant_id = $1) - 86400",
        tenant
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
