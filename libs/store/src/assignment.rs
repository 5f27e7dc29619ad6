//! Initiatives applied to scopes. Every change makes the units that it touches due for assessment.

use chrono::{DateTime, Utc};
use rampart_domain::{AssignmentId, Cloud, UnitId};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{AccessScope, StoreError, TenantTx, Visible};

/// An initiative applied to a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// Unique name.
    pub name: String,
    /// Id of a built-in initiative or name of a custom one.
    pub initiative: String,
    /// Where it holds.
    pub scope: AccessScope,
    /// `{control id: {parameter: value}}`.
    pub params: serde_json::Value,
    /// Namespaces that it leaves out.
    pub excluded_namespaces: Vec<String>,
    /// Whether it counts.
    pub enabled: bool,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What an assignment says.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAssignment {
    /// Unique name.
    pub name: String,
    /// Id of a built-in initiative or name of a custom one.
    pub initiative: String,
    /// Where it holds.
    pub scope: AccessScope,
    /// `{control id: {parameter: value}}`.
    pub params: serde_json::Value,
    /// Namespaces that it leaves out.
    pub excluded_namespaces: Vec<String>,
    /// Whether it counts.
    pub enabled: bool,
}

struct Row {
    assignment_id: Uuid,
    name: String,
    initiative: String,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    params: serde_json::Value,
    excluded_namespaces: Vec<String>,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<Assignment, StoreError> {
        Ok(Assignment {
            id: AssignmentId(self.assignment_id),
            name: self.name,
            initiative: self.initiative,
            scope: AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?,
            params: self.params,
            excluded_namespaces: self.excluded_namespaces,
            enabled: self.enabled,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

const NOT_FOUND: StoreError = StoreError::NotFound { what: "assignment" };

/// Makes an assignment.
pub async fn create(tx: &mut TenantTx, new: &NewAssignment) -> Result<Assignment, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    sqlx::query!(
        "insert into assignments (tenant_id, assignment_id, name, initiative, scope_type, account, cluster_id,
                                  namespace, params, excluded_namespaces, enabled)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        tenant,
        id,
        new.name,
        new.initiative,
        scope_type,
        account,
        cluster,
        namespace,
        new.params,
        &new.excluded_namespaces,
        new.enabled
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "assignment", &new.name))?;
    reassess(tx, &new.scope).await?;
    get(tx, AssignmentId(id)).await
}

/// One assignment.
pub async fn get(tx: &mut TenantTx, assignment: AssignmentId) -> Result<Assignment, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select assignment_id, name, initiative, scope_type, account, cluster_id, namespace, params,
                excluded_namespaces, enabled, version, created_at, updated_at
         from assignments where tenant_id = $1 and assignment_id = $2",
        tenant,
        assignment.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?
    .parse()
}

/// Every assignment of the tenant, by name.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Assignment>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        "select assignment_id, name, initiative, scope_type, account, cluster_id, namespace, params,
                excluded_namespaces, enabled, version, created_at, updated_at
         from assignments where tenant_id = $1 order by name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// The assignments that touch what the caller may see, by name. A tenant has few: they are filtered here.
pub async fn list(tx: &mut TenantTx, visible: &Visible, page: &Page) -> Result<Listed<Assignment>, StoreError> {
    let after = page.after::<String>()?;
    let accounts = accounts_of_clusters(tx).await?;
    let mut rows = all(tx).await?;
    rows.retain(|row| after.as_ref().is_none_or(|after| row.name > *after) && touches(visible, &row.scope, &accounts));
    Ok(page.cut(rows, |row| row.name.clone()))
}

/// Whether an assignment says something about what the caller may see.
pub async fn is_visible(tx: &mut TenantTx, visible: &Visible, scope: &AccessScope) -> Result<bool, StoreError> {
    let accounts = accounts_of_clusters(tx).await?;
    Ok(touches(visible, scope, &accounts))
}

/// Whether the caller's grants cover the whole scope, so that it may decide about it.
pub async fn is_covered(tx: &mut TenantTx, visible: &Visible, scope: &AccessScope) -> Result<bool, StoreError> {
    let accounts = accounts_of_clusters(tx).await?;
    let cluster_covered = |cluster: &Uuid| {
        visible.clusters.contains(cluster)
            || accounts.iter().any(|(id, account)| id == cluster && visible.accounts.contains(account))
    };
    Ok(visible.all
        || match scope {
            AccessScope::Tenant => false,
            AccessScope::Account(account) => visible.accounts.contains(account),
            AccessScope::Cluster(cluster) => cluster_covered(&cluster.0),
            AccessScope::Namespace(cluster, namespace) => {
                cluster_covered(&cluster.0) || visible.has_namespace(cluster.0, namespace)
            }
        })
}

