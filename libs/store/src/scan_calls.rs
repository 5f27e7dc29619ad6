//! What a scan asked of each API family: from it the next scan is estimated.

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, ScanId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// What a scan asked of one API family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyCalls {
    /// API family, such as `eks` or `kubernetes`.
    pub family: String,
    /// Calls made, repetitions included.
    pub calls: u64,
    /// Calls among them that were answered with "too many".
    pub throttled: u64,
    /// Places (account and region, or cluster) that the provider counts separately.
    pub buckets: u64,
    /// Calls to the place that was asked most.
    pub largest: u64,
}

/// The last scan that came to its end, and what it asked.
#[derive(Debug, Clone)]
pub struct LastCalls {
    /// The scan.
    pub scan_id: Uuid,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// What it asked, by family.
    pub calls: Json<Vec<FamilyCalls>>,
}

/// Notes what a scan asked.
pub async fn record(tx: &mut TenantTx, scan: ScanId, calls: &[FamilyCalls]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("update scans set calls = $3 where tenant_id = $1 and scan_id = $2", tenant, scan.0, Json(calls) as _)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The last scan of a connector that read everything or nearly everything. A scan that failed or was cancelled says
/// nothing about how many calls a whole one makes.
pub async fn last(tx: &mut TenantTx, connector: ConnectorId) -> Result<Option<LastCalls>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        LastCalls,
        r#"select scan_id, started_at, finished_at, calls as "calls!: Json<Vec<FamilyCalls>>" from scans
           where tenant_id = $1 and connector_id = $2 and status in ('succeeded', 'partial') and calls is not null
           order by requested_at desc, scan_id limit 1"#,
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row)
}
