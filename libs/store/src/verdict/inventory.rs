//! What is judged, and what it is judged beside.

use std::collections::{BTreeMap, BTreeSet};

use rampart_domain::{Kind, UnitId};
use serde_json::Value;
use uuid::Uuid;

use super::UnitPlace;
use crate::{StoreError, TenantTx};

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
        "select r.* from (select distinct unnest($3::uuid[])) i(id) cross join lateral (
             select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
                 owner_id, active, config, revision
             from resources where tenant_id = $1 and resource_id = i.id and unit_id = $2 offset 0) r",
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
        "select r.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
                 owner_id, active, config, revision
             from resources where tenant_id = $1 and owner_id = i.id offset 0) r",
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
        "select r.resource_id from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id from resources where tenant_id = $1 and resource_id = i.id offset 0) r",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The ids of a unit's resources of some kinds, in one namespace or region where given. Without what is judged through an
/// owner.
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
        "select resource_id from resources r
         where tenant_id = $1 and unit_id = $2 and kind = any($3) and ($4::text is null or namespace = $4)
           and ($5::text is null or region = $5)
           and (owner_id is null or kind <> all($6)
                or not exists (select from resources o where o.tenant_id = $1 and o.resource_id = r.owner_id))
         order by resource_id",
        tenant,
        unit.0,
        &kinds as _,
        namespace,
        region,
        &workload_kinds() as _
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}

fn workload_kinds() -> Vec<&'static str> {
    Kind::ALL.iter().filter(|kind| kind.is_workload()).map(|kind| kind.as_str()).collect()
}

/// The ids of a unit's resources of some kinds that use one of these service accounts, or of which no edge tells which
/// account they use, in the namespaces of the accounts. Without what is judged through an owner.
pub async fn users_of_accounts(
    tx: &mut TenantTx,
    unit: UnitId,
    kinds: &[Kind],
    accounts: &[Uuid],
    namespaces: &[&str],
) -> Result<Vec<Uuid>, StoreError> {
    if accounts.is_empty() || kinds.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    Ok(sqlx::query_scalar!(
        r#"with untold as materialized (
             select resource_id, kind, owner_id from resources r
             where tenant_id = $1 and unit_id = $2 and kind = any($3) and namespace = any($5)
               and not exists (select from edges e where e.tenant_id = $1 and e.unit_id = $2 and e.from_id = r.resource_id
                               and e.kind = 'uses_service_account'))
           select resource_id as "id!" from resources r
           where tenant_id = $1 and unit_id = $2 and kind = any($3)
             and resource_id in (select from_id from edges where tenant_id = $1 and to_id = any($4)
                                 and kind = 'uses_service_account')
           union
           select resource_id from untold u
           where owner_id is null or kind <> all($6)
              or not exists (select from resources o where o.tenant_id = $1 and o.resource_id = u.owner_id)"#,
        tenant,
        unit.0,
        &kinds as _,
        accounts,
        namespaces as _,
        &workload_kinds() as _
    )
    .fetch_all(tx.conn())
    .await?)
}

/// The kinds of some resources, and the namespaces in which there are any of each.
pub async fn extent(tx: &mut TenantTx, ids: &[Uuid]) -> Result<BTreeMap<Kind, BTreeSet<String>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select distinct r.kind, r.namespace from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select kind, namespace from resources where tenant_id = $1 and resource_id = i.id offset 0) r",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    let mut extent: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for row in rows {
        extent.entry(row.kind.parse()?).or_default().extend(row.namespace);
    }
    Ok(extent)
}

/// Everything of some kinds that a unit's controls may look at: in the unit, and account-wide in its account; only in some
/// namespaces, where these are given.
pub async fn neighbours(
    tx: &mut TenantTx,
    unit: UnitId,
    place: &UnitPlace,
    kinds: &[Kind],
    namespaces: Option<&[String]>,
) -> Result<Vec<StoredResource>, StoreError> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    let account = place.account.as_deref().map(|account| UnitId::account(tx.tenant(), place.cloud, account).0);
    sqlx::query_as!(
        Row,
        "select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
             owner_id, active, config, revision
         from resources where tenant_id = $1 and (unit_id = $2 or unit_id = $3) and kind = any($4)
           and ($5::text[] is null or namespace is null or namespace = any($5))
         order by kind, namespace nulls first, name",
        tenant,
        unit.0,
        account,
        &kinds as _,
        namespaces
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}

/// The outlines of a unit's workloads of some kinds, in some namespaces where these are given, each in the place of the
/// configuration; or the configuration, of one that was last written when no outlines were. Where `uncontrolled`, only of
/// workloads that nothing controls.
pub async fn outlines(
    tx: &mut TenantTx,
    unit: UnitId,
    kinds: &[Kind],
    namespaces: Option<&[String]>,
    uncontrolled: bool,
) -> Result<Vec<StoredResource>, StoreError> {
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant_uuid();
    let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
    sqlx::query_as!(
        Row,
        r#"select resource_id, native_id, kind, name, cloud, account, region, cluster_id, namespace, labels, managed_by,
             owner_id, active, coalesce(outline, config::jsonb) as "config!", revision
           from resources where tenant_id = $1 and unit_id = $2 and kind = any($3)
             and ($4::text[] is null or namespace = any($4)) and (not $5 or owner_id is null)
           order by kind, namespace nulls first, name"#,
        tenant,
        unit.0,
        &kinds as _,
        namespaces,
        uncontrolled
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(TryInto::try_into)
    .collect()
}
