//! Verdicts, findings and counters as they stand.

use rampart_domain::UnitId;
use serde_json::Value;
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// The packed verdicts of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// The resource.
    pub resource_id: Uuid,
    /// Healthy checks.
    pub healthy: Vec<u8>,
    /// Checks without meaning here.
    pub not_applicable: Vec<u8>,
    /// Checks that could not be judged.
    pub unknown: Vec<u8>,
    /// Whether it counts.
    pub scored: bool,
    /// Inputs that it was evaluated against.
    pub inputs: Vec<u8>,
    /// Revision of the resource that it was evaluated on.
    pub revision: i64,
    /// Why checks could not be judged or have no meaning, by ordinal; read only where one could not.
    pub reasons: Option<Value>,
}

/// Packed verdicts of some resources.
pub async fn packs_of(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<StoredPack>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredPack,
        "select v.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, healthy, not_applicable, unknown, scored, inputs, revision,
                 case when unknown <> '' then reasons end as reasons
             from verdicts where tenant_id = $1 and resource_id = i.id offset 0) v",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Packed verdicts of a whole unit.
pub async fn packs_of_unit(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<StoredPack>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredPack,
        "select resource_id, healthy, not_applicable, unknown, scored, inputs, revision,
             case when unknown <> '' then reasons end as reasons
         from verdicts where tenant_id = $1 and unit_id = $2",
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Whether anything of a unit has verdicts, or is counted.
pub async fn has_verdicts(tx: &mut TenantTx, unit: UnitId) -> Result<bool, StoreError> {
    let tenant = tx.tenant_uuid();
    let any = sqlx::query_scalar!(
        r#"select exists (select from verdicts where tenant_id = $1 and unit_id = $2)
               or exists (select from verdict_counts where tenant_id = $1 and unit_id = $2)
               or exists (select from score_counts where tenant_id = $1 and unit_id = $2) as "any!""#,
        tenant,
        unit.0
    );
    Ok(any.fetch_one(tx.conn()).await?)
}

/// A finding row, without its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFinding {
    /// The resource.
    pub resource_id: Uuid,
    /// The check.
    pub ordinal: i32,
    /// Status as text.
    pub status: String,
    /// The exemption by which it is exempt.
    pub exemption_id: Option<Uuid>,
    /// Whether it violated when that was last known.
    pub open: bool,
    /// Whether it is unknown because what it rests on was not read for too long, and violated when it last was.
    pub unverified: bool,
}

/// Finding rows of some resources.
pub async fn findings_of(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<StoredFinding>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredFinding,
        r#"select f.resource_id, f.ordinal, f.status, f.exemption_id, f.open_since is not null as "open!",
             f.status = 'unknown' and f.open_since is not null and coalesce(
                 (select v.reasons -> f.ordinal::text ->> 'reason' = 'unread' from verdicts v
                  where v.tenant_id = $1 and v.resource_id = f.resource_id), false) as "unverified!"
           from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, ordinal, status, exemption_id, open_since
             from findings where tenant_id = $1 and resource_id = i.id offset 0) f"#,
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The counters of a unit that are not all zero: verdicts by control, then resources by score group, each as
/// `[healthy, unhealthy, not applicable, unknown, stale, exempt, decisive]`, then unhealthy findings by control, severity, risk
/// and whether they count.
pub async fn counters(
    tx: &mut TenantTx,
    unit: UnitId,
) -> Result<std::collections::BTreeMap<String, [i64; 7]>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select k.control_id || '/' || encode(k.params_hash, 'hex') as "name!", c.healthy as "healthy!",
             c.unhealthy as "unhealthy!", c.not_applicable as "not_applicable!", c.unknown as "unknown!", c.stale as "stale!",
             c.exempt as "exempt!", c.decisive as "decisive!"
           from verdict_counts c join checks k using (tenant_id, ordinal)
           where c.tenant_id = $1 and c.unit_id = $2
           union all
           select 'group/' || score_group, healthy, unhealthy, 0, unknown, stale, exempt, 0 from score_counts
           where tenant_id = $1 and unit_id = $2
           union all
           select 'unhealthy/' || concat_ws('/', control_id, severity, risk, scored), 0, findings, 0, 0, 0, 0, 0
           from unhealthy_counts where tenant_id = $1 and unit_id = $2"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    let counted = rows
        .into_iter()
        .map(|r| (r.name, [r.healthy, r.unhealthy, r.not_applicable, r.unknown, r.stale, r.exempt, r.decisive]));
    Ok(counted.filter(|(_, counts)| counts.iter().any(|count| *count != 0)).collect())
}
