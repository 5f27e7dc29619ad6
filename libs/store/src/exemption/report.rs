//! What exemptions hide.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rampart_domain::ExemptionId;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use crate::{StoreError, TenantTx, Visible};

/// What an exemption hides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hidden {
    /// Findings that it hides now.
    pub findings: i64,
    /// Resources that these are about.
    pub resources: i64,
    /// When an assessment last found something to be hidden by it; `None` when none ever did.
    pub last_matched_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Row {
    exemption_id: Uuid,
    findings: i64,
    resources: i64,
}

/// What each exemption hides of what the caller may see.
pub async fn hidden(tx: &mut TenantTx, visible: &Visible) -> Result<HashMap<ExemptionId, Hidden>, StoreError> {
    read(tx, visible, None).await
}

/// What one exemption hides of what the caller may see.
pub async fn hidden_by(tx: &mut TenantTx, visible: &Visible, exemption: ExemptionId) -> Result<Hidden, StoreError> {
    Ok(read(tx, visible, Some(exemption)).await?.remove(&exemption).unwrap_or_default())
}

async fn read(
    tx: &mut TenantTx,
    visible: &Visible,
    only: Option<ExemptionId>,
) -> Result<HashMap<ExemptionId, Hidden>, StoreError> {
    let tenant = tx.tenant_uuid();
    let uses = sqlx::query!(
        r#"select exemption_id, max(matched_at) as "matched_at!" from exemption_uses
           where tenant_id = $1 and ($2::uuid is null or exemption_id = $2) group by exemption_id"#,
        tenant,
        only.map(|only| only.0)
    )
    .fetch_all(tx.conn())
    .await?;
    let mut query = QueryBuilder::new(
        "select f.exemption_id, count(*) as findings, count(distinct f.resource_id) as resources from findings f
         where f.exemption_id is not null and f.status = 'exempt' and f.tenant_id = ",
    );
    query.push_bind(tenant);
    if let Some(only) = only {
        query.push(" and f.exemption_id = ").push_bind(only.0);
    }
    visible.push(&mut query, "f");
    query.push(" group by f.exemption_id");
    let rows = query.build_query_as::<Row>().fetch_all(tx.conn()).await?;
    let mut all: HashMap<ExemptionId, Hidden> = HashMap::new();
    for row in uses {
        all.entry(row.exemption_id.into()).or_default().last_matched_at = Some(row.matched_at);
    }
    for row in rows {
        let hidden = all.entry(row.exemption_id.into()).or_default();
        (hidden.findings, hidden.resources) = (row.findings, row.resources);
    }
    Ok(all)
}
