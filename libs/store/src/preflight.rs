//! Permission checks of connectors as callers see them.

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, PreflightId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// What was found about one permission in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionCheck {
    /// The cloud's own name for it.
    pub permission: String,
    /// Region or cluster in which it was tried.
    pub scope: String,
    /// `granted`, `missing` or `unproven`.
    pub state: String,
    /// What the provider said; empty when granted.
    #[serde(default)]
    pub message: String,
    /// What an operator can do; empty when granted.
    #[serde(default)]
    pub remedy: String,
    /// Kinds that are lost without it.
    #[serde(default)]
    pub kinds: Vec<String>,
}

/// One run of a connector's permission check.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// Its id.
    pub preflight_id: Uuid,
    /// Of which connector.
    pub connector_id: Uuid,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: String,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// One line per permission and place.
    pub checks: Json<Vec<PermissionCheck>>,
    /// Why nothing could be checked.
    pub error: Option<String>,
}

/// Asks for a permission check now. One that waits already is returned instead of a second one.
pub async fn request(tx: &mut TenantTx, connector: ConnectorId) -> Result<Preflight, StoreError> {
    let tenant = tx.tenant_uuid();
    work::lock(tx, WorkKind::Preflight, connector.0).await?;
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
        "select preflight_id from preflights where tenant_id = $1 and connector_id = $2 and status = 'queued' limit 1",
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
            "insert into preflights (tenant_id, preflight_id, connector_id, status) values ($1, $2, $3, 'queued')",
            tenant,
            id,
            connector.0
        )
        .execute(tx.conn())
        .await?;
        id
    };
    work::request(tx, WorkKind::Preflight, connector.0).await?;
    get(tx, connector, PreflightId(id)).await
}

/// One permission check of a connector.
pub async fn get(tx: &mut TenantTx, connector: ConnectorId, preflight: PreflightId) -> Result<Preflight, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Preflight,
        r#"select preflight_id, connector_id, status, requested_at, finished_at,
                  checks as "checks: Json<Vec<PermissionCheck>>", error
           from preflights where tenant_id = $1 and connector_id = $2 and preflight_id = $3"#,
        tenant,
        connector.0,
        preflight.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "preflight" })
}

/// Permission checks of a connector, the latest first.
pub async fn list(tx: &mut TenantTx, connector: ConnectorId, page: &Page) -> Result<Listed<Preflight>, StoreError> {
    let tenant = tx.tenant_uuid();
    let after = page.after::<(DateTime<Utc>, Uuid)>()?;
    let (at, id) = after.map_or((None, None), |(at, id)| (Some(at), Some(id)));
    let rows = sqlx::query_as!(
        Preflight,
        r#"select preflight_id, connector_id, status, requested_at, finished_at,
                  checks as "checks: Json<Vec<PermissionCheck>>", error
           from preflights
           where tenant_id = $1 and connector_id = $2
             and ($3::timestamptz is null or (requested_at, preflight_id) < ($3, $4))
           order by requested_at desc, preflight_id desc limit $5"#,
        tenant,
        connector.0,
        at,
        id,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| (row.requested_at, row.preflight_id)))
}
