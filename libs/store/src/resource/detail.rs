use chrono::{DateTime, Utc};
use rampart_domain::ResourceId;
use serde_json::Value;
use sqlx::{FromRow, QueryBuilder};
use uuid::Uuid;

use super::{COLUMNS, Summary, WITH_HEALTH};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, Visible};

/// A resource with everything that is known of it.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What lists show.
    pub summary: Summary,
    /// The provider's configuration.
    pub config: Value,
    /// How many configurations it had.
    pub revision: i64,
    /// The connector that read it.
    pub connector_id: Uuid,
    /// When its owning listing was last read to the end; `None` when it never was.
    pub observed_at: Option<DateTime<Utc>>,
    /// When it was last judged; `None` when it never was.
    pub evaluated_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct Extra {
    config: Value,
    revision: i64,
    connector_id: Uuid,
    observed_at: Option<DateTime<Utc>>,
    evaluated_at: Option<DateTime<Utc>>,
}

/// One resource.
pub async fn get(tx: &mut TenantTx, visible: &Visible, resource: ResourceId) -> Result<Resource, StoreError> {
    let tenant = tx.tenant_uuid();
    let mut query = QueryBuilder::new(format!("with r as (select r.tenant_id, {COLUMNS} from resources r where "));
    query.push("r.tenant_id = ").push_bind(tenant).push(" and r.resource_id = ").push_bind(resource.0);
    visible.push(&mut query, "r");
    query.push(") ").push(WITH_HEALTH);
    let summary = query
        .build_query_as::<Summary>()
        .fetch_optional(tx.conn())
        .await?
        .ok_or(StoreError::NotFound { what: "resource" })?;
    let extra = sqlx::query_as!(
        Extra,
        r#"select r.config, r.revision, r.connector_id, c.whole_at as "observed_at?", v.evaluated_at as "evaluated_at?"
           from resources r
           left join coverage c on c.tenant_id = r.tenant_id and c.connector_id = r.connector_id
                and c.scope = r.scope and c.kind = r.kind
           left join verdicts v on v.tenant_id = r.tenant_id and v.resource_id = r.resource_id
           where r.tenant_id = $1 and r.resource_id = $2"#,
        tenant,
        resource.0
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Resource {
        summary,
        config: extra.config,
        revision: extra.revision,
        connector_id: extra.connector_id,
        observed_at: extra.observed_at,
        evaluated_at: extra.evaluated_at,
    })
}

/// A relation between two resources.
#[derive(Debug, Clone)]
pub struct Edge {
    /// What relates them.
    pub kind: String,
    /// Whether it leads away from the resource that was asked about.
    pub outgoing: bool,
    /// The other resource.
    pub resource_id: Uuid,
    /// Native id of the other resource.
    pub native_id: String,
    /// Kind of the other resource; `None` while it is not in the inventory.
    pub resource_kind: Option<String>,
    /// Name of the other resource; `None` while it is not in the inventory.
    pub name: Option<String>,
}

/// Up to `limit` relations each way, the visible ones only.
pub async fn edges(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
    limit: u16,
) -> Result<Vec<Edge>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"(select e.kind as "kind!", true as "outgoing!", e.to_id as "other!", e.to_native as "native!",
                   r.kind as "resource_kind?", r.name as "name?", r.account as "account?",
                   r.cluster_id as "cluster_id?", r.namespace as "namespace?"
            from edges e left join resources r on r.tenant_id = e.tenant_id and r.resource_id = e.to_id
            where e.tenant_id = $1 and e.from_id = $2 order by e.kind, e.to_id limit $3)
           union all
           (select e.kind, false, e.from_id, r.native_id, r.kind, r.name, r.account, r.cluster_id, r.namespace
            from edges e join resources r on r.tenant_id = e.tenant_id and r.resource_id = e.from_id
            where e.tenant_id = $1 and e.to_id = $2 order by e.kind, e.from_id limit $3)"#,
        tenant,
        resource.0,
        i64::from(limit)
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        // A target that is not in the inventory is named by the resource's own configuration already.
        .filter(|row| {
            row.resource_kind.is_none()
                || visible.sees(row.account.as_deref(), row.cluster_id, row.namespace.as_deref())
        })
        .map(|row| Edge {
            kind: row.kind,
            outgoing: row.outgoing,
            resource_id: row.other,
            native_id: row.native,
            resource_kind: row.resource_kind,
            name: row.name,
        })
        .collect())
}

