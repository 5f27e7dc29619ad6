use rampart_domain::{Cloud, CoverageState, Kind, UnitId};
use serde_json::Value;
use uuid::Uuid;

use crate::{AccessScope, StoreError, TenantTx};

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

/// What decides which checks apply: enabled assignments and the customer's own initiatives.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyInputs {
    /// In a stable order.
    pub assignments: Vec<AssignmentRow>,
    /// Name and definition, in a stable order.
    pub initiatives: Vec<(String, Value)>,
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
    Ok(PolicyInputs { assignments, initiatives })
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
    /// Nil when the coverage of the kind changed.
    pub resource_id: Uuid,
    /// What changed.
    pub kind: Kind,
    /// Where.
    pub namespace: Option<String>,
    /// Where.
    pub region: Option<String>,
    /// Its controller.
    pub owner_id: Option<Uuid>,
    /// To clear only what was read.
    pub marks: i64,
}

/// What changed in a unit and was not assessed, up to `limit`.
pub async fn dirty(tx: &mut TenantTx, unit: UnitId, limit: i64) -> Result<Vec<DirtyRow>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "select resource_id, kind, namespace, region, owner_id, marks from dirty where tenant_id = $1 and unit_id = $2
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
            marks: row.marks,
        })
    })
    .collect()
}

/// A resource as it is judged.
#[derive(Debug, Clone)]
pub struct StoredResource {
    /// The id.
    pub id: Uuid,
    /// The provider's id.
    pub native_id: String,
    /// What it is.
    pub kind: Kind,
    /// Short name.
    pub name: String,
    /// Cloud.
    pub cloud: String,
    /// Account.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Cluster.
    pub cluster_id: Option<Uuid>,
    /// Namespace.
    pub namespace: Option<String>,
    /// Labels or tags.
    pub labels: Value,
    /// Who manages it.
    pub managed_by: String,
    /// Top controlling owner.
    pub owner_id: Option<Uuid>,
    /// Whether anything runs.
    pub active: bool,
    /// Configuration.
    pub config: Value,
    /// Rises with every change.
    pub revision: i64,
}

struct Row {
    resource_id: Uuid,
    native_id: String,
    kind: String,
    name: String,
    cloud: String,
    account: Option<String>,
    region: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    labels: Value,
    managed_by: String,
    owner_id: Option<Uuid>,
    active: bool,
    config: Value,
    revision: i64,
}

impl TryFrom<Row> for StoredResource {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.resource_id,
            native_id: row.native_id,
            kind: row.kind.parse()?,
            name: row.name,
            cloud: row.cloud,
            account: row.account,
            region: row.region,
            cluster_id: row.cluster_id,
            namespace: row.namespace,
            labels: row.labels,
            managed_by: row.managed_by,
            owner_id: row.owner_id,
            active: row.active,
            config: row.config,
            revision: row.revision,
        })
    }
}

