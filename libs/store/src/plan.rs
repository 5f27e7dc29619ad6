//! Plans: what Rampart does where. An account follows its organisation, a cluster the account it is read through, unless it
//! has a setting of its own.
//!
//! Discovery that is off reads nothing: coverage says so, and what was read before grows old. Posture that is off judges
//! nothing: its verdicts and findings end and leave the score.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, ClusterId, ConnectorId, CoverageState, Gap, UnitId};
use uuid::Uuid;

use crate::inventory::{self, Source};
use crate::verdict::UnitPlace;
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// Something that Rampart does and that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Reading the cloud and its clusters.
    Discovery,
    /// Judging configuration.
    Posture,
}

impl Plan {
    /// Every plan.
    pub const ALL: [Self; 2] = [Self::Discovery, Self::Posture];

    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Posture => "posture",
        }
    }

    /// The plan of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }
}

/// Where a plan is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanScope {
    /// An organisation or an account, by its connector.
    Connector(ConnectorId),
    /// A cluster.
    Cluster(ClusterId),
}

impl PlanScope {
    const fn columns(self) -> (Uuid, &'static str) {
        match self {
            Self::Connector(id) => (id.0, "connector"),
            Self::Cluster(id) => (id.0, "cluster"),
        }
    }
}

/// What holds at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effective {
    /// The plan.
    pub plan: Plan,
    /// Whether it is on.
    pub enabled: bool,
    /// Since when it is on without a break; `None` while it is off.
    pub enabled_at: Option<DateTime<Utc>>,
    /// Whether the place has no setting of its own.
    pub inherited: bool,
    /// The connector whose setting holds here; `None` for an own setting, and where nothing is set at all.
    pub inherited_from: Option<ConnectorId>,
}

/// What holds at a place, for every plan.
pub async fn effective(tx: &mut TenantTx, scope: PlanScope) -> Result<Vec<Effective>, StoreError> {
    let mut all = Vec::with_capacity(Plan::ALL.len());
    for plan in Plan::ALL {
        all.push(one(tx, scope, plan).await?);
    }
    Ok(all)
}

/// What holds at a place for one plan.
pub async fn one(tx: &mut TenantTx, scope: PlanScope, plan: Plan) -> Result<Effective, StoreError> {
    match scope {
        PlanScope::Connector(connector) => of_connector(tx, connector, plan).await,
        PlanScope::Cluster(cluster) => of_cluster(tx, cluster, plan).await,
    }
}

async fn of_connector(tx: &mut TenantTx, connector: ConnectorId, plan: Plan) -> Result<Effective, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        r#"select c.created_at, own.enabled as "own?", own.enabled_at as own_at, up.scope_id as "parent?",
                  up.enabled as "up?", up.enabled_at as up_at
           from connectors c
           left join plans own on own.tenant_id = $1 and own.scope_id = c.connector_id and own.plan = $3
           left join plans up on up.tenant_id = $1 and up.scope_id = c.parent_id and up.plan = $3
           where c.tenant_id = $1 and c.connector_id = $2"#,
        tenant,
        connector.0,
        plan.as_str()
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "connector" })?;
    Ok(match (row.own, row.up) {
        (Some(enabled), _) => {
            Effective { plan, enabled, enabled_at: row.own_at, inherited: false, inherited_from: None }
        }
        (None, Some(enabled)) => Effective {
            plan,
            enabled,
            // What came later than the setting was on from its own beginning.
            enabled_at: row.up_at.map(|at| at.max(row.created_at)),
            inherited: true,
            inherited_from: row.parent.map(ConnectorId),
        },
        (None, None) => {
            Effective { plan, enabled: true, enabled_at: Some(row.created_at), inherited: true, inherited_from: None }
        }
    })
}