/// A configuration that a resource had.
#[derive(Debug, Clone)]
pub struct Version {
    /// Which configuration, from 1.
    pub revision: i64,
    /// The provider's configuration.
    pub config: Value,
    /// When it began to hold.
    pub valid_from: DateTime<Utc>,
    /// When it ceased to hold.
    pub valid_to: DateTime<Utc>,
    /// Whether it ended because the resource went away.
    pub gone: bool,
}

/// Earlier configurations, the latest first. What is gone is shown to those who see the whole tenant: nothing says any
/// more where it was.
pub async fn history(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
    page: &Page,
) -> Result<Listed<Version>, StoreError> {
    let tenant = tx.tenant_uuid();
    let present = match get(tx, visible, resource).await {
        Ok(_) => true,
        Err(StoreError::NotFound { .. }) if visible.all => false,
        Err(error) => return Err(error),
    };
    let after = page.after::<(DateTime<Utc>, i64)>()?;
    let (at, revision) = after.map_or((None, None), |(at, revision)| (Some(at), Some(revision)));
    let rows = sqlx::query_as!(
        Version,
        "select revision, config, valid_from, valid_to, gone from resource_versions
         where tenant_id = $1 and resource_id = $2
           and ($3::timestamptz is null or (valid_to, revision) < ($3, $4))
         order by valid_to desc, revision desc limit $5",
        tenant,
        resource.0,
        at,
        revision,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    if !present && rows.is_empty() && at.is_none() {
        return Err(StoreError::NotFound { what: "resource" });
    }
    Ok(page.cut(rows, |row| (row.valid_to, row.revision)))
}

/// One control's verdict on a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceVerdict {
    /// Ordinal of the check: a control with its effective parameters.
    pub ordinal: i32,
    /// The control.
    pub control_id: String,
    /// Its effective parameters.
    pub params: Value,
    /// `healthy`, `unhealthy`, `not_applicable`, `unknown` or `exempt`.
    pub status: String,
    /// Why it is unknown.
    pub reason: Option<Value>,
    /// When it was given.
    pub evaluated_at: DateTime<Utc>,
}

/// Every verdict on a resource, by ordinal. Empty when it was not assessed yet.
pub async fn verdicts(
    tx: &mut TenantTx,
    visible: &Visible,
    resource: ResourceId,
) -> Result<Vec<ResourceVerdict>, StoreError> {
    get(tx, visible, resource).await?;
    let tenant = tx.tenant_uuid();
    let Some(packed) = sqlx::query!(
        "select healthy, not_applicable, unknown, reasons, evaluated_at from verdicts
         where tenant_id = $1 and resource_id = $2",
        tenant,
        resource.0
    )
    .fetch_optional(tx.conn())
    .await?
    else {
        return Ok(Vec::new());
    };
    let checks = sqlx::query!(
        r#"select c.ordinal, c.control_id, c.params, (select f.status from findings f
                   where f.tenant_id = c.tenant_id and f.resource_id = $2 and f.ordinal = c.ordinal) as "finding?"
           from checks c
           where c.tenant_id = $1 order by c.ordinal"#,
        tenant,
        resource.0
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(checks
        .into_iter()
        .filter_map(|check| {
            let open = check.finding.filter(|status| matches!(status.as_str(), "unhealthy" | "exempt"));
            let status = if let Some(status) = open {
                // Also where it stands only because it could not be given again, which marks it unknown.
                status
            } else if has_bit(&packed.healthy, check.ordinal) {
                "healthy".to_owned()
            } else if has_bit(&packed.not_applicable, check.ordinal) {
                "not_applicable".to_owned()
            } else if has_bit(&packed.unknown, check.ordinal) {
                "unknown".to_owned()
            } else {
                // Not part of what the resource was judged by.
                return None;
            };
            let reason = (status == "unknown")
                .then(|| packed.reasons.as_ref()?.get(check.ordinal.to_string()).cloned())
                .flatten();
            Some(ResourceVerdict {
                ordinal: check.ordinal,
                control_id: check.control_id,
                params: check.params,
                status,
                reason,
                evaluated_at: packed.evaluated_at,
            })
        })
        .collect())
}

/// Bit `ordinal` of a bitmap whose bytes count from the least significant bit.
fn has_bit(bitmap: &[u8], ordinal: i32) -> bool {
    let index = ordinal.unsigned_abs() as usize;
    bitmap.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::has_bit;

    #[test]
    fn bits_count_from_the_least_significant_of_each_byte() {
        let bitmap = [0b0000_0001, 0b1000_0000];
        let set: Vec<i32> = (0..20).filter(|ordinal| has_bit(&bitmap, *ordinal)).collect();
        assert_eq!(set, [0, 15]);
    }
}
