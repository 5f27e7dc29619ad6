use std::collections::HashMap;

use rampart_domain::{FixUnitId, SourceType};
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::Known;
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// A fix unit with the unhealthy findings that a change of it closes.
#[derive(Debug, Clone, FromRow)]
pub struct FixUnit {
    /// Its id.
    pub fix_unit_id: Uuid,
    /// What sort of source.
    pub source_type: String,
    /// What people call it.
    pub source_name: String,
    /// Unhealthy findings.
    pub findings: i64,
    /// Of them, by severity from informational to critical.
    pub by_severity: Vec<i64>,
    /// The worst severity, 1 to 5.
    pub severity: i16,
    /// Resources with such findings.
    pub resources: i64,
    /// Clusters with such findings.
    pub clusters: i64,
}

impl FixUnit {
    /// A fix unit of which nothing is unhealthy.
    pub fn healthy(id: FixUnitId, known: &Known) -> Self {
        Self {
            fix_unit_id: id.0,
            source_type: known.source_type.clone(),
            source_name: known.source_name.clone(),
            findings: 0,
            by_severity: vec![0; 5],
            severity: 0,
            resources: 0,
            clusters: 0,
        }
    }
}

/// What fix units are sorted by; ties by findings, then by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// The most findings first.
    #[default]
    Findings,
    /// The most clusters first.
    Clusters,
    /// The worst severity first.
    Severity,
}

impl Sort {
    const fn column(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Clusters => "clusters",
            Self::Severity => "severity::bigint",
        }
    }

    fn key(self, unit: &FixUnit) -> i64 {
        match self {
            Self::Findings => unit.findings,
            Self::Clusters => unit.clusters,
            Self::Severity => unit.severity.into(),
        }
    }
}

/// Which findings count; a fix unit without any is not listed.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of sources of one of these types; empty means any.
    pub types: Vec<SourceType>,
    /// Of one of these fix units; empty means any.
    pub fix_units: Vec<Uuid>,
    /// In this cluster.
    pub cluster: Option<Uuid>,
    /// In this account.
    pub account: Option<String>,
    /// In this namespace.
    pub namespace: Option<String>,
    /// Of one of these controls; empty means any.
    pub controls: Vec<String>,
    /// At least this severe, 1 to 5.
    pub severity: Option<i16>,
}

impl Filter {
    /// Appends ` from … where …`: the findings that count, `f`, with their sources, `s`.
    pub(super) fn push(&self, query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible) {
        query.push(" from findings f join resource_sources s on s.resource_id = f.resource_id and s.tenant_id = ");
        query.push_bind(tenant);
        self.push_findings(query, tenant, visible);
        self.push_sources(query);
    }

    fn push_findings(&self, query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible) {
        query.push(" where f.status = 'unhealthy' and f.tenant_id = ").push_bind(tenant);
        if let Some(cluster) = self.cluster {
            // The unit of what belongs to a cluster is the cluster; the index is on the unit.
            query.push(" and f.unit_id = ").push_bind(cluster);
        }
        for (column, value) in [("f.account", &self.account), ("f.namespace", &self.namespace)] {
            if let Some(value) = value {
                query.push(format!(" and {column} = ")).push_bind(value.clone());
            }
        }
        if !self.controls.is_empty() {
            query.push(" and f.control_id = any(").push_bind(self.controls.clone()).push(")");
        }
        if let Some(severity) = self.severity {
            query.push(" and f.severity >= ").push_bind(severity);
        }
        if !self.fix_units.is_empty() {
            query.push(" and f.resource_id in (select resource_id from resource_sources where tenant_id = ");
            query.push_bind(tenant).push(" and fix_unit_id = any(").push_bind(self.fix_units.clone()).push("))");
        }
        visible.push(query, "f");
    }

    fn push_sources(&self, query: &mut QueryBuilder<Postgres>) {
        if !self.types.is_empty() {
            let types: Vec<&str> = self.types.iter().map(|word| word.as_str()).collect();
            query.push(" and s.source_type = any(").push_bind(types).push(")");
        }
    }

