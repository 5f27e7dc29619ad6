//! Numbers per control: what recommendations are made of.

use std::collections::BTreeMap;

use sqlx::FromRow;

use crate::score::Reach;
use crate::{StoreError, TenantTx};

/// Resources that count, by their verdict from one control (all parameters together).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Healthy.
    pub healthy: i64,
    /// Unhealthy.
    pub unhealthy: i64,
    /// The control says nothing about them.
    pub not_applicable: i64,
    /// A fact is missing.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those that could not be judged again.
    pub stale: i64,
    /// Exempt.
    pub exempt: i64,
    /// Resources that would turn healthy in their score group if this control alone were satisfied.
    pub decisive: i64,
}

#[derive(FromRow)]
struct Row {
    control_id: String,
    healthy: i64,
    unhealthy: i64,
    not_applicable: i64,
    unknown: i64,
    stale: i64,
    exempt: i64,
    decisive: i64,
}

/// Counts by control id. `groups` maps control ids to score groups; in namespaces nothing is decisive without them.
pub async fn counts(
    tx: &mut TenantTx,
    reach: &Reach,
    groups: &[(String, String)],
) -> Result<BTreeMap<String, ControlCounts>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut rows = sqlx::query_as!(
        Row,
        r#"select c.control_id, sum(n.healthy)::bigint as "healthy!", sum(n.unhealthy)::bigint as "unhealthy!",
                  sum(n.not_applicable)::bigint as "not_applicable!", sum(n.unknown)::bigint as "unknown!",
                  sum(n.stale)::bigint as "stale!", sum(n.exempt)::bigint as "exempt!",
                  sum(n.decisive)::bigint as "decisive!"
           from verdict_counts n join checks c on c.tenant_id = n.tenant_id and c.ordinal = n.ordinal
           where n.tenant_id = $1 and ($2::uuid[] is null or n.unit_id = any($2))
           group by c.control_id"#,
        tenant,
        reach.units.as_deref() as _
    )
    .fetch_all(tx.conn())
    .await?;
    if !reach.namespaces.is_empty() {
        rows.extend(of_namespaces(tx, reach).await?);
    }
    let mut counts: BTreeMap<String, ControlCounts> = BTreeMap::new();
    for row in rows {
        let sum = counts.entry(row.control_id).or_default();
        sum.healthy += row.healthy;
        sum.unhealthy += row.unhealthy;
        sum.not_applicable += row.not_applicable;
        sum.unknown += row.unknown;
        sum.stale += row.stale;
        sum.exempt += row.exempt;
        sum.decisive += row.decisive;
    }
    if !reach.namespaces.is_empty() {
        for (control, resources) in decisive(tx, reach, groups).await? {
            counts.entry(control).or_default().decisive += resources;
        }
    }
    Ok(counts)
}

/// Namespaces have no counters: their packed verdicts are counted.
async fn of_namespaces(tx: &mut TenantTx, reach: &Reach) -> Result<Vec<Row>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        r#"select c.control_id, count(*) filter (where b.healthy) as "healthy!",
                  count(*) filter (where f.status = 'unhealthy') as "unhealthy!",
                  count(*) filter (where b.not_applicable) as "not_applicable!",
                  count(*) filter (where b.unknown and not b.healthy and not b.not_applicable and f.ordinal is null)
                      as "unknown!",
                  count(*) filter (where b.unknown and (b.healthy or f.status = 'unhealthy')) as "stale!",
                  count(*) filter (where f.status = 'exempt') as "exempt!", 0::bigint as "decisive!"
           from unnest($2::uuid[], $3::text[]) as n(cluster_id, namespace)
           join resources r on r.tenant_id = $1 and r.unit_id = n.cluster_id and r.namespace = n.namespace
           join verdicts v on v.tenant_id = $1 and v.resource_id = r.resource_id and v.scored
           join checks c on c.tenant_id = $1
           cross join lateral (select
               get_bit(v.unknown || '\x00', least(c.ordinal, octet_length(v.unknown) * 8)) = 1 as unknown,
               get_bit(v.healthy || '\x00', least(c.ordinal, octet_length(v.healthy) * 8)) = 1 as healthy,
               get_bit(v.not_applicable || '\x00', least(c.ordinal, octet_length(v.not_applicable) * 8)) = 1
                   as not_applicable) b
           left join findings f on f.tenant_id = $1 and f.resource_id = r.resource_id and f.ordinal = c.ordinal
                and f.status in ('unhealthy', 'exempt')
           group by c.control_id"#,
        tenant,
        &reach.namespace_clusters,
        &reach.namespaces
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

/// Per control, the resources of namespaces that would turn healthy in their score group if this control alone were satisfied.
async fn decisive(
    tx: &mut TenantTx,
    reach: &Reach,
    groups: &[(String, String)],
) -> Result<BTreeMap<String, i64>, StoreError> {
    let tenant = tx.tenant_uuid();
    let (controls, names): (Vec<String>, Vec<String>) = groups.iter().cloned().unzip();
    let rows = sqlx::query!(
        r#"with alone as (
               select min(f.control_id) as control_id
               from unnest($4::uuid[], $5::text[]) as n(cluster_id, namespace)
               join findings f on f.tenant_id = $1 and f.unit_id = n.cluster_id and f.namespace = n.namespace
               join unnest($2::text[], $3::text[]) as g(control_id, score_group) on g.control_id = f.control_id
               where f.status = 'unhealthy' and f.scored
               group by f.resource_id, g.score_group
               having min(f.control_id) = max(f.control_id)
           )
           select control_id as "control_id!", count(*) as "resources!" from alone group by control_id"#,
        tenant,
        &controls,
        &names,
        &reach.namespace_clusters,
        &reach.namespaces
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.control_id, row.resources)).collect())
}

/// Per control, how many of the unhealthy verdicts that count are at each risk level, 1 low to 4 critical.
pub async fn risks(tx: &mut TenantTx, reach: &Reach) -> Result<BTreeMap<String, BTreeMap<i16, i64>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select control_id as "control_id!", risk as "risk!", sum(n)::bigint as "resources!" from (
               select control_id, risk, findings as n from unhealthy_counts
               where tenant_id = $1 and scored and ($2::uuid[] is null or unit_id = any($2))
               union all
               select f.control_id, f.risk, 1 from unnest($3::uuid[], $4::text[]) as n(cluster_id, namespace)
               join findings f on f.tenant_id = $1 and f.unit_id = n.cluster_id and f.namespace = n.namespace
               where f.status = 'unhealthy' and f.scored) counted
           group by control_id, risk"#,
        tenant,
        reach.units.as_deref() as _,
        &reach.namespace_clusters,
        &reach.namespaces
    )
    .fetch_all(tx.conn())
    .await?;
    let mut risks: BTreeMap<String, BTreeMap<i16, i64>> = BTreeMap::new();
    for row in rows {
        risks.entry(row.control_id).or_default().insert(row.risk, row.resources);
    }
    Ok(risks)
}
