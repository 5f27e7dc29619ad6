//! What a job that bundles a finding is asked and leaves behind, and what it reads beside the inventory.

use chrono::{DateTime, Utc};
use rampart_domain::{CoverageState, Kind, UnitId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::verdict::UnitPlace;
use crate::{StoreError, TenantTx};

/// Which finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The resource.
    pub resource_id: Uuid,
    /// The check.
    pub ordinal: i32,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The bundle as text, to be signed as it is.
    pub payload: String,
}

/// When and on what the verdicts of a resource were last written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evaluated {
    /// The unit that it belongs to.
    pub unit_id: Uuid,
    /// When.
    pub evaluated_at: DateTime<Utc>,
    /// Revision of the resource.
    pub revision: i64,
}

/// When and on what the verdicts of a resource were last written; `None` when it has none.
pub async fn evaluated(tx: &mut TenantTx, resource: Uuid) -> Result<Option<Evaluated>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        Evaluated,
        "select unit_id, evaluated_at, revision from verdicts where tenant_id = $1 and resource_id = $2",
        tenant,
        resource
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// How one kind was listed in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingRow {
    /// The kind.
    pub kind: Kind,
    /// Where.
    pub scope: String,
    /// State of the last attempt.
    pub state: CoverageState,
    /// Whether the last whole listing is too old.
    pub expired: bool,
    /// When it was last tried.
    pub attempted_at: DateTime<Utc>,
    /// When it was last read to the end.
    pub whole_at: Option<DateTime<Utc>>,
}

/// How some kinds were listed, where a unit's verdicts rest on it.
pub async fn readings(
    tx: &mut TenantTx,
    unit: UnitId,
    place: &UnitPlace,
    kinds: &[Kind],
) -> Result<Vec<ReadingRow>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "select kind, scope, state, expired, attempted_at, whole_at from coverage
         where tenant_id = $1 and (cluster_id = $2
            or (cluster_id is null and account = $3 and ($4::text is null or region = $4 or region = 'global')))
           and kind = any($5)
         order by kind, scope",
        tenant,
        unit.0,
        place.account,
        place.region,
        &kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>() as _
    )
    .fetch_all(tx.conn())
    .await?
    .into_iter()
    .map(|row| {
        Ok(ReadingRow {
            kind: row.kind.parse()?,
            scope: row.scope,
            state: row.state.parse()?,
            expired: row.expired,
            attempted_at: row.attempted_at,
            whole_at: row.whole_at,
        })
    })
    .collect()
}
