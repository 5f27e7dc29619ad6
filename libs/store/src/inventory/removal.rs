use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, ConnectorId};
use uuid::Uuid;

use super::Source;
use super::cluster::retire_cluster;
use super::listing::end_resources;
use crate::{StoreError, TenantTx};

/// Resources removed in one transaction.
const CHUNK: i64 = 2_000;

/// Removes a chunk of what a connector had reported, and at the end the connector itself. Returns how much is left.
pub async fn remove_connector(
    tx: &mut TenantTx,
    connector: ConnectorId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        "select resource_id from resources where tenant_id = $1 and connector_id = $2 order by resource_id limit $3",
        tenant,
        connector.0,
        CHUNK
    )
    .fetch_all(tx.conn())
    .await?;
    end_resources(tx, &ids, now).await?;
    let left = sqlx::query_scalar!(
        r#"select count(*) as "left!" from resources where tenant_id = $1 and connector_id = $2"#,
        tenant,
        connector.0
    )
    .fetch_one(tx.conn())
    .await?;
    if left == 0 {
        sqlx::query!("delete from connectors where tenant_id = $1 and connector_id = $2", tenant, connector.0)
            .execute(tx.conn())
            .await?;
        sqlx::query!(
            "update clusters c set gone_at = $2 where tenant_id = $1 and gone_at is null
               and not exists (select from resources r where r.tenant_id = $1 and r.unit_id = c.cluster_id)",
            tenant,
            now
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(left.unsigned_abs())
}

/// The cluster that a source's scope is about, as far as an earlier scan found out.
pub async fn cluster_of_scope(tx: &mut TenantTx, source: &Source) -> Result<Option<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let known = sqlx::query_scalar!(
        "select cluster_id from coverage
         where tenant_id = $1 and connector_id = $2 and scope = $3 and cluster_id is not null limit 1",
        tenant,
        source.connector.0,
        source.scope
    )
    .fetch_optional(tx.conn())
    .await?
    .flatten();
    if known.is_some() {
        return Ok(known);
    }
    let native = source.scope.strip_prefix("cluster/").unwrap_or_default();
    Ok(sqlx::query_scalar!(
        "select cluster_id from clusters where tenant_id = $1 and native_id = $2 and gone_at is null",
        tenant,
        native
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Native ids of the clusters that a connector of one cluster has read; one that never answered is called by its connector.
pub async fn cluster_scopes(tx: &mut TenantTx, connector: ConnectorId) -> Result<Vec<String>, StoreError> {
    let tenant = tx.tenant_uuid();
    let scopes = sqlx::query_scalar!(
        "select distinct scope from coverage where tenant_id = $1 and connector_id = $2 and scope like 'cluster/%'",
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    if scopes.is_empty() {
        return Ok(vec![format!("connector:{connector}")]);
    }
    Ok(scopes.iter().filter_map(|scope| scope.strip_prefix("cluster/")).map(str::to_owned).collect())
}

/// Ends the clusters that a connector of one cluster read before it answered as `keep`.
pub async fn retire_other_clusters(
    tx: &mut TenantTx,
    connector: ConnectorId,
    keep: ClusterId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let others = sqlx::query_scalar!(
        r#"select distinct cluster_id as "cluster_id!" from coverage
           where tenant_id = $1 and connector_id = $2 and cluster_id is not null and cluster_id <> $3"#,
        tenant,
        connector.0,
        keep.0
    )
    .fetch_all(tx.conn())
    .await?;
    for other in others {
        retire_cluster(tx, other, now).await?;
    }
    sqlx::query!(
        "delete from coverage where tenant_id = $1 and connector_id = $2 and cluster_id is distinct from $3
           and scope like 'cluster/%'",
        tenant,
        connector.0,
        keep.0
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
