use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rampart_domain::{CoverageState, Gap, Kind, Scope, UnitId};
use uuid::Uuid;

use super::{Source, apply::close_versions, cluster::retire_cluster, order};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// How a listing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything was read; these resources are what there is.
    Complete(Vec<Uuid>),
    /// The feature is off: nothing of the kind exists here. The text says why.
    NotApplicable(String),
    /// Something is missing. Nothing is deleted, verdicts stay and are marked stale.
    Incomplete(Gap),
}

/// A listing that ended.
#[derive(Debug, Clone)]
pub struct ListingEnd {
    /// Who listed.
    pub source: Source,
    /// Where, for coverage.
    pub scope: Scope,
    /// What.
    pub kind: Kind,
    /// The cluster, when the scope is one.
    pub cluster: Option<Uuid>,
    /// Cloud, account and region of the scope.
    pub place: (String, Option<String>, Option<String>),
    /// When the first call was made.
    pub started_at: DateTime<Utc>,
    /// How it ended.
    pub ending: Ending,
}

/// Records what a listing came to and, if it was complete, ends what it did not see. Returns how many resources ended.
pub async fn finish_listing(tx: &mut TenantTx, end: &ListingEnd) -> Result<u64, StoreError> {
    if let Some(cluster) = end.cluster {
        order::lock_units(tx, &BTreeSet::from([cluster])).await?;
        order::forget_old(tx, cluster, end.started_at).await?;
    }
    let removed = match &end.ending {
        Ending::Complete(seen) => remove_unseen(tx, end, seen).await?,
        Ending::NotApplicable(_) => remove_unseen(tx, end, &[]).await?,
        Ending::Incomplete(_) => 0,
    };
    if record_coverage(tx, end).await? {
        let (cloud, account, region) = &end.place;
        let place = (cloud.as_str(), account.as_deref(), region.as_deref());
        mark_coverage_change(tx, end.kind.as_str(), end.cluster, place).await?;
    }
    Ok(removed)
}

/// Ends what this source had put there before the listing began and did not see again.
async fn remove_unseen(tx: &mut TenantTx, end: &ListingEnd, seen: &[Uuid]) -> Result<u64, StoreError> {
    let tenant = tx.tenant_uuid();
    let unseen = sqlx::query!(
        "select resource_id, cluster_id from resources r
         where tenant_id = $1 and connector_id = $2 and scope = $3 and kind = $4 and changed_at <= $5
           and resource_id <> all($6)
         order by resource_id",
        tenant,
        end.source.connector.0,
        end.source.scope,
        end.kind.as_str(),
        end.started_at,
        seen
    )
    .fetch_all(tx.conn())
    .await?;
    let ids: Vec<Uuid> = unseen.iter().map(|row| row.resource_id).collect();
    let mut removed = end_resources(tx, &ids, end.started_at).await?;
    if end.kind.is_cloud_cluster() {
        let clusters: BTreeSet<Uuid> = unseen.iter().filter_map(|row| row.cluster_id).collect();
        for cluster in clusters {
            removed += retire_cluster(tx, cluster, end.started_at).await?;
        }
    }
    Ok(removed)
}

/// Takes resources out of the inventory: their last version goes to history, their units are assessed again.
pub(super) async fn end_resources(tx: &mut TenantTx, ids: &[Uuid], at: DateTime<Utc>) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let tenant = tx.tenant_uuid();
    let units = sqlx::query_scalar!(
        "select distinct unit_id from resources where tenant_id = $1 and resource_id = any($2) order by unit_id",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    for unit in units {
        work::request(tx, WorkKind::Assess, unit).await?;
    }
    sqlx::query!(
        "insert into dirty (tenant_id, unit_id, resource_id, kind, namespace, region, owner_id)
         select tenant_id, unit_id, resource_id, kind, namespace, region, owner_id from resources
         where tenant_id = $1 and resource_id = any($2)
         on conflict (tenant_id, unit_id, kind, resource_id)
             do update set marks = dirty.marks + 1, outline_changed = true",
        tenant,
        ids
    )
    .execute(tx.conn())
    .await?;
    let lasting: Vec<&str> = Kind::ALL.iter().filter(|kind| !kind.is_short_lived()).map(|kind| kind.as_str()).collect();
    let lasting = sqlx::query_scalar!(
        "select resource_id from resources where tenant_id = $1 and resource_id = any($2) and kind = any($3)",
        tenant,
        ids,
        &lasting as _
    )
    .fetch_all(tx.conn())
    .await?;
    close_versions(tx, &lasting, at, true).await?;
    sqlx::query!("delete from edges where tenant_id = $1 and from_id = any($2)", tenant, ids)
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from resource_sources where tenant_id = $1 and resource_id = any($2)", tenant, ids)
        .execute(tx.conn())
        .await?;
    let removed = sqlx::query!("delete from resources where tenant_id = $1 and resource_id = any($2)", tenant, ids)
        .execute(tx.conn())
        .await?
        .rows_affected();
    Ok(removed)
}

