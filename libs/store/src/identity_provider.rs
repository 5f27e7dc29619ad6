//! OIDC issuers whose tokens a tenant takes, and what their claims grant.

use chrono::{DateTime, Utc};
use rampart_domain::{IdentityProviderId, TenantId};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::{AccessScope, Grant, Store, StoreError, TenantTx};

/// Providers that a tenant may have.
const MOST: i64 = 20;

const WHAT: &str = "identity provider";

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProvider {
    /// Its id.
    pub id: IdentityProviderId,
    /// What it says.
    pub provider: NewIdentityProvider,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a provider says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewIdentityProvider {
    /// Unique name.
    pub name: String,
    /// The `iss` of its tokens, to the letter.
    pub issuer: String,
    /// The `aud` that its tokens must have.
    pub audience: String,
    /// What claims grant.
    pub rules: Vec<ClaimRule>,
    /// Whether its tokens are taken.
    pub enabled: bool,
}

/// A role in a scope, for whoever has all of some claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRule {
    /// The claims; at least one.
    pub claims: Vec<ClaimMatch>,
    /// What they grant.
    pub grant: Grant,
}

/// A claim that is, or holds, a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMatch {
    /// Where the claim is, as a JSON pointer into the token.
    pub path: String,
    /// The text that it is; one of its elements, when it is a list.
    pub value: String,
}

/// A rule as it is stored.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRule {
    claims: Vec<ClaimMatch>,
    role: String,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
}

impl StoredRule {
    fn of(rule: &ClaimRule) -> Self {
        let (scope_type, account, cluster_id, namespace) = rule.grant.scope.columns();
        Self {
            claims: rule.claims.clone(),
            role: rule.grant.role.as_str().to_owned(),
            scope_type: scope_type.to_owned(),
            account: account.map(str::to_owned),
            cluster_id,
            namespace: namespace.map(str::to_owned),
        }
    }

    fn parse(self) -> Result<ClaimRule, StoreError> {
        let scope = AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?;
        Ok(ClaimRule { claims: self.claims, grant: Grant { role: self.role.parse()?, scope } })
    }
}

struct Row {
    identity_provider_id: Uuid,
    name: String,
    issuer: String,
    audience: String,
    rules: Json<Vec<StoredRule>>,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<IdentityProvider, StoreError> {
        Ok(IdentityProvider {
            id: IdentityProviderId(self.identity_provider_id),
            provider: NewIdentityProvider {
                name: self.name,
                issuer: self.issuer,
                audience: self.audience,
                rules: self.rules.0.into_iter().map(StoredRule::parse).collect::<Result<_, _>>()?,
                enabled: self.enabled,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

fn stored(rules: &[ClaimRule]) -> Json<Vec<StoredRule>> {
    Json(rules.iter().map(StoredRule::of).collect())
}

/// The provider of this tenant that takes tokens of `issuer` for one of `audiences`; of several the oldest.
pub async fn trusted(
    store: &Store,
    tenant: TenantId,
    issuer: &str,
    audiences: &[String],
) -> Result<Option<IdentityProvider>, StoreError> {
    let mut tx = store.tenant(tenant).await?;
    let row = sqlx::query_as!(
        Row,
        r#"select identity_provider_id, name, issuer, audience, rules as "rules: Json<Vec<StoredRule>>", enabled, version,
                  created_at, updated_at
           from identity_providers where tenant_id = $1 and issuer = $2 and audience = any($3) and enabled
           order by identity_provider_id limit 1"#,
        tenant.0,
        issuer,
        audiences
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::parse).transpose()
}

/// Makes a provider.
pub async fn create(tx: &mut TenantTx, new: &NewIdentityProvider) -> Result<IdentityProvider, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let made = sqlx::query!(
        "insert into identity_providers (tenant_id, identity_provider_id, name, issuer, audience, rules, enabled)
         select $1, $2, $3, $4, $5, $6, $7
         where (select count(*) from identity_providers where tenant_id = $1) < $8",
        tenant,
        id,
        new.name,
        new.issuer,
        new.audience,
        stored(&new.rules) as _,
        new.enabled,
        MOST
    )
    .execute(tx.conn())
    .await
    .map_err(|error| taken(error, new))?;
    if made.rows_affected() == 0 {
        return Err(StoreError::WrongState { what: WHAT, why: "is one too many: a tenant has at most 20" });
    }
    get(tx, IdentityProviderId(id)).await
}

/// Either the name is taken, or another provider takes the same tokens.
fn taken(error: sqlx::Error, new: &NewIdentityProvider) -> StoreError {
    let is_tokens = matches!(&error, sqlx::Error::Database(db) if db.constraint() == Some("identity_providers_tokens"));
    if is_tokens {
        let name = format!("{} for {}", new.issuer, new.audience);
        StoreError::Exists { what: WHAT, name }
    } else {
        StoreError::on_conflict(error, WHAT, &new.name)
    }
}

/// One provider.
pub async fn get(tx: &mut TenantTx, id: IdentityProviderId) -> Result<IdentityProvider, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        Row,
        r#"select identity_provider_id, name, issuer, audience, rules as "rules: Json<Vec<StoredRule>>", enabled, version,
                  created_at, updated_at
           from identity_providers where tenant_id = $1 and identity_provider_id = $2"#,
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?;
    row.ok_or(StoreError::NotFound { what: WHAT })?.parse()
}

/// Providers, by name.
pub async fn list(tx: &mut TenantTx, page: &Page) -> Result<Listed<IdentityProvider>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        r#"select identity_provider_id, name, issuer, audience, rules as "rules: Json<Vec<StoredRule>>", enabled, version,
                  created_at, updated_at
           from identity_providers where tenant_id = $1 order by name"#,
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    let rows = rows.into_iter().map(Row::parse).collect::<Result<Vec<_>, _>>()?;
    page.slice(rows, |row| row.provider.name.clone())
}

/// Replaces what a provider says.
pub async fn update(
    tx: &mut TenantTx,
    id: IdentityProviderId,
    version: Option<i64>,
    new: &NewIdentityProvider,
) -> Result<IdentityProvider, StoreError> {
    lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update identity_providers set name = $3, issuer = $4, audience = $5, rules = $6, enabled = $7,
             version = version + 1, updated_at = now()
         where tenant_id = $1 and identity_provider_id = $2",
        tenant,
        id.0,
        new.name,
        new.issuer,
        new.audience,
        stored(&new.rules) as _,
        new.enabled
    )
    .execute(tx.conn())
    .await
    .map_err(|error| taken(error, new))?;
    get(tx, id).await
}

/// Removes a provider; its tokens are refused from the next request on.
pub async fn delete(tx: &mut TenantTx, id: IdentityProviderId, version: Option<i64>) -> Result<(), StoreError> {
    lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from identity_providers where tenant_id = $1 and identity_provider_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn lock(tx: &mut TenantTx, id: IdentityProviderId, version: Option<i64>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from identity_providers where tenant_id = $1 and identity_provider_id = $2 for update",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: WHAT })?;
    if version.is_some_and(|seen| seen != current) {
        return Err(StoreError::VersionMismatch { what: WHAT, current });
    }
    Ok(())
}