    /// Appends `select … from u where true`, where `u` has a row of [`FixUnit`] for each unit with findings that count.
    ///
    /// Findings are counted per resource before anything is joined, then per unit and cluster: nothing is sorted but the
    /// few rows that are left.
    fn push_units(&self, query: &mut QueryBuilder<Postgres>, tenant: Uuid, visible: &Visible) {
        query.push(
            "with per_resource as (
                 select f.resource_id, f.cluster_id, count(*) as findings, max(f.severity) as severity,
                        count(*) filter (where f.severity = 1) as n1, count(*) filter (where f.severity = 2) as n2,
                        count(*) filter (where f.severity = 3) as n3, count(*) filter (where f.severity = 4) as n4,
                        count(*) filter (where f.severity = 5) as n5
                 from findings f",
        );
        self.push_findings(query, tenant, visible);
        query.push(
            " group by f.resource_id, f.cluster_id), per_cluster as (
                 select s.fix_unit_id, p.cluster_id, min(s.source_type) as source_type,
                        min(s.source_name) as source_name, count(*) as resources, sum(p.findings) as findings,
                        max(p.severity) as severity, sum(p.n1) as n1, sum(p.n2) as n2, sum(p.n3) as n3, sum(p.n4) as n4,
                        sum(p.n5) as n5
                 from per_resource p join resource_sources s on s.resource_id = p.resource_id
                 where s.tenant_id = ",
        );
        query.push_bind(tenant);
        self.push_sources(query);
        query.push(
            " group by s.fix_unit_id, p.cluster_id), u as (
                 select fix_unit_id, min(source_type) as source_type, min(source_name) as source_name,
                        sum(findings)::bigint as findings, max(severity) as severity, sum(resources)::bigint as resources,
                        count(cluster_id) as clusters,
                        array[sum(n1), sum(n2), sum(n3), sum(n4), sum(n5)]::bigint[] as by_severity
                 from per_cluster group by fix_unit_id)
             select u.* from u where true",
        );
    }

    /// The same findings, of some fix units only.
    #[must_use]
    pub fn of(&self, fix_units: impl IntoIterator<Item = Uuid>) -> Self {
        Self { fix_units: fix_units.into_iter().collect(), ..self.clone() }
    }
}

/// Fix units with findings that count, sorted.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    sort: Sort,
    page: &Page,
) -> Result<Listed<FixUnit>, StoreError> {
    let mut query = QueryBuilder::new("");
    filter.push_units(&mut query, tx.tenant_uuid(), visible);
    let column = sort.column();
    if let Some((key, findings, id)) = page.after::<(i64, i64, Uuid)>()? {
        query.push(format!(" and ({column}, findings, fix_unit_id) < (")).push_bind(key);
        query.push(", ").push_bind(findings).push(", ").push_bind(id).push(")");
    }
    query.push(format!(" order by {column} desc, findings desc, fix_unit_id desc limit ")).push_bind(page.fetch());
    let rows = query.build_query_as::<FixUnit>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| (sort.key(row), row.findings, row.fix_unit_id)))
}

/// One fix unit as the list shows it; `None` when nothing of it is unhealthy.
pub async fn of_unit(tx: &mut TenantTx, visible: &Visible, unit: FixUnitId) -> Result<Option<FixUnit>, StoreError> {
    let mut query = QueryBuilder::new("");
    Filter::default().of([unit.0]).push_units(&mut query, tx.tenant_uuid(), visible);
    Ok(query.build_query_as::<FixUnit>().fetch_optional(tx.conn()).await?)
}

/// Ids of the controls of the findings that count, by fix unit, in order.
pub async fn control_ids(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
) -> Result<HashMap<Uuid, Vec<String>>, StoreError> {
    let mut query = QueryBuilder::new(
        "select fix_unit_id, array_agg(control_id order by control_id) from (
        select distinct s.fix_unit_id, f.control_id",
    );
    filter.push(&mut query, tx.tenant_uuid(), visible);
    query.push(") d group by fix_unit_id");
    let rows: Vec<(Uuid, Vec<String>)> = query.build_query_as().fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().collect())
}

/// In how many clusters a version of a fix unit is.
#[derive(Debug, Clone, FromRow)]
pub struct VersionCount {
    /// The fix unit.
    pub fix_unit_id: Uuid,
    /// The version.
    pub version: String,
    /// Clusters that have it, healthy or not.
    pub clusters: i64,
}

/// The versions that are seen of some fix units, at most `limit` of each, the widest spread first.
pub async fn versions(
    tx: &mut TenantTx,
    visible: &Visible,
    units: &[Uuid],
    limit: u16,
) -> Result<Vec<VersionCount>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new(
        "with v as (select s.fix_unit_id, s.version, count(distinct r.cluster_id) as clusters
         from resource_sources s join resources r on r.tenant_id = s.tenant_id and r.resource_id = s.resource_id
         where s.version is not null and s.tenant_id = ",
    );
    query.push_bind(tenant).push(" and r.tenant_id = ").push_bind(tenant);
    query.push(" and s.fix_unit_id = any(").push_bind(units.to_vec()).push(")");
    visible.push(&mut query, "r");
    query.push(
        " group by s.fix_unit_id, s.version)
         select fix_unit_id, version, clusters from
             (select v.*, row_number() over (partition by fix_unit_id order by clusters desc, version) as place from v) v
         where place <= ",
    );
    query.push_bind(i64::from(limit)).push(" order by fix_unit_id, place");
    Ok(query.build_query_as::<VersionCount>().fetch_all(tx.conn()).await?)
}
