use chrono::{DateTime, Utc};
use rampart_domain::{ActorId, ResourceId};
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// What somebody decided about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingAssignment {
    /// Who mends it; `None` leaves that to the rules.
    pub owner: Option<String>,
    /// By when; `None` leaves that to the rules.
    pub due_at: Option<DateTime<Utc>>,
    /// Why.
    pub note: String,
    /// Token of who decided.
    pub set_by: Uuid,
    /// When.
    pub set_at: DateTime<Utc>,
    /// Rises with every change.
    pub version: i64,
}

/// What is decided about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFindingAssignment {
    /// Who mends it; `None` leaves that to the rules.
    pub owner: Option<String>,
    /// By when; `None` leaves that to the rules.
    pub due_at: Option<DateTime<Utc>>,
    /// Why.
    pub note: String,
}

/// What was decided about a control's findings on a resource. The caller must have seen the finding.
pub async fn assignment_of(
    tx: &mut TenantTx,
    resource: ResourceId,
    control: &str,
) -> Result<Option<FindingAssignment>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        FindingAssignment,
        "select owner, due_at, note, set_by, set_at, version from finding_assignments
         where tenant_id = $1 and resource_id = $2 and control_id = $3",
        tenant,
        resource.0,
        control
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Decides about a control's findings on a resource, in place of what was decided before. `version` is the one that the
/// caller saw, if it says one.
pub async fn assign(
    tx: &mut TenantTx,
    (resource, control): (ResourceId, &str),
    version: Option<i64>,
    by: ActorId,
    new: &NewFindingAssignment,
) -> Result<FindingAssignment, StoreError> {
    check_version(tx, resource, control, version).await?;
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        FindingAssignment,
        "insert into finding_assignments as a (tenant_id, resource_id, control_id, owner, due_at, note, set_by, set_at)
         values ($1, $2, $3, $4, $5, $6, $7, now())
         on conflict (tenant_id, resource_id, control_id) do update set owner = excluded.owner, due_at = excluded.due_at,
             note = excluded.note, set_by = excluded.set_by, set_at = excluded.set_at, version = a.version + 1
         returning owner, due_at, note, set_by, set_at, version",
        tenant,
        resource.0,
        control,
        new.owner,
        new.due_at,
        new.note,
        by.0
    )
    .fetch_one(tx.conn())
    .await?;
    copy(tx, resource, control, (new.owner.as_deref(), new.due_at)).await?;
    Ok(row)
}

/// Leaves a control's findings on a resource to the rules again. Nothing happens when they are.
pub async fn unassign(
    tx: &mut TenantTx,
    (resource, control): (ResourceId, &str),
    version: Option<i64>,
) -> Result<(), StoreError> {
    check_version(tx, resource, control, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from finding_assignments where tenant_id = $1 and resource_id = $2 and control_id = $3",
        tenant,
        resource.0,
        control
    )
    .execute(tx.conn())
    .await?;
    copy(tx, resource, control, (None, None)).await
}

async fn check_version(
    tx: &mut TenantTx,
    resource: ResourceId,
    control: &str,
    version: Option<i64>,
) -> Result<(), StoreError> {
    let Some(seen) = version else { return Ok(()) };
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from finding_assignments where tenant_id = $1 and resource_id = $2 and control_id = $3 for update",
        tenant,
        resource.0,
        control
    )
    .fetch_optional(tx.conn())
    .await?
    .unwrap_or_default();
    if seen == current { Ok(()) } else { Err(StoreError::VersionMismatch { what: "assignment", current }) }
}

async fn copy(
    tx: &mut TenantTx,
    resource: ResourceId,
    control: &str,
    (owner, due_at): (Option<&str>, Option<DateTime<Utc>>),
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update findings set set_owner = $4, set_due_at = $5, changed_at = now()
         where tenant_id = $1 and resource_id = $2 and control_id = $3
           and (set_owner, set_due_at) is distinct from ($4, $5)",
        tenant,
        resource.0,
        control,
        owner,
        due_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
