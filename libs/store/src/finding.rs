//! Findings as callers see them.

mod changes;
mod filter;
mod past;
mod unhealthy;

pub use changes::{Change, Side, changes};
pub use filter::{Facet, Filter, Sort};
pub use past::{Exported, export_at, facets_at, get_at, list_at};
pub use unhealthy::unhealthy;

use chrono::{DateTime, Utc};
use rampart_domain::ResourceId;
use serde_json::Value;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::governance::STATE;
use crate::moment::Rows;
use crate::page::{Listed, Page};
use crate::resource::Count;
use crate::{StoreError, TenantTx, Visible};

/// A control's verdict on a resource that is, or once was, not healthy.
#[derive(Debug, Clone, FromRow)]
pub struct Finding {
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check: a control with its effective parameters.
    pub ordinal: i32,
    /// The control.
    pub control_id: String,
    /// 1 informational … 5 critical.
    pub severity: i16,
    /// What the verdict is now.
    pub status: String,
    /// What made it so.
    pub cause: String,
    /// Cluster of the resource.
    pub cluster_id: Option<Uuid>,
    /// Account of the resource.
    pub account: Option<String>,
    /// Namespace of the resource.
    pub namespace: Option<String>,
    /// Kind of the resource.
    pub kind: String,
    /// Name of the resource; `None` when it is gone.
    pub resource_name: Option<String>,
    /// Native id of the resource; `None` when it is gone.
    pub native_id: Option<String>,
    /// When it was first unhealthy.
    pub first_seen: DateTime<Utc>,
    /// When the status became what it is.
    pub since: DateTime<Utc>,
    /// When anything about it last changed.
    pub changed_at: DateTime<Utc>,
    /// `{message, facts}`.
    pub evidence: Value,
    /// Whether it counts in the score.
    pub scored: bool,
    /// The exemption by which it is exempt.
    pub exemption_id: Option<Uuid>,
    /// Name of that exemption.
    pub exemption_name: Option<String>,
    /// Whether the resource's kind could not be read in the last attempt, so that the verdict rests on older facts.
    pub stale: bool,
    /// When the resource's kind was last read to the end.
    pub observed_at: Option<DateTime<Utc>>,
    /// Effective parameters of the control.
    pub params: Value,
    /// What one change of its source closes it with; `None` for what nothing delivers.
    pub fix_unit_id: Option<Uuid>,
    /// Type of the source.
    pub source_type: Option<String>,
    /// Name of the source.
    pub source_name: Option<String>,
    /// 1 low … 4 critical.
    pub risk: i16,
    /// Who mends it.
    pub owner: Option<String>,
    /// By when; `None` without a date, and while it is not unhealthy.
    pub due_at: Option<DateTime<Utc>>,
    /// From when on it is overdue: the due date and the grace period.
    pub overdue_at: Option<DateTime<Utc>>,
    /// `on_time`, `grace` or `overdue`; `None` without a due date.
    pub governance_state: Option<String>,
    /// The governance rule that decided.
    pub governance_rule_id: Option<Uuid>,
}

/// Kinds that are made from pods are as fresh as the pods are.
const COVERED_BY: &str = "case when r.kind in ('k8s.workload', 'k8s.staticpod', 'image.running') then 'k8s.pod'
    else r.kind end";

/// Whether the listing that the resource came from is whole; `r` is the resource.
const FRESH: &str = "select from coverage v where v.tenant_id = r.tenant_id and v.connector_id = r.connector_id
    and v.scope = r.scope and v.state in ('read', 'not_applicable') and not v.expired
    and v.kind = ";

