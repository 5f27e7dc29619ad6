use rampart_domain::FixUnitId;
use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// An object that is not as the same object is in most places.
#[derive(Debug, Clone, FromRow)]
pub struct Outlier {
    /// The resource.
    pub resource_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its name within the source.
    pub part: String,
    /// Its own name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its cluster.
    pub cluster_id: Option<Uuid>,
    /// Name of the cluster.
    pub cluster_name: Option<String>,
    /// The release, application or custom resource that it belongs to.
    pub instance: Option<String>,
    /// Objects that it is compared with, itself included.
    pub compared: i64,
    /// Its version.
    pub version: Option<String>,
    /// The version that more than half of them have; `None` when none has.
    pub typical_version: Option<String>,
    /// Controls that it is unhealthy by.
    pub controls: Vec<String>,
    /// Controls that more than half of them are unhealthy by, exactly these; `None` when there is no such set.
    pub typical_controls: Option<Vec<String>>,
    /// Whether its configuration differs from the one that more than half of them have.
    pub configuration_differs: bool,
}

/// Appends the common tables `m`, the objects of a fix unit that are visible, and `o`, the outliers among them.
///
/// An object is compared with those of the same kind and name within the source, where there are at least three. What more
/// than half of them have is typical; where nothing is, nothing differs.
fn push_outliers(query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible, unit: FixUnitId) {
    query.push(
        "with m as materialized (
             select s.resource_id, r.kind, s.part, r.name, r.namespace, r.cluster_id, s.instance, s.version,
                    s.fingerprint, coalesce(f.controls, '{}') as controls
             from resource_sources s
             join resources r on r.tenant_id = s.tenant_id and r.resource_id = s.resource_id
             left join lateral (
                 select array_agg(distinct f.control_id order by f.control_id) as controls from findings f
                 where f.tenant_id = s.tenant_id and f.resource_id = s.resource_id and f.status = 'unhealthy') f on true
             where s.tenant_id = ",
    );
    query.push_bind(tenant).push(" and s.fix_unit_id = ").push_bind(unit.0);
    visible.push(query, "r");
    query.push(
        "), t as (
             select kind, part, count(*) as compared, mode() within group (order by version) as version,
                    mode() within group (order by fingerprint) as fingerprint,
                    mode() within group (order by controls) as controls
             from m group by kind, part having count(*) >= 3
         ), h as (
             select t.kind, t.part, t.compared,
                    case when 2 * count(*) filter (where m.version = t.version) > t.compared then t.version end
                        as version,
                    case when 2 * count(*) filter (where m.fingerprint = t.fingerprint) > t.compared
                        then t.fingerprint end as fingerprint,
                    case when 2 * count(*) filter (where m.controls = t.controls) > t.compared then t.controls end
                        as controls
             from t join m on m.kind = t.kind and m.part = t.part
             group by t.kind, t.part, t.compared, t.version, t.fingerprint, t.controls
         ), o as (
             select m.*, h.compared, h.version as typical_version, h.controls as typical_controls,
                    h.fingerprint is not null and m.fingerprint is distinct from h.fingerprint as configuration_differs
             from m join h on h.kind = m.kind and h.part = m.part
             where h.version is not null and m.version is distinct from h.version
                or h.controls is not null and m.controls <> h.controls
                or h.fingerprint is not null and m.fingerprint is distinct from h.fingerprint
         ) ",
    );
}

/// The objects of a fix unit that differ from what most places have, by kind and name.
pub async fn outliers(
    tx: &mut TenantTx,
    visible: &Visible,
    unit: FixUnitId,
    page: &Page,
) -> Result<Listed<Outlier>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("");
    push_outliers(&mut query, tenant, visible, unit);
    query.push(
        "select o.resource_id, o.kind, o.part, o.name, o.namespace, o.cluster_id, o.instance, o.compared, o.version,
                o.typical_version, o.controls, o.typical_controls, o.configuration_differs, c.name as cluster_name
         from o left join clusters c on c.cluster_id = o.cluster_id and c.tenant_id = ",
    );
    query.push_bind(tenant).push(" where true");
    if let Some((kind, part, resource)) = page.after::<(String, String, Uuid)>()? {
        query.push(" and (o.kind, o.part, o.resource_id) > (").push_bind(kind);
        query.push(", ").push_bind(part).push(", ").push_bind(resource).push(")");
    }
    query.push(" order by o.kind, o.part, o.resource_id limit ").push_bind(page.fetch());
    let rows = query.build_query_as::<Outlier>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| (row.kind.clone(), row.part.clone(), row.resource_id)))
}

/// How widely a fix unit differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct OutlierCount {
    /// Clusters that have anything of it.
    pub clusters: i64,
    /// Of them, those with an object that differs.
    pub differing: i64,
}

/// In how many clusters anything of a fix unit differs from what most places have.
pub async fn outliers_count(tx: &mut TenantTx, visible: &Visible, unit: FixUnitId) -> Result<OutlierCount, StoreError> {
    let mut query = QueryBuilder::new("");
    push_outliers(&mut query, tx.tenant_uuid(), visible, unit);
    query.push(
        "select (select count(distinct cluster_id) from m) as clusters,
                (select count(distinct cluster_id) from o) as differing",
    );
    Ok(query.build_query_as::<OutlierCount>().fetch_one(tx.conn()).await?)
}

/// The facts that the unhealthy findings of some resources rest on: resource, control, `[{pointer, value, …}]`. The caller
/// must have seen the resources.
pub async fn facts(tx: &mut TenantTx, resources: &[Uuid]) -> Result<Vec<(Uuid, String, Value)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select resource_id, control_id, coalesce(evidence -> 'facts', '[]') as "facts!" from findings
           where tenant_id = $1 and resource_id = any($2) and status = 'unhealthy' order by resource_id, ordinal"#,
        tenant,
        resources
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.resource_id, row.control_id, row.facts)).collect())
}