fn touches(visible: &Visible, scope: &AccessScope, accounts: &[(Uuid, String)]) -> bool {
    let account_of = |cluster: &Uuid| accounts.iter().find(|(id, _)| id == cluster).map(|(_, account)| account);
    let sees_cluster = |cluster: &Uuid| {
        visible.clusters.contains(cluster)
            || visible.namespace_clusters.contains(cluster)
            || account_of(cluster).is_some_and(|account| visible.accounts.contains(account))
    };
    visible.all
        || match scope {
            AccessScope::Tenant => true,
            AccessScope::Account(account) => {
                visible.accounts.contains(account)
                    || accounts.iter().any(|(cluster, owner)| owner == account && sees_cluster(cluster))
            }
            AccessScope::Cluster(cluster) => sees_cluster(&cluster.0),
            AccessScope::Namespace(cluster, namespace) => {
                visible.has_namespace(cluster.0, namespace)
                    || (sees_cluster(&cluster.0) && !visible.namespace_clusters.contains(&cluster.0))
            }
        }
}

async fn accounts_of_clusters(tx: &mut TenantTx) -> Result<Vec<(Uuid, String)>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select cluster_id, account as "account!" from clusters
           where tenant_id = $1 and account is not null and gone_at is null"#,
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.cluster_id, row.account)).collect())
}

/// Replaces what an assignment says. Units that it leaves and units that it reaches are assessed again.
pub async fn update(
    tx: &mut TenantTx,
    assignment: AssignmentId,
    version: Option<i64>,
    new: &NewAssignment,
) -> Result<Assignment, StoreError> {
    let before = lock(tx, assignment, version).await?;
    let tenant = tx.tenant_uuid();
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    sqlx::query!(
        "update assignments set name = $3, initiative = $4, scope_type = $5, account = $6, cluster_id = $7,
                namespace = $8, params = $9, excluded_namespaces = $10, enabled = $11, version = version + 1,
                updated_at = now()
         where tenant_id = $1 and assignment_id = $2",
        tenant,
        assignment.0,
        new.name,
        new.initiative,
        scope_type,
        account,
        cluster,
        namespace,
        new.params,
        &new.excluded_namespaces,
        new.enabled
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "assignment", &new.name))?;
    reassess(tx, &before.scope).await?;
    if new.scope != before.scope {
        reassess(tx, &new.scope).await?;
    }
    get(tx, assignment).await
}

/// Removes an assignment.
pub async fn delete(tx: &mut TenantTx, assignment: AssignmentId, version: Option<i64>) -> Result<(), StoreError> {
    let before = lock(tx, assignment, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from assignments where tenant_id = $1 and assignment_id = $2", tenant, assignment.0)
        .execute(tx.conn())
        .await?;
    reassess(tx, &before.scope).await
}

async fn lock(tx: &mut TenantTx, assignment: AssignmentId, version: Option<i64>) -> Result<Assignment, StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from assignments where tenant_id = $1 and assignment_id = $2 for update",
        tenant,
        assignment.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(NOT_FOUND)?;
    if version.is_some_and(|seen| seen != current) {
        return Err(StoreError::VersionMismatch { what: "assignment", current });
    }
    get(tx, assignment).await
}

/// Makes every unit in a scope due for assessment.
pub async fn reassess(tx: &mut TenantTx, scope: &AccessScope) -> Result<(), StoreError> {
    let mut units = units_in(tx, scope).await?;
    // In the order in which everybody locks them.
    units.sort_unstable();
    for unit in units {
        work::request(tx, WorkKind::Assess, unit).await?;
    }
    Ok(())
}

/// The units that a scope touches: clusters, and accounts as what belongs to no cluster.
pub async fn units_in(tx: &mut TenantTx, scope: &AccessScope) -> Result<Vec<Uuid>, StoreError> {
    let (tenant, tenant_id) = (tx.tenant_uuid(), tx.tenant());
    match scope {
        AccessScope::Cluster(cluster) | AccessScope::Namespace(cluster, _) => Ok(vec![cluster.0]),
        AccessScope::Account(account) => {
            let accounts: Vec<Uuid> =
                Cloud::ALL.iter().map(|cloud| UnitId::account(tenant_id, *cloud, account).0).collect();
            let units = sqlx::query_scalar!(
                r#"select cluster_id as "unit!" from clusters
                   where tenant_id = $1 and account = $2 and gone_at is null
                   union select unit_id from assessments where tenant_id = $1 and unit_id = any($3)"#,
                tenant,
                account,
                &accounts
            )
            .fetch_all(tx.conn())
            .await?;
            Ok(units)
        }
        AccessScope::Tenant => {
            let units = sqlx::query_scalar!(
                r#"select cluster_id as "unit!" from clusters where tenant_id = $1 and gone_at is null
                   union select unit_id from assessments where tenant_id = $1"#,
                tenant
            )
            .fetch_all(tx.conn())
            .await?;
            Ok(units)
        }
    }
}
