//! What could be read where, as callers see it.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// What became of the last attempt to read one kind in one place.
#[derive(Debug, Clone, FromRow)]
pub struct Coverage {
    /// Which connector read.
    pub connector_id: Uuid,
    /// Where, as one key.
    pub scope: String,
    /// What.
    pub kind: String,
    /// Cloud of the place.
    pub cloud: String,
    /// Account of the place.
    pub account: Option<String>,
    /// Region of the place.
    pub region: Option<String>,
    /// Cluster of the place.
    pub cluster_id: Option<Uuid>,
    /// How it went.
    pub state: String,
    /// What the provider said.
    pub message: Option<String>,
    /// What an operator can do.
    pub remedy: Option<String>,
    /// How many resources were read.
    pub resources: i64,
    /// When it was last tried.
    pub attempted_at: DateTime<Utc>,
    /// Start of the last attempt that read everything.
    pub whole_at: Option<DateTime<Utc>>,
}

/// Which rows to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this connector.
    pub connector: Option<Uuid>,
    /// Of this cloud.
    pub cloud: Option<String>,
    /// Of this account.
    pub account: Option<String>,
    /// Of this region.
    pub region: Option<String>,
    /// Of this cluster.
    pub cluster: Option<Uuid>,
    /// Of one of these kinds; empty means any.
    pub kinds: Vec<String>,
    /// In one of these states; empty means any.
    pub states: Vec<String>,
}

/// Coverage rows by connector, scope and kind.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    page: &Page,
) -> Result<Listed<Coverage>, StoreError> {
    let mut query = QueryBuilder::new(
        "select c.connector_id, c.scope, c.kind, c.cloud, c.account, c.region, c.cluster_id, c.state, c.message,
                c.remedy, c.resources, c.attempted_at, c.whole_at
         from coverage c where c.tenant_id = ",
    );
    query.push_bind(tx.tenant_uuid());
    if let Some(connector) = filter.connector {
        query.push(" and c.connector_id = ").push_bind(connector);
    }
    if let Some(cluster) = filter.cluster {
        query.push(" and c.cluster_id = ").push_bind(cluster);
    }
    let equal = [("c.cloud", &filter.cloud), ("c.account", &filter.account), ("c.region", &filter.region)];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(format!(" and {column} = ")).push_bind(value.clone());
        }
    }
    for (column, values) in [("c.kind", &filter.kinds), ("c.state", &filter.states)] {
        if !values.is_empty() {
            query.push(format!(" and {column} = any(")).push_bind(values.clone()).push(")");
        }
    }
    visible.push_cluster(&mut query, "c");
    if let Some((connector, scope, kind)) = page.after::<(Uuid, String, String)>()? {
        query.push(" and (c.connector_id, c.scope, c.kind) > (").push_bind(connector);
        query.push(", ").push_bind(scope).push(", ").push_bind(kind).push(")");
    }
    query.push(" order by c.connector_id, c.scope, c.kind limit ").push_bind(page.fetch());
    let rows = query.build_query_as::<Coverage>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| (row.connector_id, row.scope.clone(), row.kind.clone())))
}

/// How much of what was tried is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, FromRow)]
pub struct Wholeness {
    /// Listings that were tried.
    pub listings: i64,
    /// Of these, read to the end in the last attempt, or without meaning there.
    pub whole: i64,
}

/// Wholeness over what is visible, narrowed to an account or a cluster.
pub async fn wholeness(
    tx: &mut TenantTx,
    visible: &Visible,
    account: Option<&str>,
    cluster: Option<Uuid>,
) -> Result<Wholeness, StoreError> {
    let mut query = QueryBuilder::new(
        "select count(*) as listings,
                count(*) filter (where c.state in ('read', 'not_applicable') and not c.expired) as whole
         from coverage c where c.tenant_id = ",
    );
    query.push_bind(tx.tenant_uuid());
    if let Some(account) = account {
        query.push(" and c.account = ").push_bind(account.to_owned());
    }
    if let Some(cluster) = cluster {
        query.push(" and c.cluster_id = ").push_bind(cluster);
    }
    visible.push_cluster(&mut query, "c");
    Ok(query.build_query_as::<Wholeness>().fetch_one(tx.conn()).await?)
}
