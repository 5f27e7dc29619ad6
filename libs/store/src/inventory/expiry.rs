use chrono::{DateTime, Utc};

use super::listing::mark_coverage_change;
use crate::{Store, StoreError, tenant};

/// Rows that one transaction of [`expire`] takes.
const EXPIRED_AT_ONCE: i64 = 500;

/// Marks readings whose last complete one is more than `intervals` of their connector's intervals old: verdicts that rest
/// on them become unknown. Returns how many readings expired.
pub async fn expire(store: &Store, intervals: u32, now: DateTime<Utc>) -> Result<u64, StoreError> {
    let mut expired = 0;
    for tenant in tenant::all(store).await? {
        loop {
            let mut tx = store.tenant(tenant).await?;
            let rows = sqlx::query!(
                "with old as (
                     select c.connector_id, c.scope, c.kind from coverage c
                     join connectors k on k.tenant_id = c.tenant_id and k.connector_id = c.connector_id
                     where c.tenant_id = $1 and not c.expired
                       and c.whole_at < $2::timestamptz - make_interval(mins => k.interval_minutes * $3)
                     order by c.connector_id, c.scope, c.kind limit $4 for update of c skip locked)
                 update coverage c set expired = true from old
                 where c.tenant_id = $1 and c.connector_id = old.connector_id and c.scope = old.scope and c.kind = old.kind
                 returning c.kind, c.cluster_id, c.cloud, c.account, c.region",
                tenant.0,
                now,
                i32::try_from(intervals).unwrap_or(i32::MAX / 1440),
                EXPIRED_AT_ONCE
            )
            .fetch_all(tx.conn())
            .await?;
            for row in &rows {
                let place = (row.cloud.as_str(), row.account.as_deref(), row.region.as_deref());
                mark_coverage_change(&mut tx, &row.kind, row.cluster_id, place).await?;
            }
            tx.commit().await?;
            expired += rows.len() as u64;
            if (rows.len() as i64) < EXPIRED_AT_ONCE {
                break;
            }
        }
    }
    Ok(expired)
}
