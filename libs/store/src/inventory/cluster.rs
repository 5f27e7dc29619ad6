use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, ClusterId};
use uuid::Uuid;

use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, score_history, watch};

/// What a source knows of a cluster. At least one of the two ids is given.
#[derive(Debug, Clone, Default)]
pub struct ClusterSeen {
    /// The cloud's id.
    pub native_id: Option<String>,
    /// Whether somebody says that the cluster has this cloud id, and not the cloud: then it joins what the cloud knows, as
    /// long as nothing speaks against it, and changes nothing there.
    pub is_claim: bool,
    /// Uid of the kube-system namespace.
    pub kube_uid: Option<String>,
    /// Short name.
    pub name: String,
    /// The cloud, when the source knows.
    pub cloud: Option<Cloud>,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Kubernetes version.
    pub version: Option<String>,
}

/// A cluster as all its sources together know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// The id.
    pub id: ClusterId,
    /// The cloud.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
}

struct Row {
    cluster_id: Uuid,
    native_id: Option<String>,
    kube_uid: Option<String>,
}

/// Finds or makes the cluster that a source sees.
///
/// Two sources with one kube-system uid see one cluster. A known cloud id with another uid is a new cluster of the same
/// name: the old one is gone.
pub async fn resolve_cluster(
    tx: &mut TenantTx,
    seen: &ClusterSeen,
    now: DateTime<Utc>,
) -> Result<ClusterRow, StoreError> {
    let tenant = tx.tenant_uuid();
    // Two replicas that see a new cluster at once must agree on its id.
    let key = seen.kube_uid.as_deref().or(seen.native_id.as_deref()).unwrap_or(&seen.name);
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1 || $2, 0))", tenant.to_string(), key)
        .execute(tx.conn())
        .await?;
    let rows = sqlx::query_as!(
        Row,
        "select cluster_id, native_id, kube_uid from clusters
         where tenant_id = $1 and gone_at is null and (native_id = $2 or kube_uid = $3)",
        tenant,
        seen.native_id,
        seen.kube_uid
    )
    .fetch_all(tx.conn())
    .await?;
    let by_uid = rows.iter().find(|row| row.kube_uid.is_some() && row.kube_uid == seen.kube_uid);
    let recreated = |row: &&Row| seen.kube_uid.is_some() && row.kube_uid.is_some() && row.kube_uid != seen.kube_uid;
    let by_native = rows.iter().find(|row| row.native_id.is_some() && row.native_id == seen.native_id);
    if seen.is_claim && by_native.as_ref().is_some_and(recreated) {
        tracing::warn!(
            native_id = seen.native_id,
            "the cluster is not the one that its connector says: another answers"
        );
        let unclaimed = ClusterSeen { native_id: None, is_claim: false, ..seen.clone() };
        return Box::pin(resolve_cluster(tx, &unclaimed, now)).await;
    }
    let id = match (by_uid, by_native) {
        (Some(uid), Some(native)) if uid.cluster_id != native.cluster_id => {
            if recreated(&native) {
                succeed(tx, native.cluster_id, uid.cluster_id, now).await?;
            } else {
                merge(tx, native.cluster_id, uid.cluster_id, now).await?;
            }
            uid.cluster_id
        }
        (None, Some(native)) if recreated(&native) => {
            let new = Uuid::now_v7();
            succeed(tx, native.cluster_id, new, now).await?;
            new
        }
        (Some(row), _) | (None, Some(row)) => row.cluster_id,
        (None, None) => Uuid::now_v7(),
    };
    upsert(tx, id, seen, now).await
}

async fn upsert(tx: &mut TenantTx, id: Uuid, seen: &ClusterSeen, now: DateTime<Utc>) -> Result<ClusterRow, StoreError> {
    let tenant = tx.tenant_uuid();
    let cloud = seen.cloud.map(Cloud::as_str);
    let by_cloud = seen.native_id.is_some() && !seen.is_claim;
    let known = sqlx::query!(
        "insert into clusters as c (tenant_id, cluster_id, name, cloud, account, region, native_id, kube_uid, version,
             first_seen)
         values ($1, $2, $3, coalesce($4, 'on_premises'), $5, $6, $7, $8, $9, $10)
         on conflict (tenant_id, cluster_id) do nothing",
        tenant,
        id,
        seen.name,
        cloud,
        seen.account,
        seen.region,
        seen.native_id,
        seen.kube_uid,
        seen.version,
        now
    )
    .execute(tx.conn())
    .await?
    .rows_affected()
        == 0;
    if known {
        // What a cloud says of place and name outweighs a kubeconfig's; nothing is overwritten by "unknown".
        sqlx::query!(
            "update clusters c
             set native_id = coalesce(c.native_id, $3), kube_uid = coalesce(c.kube_uid, $4),
                 version = coalesce($5, c.version),
                 name = case when $10 then $6 else c.name end,
                 cloud = case when $10 then coalesce($7, c.cloud) else c.cloud end,
                 account = coalesce(case when $10 then $8 end, c.account, $8),
                 region = coalesce(case when $10 then $9 end, c.region, $9)
             where tenant_id = $1 and cluster_id = $2
               and (c.native_id, c.kube_uid, c.version, c.name, c.cloud, c.account, c.region) is distinct from
                   (coalesce(c.native_id, $3), coalesce(c.kube_uid, $4), coalesce($5, c.version),
                    case when $10 then $6 else c.name end,
                    case when $10 then coalesce($7, c.cloud) else c.cloud end,
                    coalesce(case when $10 then $8 end, c.account, $8),
                    coalesce(case when $10 then $9 end, c.region, $9))",
            tenant,
            id,
            seen.native_id,
            seen.kube_uid,
            seen.version,
            seen.name,
            cloud,
            seen.account,
            seen.region,
            by_cloud
        )
        .execute(tx.conn())
        .await?;
    }
    let row = sqlx::query!(
        "select cloud, account, region from clusters where tenant_id = $1 and cluster_id = $2",
        tenant,
        id
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(ClusterRow { id: id.into(), cloud: row.cloud.parse()?, account: row.account, region: row.region })
}

