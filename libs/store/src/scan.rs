//! Scans as callers see them: asked for, watched, cancelled.

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, ScanId};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, scan_feed, webhook};

/// One phase of a scan, such as a region or a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PhaseProgress {
    /// What is read.
    pub phase: String,
    /// Listings planned so far.
    #[serde(default)]
    pub listings: u64,
    /// Listings ended, well or not.
    #[serde(default)]
    pub finished: u64,
    /// Resources read so far.
    #[serde(default)]
    pub resources: u64,
    /// Resources expected, when known: from the provider or from the last scan.
    #[serde(default)]
    pub expected: Option<u64>,
}

/// How far a scan is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Phases in the order in which they began.
    #[serde(default)]
    pub phases: Vec<PhaseProgress>,
    /// Resources that are new.
    #[serde(default)]
    pub added: u64,
    /// Resources whose configuration changed.
    #[serde(default)]
    pub changed: u64,
    /// Resources that are gone.
    #[serde(default)]
    pub removed: u64,
    /// Resources that are as before.
    #[serde(default)]
    pub unchanged: u64,
}

/// One run of a connector.
#[derive(Debug, Clone, FromRow)]
pub struct Scan {
    /// Its id.
    pub scan_id: Uuid,
    /// Of which connector.
    pub connector_id: Uuid,
    /// Name of that connector.
    pub connector: String,
    /// `queued`, `running`, `succeeded`, `partial`, `failed` or `cancelled`.
    pub status: String,
    /// `schedule`, `request` or `push`.
    pub trigger: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether it was asked to stop.
    pub cancel_requested: bool,
    /// How far it is.
    pub progress: sqlx::types::Json<Progress>,
    /// Why it failed.
    pub error: Option<String>,
}

const COLUMNS: &str = "select s.scan_id, s.connector_id, c.name as connector, s.status, s.trigger, s.requested_at,
    s.started_at, s.finished_at, s.cancel_requested, s.progress, s.error
    from scans s join connectors c on c.tenant_id = s.tenant_id and c.connector_id = s.connector_id
    where s.tenant_id = ";

/// Which scans to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of one connector.
    pub connector: Option<ConnectorId>,
    /// In one of these states; empty means any.
    pub status: Vec<String>,
}

/// Asks for a scan now. A scan that waits already is returned instead of a second one.
pub async fn request(tx: &mut TenantTx, connector: ConnectorId) -> Result<Scan, StoreError> {
    enqueue(tx, connector, "request").await
}

/// The same because a collector pushed what it read.
pub(crate) async fn pushed(tx: &mut TenantTx, connector: ConnectorId) -> Result<Scan, StoreError> {
    enqueue(tx, connector, "push").await
}

async fn enqueue(tx: &mut TenantTx, connector: ConnectorId, trigger: &str) -> Result<Scan, StoreError> {
    let tenant = tx.tenant_uuid();
    work::lock(tx, WorkKind::Scan, connector.0).await?;
    // The lock makes two requests at once agree on one row.
    let state = sqlx::query!(
        r#"select deleting, retired_at is not null as "retired!" from connectors
           where tenant_id = $1 and connector_id = $2 for no key update"#,
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?;
    match state {
        Some(state) if state.retired => {
            return Err(StoreError::WrongState {
                what: "connector",
                why: "is retired: its account is not read any more; see the organisation's accounts",
            });
        }
        Some(state) if !state.deleting => {}
        _ => return Err(StoreError::NotFound { what: "connector" }),
    }
    let queued = sqlx::query_scalar!(
        "select scan_id from scans where tenant_id = $1 and connector_id = $2 and status = 'queued'
           and not cancel_requested limit 1",
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?;
    let id = if let Some(id) = queued {
        id
    } else {
        let id = Uuid::now_v7();
        sqlx::query!(
            "insert into scans (tenant_id, scan_id, connector_id, status, trigger)
                 values ($1, $2, $3, 'queued', $4)",
            tenant,
            id,
            connector.0,
            trigger
        )
        .execute(tx.conn())
        .await?;
        id
    };
    work::request(tx, WorkKind::Scan, connector.0).await?;
    get(tx, ScanId(id)).await
}

/// One scan.
pub async fn get(tx: &mut TenantTx, scan: ScanId) -> Result<Scan, StoreError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push_bind(tx.tenant_uuid()).push(" and s.scan_id = ").push_bind(scan.0);
    query.build_query_as::<Scan>().fetch_optional(tx.conn()).await?.ok_or(StoreError::NotFound { what: "scan" })
}

/// Scans, the latest first.
pub async fn list(tx: &mut TenantTx, filter: &Filter, page: &Page) -> Result<Listed<Scan>, StoreError> {
    let mut query = QueryBuilder::new(COLUMNS);
    query.push_bind(tx.tenant_uuid());
    if let Some(connector) = filter.connector {
        query.push(" and s.connector_id = ").push_bind(connector.0);
    }
    if !filter.status.is_empty() {
        query.push(" and s.status = any(").push_bind(filter.status.clone()).push(")");
    }
    if let Some((before, id)) = page.after::<(DateTime<Utc>, Uuid)>()? {
        // Descending in time, ascending in id, as the index is.
        query.push(" and s.requested_at <= ").push_bind(before);
        query.push(" and (s.requested_at < ").push_bind(before).push(" or s.scan_id > ").push_bind(id).push(")");
    }
    query.push(" order by s.requested_at desc, s.scan_id limit ").push_bind(page.fetch());
    let rows = query.build_query_as::<Scan>().fetch_all(tx.conn()).await?;
    Ok(page.cut(rows, |scan| (scan.requested_at, scan.scan_id)))
}

/// Asks a scan to stop. One that still waits ends at once; one that is over stays as it is.
pub async fn cancel(tx: &mut TenantTx, scan: ScanId) -> Result<Scan, StoreError> {
    let tenant = tx.tenant_uuid();
    let connector = get(tx, scan).await?.connector_id;
    work::lock(tx, WorkKind::Scan, connector).await?;
    let waiting = sqlx::query_scalar!(
        "update scans set status = 'cancelled', cancel_requested = true, finished_at = now()
         where tenant_id = $1 and scan_id = $2 and status = 'queued' returning connector_id",
        tenant,
        scan.0
    )
    .fetch_optional(tx.conn())
    .await?;
    match waiting {
        Some(connector) => {
            withdraw(tx, connector).await?;
            webhook::note_scan(tx, scan).await?;
        }
        None => {
            sqlx::query!(
                "update scans set cancel_requested = true
                 where tenant_id = $1 and scan_id = $2 and status = 'running'",
                tenant,
                scan.0
            )
            .execute(tx.conn())
            .await?;
        }
    }
    scan_feed::announce(tx, scan).await?;
    get(tx, scan).await
}

/// Takes back the request behind a scan that waits no more, so that it does not run as a scheduled one instead.
async fn withdraw(tx: &mut TenantTx, connector: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update work set
             want = case when lease_until >= now() then claimed when every_s is null then done else want end,
             run_at = case when lease_until >= now() or every_s is null then run_at
                           else greatest(run_at, now() + make_interval(secs => every_s)) end
         where tenant_id = $1 and kind = 'scan' and subject = $2",
        tenant,
        connector
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
