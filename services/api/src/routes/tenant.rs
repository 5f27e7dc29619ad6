use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_store::tenant;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_tenant))
}

/// The customer that the token belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Tenant)]
struct TenantView {
    id: Uuid,
    #[schema(example = "acme")]
    name: String,
    created_at: DateTime<Utc>,
    pending: PendingView,
}

/// Work that waits or runs; when both are zero, findings and score are up to date with the inventory.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pending)]
struct PendingView {
    /// Connectors whose scan was asked for or is due.
    scans: i64,
    /// Clusters and accounts that changed and were not assessed since.
    assessments: i64,
}

/// Get the tenant that the token belongs to.
#[utoipa::path(get, path = "/v1/tenant", tag = "tenant", responses((status = 200, body = TenantView)))]
async fn get_tenant(State(app): State<App>, caller: Caller<ReadInventory>) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = tenant::get(&mut tx).await?;
    let pending = tenant::pending(&mut tx).await?;
    let pending = PendingView { scans: pending.scans, assessments: pending.assessments };
    Ok(Answer::ok(TenantView { id: row.tenant_id, name: row.name, created_at: row.created_at, pending }))
}
