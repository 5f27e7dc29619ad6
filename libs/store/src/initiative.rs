//! The customer's own initiatives; those of the product are content.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::exemption::{Exemption, Selected};
use crate::page::{Listed, Page};
use crate::{StoreError, TenantTx, assignment, exemption};

/// A set of controls that the customer put together.
#[derive(Debug, Clone, PartialEq)]
pub struct Initiative {
    /// Unique name.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// `{description, controls: [{id, params, severity}]}`.
    pub definition: Value,
    /// Rises with every change.
    pub version: i64,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// One custom initiative.
pub async fn get(tx: &mut TenantTx, name: &str) -> Result<Initiative, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Initiative,
        "select name, title, definition, version, updated_at from initiatives where tenant_id = $1 and name = $2",
        tenant,
        name
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "initiative" })
}

/// Custom initiatives by name.
pub async fn list(tx: &mut TenantTx, page: &Page) -> Result<Listed<Initiative>, StoreError> {
    let tenant = tx.tenant_uuid();
    let after = page.after::<String>()?.unwrap_or_default();
    let rows = sqlx::query_as!(
        Initiative,
        "select name, title, definition, version, updated_at from initiatives
         where tenant_id = $1 and name > $2 order by name limit $3",
        tenant,
        after,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| row.name.clone()))
}

/// Every custom initiative of the tenant, by name.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Initiative>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_as!(
        Initiative,
        "select name, title, definition, version, updated_at from initiatives where tenant_id = $1 order by name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Makes a custom initiative.
pub async fn create(tx: &mut TenantTx, name: &str, title: &str, definition: &Value) -> Result<Initiative, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into initiatives (tenant_id, name, title, definition) values ($1, $2, $3, $4)",
        tenant,
        name,
        title,
        definition
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, "initiative", name))?;
    get(tx, name).await
}

/// Replaces a custom initiative. What it is assigned to is assessed again.
pub async fn update(
    tx: &mut TenantTx,
    name: &str,
    version: Option<i64>,
    title: &str,
    definition: &Value,
) -> Result<Initiative, StoreError> {
    lock(tx, name, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update initiatives set title = $3, definition = $4, version = version + 1, updated_at = now()
         where tenant_id = $1 and name = $2",
        tenant,
        name,
        title,
        definition
    )
    .execute(tx.conn())
    .await?;
    for user in assignment::all(tx).await?.into_iter().filter(|user| user.initiative == name) {
        assignment::reassess(tx, &user.scope).await?;
    }
    let exemptions = exemptions_by(tx, name).await?;
    exemption::reassess(tx, &exemptions.iter().map(|user| &user.terms.condition).collect::<Vec<_>>()).await?;
    get(tx, name).await
}

/// The exemptions that are about an initiative.
async fn exemptions_by(tx: &mut TenantTx, name: &str) -> Result<Vec<Exemption>, StoreError> {
    let mut all = exemption::all(tx).await?;
    all.retain(|user| matches!(&user.terms.selected, Selected::Initiative(own) if own == name));
    Ok(all)
}

/// Removes a custom initiative. [`StoreError::InUse`] while it is assigned, or an exemption is about it.
pub async fn delete(tx: &mut TenantTx, name: &str, version: Option<i64>) -> Result<(), StoreError> {
    lock(tx, name, version).await?;
    if let Some(user) = assignment::all(tx).await?.into_iter().find(|user| user.initiative == name) {
        return Err(StoreError::InUse { what: "initiative", by: format!("assignment `{}`", user.name) });
    }
    if let Some(user) = exemptions_by(tx, name).await?.into_iter().next() {
        return Err(StoreError::InUse { what: "initiative", by: format!("exemption `{}`", user.terms.name) });
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from initiatives where tenant_id = $1 and name = $2", tenant, name).execute(tx.conn()).await?;
    Ok(())
}

async fn lock(tx: &mut TenantTx, name: &str, version: Option<i64>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from initiatives where tenant_id = $1 and name = $2 for update",
        tenant,
        name
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "initiative" })?;
    if version.is_none_or(|seen| seen == current) {
        Ok(())
    } else {
        Err(StoreError::VersionMismatch { what: "initiative", current })
    }
}
