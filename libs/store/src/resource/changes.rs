//! What differs between two moments.

use serde_json::Value;
use sqlx::{FromRow, Postgres, QueryBuilder};
use uuid::Uuid;

use super::{COLUMNS, Filter};
use crate::moment::{Moment, Rows};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// A resource that was not the same at both moments.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Change {
    /// The resource.
    pub resource_id: Uuid,
    /// What was known of it at the first moment, its configuration included; `None` when it was not there.
    pub before: Option<Value>,
    /// What was known of it at the second moment.
    pub after: Option<Value>,
}

/// What is known of the resource in the row `side`.
fn state(side: &str) -> String {
    format!(
        "case when {side}.resource_id is not null then jsonb_build_object('native_id', {side}.native_id,
            'kind', {side}.kind, 'name', {side}.name, 'cloud', {side}.cloud, 'account', {side}.account,
            'region', {side}.region, 'cluster_id', {side}.cluster_id, 'namespace', {side}.namespace,
            'labels', {side}.labels, 'managed_by', {side}.managed_by, 'owner_id', {side}.owner_id,
            'active', {side}.active, 'config', coalesce(
                (select c.config from resources c where c.tenant_id = {side}.tenant_id
                    and c.resource_id = {side}.resource_id and c.revision = {side}.revision
                    and c.changed_at = {side}.changed_at),
                (select c.config from resource_versions c where c.tenant_id = {side}.tenant_id
                    and c.resource_id = {side}.resource_id and c.revision = {side}.revision
                    and c.valid_from = {side}.changed_at limit 1))) end"
    )
}

/// Resources that differ, by id. A side that does not match the filter, or is not visible, counts as absent: what moved out
/// of sight was removed.
pub async fn changes(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    page: &Page,
    [from, to]: [Moment; 2],
) -> Result<Listed<Change>, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new("select t.resource_id, ");
    query.push(state("b")).push(" as before, ").push(state("a")).push(" as after from (");
    push_touched(&mut query, tenant, page, [from, to])?;
    query.push(" order by resource_id) t");
    for (alias, moment) in [("b", from), ("a", to)] {
        query.push(" left join lateral (");
        for rows in Rows::at(moment.as_of) {
            query.push(rows.of("", " union all "));
            query.push(format!("select r.tenant_id, r.revision, r.hash, {COLUMNS} from "));
            filter.push(&mut query, tenant, visible, rows);
            query.push(" and r.resource_id = t.resource_id");
        }
        query.push(format!(" limit 1) {alias} on true"));
    }
    query.push(" where (b.hash, b.cluster_id) is distinct from (a.hash, a.cluster_id) order by t.resource_id limit ");
    query.push_bind(page.fetch());
    let rows = query.build_query_as::<Change>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| row.resource_id))
}

/// Ids of what was written or ended in between.
fn push_touched(
    query: &mut QueryBuilder<Postgres>,
    tenant: Uuid,
    page: &Page,
    [from, to]: [Moment; 2],
) -> Result<(), StoreError> {
    let after = page.after::<Uuid>()?;
    for (part, column, still) in [
        ("select resource_id from resources", "recorded_at", " and not is_short_lived(kind)"),
        (" union select resource_id from resource_history", "valid_to", ""),
        // What began in between and ended later.
        (" union select resource_id from resource_history", "valid_from", " and valid_to > "),
    ] {
        query.push(format!("{part} where tenant_id = ")).push_bind(tenant);
        query.push(format!(" and {column} > ")).push_bind(from.as_of);
        query.push(format!(" and {column} <= ")).push_bind(to.as_of);
        query.push(still);
        if column == "valid_from" {
            query.push_bind(to.as_of);
        }
        if let Some(after) = after {
            query.push(" and resource_id > ").push_bind(after);
        }
    }
    Ok(())
}
