//! Plans: what Rampart does where. An account follows its organisation, a cluster the account it is read through, unless it
//! has a setting of its own.
//!
//! Discovery that is off reads nothing: coverage says so, and what was read before grows old. Posture that is off judges
//! nothing: its verdicts and findings end and leave the score. An extension is a part of a plan that can be switched by
//! itself; it is on only where its plan is.

mod effects;

use chrono::{DateTime, Utc};
use rampart_domain::{ClusterId, ConnectorId, CoverageState, Gap, UnitId};
use uuid::Uuid;

use crate::inventory::{self, Source};
use crate::verdict::UnitPlace;
use crate::{StoreError, TenantTx};

/// Something that Rampart does and that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Plan {
    /// Reading the cloud and its clusters.
    Discovery,
    /// Reading the Kubernetes APIs of clusters: an extension of [`Plan::Discovery`].
    KubernetesApis,
    /// Judging configuration.
    Posture,
}

impl Plan {
    /// Every plan; extensions are found through theirs.
    pub const ALL: [Self; 2] = [Self::Discovery, Self::Posture];

    /// The parts of a plan that can be switched by themselves.
    pub const fn extensions(self) -> &'static [Self] {
        match self {
            Self::Discovery => &[Self::KubernetesApis],
            Self::KubernetesApis | Self::Posture => &[],
        }
    }

    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::KubernetesApis => "discovery.kubernetes",
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

/// Why the Kubernetes API of the cluster that a connector calls by this scope is not to be read; `None` when it is.
pub async fn cluster_gap(tx: &mut TenantTx, source: &Source) -> Result<Option<Gap>, StoreError> {
    let cluster = inventory::cluster_of_scope(tx, source).await?;
    let tenant = tx.tenant_uuid();
    let own = sqlx::query!(
        "select plan, enabled from plans where tenant_id = $1 and scope_id = $2 and plan like 'discovery%'",
        tenant,
        cluster
    )
    .fetch_all(tx.conn())
    .await?;
    let own = |plan: Plan| own.iter().find(|row| row.plan == plan.as_str()).map(|row| row.enabled);
    if own(Plan::Discovery) == Some(false) {
        return Ok(Some(off_gap(Plan::Discovery)));
    }
    let on = match own(Plan::KubernetesApis) {
        Some(enabled) => enabled,
        None => of_connector(tx, source.connector, Plan::KubernetesApis).await?.enabled,
    };
    Ok((!on).then(|| off_gap(Plan::KubernetesApis)))
}

/// What coverage says where discovery or an extension of it is switched off.
pub fn off_gap(plan: Plan) -> Gap {
    let what = match plan {
        Plan::KubernetesApis => "the kubernetes extension of the discovery plan",
        Plan::Discovery | Plan::Posture => "the discovery plan",
    };
    Gap {
        state: CoverageState::Disabled,
        message: format!("{what} is switched off here"),
        remedy: "Switch it on for the cluster, its account or its organisation.".to_owned(),
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
        (Plan::Posture, _) => effects::reassess(tx, scope).await?,
        (Plan::Discovery | Plan::KubernetesApis, true) => effects::begin_reading(tx, scope, after.plan).await?,
        (Plan::Discovery, false) => effects::end_reading(tx, scope, now).await?,
        (Plan::KubernetesApis, false) => effects::end_clusters(tx, scope, now).await?,
    }
    Ok(after)
}