/// Adds resource, parameters and freshness to the rows of the common table `f`.
fn with_resource() -> String {
    format!(
        "select f.resource_id, f.ordinal, f.control_id, f.severity, f.status, f.cause, f.cluster_id, f.account,
                f.namespace, f.kind, f.first_seen, f.since, f.changed_at, f.evidence, f.scored,
                f.exemption_id, x.name as exemption_name,
                f.risk, f.owner, f.due_at, f.overdue_at, {STATE} as governance_state, f.governance_rule_id,
                r.name as resource_name, r.native_id,
                r.resource_id is not null and not exists ({FRESH}{COVERED_BY}) as stale,
                (select v.whole_at from coverage v where v.tenant_id = r.tenant_id and v.connector_id = r.connector_id
                    and v.scope = r.scope and v.kind = {COVERED_BY}) as observed_at,
                coalesce(c.params, '{{}}') as params, s.fix_unit_id, s.source_type, s.source_name
         from f
         left join resources r on r.tenant_id = f.tenant_id and r.resource_id = f.resource_id
         left join exemptions x on x.tenant_id = f.tenant_id and x.exemption_id = f.exemption_id
         left join checks c on c.tenant_id = f.tenant_id and c.ordinal = f.ordinal
         left join resource_sources s on s.tenant_id = f.tenant_id and s.resource_id = f.resource_id "
    )
}

/// Findings, sorted and filtered.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    sort: Sort,
    page: &Page,
) -> Result<Listed<Finding>, StoreError> {
    let mut query = QueryBuilder::new("with f as materialized (select f.* from findings f");
    filter.push(&mut query, tx.tenant_uuid(), visible, Rows::Now);
    sort.push_after(&mut query, page)?;
    query.push(sort.order()).push(" limit ").push_bind(page.fetch()).push(") ");
    query.push(with_resource()).push(sort.order());
    let rows = query.build_query_as::<Finding>().fetch_all(tx.conn()).await?;
    Ok(cut(sort, page, rows))
}

fn cut(sort: Sort, page: &Page, rows: Vec<Finding>) -> Listed<Finding> {
    match sort {
        Sort::Severity => page.cut(rows, |row| (row.severity, row.resource_id, row.ordinal)),
        Sort::ChangedAt => page.cut(rows, |row| (row.changed_at, row.resource_id, row.ordinal)),
        Sort::Risk => page.cut(rows, |row| (row.risk, row.severity, row.resource_id, row.ordinal)),
        Sort::DueAt => page.cut(rows, |row| (row.due_at, row.resource_id, row.ordinal)),
    }
}

/// How many findings there are per value of a column, the most first.
pub async fn facets(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    facet: Facet,
    limit: u16,
) -> Result<Vec<Count>, StoreError> {
    let (column, counts) = (facet.column(), filter.over_counts(visible, facet));
    let (sum, table) =
        if counts.is_some() { ("sum(f.findings)::bigint", "unhealthy_counts") } else { ("count(*)", "findings") };
    let mut query = QueryBuilder::new(format!("select {column}::text as key, {sum} as count from {table} f"));
    counts.as_ref().unwrap_or(filter).push(&mut query, tx.tenant_uuid(), visible, Rows::Now);
    query.push(format!(" group by {column} order by {sum} desc, {column} limit ")).push_bind(i64::from(limit));
    Ok(query.build_query_as::<Count>().fetch_all(tx.conn()).await?)
}

/// One finding.
pub async fn get(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
    ordinal: i32,
) -> Result<Finding, StoreError> {
    let mut query = QueryBuilder::new("with f as (select f.* from findings f where f.tenant_id = ");
    query.push_bind(tx.tenant_uuid()).push(" and f.resource_id = ").push_bind(resource.0);
    query.push(" and f.ordinal = ").push_bind(ordinal);
    visible.push(&mut query, "f");
    query.push(") ").push(with_resource());
    query.build_query_as::<Finding>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "finding" })
}

/// A change of a finding's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// Status before.
    pub from_status: String,
    /// Status after.
    pub to_status: String,
    /// What made it change.
    pub cause: String,
}

/// The latest changes of a finding's status, the latest first. The caller must have seen the finding.
pub async fn events(
    tx: &mut TenantTx,
    resource: ResourceId,
    ordinal: i32,
    limit: u16,
) -> Result<Vec<Event>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Event,
        "select at, from_status, to_status, cause from finding_events
         where tenant_id = $1 and resource_id = $2 and ordinal = $3 order by at desc limit $4",
        tenant,
        resource.0,
        ordinal,
        i64::from(limit)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}
