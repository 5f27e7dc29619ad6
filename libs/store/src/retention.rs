//! What is kept for how long. History goes by partition; short lists go by age.

use chrono::{DateTime, Days, Utc};
use rampart_domain::TenantId;

use crate::{Store, StoreError, organization, rate_window, tenant, webhook};

/// Makes the partitions of the next two months and drops those that lie wholly before the retention time; removes old
/// scans, permission checks, previews, jobs, answered idempotency keys, findings of resources that are gone with what was
/// decided about them, messages to webhooks, and accounts that were retired with their data.
pub async fn sweep(store: &Store, now: DateTime<Utc>, keep_days: u32) -> Result<(), StoreError> {
    let before = now.checked_sub_days(Days::new(keep_days.into())).unwrap_or(now);
    let ahead = now.checked_add_days(Days::new(62)).unwrap_or(now);
    sqlx::query!("select ensure_partitions($1), drop_partitions($2)", ahead.date_naive(), before.date_naive())
        .fetch_one(store.pool())
        .await?;
    let mut tx = store.worker().await?;
    sqlx::query!("delete from idempotency_keys where created_at < now() - interval '1 day'").execute(tx.conn()).await?;
    tx.commit().await?;
    for tenant in tenant::all(store).await? {
        sweep_tenant(store, tenant, before).await?;
    }
    Ok(())
}

/// The same for the audit log, which has a period of its own, at least 30 days.
pub async fn sweep_audit_log(store: &Store, now: DateTime<Utc>, keep_days: u32) -> Result<(), StoreError> {
    let before = now.checked_sub_days(Days::new(keep_days.into())).unwrap_or(now);
    let ahead = now.checked_add_days(Days::new(62)).unwrap_or(now);
    sqlx::query!(
        "select ensure_audit_partitions($1), drop_audit_partitions($2)",
        ahead.date_naive(),
        before.date_naive()
    )
    .fetch_one(store.pool())
    .await?;
    Ok(())
}

async fn sweep_tenant(store: &Store, tenant: TenantId, before: DateTime<Utc>) -> Result<(), StoreError> {
    let mut tx = store.tenant(tenant).await?;
    sqlx::query!("delete from scans where tenant_id = $1 and finished_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from preflights where tenant_id = $1 and finished_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    // Sessions that were never finished go too, with their batches.
    sqlx::query!("delete from batch_sessions where tenant_id = $1 and updated_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "delete from findings f where tenant_id = $1 and changed_at < $2
           and not exists (select from resources r where r.tenant_id = $1 and r.resource_id = f.resource_id)",
        tenant.0,
        before
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "delete from finding_assignments a where tenant_id = $1 and set_at < $2
           and not exists (select from resources r where r.tenant_id = $1 and r.resource_id = a.resource_id)
           and not exists (select from findings f where f.tenant_id = $1 and f.resource_id = a.resource_id
                               and f.control_id = a.control_id)",
        tenant.0,
        before
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("delete from clusters where tenant_id = $1 and gone_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "delete from plans p where tenant_id = $1 and scope_type = 'cluster'
           and not exists (select from clusters c where c.tenant_id = $1 and c.cluster_id = p.scope_id)",
        tenant.0
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "delete from exemption_uses u where tenant_id = $1
           and not exists (select from exemptions e where e.tenant_id = $1 and e.exemption_id = u.exemption_id)",
        tenant.0
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("delete from previews where tenant_id = $1 and finished_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from jobs where tenant_id = $1 and finished_at < $2", tenant.0, before)
        .execute(tx.conn())
        .await?;
    rate_window::forget(&mut tx).await?;
    webhook::sweep(&mut tx, before).await?;
    organization::retire_expired(&mut tx, before).await?;
    tx.commit().await
}
