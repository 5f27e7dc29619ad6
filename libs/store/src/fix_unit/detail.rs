use rampart_domain::FixUnitId;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::Filter;
use crate::{StoreError, TenantTx, Visible};

/// What is known of a fix unit without regard to findings.
#[derive(Debug, Clone, FromRow)]
pub struct Known {
    /// What sort of source.
    pub source_type: String,
    /// What people call it.
    pub source_name: String,
    /// Where it runs; add-ons are the same in one cloud only.
    pub cloud: String,
}

/// Whether there is anything of a fix unit that the caller may see.
pub async fn known(tx: &mut TenantTx, visible: &Visible, unit: FixUnitId) -> Result<Known, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new(
        "select s.source_type, s.source_name, r.cloud
         from resource_sources s join resources r on r.tenant_id = s.tenant_id and r.resource_id = s.resource_id
         where s.tenant_id = ",
    );
    query.push_bind(tenant).push(" and s.fix_unit_id = ").push_bind(unit.0);
    visible.push(&mut query, "r");
    query.push(" limit 1");
    let found = query.build_query_as::<Known>().fetch_optional(tx.conn()).await?;
    found.ok_or(StoreError::NotFound { what: "fix unit" })
}

/// The unhealthy findings of one control within a fix unit.
#[derive(Debug, Clone, FromRow)]
pub struct ControlCount {
    /// The control.
    pub control_id: String,
    /// The worst severity, 1 to 5.
    pub severity: i16,
    /// Unhealthy findings.
    pub findings: i64,
    /// Resources that have them.
    pub resources: i64,
    /// Clusters that have them.
    pub clusters: i64,
    /// The kind that most of those resources have.
    pub kind: String,
}

/// The controls that are unhealthy within a fix unit, the worst first.
pub async fn controls(tx: &mut TenantTx, visible: &Visible, unit: FixUnitId) -> Result<Vec<ControlCount>, StoreError> {
    let mut query = QueryBuilder::new(
        "select f.control_id, max(f.severity) as severity, count(*) as findings,
                count(distinct f.resource_id) as resources, count(distinct f.cluster_id) as clusters,
                mode() within group (order by f.kind) as kind",
    );
    Filter::default().of([unit.0]).push(&mut query, tx.tenant_uuid(), visible);
    query.push(" group by f.control_id order by severity desc, findings desc, f.control_id");
    Ok(query.build_query_as::<ControlCount>().fetch_all(tx.conn()).await?)
}

/// One release, application or custom resource of a fix unit in one cluster; or the cluster alone.
#[derive(Debug, Clone, FromRow)]
pub struct Instance {
    /// The cluster; `None` for what is in none.
    pub cluster_id: Option<Uuid>,
    /// Its name.
    pub cluster_name: Option<String>,
    /// Its id in the cloud.
    pub cluster_native_id: Option<String>,
    /// Its account.
    pub account: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// What applies it, `rampart_domain::Deliverer` as text.
    pub deliverer: Option<String>,
    /// Name of the release, application or custom resource.
    pub instance: Option<String>,
    /// Its namespace.
    pub instance_namespace: Option<String>,
    /// Its version; the highest by text where its objects differ.
    pub version: Option<String>,
    /// Objects that belong to it.
    pub resources: i64,
    /// Unhealthy findings on them.
    pub findings: i64,
    /// How many instances there are in all.
    pub total: i64,
}

/// Where a fix unit is, at most `limit` places, those with the most findings first.
pub async fn instances(
    tx: &mut TenantTx,
    visible: &Visible,
    unit: FixUnitId,
    limit: u16,
) -> Result<Vec<Instance>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new(
        "with i as (
             select r.cluster_id, s.deliverer, s.instance, s.instance_namespace, max(s.version) as version,
                    count(*) as resources, coalesce(sum(f.findings), 0)::bigint as findings
             from resource_sources s
             join resources r on r.tenant_id = s.tenant_id and r.resource_id = s.resource_id
             left join lateral (
                 select count(*) as findings from findings f
                 where f.tenant_id = s.tenant_id and f.resource_id = s.resource_id and f.status = 'unhealthy') f on true
             where s.tenant_id = ",
    );
    query.push_bind(tenant).push(" and s.fix_unit_id = ").push_bind(unit.0);
    visible.push(&mut query, "r");
    query.push(
        " group by r.cluster_id, s.deliverer, s.instance, s.instance_namespace)
         select i.*, c.name as cluster_name, c.native_id as cluster_native_id, c.account, c.region, count(*) over () as total
         from i left join clusters c on c.cluster_id = i.cluster_id and c.tenant_id = ",
    );
    query.push_bind(tenant);
    query.push(" order by i.findings desc, c.name, i.instance_namespace, i.instance, i.deliverer limit ");
    query.push_bind(i64::from(limit));
    Ok(query.build_query_as::<Instance>().fetch_all(tx.conn()).await?)
}
