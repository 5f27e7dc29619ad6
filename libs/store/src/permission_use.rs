//! What each connector was allowed to need and what it really used: the receipt of its access.

use chrono::{DateTime, Utc};
use rampart_domain::ConnectorId;

use crate::{StoreError, TenantTx};

/// More permissions than any connector has; a guard for the reader, not a page.
const MOST: i64 = 5_000;

/// Calls under one permission, to be added to what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The cloud's own name for the permission.
    pub permission: String,
    /// API family.
    pub family: String,
    /// Calls made, repetitions included.
    pub calls: u64,
    /// Calls among them that were refused.
    pub refused: u64,
    /// When the first of them was made.
    pub first: DateTime<Utc>,
    /// When the last of them was made.
    pub last: DateTime<Utc>,
}

/// One line of the receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionUse {
    /// The cloud's own name for the permission.
    pub permission: String,
    /// API family; `None` while it was never used.
    pub family: Option<String>,
    /// Whether the connector names it as needed.
    pub declared: bool,
    /// Calls made since the connector was onboarded.
    pub calls: i64,
    /// Calls among them that were refused.
    pub refused: i64,
    /// When it was used first.
    pub first_used: Option<DateTime<Utc>>,
    /// When it was used last.
    pub last_used: Option<DateTime<Utc>>,
}

/// How far a declaration goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Declaration {
    /// Everything that the connector needs: what is not in it is needed no more.
    Whole,
    /// A part, as after a scan that did not come to every place.
    Partial,
}

/// Adds calls to what is known of a connector. One whose connector is gone is nobody's to record.
pub async fn record(tx: &mut TenantTx, connector: ConnectorId, used: &[Used]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let permissions: Vec<String> = used.iter().map(|it| it.permission.clone()).collect();
    let families: Vec<String> = used.iter().map(|it| it.family.clone()).collect();
    let calls: Vec<i64> = used.iter().map(|it| it.calls as i64).collect();
    let refused: Vec<i64> = used.iter().map(|it| it.refused as i64).collect();
    let first: Vec<DateTime<Utc>> = used.iter().map(|it| it.first).collect();
    let last: Vec<DateTime<Utc>> = used.iter().map(|it| it.last).collect();
    sqlx::query!(
        "insert into permission_uses as known (tenant_id, connector_id, permission, family, declared, calls, refused,
                first_used, last_used)
         select $1, $2, permission, min(family), false, sum(calls), sum(refused), min(first), max(last)
         from unnest($3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::timestamptz[])
              as added (permission, family, calls, refused, first, last)
         where exists (select from connectors where tenant_id = $1 and connector_id = $2)
         group by permission
         on conflict (tenant_id, connector_id, permission) do update set
             family = excluded.family, calls = known.calls + excluded.calls,
             refused = known.refused + excluded.refused,
             first_used = least(known.first_used, excluded.first_used),
             last_used = greatest(known.last_used, excluded.last_used)",
        tenant,
        connector.0,
        &permissions,
        &families,
        &calls,
        &refused,
        &first,
        &last
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes which permissions a connector's code names as needed. What did not change is not rewritten.
pub async fn declare(
    tx: &mut TenantTx,
    connector: ConnectorId,
    permissions: &[String],
    how: Declaration,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into permission_uses as known (tenant_id, connector_id, permission, declared)
         select $1, $2, permission, true from unnest($3::text[]) as named (permission)
         where exists (select from connectors where tenant_id = $1 and connector_id = $2)
         on conflict (tenant_id, connector_id, permission) do update set declared = true where not known.declared",
        tenant,
        connector.0,
        permissions
    )
    .execute(tx.conn())
    .await?;
    if how == Declaration::Whole {
        sqlx::query!(
            "delete from permission_uses
             where tenant_id = $1 and connector_id = $2 and permission <> all($3) and last_used is null",
            tenant,
            connector.0,
            permissions
        )
        .execute(tx.conn())
        .await?;
        sqlx::query!(
            "update permission_uses set declared = false
             where tenant_id = $1 and connector_id = $2 and permission <> all($3) and declared",
            tenant,
            connector.0,
            permissions
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Every permission of a connector, by name.
pub async fn list(tx: &mut TenantTx, connector: ConnectorId) -> Result<Vec<PermissionUse>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        PermissionUse,
        "select permission, family, declared, calls, refused, first_used, last_used from permission_uses
         where tenant_id = $1 and connector_id = $2 order by permission limit $3",
        tenant,
        connector.0,
        MOST
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}