/// Writes the coverage row. Returns whether a verdict may depend on the difference.
async fn record_coverage(tx: &mut TenantTx, end: &ListingEnd) -> Result<bool, StoreError> {
    let (state, message, remedy, count) = match &end.ending {
        Ending::Complete(seen) => (CoverageState::Read, None, None, Some(seen.len() as i64)),
        Ending::NotApplicable(why) => (CoverageState::NotApplicable, Some(why.as_str()), None, Some(0)),
        Ending::Incomplete(gap) => (gap.state, Some(gap.message.as_str()), Some(gap.remedy.as_str()), None),
    };
    let tenant = tx.tenant_uuid();
    let before = sqlx::query!(
        "select state, expired from coverage where tenant_id = $1 and connector_id = $2 and scope = $3 and kind = $4 for update",
        tenant,
        end.source.connector.0,
        end.source.scope,
        end.kind.as_str()
    )
    .fetch_optional(tx.conn())
    .await?;
    let (cloud, account, region) = &end.place;
    sqlx::query!(
        "insert into coverage as c (tenant_id, connector_id, scope, kind, cloud, account, region, cluster_id, state,
             message, remedy, resources, attempted_at, whole_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::bigint, 0),
             $13::timestamptz, case when $14 then $13::timestamptz end)
         on conflict (tenant_id, connector_id, scope, kind) do update set
             cloud = excluded.cloud, account = excluded.account, region = excluded.region,
             cluster_id = excluded.cluster_id, state = excluded.state, message = excluded.message,
             remedy = excluded.remedy, resources = coalesce($12::bigint, c.resources), attempted_at = excluded.attempted_at,
             whole_at = coalesce(excluded.whole_at, c.whole_at), expired = c.expired and not $14",
        tenant,
        end.source.connector.0,
        end.source.scope,
        end.kind.as_str(),
        cloud,
        account.as_deref(),
        region.as_deref(),
        end.cluster,
        state.as_str(),
        message,
        remedy,
        count,
        end.started_at,
        state.is_whole()
    )
    .execute(tx.conn())
    .await?;
    Ok(before.is_none_or(|row| row.state != state.as_str() || (row.expired && state.is_whole())))
}

/// Every unit that lies in the scope looks at the kind again: the cluster, or the account and the clusters of its region.
/// `place` is cloud, account and region.
pub(super) async fn mark_coverage_change(
    tx: &mut TenantTx,
    kind: &str,
    cluster: Option<Uuid>,
    (cloud, account, region): (&str, Option<&str>, Option<&str>),
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let units = if let Some(cluster) = cluster {
        vec![cluster]
    } else {
        let own = UnitId::account(tx.tenant(), cloud.parse()?, account.unwrap_or_default());
        sqlx::query_scalar!(
            r#"select distinct unit_id as "unit!" from resources
               where tenant_id = $1 and account = $2 and ($3::text is null or region = $3 or $3 = 'global')
                 and kind not like 'k8s.%' and kind <> 'image.running'
                 and unit_id in (select $4::uuid union all select cluster_id from clusters
                                 where tenant_id = $1 and account = $2 and cloud = $5)
               order by 1"#,
            tenant,
            account,
            region,
            own.0,
            cloud
        )
        .fetch_all(tx.conn())
        .await?
    };
    for unit in units {
        work::request_after(tx, WorkKind::Assess, unit, std::time::Duration::from_secs(20)).await?;
        sqlx::query!(
            "insert into dirty (tenant_id, unit_id, resource_id, kind, region) values ($1, $2, $3, $4, $5)
             on conflict (tenant_id, unit_id, kind, resource_id) do update set marks = dirty.marks + 1",
            tenant,
            unit,
            Uuid::nil(),
            kind,
            region
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// A whole scope could not be read: every kind known to belong to it gets the state, so that nothing looks fresh.
pub async fn fail_scope(tx: &mut TenantTx, source: &Source, gap: &Gap, at: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let changed = sqlx::query!(
        "update coverage set state = $4, message = $5, remedy = $6, attempted_at = $7
         from (select kind as before_kind, state as before_state from coverage
               where tenant_id = $1 and connector_id = $2 and scope = $3) b
         where tenant_id = $1 and connector_id = $2 and scope = $3 and kind = b.before_kind
         returning kind, cluster_id, b.before_state <> $4 as \"differs!\"",
        tenant,
        source.connector.0,
        source.scope,
        gap.state.as_str(),
        gap.message,
        gap.remedy,
        at
    )
    .fetch_all(tx.conn())
    .await?;
    for row in changed.iter().filter(|row| row.differs) {
        let Some(cluster) = row.cluster_id else { continue };
        work::request_after(tx, WorkKind::Assess, cluster, std::time::Duration::from_secs(5)).await?;
        sqlx::query!(
            "insert into dirty (tenant_id, unit_id, resource_id, kind) values ($1, $2, $3, $4)
             on conflict (tenant_id, unit_id, kind, resource_id) do update set marks = dirty.marks + 1",
            tenant,
            cluster,
            Uuid::nil(),
            row.kind
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}