/// Resources of a unit by id; those that are gone are missing from the answer.
pub async fn resources_by_id(tx: &mut TenantTx, unit: UnitId, ids: &[Uuid]) -> Result<Vec<StoredResource>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
             owner_id, active, config, revision
         from resources where tenant_id = $1 and unit_id = $2 and resource_id = any($3)",
        tenant,
        unit.0,
        ids
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// What some resources control: pods, and the replica sets and jobs in between.
pub async fn children(tx: &mut TenantTx, owners: &[Uuid]) -> Result<Vec<StoredResource>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
             owner_id, active, config, revision
         from resources where tenant_id = $1 and owner_id = any($2) and owner_id is not null",
        tenant,
        owners
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// Which of some ids are in the inventory.
pub async fn existing(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select resource_id from resources where tenant_id = $1 and resource_id = any($2)",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The ids of a unit's resources of some kinds, in one namespace or region where given.
pub async fn resource_page(
    tx: &mut TenantTx,
    unit: UnitId,
    kinds: &[Kind],
    namespace: Option<&str>,
    region: Option<&str>,
) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let rows = sqlx::query_scalar!(
        "select resource_id from resources
         where tenant_id = $1 and unit_id = $2 and kind = any($3) and ($4::text is null or namespace = $4)
           and ($5::text is null or region = $5)
         order by resource_id",
        tenant,
        unit.0,
        &kinds as _,
        namespace,
        region
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

/// Everything of some kinds that a unit's controls may look at: in the unit, and account-wide in its account.
pub async fn neighbours(
    tx: &mut TenantTx,
    unit: UnitId,
    place: &UnitPlace,
    kinds: &[Kind],
) -> Result<Vec<StoredResource>, StoreError> {
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let account = place.account.as_deref().map(|account| UnitId::account(tx.tenant(), place.cloud, account).0);
    sqlx::query_as!(
        Row,
        "select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
             owner_id, active, config, revision
         from resources where tenant_id = $1 and (unit_id = $2 or unit_id = $3) and kind = any($4)
         order by kind, namespace nulls first, name",
        tenant,
        unit.0,
        account,
        &kinds as _
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(TryInto::try_into)
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

/// The packed verdicts of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPack {
    /// The resource.
    pub resource_id: Uuid,
    /// Healthy checks.
    pub healthy: Vec<u8>,
    /// Checks without meaning here.
    pub not_applicable: Vec<u8>,
    /// Checks that could not be judged.
    pub unknown: Vec<u8>,
    /// Whether it counts.
    pub scored: bool,
    /// Inputs that it was evaluated against.
    pub inputs: Vec<u8>,
    /// Revision of the resource that it was evaluated on.
    pub revision: i64,
}

/// Packed verdicts of some resources.
pub async fn packs_of(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<StoredPack>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredPack,
        "select resource_id, healthy, not_applicable, unknown, scored, inputs, revision
         from verdicts where tenant_id = $1 and resource_id = any($2)",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Packed verdicts of a whole unit.
pub async fn packs_of_unit(tx: &mut TenantTx, unit: UnitId) -> Result<Vec<StoredPack>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredPack,
        "select resource_id, healthy, not_applicable, unknown, scored, inputs, revision
         from verdicts where tenant_id = $1 and unit_id = $2",
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?)
}

/// A finding row, without its evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFinding {
    /// The resource.
    pub resource_id: Uuid,
    /// The check.
    pub ordinal: i32,
    /// Status as text.
    pub status: String,
}

/// Finding rows of some resources.
pub async fn findings_of(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<StoredFinding>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        StoredFinding,
        "select resource_id, ordinal, status from findings where tenant_id = $1 and resource_id = any($2)",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The counters of a unit that are not all zero: verdicts by control, then resources by score group, each as
/// `[healthy, unhealthy, not applicable, unknown, stale]`.
pub async fn counters(
    tx: &mut TenantTx,
    unit: UnitId,
) -> Result<std::collections::BTreeMap<String, [i64; 5]>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select k.control_id || '/' || encode(k.params_hash, 'hex') as "name!", c.healthy as "healthy!",
             c.unhealthy as "unhealthy!", c.not_applicable as "not_applicable!", c.unknown as "unknown!", c.stale as "stale!"
           from verdict_counts c join checks k using (tenant_id, ordinal)
           where c.tenant_id = $1 and c.unit_id = $2
           union all
           select 'group/' || score_group, healthy, unhealthy, 0, unknown, stale from score_counts
           where tenant_id = $1 and unit_id = $2"#,
        tenant,
        unit.0
    )
    .fetch_all(tx.conn())
    .await?;
    let counted = rows.into_iter().map(|r| (r.name, [r.healthy, r.unhealthy, r.not_applicable, r.unknown, r.stale]));
    Ok(counted.filter(|(_, counts)| counts.iter().any(|count| *count != 0)).collect())
}
