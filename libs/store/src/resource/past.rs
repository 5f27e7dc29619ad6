//! Resources as they stood at a moment.

use chrono::{DateTime, Utc};
use rampart_domain::ResourceId;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::filter::push_verdict_at;
use super::{COLUMNS, Count, Facet, Filter, Sort, Summary, cut};
use crate::moment::{Moment, Rows};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// The configuration that the row `r` was read with.
const CONFIG: &str = "coalesce(
    (select c.config from resources c where c.tenant_id = r.tenant_id and c.resource_id = r.resource_id
        and c.revision = r.revision and c.changed_at = r.changed_at),
    (select c.config from resource_versions c where c.tenant_id = r.tenant_id and c.resource_id = r.resource_id
        and c.revision = r.revision and c.valid_from = r.changed_at limit 1))";

/// A resource as it was at a moment.
#[derive(Debug, FromRow)]
pub struct Past {
    /// What lists show.
    #[sqlx(flatten)]
    pub summary: Summary,
    /// Which configuration, from 1.
    pub revision: i64,
    /// The connector that read it.
    pub connector_id: Uuid,
    /// The provider's configuration; `None` where it was not asked for.
    pub config: Option<Json<Box<RawValue>>>,
}

/// Opens the part of a union that reads the table, or its history.
fn push_branch(query: &mut QueryBuilder<Postgres>, rows: Rows) {
    query
        .push(rows.of("(", " union all ("))
        .push(format!("select r.tenant_id, r.revision, r.connector_id, {COLUMNS} from "));
}

/// Adds the health of that moment to the rows of the common table `r`.
fn push_with_health(query: &mut QueryBuilder<Postgres>, at: DateTime<Utc>, with_config: bool) {
    query.push("select r.*, f.unhealthy, f.exempt, ");
    query.push(if with_config { CONFIG } else { "null::json" });
    query.push(" as config, case when f.unhealthy is not null then 'unhealthy' else ");
    push_verdict_at(query, at);
    query.push(
        " end as health from r
         left join lateral (
             select jsonb_object_agg(severity, n) filter (where status = 'unhealthy') as unhealthy,
                    coalesce(sum(n) filter (where status = 'exempt'), 0)::bigint as exempt
             from (select severity, status, count(*) as n from (",
    );
    for rows in Rows::at(at) {
        query.push(rows.of(
            "select f.severity, f.status from findings f",
            " union all select f.severity, f.status from finding_history f",
        ));
        query.push(" where f.tenant_id = r.tenant_id and f.resource_id = r.resource_id");
        query.push(" and f.status in ('unhealthy', 'exempt')");
        rows.push(query, "f");
    }
    query.push(") a group by severity, status) s) f on true");
}

/// Resources, sorted and filtered. `filter` may name no image: relations have no history.
pub async fn list_at(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    sort: Sort,
    page: &Page,
    at: Moment,
) -> Result<Listed<Summary>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with r as materialized (select * from (");
    for rows in Rows::at(at.as_of) {
        push_branch(&mut query, rows);
        filter.push(&mut query, tenant, visible, rows);
        sort.push_after(&mut query, page)?;
        // Each branch in order and no longer than needed, so that neither is read whole.
        query.push(sort.order()).push(" limit ").push_bind(page.fetch()).push(")");
    }
    query.push(") r ").push(sort.order()).push(" limit ").push_bind(page.fetch()).push(") ");
    push_with_health(&mut query, at.as_of, false);
    query.push(sort.order());
    let rows = query.build_query_as::<Summary>().fetch_all(tx.conn()).await?;
    Ok(cut(sort, page, rows))
}

/// How many resources there were per value of a column, the most first.
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
        filter.push(&mut query, tenant, visible, rows);
        query.push(format!(" group by {column}"));
    }
    query.push(") r group by key order by 2 desc, key limit ").push_bind(i64::from(limit));
    Ok(query.build_query_as::<Count>().fetch_all(tx.conn()).await?)
}

/// One resource as it stood, with its configuration.
pub async fn get_at(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
    at: Moment,
) -> Result<Past, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with r as materialized (");
    for rows in Rows::at(at.as_of) {
        push_branch(&mut query, rows);
        query.push(rows.of("resources r", "resource_history r"));
        query.push(" where r.tenant_id = ").push_bind(tenant).push(" and r.resource_id = ").push_bind(resource.0);
        rows.push(&mut query, "r");
        query.push(" and not is_short_lived(r.kind)");
        visible.push(&mut query, "r");
        query.push(")");
    }
    query.push(") ");
    push_with_health(&mut query, at.as_of, true);
    query.build_query_as::<Past>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "resource" })
}

/// Up to `limit` resources as they stood, by id, after the given one.
pub async fn export_at(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    after: Option<Uuid>,
    limit: u16,
    at: DateTime<Utc>,
) -> Result<Vec<Past>, StoreError> {
    const ORDER: &str = " order by r.resource_id limit ";
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("with r as materialized (select * from (");
    for rows in Rows::at(at) {
        push_branch(&mut query, rows);
        filter.push(&mut query, tenant, visible, rows);
        if let Some(after) = after {
            query.push(" and r.resource_id > ").push_bind(after);
        }
        query.push(ORDER).push_bind(i64::from(limit)).push(")");
    }
    query.push(") r").push(ORDER).push_bind(i64::from(limit)).push(") ");
    push_with_health(&mut query, at, true);
    query.push(" order by r.resource_id");
    Ok(query.build_query_as::<Past>().fetch_all(tx.conn()).await?)
}
