//! Clusters as callers see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rampart_domain::ClusterId;
use serde::Deserialize;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::page::{Listed, Page, prefix_end};
use crate::{StoreError, TenantTx, Visible};

/// A Kubernetes cluster.
#[derive(Debug, Clone, FromRow)]
pub struct Cluster {
    /// Its id.
    pub cluster_id: Uuid,
    /// Short name.
    pub name: String,
    /// Where it runs.
    pub cloud: String,
    /// Account that it belongs to.
    pub account: Option<String>,
    /// Region that it runs in.
    pub region: Option<String>,
    /// The cloud's id.
    pub native_id: Option<String>,
    /// Uid of its kube-system namespace, once its API was reached.
    pub kube_uid: Option<String>,
    /// Kubernetes version.
    pub version: Option<String>,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last assessed; `None` when it never was.
    pub assessed_at: Option<DateTime<Utc>>,
    /// How its watch fares; `None` when it is not watched.
    pub watch: Option<sqlx::types::Json<Watched>>,
}

/// How the watch of a cluster fares.
#[derive(Debug, Clone, Deserialize)]
pub struct Watched {
    /// `starting`, `watching` or `failing`.
    pub state: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// What goes wrong.
    pub message: Option<String>,
    /// When the last change arrived.
    pub last_event_at: Option<DateTime<Utc>>,
    /// Milliseconds from the arrival of the last change to its being stored.
    pub lag_ms: Option<i32>,
    /// Kinds that only scans read, with state, message and remedy.
    pub polled: BTreeMap<String, Polled>,
}

/// Why a kind is not watched.
#[derive(Debug, Clone, Deserialize)]
pub struct Polled {
    /// As in coverage.
    pub state: String,
    /// What the provider said.
    pub message: String,
    /// What an operator can do.
    pub remedy: String,
}

/// Which clusters to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In this cloud.
    pub cloud: Option<String>,
    /// In this account.
    pub account: Option<String>,
    /// In this region.
    pub region: Option<String>,
    /// Whose name begins so.
    pub name_prefix: Option<String>,
}

const COLUMNS: &str = "select c.cluster_id, c.name, c.cloud, c.account, c.region, c.native_id, c.kube_uid, c.version,
    c.first_seen, a.assessed_at,
    (select jsonb_build_object('state', w.state, 'since', w.since, 'message', w.message, 'polled', w.polled,
                               'last_event_at', w.last_event_at, 'lag_ms', w.lag_ms)
     from watches w where w.tenant_id = c.tenant_id and w.cluster_id = c.cluster_id) as watch
    from clusters c left join assessments a on a.tenant_id = c.tenant_id and a.unit_id = c.cluster_id
    where c.gone_at is null and c.tenant_id = ";

/// One cluster.
pub async fn get(tx: &mut TenantTx, visible: &Visible, cluster: ClusterId) -> Result<Cluster, StoreError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push_bind(tx.tenant_uuid()).push(" and c.cluster_id = ").push_bind(cluster.0);
    visible.push_cluster(&mut query, "c");
    query.build_query_as::<Cluster>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "cluster" })
}

/// Clusters by name.
pub async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    filter: &Filter,
    page: &Page,
) -> Result<Listed<Cluster>, StoreError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push_bind(tx.tenant_uuid());
    let equal = [("c.cloud", &filter.cloud), ("c.account", &filter.account), ("c.region", &filter.region)];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(format!(" and {column} = ")).push_bind(value.clone());
        }
    }
    if let Some(prefix) = &filter.name_prefix {
        query.push(" and c.name >= ").push_bind(prefix.clone());
        if let Some(end) = prefix_end(prefix) {
            query.push(" and c.name < ").push_bind(end);
        }
    }
    visible.push_cluster(&mut query, "c");
    if let Some((name, id)) = page.after::<(String, Uuid)>()? {
        query.push(" and (c.name, c.cluster_id) > (").push_bind(name).push(", ").push_bind(id).push(")");
    }
    query.push(" order by c.name, c.cluster_id limit ").push_bind(page.fetch());
    let rows = query.build_query_as::<Cluster>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |row| (row.name.clone(), row.cluster_id)))
}
