//! Tenants.

use chrono::{DateTime, Utc};

use rampart_domain::TenantId;

use crate::{Store, StoreError, TenantTx};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub tenant_id: uuid::Uuid,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// Every tenant, for what a process does for each in turn.
pub async fn all(store: &Store) -> Result<Vec<TenantId>, StoreError> {
    let mut tx = store.worker().await?;
    let tenants = sqlx::query_scalar!("select tenant_id from tenants order by tenant_id").fetch_all(tx.conn()).await?;
    Ok(tenants.into_iter().map(Into::into).collect())
}

/// The tenant of the transaction.
pub async fn get(tx: &mut TenantTx) -> Result<Tenant, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(Tenant, "select tenant_id, name, created_at from tenants where tenant_id = $1", tenant)
        .fetch_optional(tx.conn())
        .await?
        .ok_or(StoreError::NotFound { what: "tenant" })
}

/// Work that waits or runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Connectors whose scan was asked for or is due.
    pub scans: i64,
    /// Clusters and accounts that changed and were not assessed since.
    pub assessments: i64,
}

/// What the tenant waits for. Scans that are scheduled for later do not count.
pub async fn pending(tx: &mut TenantTx) -> Result<Pending, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        Pending,
        r#"select count(*) filter (where kind = 'scan' and (run_at <= now() or lease_until >= now())) as "scans!",
                  count(*) filter (where kind = 'assess') as "assessments!"
           from work where tenant_id = $1 and want > done"#,
        tenant
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Adds the row of the transaction's tenant.
pub(crate) async fn insert(tx: &mut TenantTx, name: &str) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("insert into tenants (tenant_id, name) values ($1, $2)", tenant, name).execute(tx.conn()).await?;
    Ok(())
}
