use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, ConnectorId, Gap};
use uuid::Uuid;

use super::Source;
use super::cluster::retire_cluster;
use super::listing::end_resources;
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// Resources removed in one transaction.
const CHUNK: i64 = 2_000;

/// Removes a chunk of what a connector had reported, and at the end the connector itself; for an organisation, also what
/// the connectors of its accounts had. Returns how much is left.
pub async fn remove_connector(
    tx: &mut TenantTx,
    connector: ConnectorId,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = tx.tenant_uuid();
    let family = sqlx::query_scalar!(
        "select connector_id from connectors where tenant_id = $1 and (connector_id = $2 or parent_id = $2)",
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    let ids: Vec<Uuid> = sqlx::query_scalar!(
        "select resource_id from resources where tenant_id = $1 and connector_id = any($2) order by resource_id limit $3",
        tenant,
        &family,
        CHUNK
    )
    .fetch_all(tx.conn())
    .await?;
    end_resources(tx, &ids, now).await?;
    let left = sqlx::query_scalar!(
        r#"select count(*) as "left!" from resources where tenant_id = $1 and connector_id = any($2)"#,
        tenant,
        &family
    )
    .fetch_one(tx.conn())
    .await?;
    if left == 0 {
        sqlx::query!(
            "update clusters c set gone_at = $3 where tenant_id = $1 and gone_at is null
               and exists (select from coverage v where v.tenant_id = $1 and v.connector_id = any($2)
                           and v.cluster_id = c.cluster_id)
               and not exists (select from coverage v where v.tenant_id = $1 and v.connector_id <> all($2)
                               and v.cluster_id = c.cluster_id)
               and not exists (select from resources r where r.tenant_id = $1 and r.unit_id = c.cluster_id)",
            tenant,
            &family,
            now
        )
        .execute(tx.conn())
        .await?;
        // Coverage, scans and permission checks go with the row.
        sqlx::query!("delete from plans where tenant_id = $1 and scope_id = any($2)", tenant, &family)
            .execute(tx.conn())
            .await?;
        sqlx::query!("delete from connectors where tenant_id = $1 and connector_id = any($2)", tenant, &family)
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

/// Ends the clusters that a connector of one cluster read before it answered as `keep`, and that no other connector reads;
/// of those that another does read, only what this connector had reported.
pub async fn retire_other_clusters(
    tx: &mut TenantTx,
    connector: ConnectorId,
    keep: ClusterId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let others = sqlx::query!(
        r#"select distinct c.cluster_id as "cluster_id!",
                  exists (select from coverage o where o.tenant_id = $1 and o.cluster_id = c.cluster_id
                          and o.connector_id <> $2) as "shared!"
           from coverage c
           where c.tenant_id = $1 and c.connector_id = $2 and c.cluster_id is not null and c.cluster_id <> $3
           order by 1"#,
        tenant,
        connector.0,
        keep.0
    )
    .fetch_all(tx.conn())
    .await?;
    for other in others {
        if !other.shared {
            retire_cluster(tx, other.cluster_id, now).await?;
            continue;
        }
        let own = sqlx::query_scalar!(
            "select resource_id from resources where tenant_id = $1 and unit_id = $2 and connector_id = $3",
            tenant,
            other.cluster_id,
            connector.0
        )
        .fetch_all(tx.conn())
        .await?;
        end_resources(tx, &own, now).await?;
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

/// A coverage row that does not say any more what it said.
struct Moved {
    kind: String,
    cluster_id: Option<Uuid>,
    account: Option<String>,
}

/// Nothing of a connector could be read, or parts of it were not tried any more: every coverage row that no attempt
/// since `since` touched gets the state, so that nothing looks fresh. The units in question are assessed again.
pub async fn fail_untouched(
    tx: &mut TenantTx,
    connector: ConnectorId,
    gap: &Gap,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = tx.tenant_uuid();
    let untouched = sqlx::query!(
        r#"update coverage c set state = $4, message = $5, remedy = $6, attempted_at = $7
           from (select scope, kind, state from coverage
                 where tenant_id = $1 and connector_id = $2 and attempted_at < $3 order by scope, kind for update) o
           where c.tenant_id = $1 and c.connector_id = $2 and c.scope = o.scope and c.kind = o.kind
           returning c.kind, c.cluster_id, c.account, o.state as "before!""#,
        tenant,
        connector.0,
        since,
        gap.state.as_str(),
        gap.message,
        gap.remedy,
        now
    )
    .fetch_all(tx.conn())
    .await?;
    let count = untouched.len() as u64;
    let changed = untouched.into_iter().filter(|row| row.before != gap.state.as_str());
    let moved = changed.map(|row| Moved { kind: row.kind, cluster_id: row.cluster_id, account: row.account });
    judge_again(tx, connector, &moved.collect::<Vec<_>>()).await?;
    Ok(count)
}

/// After a scan that read everything there is to read: places that it did not come to, and of which nothing is stored, are not
/// the connector's any more, as a region that was only guessed to be enabled. The units in question are assessed again.
pub async fn forget_empty_places(
    tx: &mut TenantTx,
    connector: ConnectorId,
    since: DateTime<Utc>,
) -> Result<u64, StoreError> {
    let tenant = tx.tenant_uuid();
    let gone = sqlx::query_as!(
        Moved,
        "delete from coverage where tenant_id = $1 and connector_id = $2 and scope in (
             select scope from coverage where tenant_id = $1 and connector_id = $2
             group by scope having max(attempted_at) < $3 and max(resources) = 0)
         returning kind, cluster_id, account",
        tenant,
        connector.0,
        since
    )
    .fetch_all(tx.conn())
    .await?;
    judge_again(tx, connector, &gone).await?;
    Ok(gone.len() as u64)
}

/// Has the units assessed whose verdicts may rest on what coverage said.
async fn judge_again(tx: &mut TenantTx, connector: ConnectorId, moved: &[Moved]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let mut units: BTreeSet<Uuid> = moved.iter().filter_map(|row| row.cluster_id).collect();
    let accounts: BTreeSet<&str> = moved.iter().filter_map(|row| row.account.as_deref()).collect();
    let accounts: Vec<&str> = accounts.into_iter().collect();
    let lying = sqlx::query_scalar!(
        "select distinct unit_id from resources where tenant_id = $1 and account = any($2) and connector_id = $3",
        tenant,
        &accounts as _,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    units.extend(lying);
    let kinds: BTreeSet<&str> = moved.iter().map(|row| row.kind.as_str()).collect();
    let kinds: Vec<&str> = kinds.into_iter().collect();
    for unit in &units {
        work::request_after(tx, WorkKind::Assess, *unit, Duration::from_secs(5)).await?;
        sqlx::query!(
            "insert into dirty (tenant_id, unit_id, resource_id, kind)
             select $1, $2, $3, kind from unnest($4::text[]) as k(kind)
             on conflict (tenant_id, unit_id, kind, resource_id) do update set marks = dirty.marks + 1",
            tenant,
            unit,
            Uuid::nil(),
            &kinds as _
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}
