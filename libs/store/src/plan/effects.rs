//! What follows when a plan is switched.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, ClusterId, ConnectorId, Gap, UnitId};
use uuid::Uuid;

use super::{Plan, PlanScope, off_gap};
use crate::inventory::{self, Source};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, watch};

/// The connectors that follow a connector's setting: itself, and the accounts of an organisation without their own.
async fn followers(tx: &mut TenantTx, connector: ConnectorId, plan: Plan) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select c.connector_id from connectors c
         where c.tenant_id = $1 and not c.deleting and (c.connector_id = $2 or c.parent_id = $2
           and not exists (select from plans p where p.tenant_id = $1 and p.scope_id = c.connector_id and p.plan = $3))
         order by c.connector_id",
        tenant,
        connector.0,
        plan.as_str()
    )
    .fetch_all(tx.conn())
    .await?)
}

pub(super) async fn reassess(tx: &mut TenantTx, scope: PlanScope) -> Result<(), StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    let mut units = match scope {
        PlanScope::Cluster(cluster) => vec![cluster.0],
        PlanScope::Connector(connector) => {
            let connectors = followers(tx, connector, Plan::Posture).await?;
            let places = sqlx::query!(
                "select distinct cloud, account, cluster_id from coverage
                 where tenant_id = $1 and connector_id = any($2)",
                tenant,
                &connectors
            )
            .fetch_all(tx.conn())
            .await?;
            let mut units = Vec::new();
            for place in places {
                match (place.cluster_id, place.account) {
                    (Some(cluster), _) => units.push(cluster),
                    (None, Some(account)) => {
                        let cloud: Cloud = place.cloud.parse()?;
                        units.push(UnitId::account(tenant_id, cloud, &account).0);
                    }
                    (None, None) => {}
                }
            }
            units
        }
    };
    // In the order in which everybody locks them.
    units.sort_unstable();
    units.dedup();
    for unit in units {
        work::request(tx, WorkKind::Assess, unit).await?;
    }
    Ok(())
}

/// Connectors that read in a scope and are neither paused nor retired.
async fn readers(tx: &mut TenantTx, scope: PlanScope, plan: Plan) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let ids = match scope {
        PlanScope::Connector(connector) => followers(tx, connector, plan).await?,
        PlanScope::Cluster(cluster) => {
            sqlx::query_scalar!(
                "select distinct connector_id from coverage where tenant_id = $1 and cluster_id = $2",
                tenant,
                cluster.0
            )
            .fetch_all(tx.conn())
            .await?
        }
    };
    Ok(sqlx::query_scalar!(
        "select c.connector_id from connectors c left join connectors p
           on p.tenant_id = c.tenant_id and p.connector_id = c.parent_id
         where c.tenant_id = $1 and c.connector_id = any($2) and c.retired_at is null and not c.deleting
           and not c.paused and not coalesce(p.paused, false)
         order by c.connector_id",
        tenant,
        &ids
    )
    .fetch_all(tx.conn())
    .await?)
}

pub(super) async fn begin_reading(tx: &mut TenantTx, scope: PlanScope, plan: Plan) -> Result<(), StoreError> {
    for connector in readers(tx, scope, plan).await? {
        work::request(tx, WorkKind::Scan, connector).await?;
    }
    Ok(())
}

/// What was read stays and says that it grows old; scans that run are asked to stop.
pub(super) async fn end_reading(tx: &mut TenantTx, scope: PlanScope, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (tenant, gap) = (tx.tenant_uuid(), off_gap(Plan::Discovery));
    match scope {
        PlanScope::Connector(connector) => {
            let connectors = followers(tx, connector, Plan::Discovery).await?;
            for id in &connectors {
                inventory::fail_untouched(tx, ConnectorId(*id), &gap, now, now).await?;
            }
            sqlx::query!(
                "update scans set cancel_requested = true
                 where tenant_id = $1 and connector_id = any($2) and status = 'running'",
                tenant,
                &connectors
            )
            .execute(tx.conn())
            .await?;
        }
        PlanScope::Cluster(cluster) => end_cluster(tx, cluster, &gap, now).await?,
    }
    end_watches(tx, scope, Plan::Discovery).await
}

/// The Kubernetes APIs of a place are not read any more; the cloud's own view of the clusters is.
pub(super) async fn end_clusters(tx: &mut TenantTx, scope: PlanScope, now: DateTime<Utc>) -> Result<(), StoreError> {
    let gap = off_gap(Plan::KubernetesApis);
    for cluster in clusters(tx, scope, Plan::KubernetesApis).await? {
        end_cluster(tx, cluster, &gap, now).await?;
    }
    end_watches(tx, scope, Plan::KubernetesApis).await
}

/// Clusters of a scope that follow its setting of a plan.
async fn clusters(tx: &mut TenantTx, scope: PlanScope, plan: Plan) -> Result<Vec<ClusterId>, StoreError> {
    let connector = match scope {
        PlanScope::Cluster(cluster) => return Ok(vec![cluster]),
        PlanScope::Connector(connector) => connector,
    };
    let connectors = followers(tx, connector, plan).await?;
    let tenant = tx.tenant_uuid();
    let found = sqlx::query_scalar!(
        r#"select distinct c.cluster_id as "id!" from coverage c
           where c.tenant_id = $1 and c.connector_id = any($2) and c.cluster_id is not null
             and not exists (select from plans p where p.tenant_id = $1 and p.scope_id = c.cluster_id and p.plan = $3)
           order by 1"#,
        tenant,
        &connectors,
        plan.as_str()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(found.into_iter().map(ClusterId).collect())
}

/// What is not read is not watched either; the next scan that may read it begins the watch anew.
async fn end_watches(tx: &mut TenantTx, scope: PlanScope, plan: Plan) -> Result<(), StoreError> {
    for cluster in clusters(tx, scope, plan).await? {
        watch::abandon(tx, cluster).await?;
    }
    Ok(())
}

async fn end_cluster(tx: &mut TenantTx, cluster: ClusterId, gap: &Gap, now: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let scopes = sqlx::query!(
        "select distinct connector_id, scope from coverage
         where tenant_id = $1 and cluster_id = $2 and kind like 'k8s.%' order by connector_id, scope",
        tenant,
        cluster.0
    )
    .fetch_all(tx.conn())
    .await?;
    for row in scopes {
        let source = Source { connector: ConnectorId(row.connector_id), scope: row.scope };
        inventory::fail_scope(tx, &source, gap, now).await?;
    }
    work::request_after(tx, WorkKind::Assess, cluster.0, Duration::from_secs(1)).await
}
