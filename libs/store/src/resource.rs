//! The inventory as callers see it.

mod changes;
mod detail;
mod filter;
mod known;
mod past;

pub use changes::{Change, changes};
pub use detail::{Edge, Resource, ResourceVerdict, Version, edges, get, history, verdicts};
pub use filter::{Facet, Filter, Health, Sort};
pub use known::known;
pub use past::{Past, export_at, facets_at, get_at, list_at};

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::moment::Rows;
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// A resource in a list.
#[derive(Debug, Clone, FromRow)]
pub struct Summary {
    /// Its id.
    pub resource_id: Uuid,
    /// What the provider calls it.
    pub native_id: String,
    /// What it is.
    pub kind: String,
    /// Short name.
    pub name: String,
    /// Where it runs.
    pub cloud: String,
    /// Account that it belongs to.
    pub account: Option<String>,
    /// Region that it is in.
    pub region: Option<String>,
    /// Cluster that it is in.
    pub cluster_id: Option<Uuid>,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Kubernetes labels or cloud tags.
    pub labels: serde_json::Value,
    /// Who keeps it as it is.
    pub managed_by: String,
    /// What controls it.
    pub owner_id: Option<Uuid>,
    /// Whether anything runs or answers now.
    pub active: bool,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When its configuration last changed.
    pub changed_at: DateTime<Utc>,
    /// Unhealthy findings by severity, `{"5": n}`; null without any.
    pub unhealthy: Option<serde_json::Value>,
    /// Exempt findings.
    pub exempt: i64,
    /// `unhealthy`, `unknown`, `healthy` or `not_applicable`.
    pub health: String,
}

/// A value of a column with the number of resources that have it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Count {
    /// The value; `None` for resources without one.
    pub key: Option<String>,
    /// How many.
    pub count: i64,
}

/// Columns of [`Summary`] but its health, from the alias `r`.
const COLUMNS: &str = "r.resource_id, r.native_id, r.kind, r.name, r.cloud, r.account, r.region, r.cluster_id,
    r.namespace, r.labels, r.managed_by, r.owner_id, r.active, r.first_seen, r.changed_at";

/// Adds health to the rows of the common table `r`.
const WITH_HEALTH: &str = "select r.*, f.unhealthy, f.exempt,
    case when f.unhealthy is not null then 'unhealthy'
         when v.resource_id is null or bit_count(v.unknown) > 0 then 'unknown'
         when bit_count(v.healthy) > 0 then 'healthy' else 'not_applicable' end as health
    from r
    left join lateral (
        select jsonb_object_agg(severity, n) filter (where status = 'unhealthy') as unhealthy,
               coalesce(sum(n) filter (where status = 'exempt'), 0)::bigint as exempt
        from (select severity, status, count(*) as n from findings
              where tenant_id = r.tenant_id and resource_id = r.resource_id and status in ('unhealthy', 'exempt')
              group by severity, status) s
    ) f on true
    left join verdicts v on v.tenant_id = r.tenant_id and v.resource_id = r.resource_id ";

/// Resources, sorted and filtered.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    sort: Sort,
    page: &Page,
) -> Result<Listed<Summary>, StoreError> {
    let found = filter.few_found(tx).await?;
    let mut query = QueryBuilder::new(format!("with r as materialized (select r.tenant_id, {COLUMNS} from "));
    filter.push(&mut query, tx.tenant_uuid(), visible, Rows::Now);
    if let Some(found) = found {
        query.push(" and r.resource_id = any(").push_bind(found).push(")");
    }
    sort.push_after(&mut query, page)?;
    query.push(sort.order()).push(" limit ").push_bind(page.fetch()).push(") ").push(WITH_HEALTH).push(sort.order());
    let rows = query.build_query_as::<Summary>().fetch_all(tx.conn()).await?;
    Ok(cut(sort, page, rows))
}

fn cut(sort: Sort, page: &Page, rows: Vec<Summary>) -> Listed<Summary> {
    match sort {
        Sort::Name => page.cut(rows, |row| (row.name.clone(), row.resource_id)),
        Sort::Kind => page.cut(rows, |row| (row.kind.clone(), row.name.clone(), row.resource_id)),
        Sort::ChangedAt => page.cut(rows, |row| (row.changed_at, row.resource_id)),
    }
}

/// How many resources there are per value of a column, the most first.
pub async fn facets(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    facet: Facet,
    limit: u16,
) -> Result<Vec<Count>, StoreError> {
    let column = facet.column();
    let mut query = QueryBuilder::new(format!("select {column}::text as key, count(*) as count from "));
    filter.push(&mut query, tx.tenant_uuid(), visible, Rows::Now);
    query.push(format!(" group by {column} order by count(*) desc, {column} limit ")).push_bind(i64::from(limit));
    Ok(query.build_query_as::<Count>().fetch_all(tx.conn()).await?)
}
