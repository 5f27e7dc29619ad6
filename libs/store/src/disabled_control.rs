//! Controls that are turned off for a scope: they give no verdicts there. Every change makes the units that it touches due
//! for assessment.

use chrono::{DateTime, Utc};
use rampart_domain::DisabledControlId;
use uuid::Uuid;

use crate::assignment::{is_visible, reassess};
use crate::page::{Listed, Page};
use crate::{AccessScope, StoreError, TenantTx, Visible};

/// A control, or a family of them, that is turned off for a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct DisabledControl {
    /// Its id.
    pub id: DisabledControlId,
    /// Id of the control, or `prefix.*`.
    pub control: String,
    /// Where it is off.
    pub scope: AccessScope,
    /// Why.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

struct Row {
    disabled_control_id: Uuid,
    control: String,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    reason: String,
    created_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<DisabledControl, StoreError> {
        Ok(DisabledControl {
            id: DisabledControlId(self.disabled_control_id),
            control: self.control,
            scope: AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?,
            reason: self.reason,
            created_at: self.created_at,
        })
    }
}

/// Turns a control off for a scope.
pub async fn create(
    tx: &mut TenantTx,
    control: &str,
    scope: &AccessScope,
    reason: &str,
) -> Result<DisabledControl, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let (scope_type, account, cluster, namespace) = scope.columns();
    sqlx::query!(
        "insert into disabled_controls (tenant_id, disabled_control_id, control, scope_type, account, cluster_id, namespace,
                                        reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        tenant,
        id,
        control,
        scope_type,
        account,
        cluster,
        namespace,
        reason
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "disabled control", control))?;
    reassess(tx, scope).await?;
    get(tx, DisabledControlId(id)).await
}

/// One of them.
pub async fn get(tx: &mut TenantTx, id: DisabledControlId) -> Result<DisabledControl, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select disabled_control_id, control, scope_type, account, cluster_id, namespace, reason, created_at
         from disabled_controls where tenant_id = $1 and disabled_control_id = $2",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "disabled control" })?
    .parse()
}

/// All of them, the oldest first. A tenant has few.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<DisabledControl>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        "select disabled_control_id, control, scope_type, account, cluster_id, namespace, reason, created_at
         from disabled_controls where tenant_id = $1 order by disabled_control_id",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// Those that touch what the caller may see, the oldest first.
pub async fn visible(tx: &mut TenantTx, visible: &Visible) -> Result<Vec<DisabledControl>, StoreError> {
    let mut seen = Vec::new();
    for row in all(tx).await? {
        if is_visible(tx, visible, &row.scope).await? {
            seen.push(row);
        }
    }
    Ok(seen)
}

/// A page of those that touch what the caller may see, the oldest first.
pub async fn list(tx: &mut TenantTx, visible: &Visible, page: &Page) -> Result<Listed<DisabledControl>, StoreError> {
    let rows = self::visible(tx, visible).await?;
    page.slice(rows, |row| row.id.0)
}

/// Turns it on again.
pub async fn delete(tx: &mut TenantTx, id: DisabledControlId) -> Result<(), StoreError> {
    let before = get(tx, id).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from disabled_controls where tenant_id = $1 and disabled_control_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    reassess(tx, &before.scope).await
}
