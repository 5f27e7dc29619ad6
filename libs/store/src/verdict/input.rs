use std::collections::BTreeSet;
use std::time::Duration;

use rampart_domain::{Cloud, CoverageState, Kind, UnitId};
use serde_json::Value;
use uuid::Uuid;

use super::exempt::{ExemptionRow, in_force};
use crate::work::{self, WorkKind};
use crate::{AccessScope, StoreError, TenantTx, disabled_control};

/// How long a cluster's assessment waits for more that changes in its account.
const SOON: Duration = Duration::from_secs(2);

/// An initiative applied to a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct AssignmentRow {
    /// Built-in or custom initiative.
    pub initiative: String,
    /// Where it holds.
    pub scope: AccessScope,
    /// `{control id: {parameter: value}}`.
    pub params: Value,
    /// Namespaces that it leaves out.
    pub excluded_namespaces: Vec<String>,
}

/// A control that is turned off for a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct DisabledRow {
    /// Its id, or `prefix.*`.
    pub control: String,
    /// Where it is off.
    pub scope: AccessScope,
}

/// What decides which checks apply and what comes of them: enabled assignments, the customer's own initiatives, controls that
/// are turned off, and exemptions that have not expired.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyInputs {
    /// In a stable order.
    pub assignments: Vec<AssignmentRow>,
    /// Name and definition, in a stable order.
    pub initiatives: Vec<(String, Value)>,
    /// In a stable order.
    pub disabled: Vec<DisabledRow>,
    /// The oldest first.
    pub exemptions: Vec<ExemptionRow>,
}

/// Reads what decides which checks apply.
pub async fn policy_inputs(tx: &mut TenantTx) -> Result<PolicyInputs, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select initiative, scope_type, account, cluster_id, namespace, params, excluded_namespaces
         from assignments where tenant_id = $1 and enabled order by assignment_id",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    let assignments = rows
        .into_iter()
        .map(|row| {
            let scope = match (row.scope_type.as_str(), row.account, row.cluster_id, row.namespace) {
                ("tenant", None, None, None) => AccessScope::Tenant,
                ("account", Some(account), None, None) => AccessScope::Account(account),
                ("cluster", None, Some(cluster), None) => AccessScope::Cluster(cluster.into()),
                ("namespace", None, Some(cluster), Some(ns)) => AccessScope::Namespace(cluster.into(), ns),
                _ => return Err(StoreError::Corrupt(format!("assignment scope `{}`", row.scope_type))),
            };
            Ok(AssignmentRow {
                initiative: row.initiative,
                scope,
                params: row.params,
                excluded_namespaces: row.excluded_namespaces,
            })
        })
        .collect::<Result<_, _>>()?;
    let initiatives =
        sqlx::query!("select name, definition from initiatives where tenant_id = $1 order by name", tenant)
            .fetch_all(tx.conn())
            .await?
            .into_iter()
            .map(|row| (row.name, row.definition))
            .collect();
    let disabled = disabled_control::all(tx).await?;
    let disabled = disabled.into_iter().map(|row| DisabledRow { control: row.control, scope: row.scope }).collect();
    Ok(PolicyInputs { assignments, initiatives, disabled, exemptions: in_force(tx).await? })
}

/// Where a unit lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPlace {
    /// The cloud.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region, for clusters.
    pub region: Option<String>,
    /// Whether the unit is a cluster.
    pub is_cluster: bool,
}

/// Where a unit lies; `None` when nothing is known of it any more.
pub async fn unit_place(tx: &mut TenantTx, unit: UnitId) -> Result<Option<UnitPlace>, StoreError> {
    let tenant = tx.tenant_uuid();
    let cluster = sqlx::query!(
        "select cloud, account, region from clusters where tenant_id = $1 and cluster_id = $2",
        tenant,
        unit.0
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(row) = cluster {
        let cloud = row.cloud.parse()?;
        return Ok(Some(UnitPlace { cloud, account: row.account, region: row.region, is_cluster: true }));
    }
    let account = sqlx::query!(
        "select cloud, account from resources where tenant_id = $1 and unit_id = $2 limit 1",
        tenant,
        unit.0
    )
    .fetch_optional(tx.conn())
    .await?;
    let place = account
        .map(|row| Ok(UnitPlace { cloud: row.cloud.parse()?, account: row.account, region: None, is_cluster: false }));
    place.transpose()
}

/// Inputs hash that the whole unit was last assessed against.
pub async fn assessed_inputs(tx: &mut TenantTx, unit: UnitId) -> Result<Option<Vec<u8>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row =
        sqlx::query_scalar!("select inputs from assessments where tenant_id = $1 and unit_id = $2", tenant, unit.0)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.flatten())
}

