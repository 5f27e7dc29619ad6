//! What an operator of the installation does: tenants and their first tokens.

use chrono::Utc;
use rampart_domain::TenantId;
use secrecy::SecretString;
use uuid::Uuid;

use crate::assignment::{self, NewAssignment};
use crate::{AccessScope, Grant, Role, Store, StoreError, tenant, token};

/// The initiative that a new tenant starts with.
const DEFAULT_INITIATIVE: &str = "rampart-default";

/// Makes a tenant and assigns the default initiative to all of it.
pub async fn create_tenant(store: &Store, name: &str) -> Result<TenantId, StoreError> {
    let id = TenantId(Uuid::now_v7());
    let mut tx = store.tenant(id).await?;
    tenant::insert(&mut tx, name).await?;
    let default = NewAssignment {
        name: "default".to_owned(),
        initiative: DEFAULT_INITIATIVE.to_owned(),
        scope: AccessScope::Tenant,
        params: serde_json::json!({}),
        excluded_namespaces: Vec::new(),
        enabled: true,
    };
    assignment::create(&mut tx, &default).await?;
    tx.commit().await?;
    Ok(id)
}

/// Makes a token that works for `days`. The secret is returned once and not kept.
pub async fn create_token(
    store: &Store,
    tenant: TenantId,
    name: &str,
    role: Role,
    scope: AccessScope,
    days: u16,
) -> Result<SecretString, StoreError> {
    let mut tx = store.tenant(tenant).await?;
    let expires = Utc::now() + chrono::Duration::days(i64::from(days));
    let (_, secret) = token::create(&mut tx, name, &[Grant { role, scope }], expires).await?;
    tx.commit().await?;
    Ok(secret)
}

/// The only tenant with this name.
pub async fn find_tenant(store: &Store, name: &str) -> Result<Option<TenantId>, StoreError> {
    let mut tx = store.worker().await?;
    let found = sqlx::query_scalar!("select tenant_id from tenants where name = $1 order by created_at limit 1", name)
        .fetch_optional(tx.conn())
        .await?;
    Ok(found.map(TenantId))
}
