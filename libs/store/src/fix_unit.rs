//! Fix units: what one change of one source reaches, and the sources of resources.
//!
//! The assessment of a cluster derives the source of each resource ([`replace`]); everything that callers see is counted
//! from the findings and sources of the resources that they may see.

mod detail;
mod list;
mod outlier;

pub use detail::{ControlCount, Instance, Known, controls, instances, known};
pub use list::{Filter, FixUnit, Sort, VersionCount, control_ids, list, of_unit, versions};
pub use outlier::{Outlier, OutlierCount, facts, outliers, outliers_count};

use rampart_domain::{Deliverer, FixUnitId, Kind, SourceType, UnitId};
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// The source of a resource, to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceWrite {
    /// The resource.
    pub resource_id: Uuid,
    /// What sort of source.
    pub source_type: SourceType,
    /// What people call it.
    pub name: String,
    /// What makes it the same source in every cluster, within its type.
    pub key: String,
    /// What applies it.
    pub deliverer: Option<Deliverer>,
    /// Release, application or custom resource.
    pub instance: Option<String>,
    /// Its namespace.
    pub instance_namespace: Option<String>,
    /// Name of the object within its source.
    pub part: String,
    /// Version of the source.
    pub version: Option<String>,
    /// Of the configuration, 16 bytes.
    pub fingerprint: Option<Vec<u8>>,
}

/// Makes `sources` the only ones of some resources. Writes only what differs, and nothing for resources that are gone.
pub async fn replace(tx: &mut TenantTx, ids: &[Uuid], sources: &[SourceWrite]) -> Result<(), StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let mut sources: Vec<&SourceWrite> = sources.iter().collect();
    sources.sort_unstable_by_key(|source| source.resource_id);
    let written: Vec<Uuid> = sources.iter().map(|source| source.resource_id).collect();
    let without: Vec<Uuid> = ids.iter().filter(|id| written.binary_search(id).is_err()).copied().collect();
    sqlx::query!("delete from resource_sources where tenant_id = $1 and resource_id = any($2)", tenant, &without)
        .execute(tx.conn())
        .await?;
    if sources.is_empty() {
        return Ok(());
    }
    let unit = |source: &&SourceWrite| FixUnitId::derive(tenant_id, source.source_type, &source.key).0;
    sqlx::query!(
        "insert into resource_sources (tenant_id, resource_id, fix_unit_id, source_type, source_name, deliverer, instance,
             instance_namespace, part, version, fingerprint)
         select $1, i.id, i.fix_unit, i.source_type, i.name, i.deliverer, i.instance, i.namespace, i.part, i.version,
             i.fingerprint
         from unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
             $10::text[], $11::bytea[])
           as i(id, fix_unit, source_type, name, deliverer, instance, namespace, part, version, fingerprint)
         cross join lateral (select from resources where tenant_id = $1 and resource_id = i.id offset 0) r
         left join lateral (
             select fix_unit_id, source_name, deliverer, instance, instance_namespace, part, version, fingerprint
             from resource_sources where tenant_id = $1 and resource_id = i.id offset 0) s on true
         where (s.fix_unit_id, s.source_name, s.deliverer, s.instance, s.instance_namespace, s.part, s.version,
                s.fingerprint)
             is distinct from (i.fix_unit, i.name, i.deliverer, i.instance, i.namespace, i.part, i.version, i.fingerprint)
         on conflict (tenant_id, resource_id) do update set
             fix_unit_id = excluded.fix_unit_id, source_type = excluded.source_type, source_name = excluded.source_name,
             deliverer = excluded.deliverer, instance = excluded.instance,
             instance_namespace = excluded.instance_namespace, part = excluded.part, version = excluded.version,
             fingerprint = excluded.fingerprint",
        tenant,
        &written,
        &sources.iter().map(unit).collect::<Vec<_>>(),
        &sources.iter().map(|source| source.source_type.as_str()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.name.as_str()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.deliverer.map(Deliverer::as_str)).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.instance.as_deref()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.instance_namespace.as_deref()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.part.as_str()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.version.as_deref()).collect::<Vec<_>>() as _,
        &sources.iter().map(|source| source.fingerprint.as_deref()).collect::<Vec<_>>() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// By which rules the sources of a unit were last derived as a whole; 0 when they never were.
pub async fn rules(tx: &mut TenantTx, unit: UnitId) -> Result<i16, StoreError> {
    let tenant = tx.tenant_uuid();
    let rules = sqlx::query_scalar!(
        "select source_rules from assessments where tenant_id = $1 and unit_id = $2",
        tenant,
        unit.0
    );
    Ok(rules.fetch_optional(tx.conn()).await?.unwrap_or_default())
}

/// Notes by which rules the sources of an assessed unit were derived.
pub async fn set_rules(tx: &mut TenantTx, unit: UnitId, rules: i16) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update assessments set source_rules = $3 where tenant_id = $1 and unit_id = $2 and source_rules <> $3",
        tenant,
        unit.0,
        rules
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ids of a unit's resources of some kinds; only those of which no source is stored when `missing`.
pub async fn of_kinds(tx: &mut TenantTx, unit: UnitId, kinds: &[Kind], missing: bool) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    Ok(sqlx::query_scalar!(
        "select resource_id from resources r
         where tenant_id = $1 and unit_id = $2 and kind = any($3)
           and (not $4 or not exists (select from resource_sources s
                                      where s.tenant_id = $1 and s.resource_id = r.resource_id))
         order by resource_id",
        tenant,
        unit.0,
        &kinds as _,
        missing
    )
    .fetch_all(tx.conn())
    .await?)
}