/// Something that changed since the last assessment of its unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyRow {
    /// The resource, or one of two marks: see [`DirtyRow::news`].
    pub resource_id: Uuid,
    /// What changed.
    pub kind: Kind,
    /// Where.
    pub namespace: Option<String>,
    /// Where.
    pub region: Option<String>,
    /// Its controller.
    pub owner_id: Option<Uuid>,
    /// Whether its outline may differ, for workloads; so it may of what came or went.
    pub outline_changed: bool,
    /// To clear only what was read.
    pub marks: i64,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// A resource of the unit changed, appeared or went.
    Resource(Uuid),
    /// A kind became readable, or ceased to be.
    Coverage,
    /// Something of the kind changed in the account that the cluster belongs to.
    Account,
}

/// Stands for the resource in a row about the account.
const ACCOUNT: Uuid = Uuid::max();

impl DirtyRow {
    /// What the row is about.
    pub fn news(&self) -> News {
        match self.resource_id {
            id if id.is_nil() => News::Coverage,
            ACCOUNT => News::Account,
            id => News::Resource(id),
        }
    }

    /// Something of a kind changed in the account that a cluster belongs to.
    pub const fn of_account(kind: Kind) -> Self {
        Self {
            resource_id: ACCOUNT,
            kind,
            namespace: None,
            region: None,
            owner_id: None,
            outline_changed: true,
            marks: 0,
        }
    }
}

/// The clusters of an account that have something of the `judged` kinds.
pub async fn clusters_beside(
    tx: &mut TenantTx,
    (cloud, account): (Cloud, &str),
    judged: &BTreeSet<Kind>,
) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select c.cluster_id from clusters c where c.tenant_id = $1 and c.cloud = $2 and c.account = $3
           and exists (select from resources r
                       where r.tenant_id = $1 and r.unit_id = c.cluster_id and r.kind = any($4))
         order by c.cluster_id",
        tenant,
        cloud.as_str(),
        account,
        &judged.iter().map(|kind| kind.as_str()).collect::<Vec<_>>() as _
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Tells the clusters of an account that resources of the `changed` kinds changed in it, and asks for an assessment of
/// each that has something of the `judged` kinds.
pub async fn tell_clusters(
    tx: &mut TenantTx,
    (cloud, account): (Cloud, &str),
    changed: &BTreeSet<Kind>,
    judged: &BTreeSet<Kind>,
) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let clusters = clusters_beside(tx, (cloud, account), judged).await?;
    for cluster in &clusters {
        work::request_after(tx, WorkKind::Assess, *cluster, SOON).await?;
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into dirty (tenant_id, unit_id, resource_id, kind)
         select $1, c.id, $2, k.kind from unnest($3::uuid[]) as c(id), unnest($4::text[]) as k(kind) order by c.id, k.kind
         on conflict (tenant_id, unit_id, kind, resource_id) do update set marks = dirty.marks + 1",
        tenant,
        ACCOUNT,
        &clusters,
        &changed.iter().map(|kind| kind.as_str()).collect::<Vec<_>>() as _
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What changed in a unit and was not assessed, up to `limit`.
pub async fn dirty(tx: &mut TenantTx, unit: UnitId, limit: i64) -> Result<Vec<DirtyRow>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "select resource_id, kind, namespace, region, owner_id, outline_changed, marks from dirty where tenant_id = $1 and unit_id = $2
         order by kind, resource_id limit $3",
        tenant,
        unit.0,
        limit
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| {
        Ok(DirtyRow {
            resource_id: row.resource_id,
            kind: row.kind.parse()?,
            namespace: row.namespace,
            region: row.region,
            owner_id: row.owner_id,
            outline_changed: row.outline_changed,
            marks: row.marks,
        })
    })
    .collect()
}

/// How one kind was read in one scope that touches a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoverageRow {
    /// The kind.
    pub kind: Kind,
    /// The region, for account scopes.
    pub region: Option<String>,
    /// State of the last attempt.
    pub state: CoverageState,
    /// Whether the last complete reading is too old for anything to rest on it.
    pub expired: bool,
}

impl CoverageRow {
    /// Whether what is stored for the kind is the whole truth.
    pub const fn is_whole(&self) -> bool {
        self.state.is_whole() && !self.expired
    }
}

/// The coverage that a unit's verdicts rest on.
pub async fn coverage_of(tx: &mut TenantTx, unit: UnitId, place: &UnitPlace) -> Result<Vec<CoverageRow>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "select kind, region, state, expired from coverage
         where tenant_id = $1 and (cluster_id = $2
            or (cluster_id is null and account = $3 and ($4::text is null or region = $4 or region = 'global')))",
        tenant,
        unit.0,
        place.account,
        place.region
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| {
        Ok(CoverageRow { kind: row.kind.parse()?, region: row.region, state: row.state.parse()?, expired: row.expired })
    })
    .collect()
}
