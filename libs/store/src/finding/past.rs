//! Findings as they stood at a moment.

use chrono::{DateTime, Utc};
use rampart_domain::ResourceId;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{Facet, Filter, Finding, Sort, cut};
use crate::moment::{Moment, Rows};
use crate::page::{Listed, Page};
use crate::resource::Count;
use crate::{StoreError, TenantTx, Visible};

/// What findings and their history have in common, from the alias `f`.
const COLUMNS: &str =
    "f.tenant_id, f.resource_id, f.ordinal, f.control_id, f.severity, f.status, f.cause, f.cluster_id,
    f.account, f.namespace, f.kind, f.first_seen, f.since, f.changed_at, f.evidence, f.scored, f.exemption_id, f.risk,
    f.governance_rule_id, f.owner, f.due_at, f.overdue_at";

/// The columns of a finding that are shown, after those that are made from others.
const SHOWN: &str = " as governance_state, f.resource_id, f.ordinal, f.control_id, f.severity, f.status, f.cause,
    f.cluster_id, f.account, f.namespace, f.kind, f.first_seen, f.since, f.changed_at, f.evidence, f.scored, f.exemption_id,
    x.name as exemption_name, f.risk, f.owner, f.due_at, f.overdue_at, f.governance_rule_id,
    coalesce(n.name, h.name) as resource_name, coalesce(n.native_id, h.native_id) as native_id,
    coalesce(c.params, '{}') as params";