/// A cluster was made anew under its old name: what the cloud lists (the cluster itself, node groups, add-ons) goes over
/// to `new`, what ran inside is gone.
async fn succeed(tx: &mut TenantTx, old: Uuid, new: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    work::revoke(tx, WorkKind::Assess, &[old, new]).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update resources set unit_id = $3, cluster_id = $3
         where tenant_id = $1 and unit_id = $2 and kind not like 'k8s.%' and kind <> 'image.running'",
        tenant,
        old,
        new
    )
    .execute(tx.conn())
    .await?;
    // The new unit judges them afresh; what was counted for them stays with the old one, which ends.
    sqlx::query!(
        "delete from verdicts v using resources r
         where v.tenant_id = $1 and r.tenant_id = $1 and r.resource_id = v.resource_id and r.unit_id = $2",
        tenant,
        new
    )
    .execute(tx.conn())
    .await?;
    retire_cluster(tx, old, now).await?;
    work::request(tx, WorkKind::Assess, new).await
}

/// Ends a cluster and everything in it.
pub(super) async fn retire_cluster(tx: &mut TenantTx, id: Uuid, now: DateTime<Utc>) -> Result<u64, StoreError> {
    work::revoke(tx, WorkKind::Assess, &[id]).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update clusters set gone_at = $3 where tenant_id = $1 and cluster_id = $2 and gone_at is null",
        tenant,
        id,
        now
    )
    .execute(tx.conn())
    .await?;
    let resources =
        sqlx::query_scalar!("select resource_id from resources where tenant_id = $1 and unit_id = $2", tenant, id)
            .fetch_all(tx.conn())
            .await?;
    super::listing::end_resources(tx, &resources, now).await?;
    watch::abandon(tx, id.into()).await?;
    sqlx::query!("delete from sightings where tenant_id = $1 and unit_id = $2", tenant, id).execute(tx.conn()).await?;
    sqlx::query!("delete from coverage where tenant_id = $1 and cluster_id = $2", tenant, id)
        .execute(tx.conn())
        .await?;
    Ok(resources.len() as u64)
}

/// One cluster was known twice: by its cloud id (`from`) and by its API (`into`). The second keeps its id.
async fn merge(tx: &mut TenantTx, from: Uuid, into: Uuid, now: DateTime<Utc>) -> Result<(), StoreError> {
    // Nobody may go on counting either of them.
    work::revoke(tx, WorkKind::Assess, &[from, into]).await?;
    watch::abandon(tx, from.into()).await?;
    let tenant = tx.tenant_uuid();
    let moved = sqlx::query_scalar!(
        "update resources set unit_id = $3, cluster_id = $3 where tenant_id = $1 and unit_id = $2 returning resource_id",
        tenant,
        from,
        into
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!("update coverage set cluster_id = $3 where tenant_id = $1 and cluster_id = $2", tenant, from, into)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "update findings set unit_id = $3, cluster_id = $3, changed_at = $4 where tenant_id = $1 and unit_id = $2",
        tenant,
        from,
        into,
        now
    )
    .execute(tx.conn())
    .await?;
    for statement in [
        "update edges set unit_id = $3 where tenant_id = $1 and unit_id = $2",
        "update grants set cluster_id = $3 where tenant_id = $1 and cluster_id = $2",
        "update assignments set cluster_id = $3 where tenant_id = $1 and cluster_id = $2",
        "update governance_rules set cluster_id = $3 where tenant_id = $1 and cluster_id = $2",
        "update criticality_rules set cluster_id = $3 where tenant_id = $1 and cluster_id = $2",
        "update resource_contexts set unit_id = $3 where tenant_id = $1 and unit_id = $2",
    ] {
        sqlx::query(statement).bind(tenant).bind(from).bind(into).execute(tx.conn()).await?;
    }
    for unit in [from, into] {
        score_history::note_end(tx, unit.into(), now).await?;
    }
    // Verdicts and counters are derived: the next assessment of the cluster makes them anew under the one id.
    for statement in [
        "delete from verdicts where tenant_id = $1 and unit_id in ($2, $3)",
        "delete from verdict_counts where tenant_id = $1 and unit_id in ($2, $3)",
        "delete from score_counts where tenant_id = $1 and unit_id in ($2, $3)",
        "delete from assessments where tenant_id = $1 and unit_id in ($2, $3)",
        "delete from dirty where tenant_id = $1 and unit_id = $2 and unit_id <> $3",
    ] {
        sqlx::query(statement).bind(tenant).bind(from).bind(into).execute(tx.conn()).await?;
    }
    sqlx::query!("delete from clusters where tenant_id = $1 and cluster_id = $2", tenant, from)
        .execute(tx.conn())
        .await?;
    tracing::info!(cluster.id = %into, resources = moved.len(), "two views of one cluster were joined");
    work::request(tx, WorkKind::Assess, into).await
}