/// A cluster that several connectors read has what any of them has.
async fn of_cluster(tx: &mut TenantTx, cluster: ClusterId, plan: Plan) -> Result<Effective, StoreError> {
    let tenant = tx.tenant_uuid();
    let own = sqlx::query!(
        "select enabled, enabled_at from plans where tenant_id = $1 and scope_id = $2 and plan = $3",
        tenant,
        cluster.0,
        plan.as_str()
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(row) = own {
        let (enabled, enabled_at) = (row.enabled, row.enabled_at);
        return Ok(Effective { plan, enabled, enabled_at, inherited: false, inherited_from: None });
    }
    let readers = sqlx::query_scalar!(
        "select distinct connector_id from coverage where tenant_id = $1 and cluster_id = $2 order by connector_id",
        tenant,
        cluster.0
    )
    .fetch_all(tx.conn())
    .await?;
    let nothing = Effective { plan, enabled: true, enabled_at: None, inherited: true, inherited_from: None };
    any_of(tx, &readers, nothing).await
}

/// The first connector that has the plan on; else the first at all; else `nothing`.
async fn any_of(tx: &mut TenantTx, readers: &[Uuid], nothing: Effective) -> Result<Effective, StoreError> {
    let mut first = None;
    for reader in readers {
        let above = of_connector(tx, ConnectorId(*reader), nothing.plan).await?;
        let inherited_from = above.inherited_from.or((!above.inherited).then_some(ConnectorId(*reader)));
        let above = Effective { inherited: true, inherited_from, ..above };
        if above.enabled {
            return Ok(above);
        }
        first.get_or_insert(above);
    }
    Ok(first.unwrap_or(nothing))
}

/// Whether a unit is judged: the cluster itself, or the account through whichever connector reads it.
pub async fn is_judged(tx: &mut TenantTx, unit: UnitId, place: &UnitPlace) -> Result<bool, StoreError> {
    if place.is_cluster {
        return Ok(of_cluster(tx, ClusterId(unit.0), Plan::Posture).await?.enabled);
    }
    let tenant = tx.tenant_uuid();
    let readers = sqlx::query_scalar!(
        "select distinct connector_id from coverage where tenant_id = $1 and account = $2 and cluster_id is null
         order by connector_id",
        tenant,
        place.account
    )
    .fetch_all(tx.conn())
    .await?;
    let nothing =
        Effective { plan: Plan::Posture, enabled: true, enabled_at: None, inherited: true, inherited_from: None };
    Ok(any_of(tx, &readers, nothing).await?.enabled)
}

/// Whether what a connector calls by this scope is a cluster whose discovery is switched off.
pub async fn is_cluster_off(tx: &mut TenantTx, source: &Source) -> Result<bool, StoreError> {
    let Some(cluster) = inventory::cluster_of_scope(tx, source).await? else { return Ok(false) };
    let tenant = tx.tenant_uuid();
    let enabled = sqlx::query_scalar!(
        "select enabled from plans where tenant_id = $1 and scope_id = $2 and plan = 'discovery'",
        tenant,
        cluster
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(enabled == Some(false))
}

/// What coverage says where discovery is switched off.
pub fn off_gap() -> Gap {
    Gap {
        state: CoverageState::Disabled,
        message: "the discovery plan is switched off here".to_owned(),
        remedy: "Switch the plan on for the cluster, its account or its organisation.".to_owned(),
    }
}

/// Sets a plan at a place and lets what follows from it happen. What holds there now.
pub async fn set(
    tx: &mut TenantTx,
    scope: PlanScope,
    plan: Plan,
    enabled: IsOn,
    now: DateTime<Utc>,
) -> Result<Effective, StoreError> {
    let before = one(tx, scope, plan).await?;
    let enabled_at = match enabled {
        IsOn::On => Some(before.enabled_at.unwrap_or(now)),
        IsOn::Off => None,
    };
    let (tenant, (id, scope_type)) = (tx.tenant_uuid(), scope.columns());
    sqlx::query!(
        "insert into plans (tenant_id, scope_id, scope_type, plan, enabled, enabled_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (tenant_id, scope_id, plan) do update
         set enabled = excluded.enabled, enabled_at = excluded.enabled_at, updated_at = excluded.updated_at",
        tenant,
        id,
        scope_type,
        plan.as_str(),
        enabled_at.is_some(),
        enabled_at,
        now
    )
    .execute(tx.conn())
    .await?;
    follow(tx, scope, before, now).await
}

/// Whether a plan is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IsOn {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// Takes a place's own setting away. What holds there now.
pub async fn clear(
    tx: &mut TenantTx,
    scope: PlanScope,
    plan: Plan,
    now: DateTime<Utc>,
) -> Result<Effective, StoreError> {
    let before = one(tx, scope, plan).await?;
    let (tenant, (id, _)) = (tx.tenant_uuid(), scope.columns());
    sqlx::query!("delete from plans where tenant_id = $1 and scope_id = $2 and plan = $3", tenant, id, plan.as_str())
        .execute(tx.conn())
        .await?;
    follow(tx, scope, before, now).await
}

async fn follow(
    tx: &mut TenantTx,
    scope: PlanScope,
    before: Effective,
    now: DateTime<Utc>,
) -> Result<Effective, StoreError> {
    let after = one(tx, scope, before.plan).await?;
    if before.enabled == after.enabled {
        return Ok(after);
    }
    match (after.plan, after.enabled) {
        (Plan::Posture, _) => reassess(tx, scope).await?,
        (Plan::Discovery, true) => begin_reading(tx, scope).await?,
        (Plan::Discovery, false) => end_reading(tx, scope, now).await?,
    }
    Ok(after)
}

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

async fn reassess(tx: &mut TenantTx, scope: PlanScope) -> Result<(), StoreError> {
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
async fn readers(tx: &mut TenantTx, scope: PlanScope) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let ids = match scope {
        PlanScope::Connector(connector) => followers(tx, connector, Plan::Discovery).await?,
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

async fn begin_reading(tx: &mut TenantTx, scope: PlanScope) -> Result<(), StoreError> {
    for connector in readers(tx, scope).await? {
        work::request(tx, WorkKind::Scan, connector).await?;
    }
    Ok(())
}

/// What was read stays and says that it grows old; scans that run are asked to stop.
async fn end_reading(tx: &mut TenantTx, scope: PlanScope, now: DateTime<Utc>) -> Result<(), StoreError> {
    let (tenant, gap) = (tx.tenant_uuid(), off_gap());
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
        PlanScope::Cluster(cluster) => {
            let scopes = sqlx::query!(
                "select distinct connector_id, scope from coverage where tenant_id = $1 and cluster_id = $2
                 order by connector_id, scope",
                tenant,
                cluster.0
            )
            .fetch_all(tx.conn())
            .await?;
            for row in scopes {
                let source = Source { connector: ConnectorId(row.connector_id), scope: row.scope };
                inventory::fail_scope(tx, &source, &gap, now).await?;
            }
            work::request_after(tx, WorkKind::Assess, cluster.0, Duration::from_secs(1)).await?;
        }
    }
    Ok(())
}