/// Findings, sorted and filtered. Whether they are stale, and what delivers them, is not known of the past.
pub async fn list_at(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    sort: Sort,
    page: &Page,
    at: Moment,
) -> Result<Listed<Finding>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with f as materialized (select * from (");
    for rows in Rows::at(at.as_of) {
        push_branch(&mut query, rows);
        filter.push(&mut query, tenant, visible, rows);
        sort.push_after(&mut query, page)?;
        // Each branch in order and no longer than needed, so that neither is read whole.
        query.push(sort.order()).push(" limit ").push_bind(page.fetch()).push(")");
    }
    query.push(") f ").push(sort.order()).push(" limit ").push_bind(page.fetch()).push(") ");
    push_shown(&mut query, at.as_of);
    query.push(UNKNOWN_OF_THE_PAST);
    push_joins(&mut query, at.as_of);
    query.push(sort.order());
    let rows = query.build_query_as::<Finding>().fetch_all(tx.conn()).await?;
    Ok(cut(sort, page, rows))
}

const UNKNOWN_OF_THE_PAST: &str = ", false as stale, null::timestamptz as observed_at, null::uuid as fix_unit_id,
    null::text as source_type, null::text as source_name";

/// Opens the part of a union that reads the table, or its history.
fn push_branch(query: &mut QueryBuilder<Postgres>, rows: Rows) {
    query.push(rows.of("(select ", " union all (select ")).push(COLUMNS);
    query.push(rows.of(" from findings f", " from finding_history f"));
}

fn push_shown(query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
    query.push("select case when f.due_at is null then null when ").push_bind(at);
    query.push(" < f.due_at then 'on_time' when ").push_bind(at);
    query.push(" < f.overdue_at then 'grace' else 'overdue' end").push(SHOWN);
}

/// Adds the resource as it was called then; what has no history is called as it is now.
fn push_joins(query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>) {
    query.push(
        " from f
         left join exemptions x on x.tenant_id = f.tenant_id and x.exemption_id = f.exemption_id
         left join checks c on c.tenant_id = f.tenant_id and c.ordinal = f.ordinal
         left join resources n on n.tenant_id = f.tenant_id and n.resource_id = f.resource_id
              and (n.recorded_at <= ",
    );
    query.push_bind(at).push(
        " or is_short_lived(n.kind))
         left join lateral (select h.name, h.native_id from resource_history h
              where n.resource_id is null and h.tenant_id = f.tenant_id and h.resource_id = f.resource_id",
    );
    Rows::Closed(at).push(query, "h");
    query.push(" limit 1) h on true ");
}

/// How many findings there were per value of a column, the most first.
pub async fn facets_at(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    facet: Facet,
    limit: u16,
    at: Moment,
) -> Result<Vec<Count>, StoreError> {
    let (tenant, column) = (tx.tenant_uuid(), facet.column());
    let mut query = QueryBuilder::new("select key, sum(n)::bigint as count from (");
    for rows in Rows::at(at.as_of) {
        query.push(rows.of("", " union all ")).push(format!("select {column}::text as key, count(*) as n from "));
        query.push(rows.of("findings f", "finding_history f"));
        filter.push(&mut query, tenant, visible, rows);
        query.push(format!(" group by {column}"));
    }
    query.push(") f group by key order by 2 desc, key limit ").push_bind(i64::from(limit));
    Ok(query.build_query_as::<Count>().fetch_all(tx.conn()).await?)
}

/// One finding as it stood.
pub async fn get_at(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
    ordinal: i32,
    at: Moment,
) -> Result<Finding, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with f as materialized (");
    for rows in Rows::at(at.as_of) {
        push_branch(&mut query, rows);
        query.push(" where f.tenant_id = ").push_bind(tenant).push(" and f.resource_id = ").push_bind(resource.0);
        query.push(" and f.ordinal = ").push_bind(ordinal);
        rows.push(&mut query, "f");
        visible.push(&mut query, "f");
        query.push(")");
    }
    query.push(") ");
    push_shown(&mut query, at.as_of);
    query.push(UNKNOWN_OF_THE_PAST);
    push_joins(&mut query, at.as_of);
    query.build_query_as::<Finding>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "finding" })
}

/// A finding on its way out: evidence and parameters stay the text that they are stored as.
#[derive(Debug, FromRow)]
pub struct Exported {
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check.
    pub ordinal: i32,
    /// The control.
    pub control_id: String,
    /// 1 informational … 5 critical.
    pub severity: i16,
    /// 1 low … 4 critical.
    pub risk: i16,
    /// What the verdict was.
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
    /// Name of the resource; `None` when it was gone.
    pub resource_name: Option<String>,
    /// Native id of the resource; `None` when it was gone.
    pub native_id: Option<String>,
    /// When it was first unhealthy.
    pub first_seen: DateTime<Utc>,
    /// When the status became what it was.
    pub since: DateTime<Utc>,
    /// When anything about it last changed.
    pub changed_at: DateTime<Utc>,
    /// Whether it counted in the score.
    pub scored: bool,
    /// The exemption by which it was exempt.
    pub exemption_id: Option<Uuid>,
    /// Name of that exemption.
    pub exemption_name: Option<String>,
    /// Who mended it.
    pub owner: Option<String>,
    /// By when.
    pub due_at: Option<DateTime<Utc>>,
    /// From when on it was overdue.
    pub overdue_at: Option<DateTime<Utc>>,
    /// `on_time`, `grace` or `overdue`; `None` without a due date.
    pub governance_state: Option<String>,
    /// Effective parameters of the control.
    pub params: Json<Box<RawValue>>,
    /// `{message, facts}`.
    pub evidence: Json<Box<RawValue>>,
}

/// Up to `limit` findings as they stood, by resource and ordinal, after the given one.
pub async fn export_at(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    after: Option<(Uuid, i32)>,
    limit: u16,
    at: DateTime<Utc>,
) -> Result<Vec<Exported>, StoreError> {
    const ORDER: &str = " order by f.resource_id, f.ordinal limit ";
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with f as materialized (select * from (");
    for rows in Rows::at(at) {
        push_branch(&mut query, rows);
        filter.push(&mut query, tenant, visible, rows);
        if let Some((resource, ordinal)) = after {
            query.push(" and (f.resource_id, f.ordinal) > (").push_bind(resource);
            query.push(", ").push_bind(ordinal).push(")");
        }
        query.push(ORDER).push_bind(i64::from(limit)).push(")");
    }
    query.push(") f").push(ORDER).push_bind(i64::from(limit)).push(") ");
    push_shown(&mut query, at);
    push_joins(&mut query, at);
    query.push(" order by f.resource_id, f.ordinal");
    Ok(query.build_query_as::<Exported>().fetch_all(tx.conn()).await?)
}
