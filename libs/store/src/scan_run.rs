//! The running side of scans and permission checks: what a worker writes while it works.

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, PreflightId, ScanId};
use serde_json::Value;
use uuid::Uuid;

use crate::scan_feed::{self, CHANNEL};
use crate::{StoreError, TenantTx, webhook};

/// How a scan ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// Every listing was complete.
    Succeeded,
    /// Some listings were not; coverage says which.
    Partial,
    /// Nothing could be read.
    Failed,
    /// Somebody asked to stop.
    Cancelled,
}

impl ScanEnd {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The scan that a claimed connector is to run: one that a dead worker left running, else the longest waiting, else a new
/// one because the schedule says so.
pub async fn begin(tx: &mut TenantTx, connector: ConnectorId, now: DateTime<Utc>) -> Result<ScanId, StoreError> {
    let tenant = tx.tenant_uuid();
    let waiting = sqlx::query_scalar!(
        "update scans set status = 'running', started_at = coalesce(started_at, $3), progress = '{}'
         where tenant_id = $1 and scan_id = (
             select scan_id from scans where tenant_id = $1 and connector_id = $2 and status in ('queued', 'running')
             order by status desc, requested_at limit 1)
         returning scan_id",
        tenant,
        connector.0,
        now
    )
    .fetch_optional(tx.conn())
    .await?;
    if let Some(scan) = waiting {
        scan_feed::announce(tx, scan.into()).await?;
        return Ok(scan.into());
    }
    let scan = Uuid::now_v7();
    sqlx::query!(
        "insert into scans (tenant_id, scan_id, connector_id, status, trigger, requested_at, started_at)
         values ($1, $2, $3, 'running', 'schedule', $4, $4)",
        tenant,
        scan,
        connector.0,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(scan.into())
}

/// Whether a scan of the connector waits, or was left running by a dead worker.
pub async fn is_waiting(tx: &mut TenantTx, connector: ConnectorId) -> Result<bool, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        r#"select exists (select from scans where tenant_id = $1 and connector_id = $2
                          and status in ('queued', 'running')) as "waiting!""#,
        tenant,
        connector.0
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Writes how far a scan is and tells those who watch it. Returns whether somebody asked to stop it.
pub async fn report(tx: &mut TenantTx, scan: ScanId, progress: &Value) -> Result<bool, StoreError> {
    let tenant = tx.tenant_uuid();
    let cancel = sqlx::query_scalar!(
        "with reported as (update scans set progress = $3 where tenant_id = $1 and scan_id = $2
                           returning scan_id, cancel_requested)
         select cancel_requested from reported, pg_notify($4, scan_id::text)",
        tenant,
        scan.0,
        progress,
        CHANNEL
    )
    .fetch_optional(tx.conn())
    .await?;
    // A scan whose connector was deleted has nobody left to report to.
    Ok(cancel.unwrap_or(true))
}

/// Ends a scan, and tells those who watch it and the webhooks that want to know.
pub async fn end(
    tx: &mut TenantTx,
    scan: ScanId,
    how: ScanEnd,
    progress: &Value,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update scans set status = $3, progress = $4, error = $5, finished_at = $6 where tenant_id = $1 and scan_id = $2",
        tenant,
        scan.0,
        how.as_str(),
        progress,
        error,
        now
    )
    .execute(tx.conn())
    .await?;
    scan_feed::announce(tx, scan).await?;
    webhook::note_scan(tx, scan).await
}

/// The permission checks of a connector that wait, marked as running.
pub async fn begin_preflights(tx: &mut TenantTx, connector: ConnectorId) -> Result<Vec<PreflightId>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_scalar!(
        "update preflights set status = 'running' where tenant_id = $1 and connector_id = $2
           and status in ('queued', 'running') returning preflight_id",
        tenant,
        connector.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Ends permission checks with their result.
pub async fn end_preflights(
    tx: &mut TenantTx,
    ids: &[PreflightId],
    result: Result<&Value, &str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    let none = Value::Array(Vec::new());
    let (status, checks, error) = match result {
        Ok(checks) => ("succeeded", checks, None),
        Err(error) => ("failed", &none, Some(error)),
    };
    sqlx::query!(
        "update preflights set status = $3, checks = $4, error = $5, finished_at = $6
         where tenant_id = $1 and preflight_id = any($2)",
        tenant,
        &ids,
        status,
        checks,
        error,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
