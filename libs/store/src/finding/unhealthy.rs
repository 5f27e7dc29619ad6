use uuid::Uuid;

use crate::score::Reach;
use crate::{StoreError, TenantTx};

/// Up to `limit` resources that are unhealthy by a control, by unit and id.
pub async fn unhealthy(tx: &mut TenantTx, reach: &Reach, control: &str, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select distinct unit_id, resource_id from findings
         where tenant_id = $1 and control_id = $2 and status = 'unhealthy'
           and ($3::uuid[] is null or unit_id = any($3)
                or (unit_id, namespace) in (select * from unnest($4::uuid[], $5::text[])))
         order by unit_id, resource_id limit $6",
        tenant,
        control,
        reach.units.as_deref() as _,
        &reach.namespace_clusters,
        &reach.namespaces,
        limit
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| row.resource_id).collect())
}
