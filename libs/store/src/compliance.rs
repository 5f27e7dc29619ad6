//! Evidence of compliance: the unhealthy findings of many controls, some of each.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::score::Reach;
use crate::{StoreError, TenantTx};

/// An unhealthy verdict that counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The control.
    pub control_id: String,
    /// The resource.
    pub resource_id: Uuid,
    /// Ordinal of the check: a control with its effective parameters.
    pub ordinal: i32,
    /// Kind of the resource.
    pub kind: String,
    /// Native id of the resource.
    pub native_id: Option<String>,
    /// Account of the resource.
    pub account: Option<String>,
    /// Cluster of the resource.
    pub cluster_id: Option<Uuid>,
    /// Name of that cluster.
    pub cluster: Option<String>,
    /// Namespace of the resource.
    pub namespace: Option<String>,
    /// `{message, facts}`.
    pub evidence: Value,
    /// When it was first unhealthy.
    pub first_seen: DateTime<Utc>,
}

/// Up to `each` unhealthy findings of each of `controls`, by control, unit and resource.
pub async fn evidence(
    tx: &mut TenantTx,
    reach: &Reach,
    controls: &[String],
    each: u16,
) -> Result<Vec<Evidence>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Evidence,
        r#"select f.control_id as "control_id!", f.resource_id as "resource_id!", f.ordinal as "ordinal!",
                  f.kind as "kind!", r.native_id as "native_id?", f.account as "account?",
                  f.cluster_id as "cluster_id?", k.name as "cluster?", f.namespace as "namespace?",
                  f.evidence as "evidence!", f.first_seen as "first_seen!"
           from unnest($3::text[]) as c(control_id)
           cross join lateral (
               select * from findings f
               where f.tenant_id = $1 and f.control_id = c.control_id and f.status = 'unhealthy' and f.scored
                 and ($2::uuid[] is null or f.unit_id = any($2)
                      or (f.unit_id, f.namespace) in (select * from unnest($4::uuid[], $5::text[])))
               order by f.unit_id, f.resource_id, f.ordinal limit $6
           ) f
           left join resources r on r.tenant_id = $1 and r.resource_id = f.resource_id
           left join clusters k on k.tenant_id = $1 and k.cluster_id = f.cluster_id
           order by f.control_id, f.unit_id, f.resource_id, f.ordinal"#,
        tenant,
        reach.units.as_deref() as _,
        controls,
        &reach.namespace_clusters,
        &reach.namespaces,
        i64::from(each)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows)
}
