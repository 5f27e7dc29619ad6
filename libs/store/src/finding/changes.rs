//! What differs between two moments.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::Filter;
use crate::moment::{Moment, Rows};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// A finding that was not the same at both moments.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Change {
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check.
    pub ordinal: i32,
    /// At the first moment; `None` when there was no such finding.
    pub before: Option<Json<Side>>,
    /// At the second moment.
    pub after: Option<Json<Side>>,
    /// Whether both have evidence, and it differs.
    pub evidence_changed: bool,
}

/// A finding at one of the moments.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Side {
    /// The control.
    pub control_id: String,
    /// Kind of the resource.
    pub kind: String,
    /// Account of the resource.
    pub account: Option<String>,
    /// Cluster of the resource.
    pub cluster_id: Option<Uuid>,
    /// Namespace of the resource.
    pub namespace: Option<String>,
    /// 1 informational … 5 critical.
    pub severity: i16,
    /// The verdict.
    pub status: String,
    /// What made it so.
    pub cause: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// One sentence that names the element and the value.
    pub message: Option<String>,
}

fn side(alias: &str) -> String {
    format!(
        "case when {alias}.resource_id is not null then jsonb_build_object('control_id', {alias}.control_id,
            'kind', {alias}.kind, 'account', {alias}.account, 'cluster_id', {alias}.cluster_id,
            'namespace', {alias}.namespace, 'severity', {alias}.severity, 'status', {alias}.status,
            'cause', {alias}.cause, 'since', {alias}.since, 'message', {alias}.evidence->>'message') end"
    )
}

/// Findings whose status, severity or evidence differs, by resource and ordinal. Of `filter`, the statuses are those of
/// either side; a side that does not match the rest, or is not visible, counts as absent.
pub async fn changes(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    page: &Page,
    [from, to]: [Moment; 2],
) -> Result<Listed<Change>, StoreError> {
    let tenant = tx.tenant_uuid();
    let each = Filter { statuses: Vec::new(), ..filter.clone() };
    let mut query = QueryBuilder::new("select t.resource_id, t.ordinal, ");
    query.push(side("b")).push(" as before, ").push(side("a")).push(" as after, ");
    query.push("coalesce(b.evidence <> a.evidence, false) as evidence_changed from (");
    push_touched(&mut query, tenant, page, [from, to])?;
    query.push(" order by resource_id, ordinal) t");
    for (alias, moment) in [("b", from), ("a", to)] {
        query.push(" left join lateral (");
        for rows in Rows::at(moment.as_of) {
            query.push(rows.of("", " union all "));
            query.push(
                "select f.resource_id, f.control_id, f.kind, f.account, f.cluster_id, f.namespace, f.severity, f.status,
                     f.cause, f.since, f.evidence from ",
            );
            query.push(rows.of("findings f", "finding_history f"));
            each.push(&mut query, tenant, visible, rows);
            query.push(" and f.resource_id = t.resource_id and f.ordinal = t.ordinal");
        }
        query.push(format!(" limit 1) {alias} on true"));
    }
    query.push(" where (b.status, b.severity, b.evidence) is distinct from (a.status, a.severity, a.evidence)");
    if !filter.statuses.is_empty() {
        query.push(" and (b.status = any(").push_bind(filter.statuses.clone());
        query.push(") or a.status = any(").push_bind(filter.statuses.clone()).push("))");
    }
    query.push(" order by t.resource_id, t.ordinal limit ").push_bind(page.fetch());
    let rows = query.build_query_as::<Change>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| (row.resource_id, row.ordinal)))
}

/// Keys of what was written or ended in between.
fn push_touched(
    query: &mut QueryBuilder<Postgres>,
    tenant: Uuid,
    page: &Page,
    [from, to]: [Moment; 2],
) -> Result<(), StoreError> {
    let after = page.after::<(Uuid, i32)>()?;
    for (part, column) in [
        ("select resource_id, ordinal from findings", "recorded_at"),
        (" union select resource_id, ordinal from finding_history", "valid_to"),
        (" union select resource_id, ordinal from finding_history", "valid_from"),
    ] {
        query.push(format!("{part} where tenant_id = ")).push_bind(tenant);
        query.push(format!(" and {column} > ")).push_bind(from.as_of);
        query.push(format!(" and {column} <= ")).push_bind(to.as_of);
        if column == "valid_from" {
            // What began in between and ended later.
            query.push(" and valid_to > ").push_bind(to.as_of);
        }
        if let Some((resource, ordinal)) = after {
            query.push(" and (resource_id, ordinal) > (").push_bind(resource);
            query.push(", ").push_bind(ordinal).push(")");
        }
    }
    Ok(())
}
