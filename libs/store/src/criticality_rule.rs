//! Rules that say how much depends on some resources. Every change makes the units that it touches due for assessment.

use chrono::{DateTime, Utc};
use rampart_domain::{Criticality, CriticalityRuleId};
use serde_json::Value;
use uuid::Uuid;

use crate::assignment::{reassess, scopes_seen};
use crate::page::{Listed, Page};
use crate::{AccessScope, StoreError, TenantTx, Visible};

/// Rules that a tenant may have: each is asked about every resource that is judged.
const MOST: i64 = 1_000;

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct CriticalityRule {
    /// Its id.
    pub id: CriticalityRuleId,
    /// What it says.
    pub rule: NewCriticalityRule,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCriticalityRule {
    /// Unique name.
    pub name: String,
    /// Where it holds.
    pub scope: AccessScope,
    /// Patterns of namespaces; empty means any, and none.
    pub namespaces: Vec<String>,
    /// Label selector over the labels of the resource and of its namespace; `None` means any.
    pub selector: Option<Value>,
    /// How much depends on what it selects.
    pub level: Criticality,
    /// Whether it counts.
    pub enabled: bool,
}

struct Row {
    criticality_rule_id: Uuid,
    name: String,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    namespaces: Vec<String>,
    selector: Option<Value>,
    level: String,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<CriticalityRule, StoreError> {
        Ok(CriticalityRule {
            id: CriticalityRuleId(self.criticality_rule_id),
            rule: NewCriticalityRule {
                name: self.name,
                scope: AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?,
                namespaces: self.namespaces,
                selector: self.selector,
                level: self.level.parse()?,
                enabled: self.enabled,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

const WHAT: &str = "criticality rule";

/// Makes a rule.
pub async fn create(tx: &mut TenantTx, new: &NewCriticalityRule) -> Result<CriticalityRule, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    let made = sqlx::query!(
        "insert into criticality_rules (tenant_id, criticality_rule_id, name, scope_type, account, cluster_id, namespace,
             namespaces, selector, level, enabled)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
         where (select count(*) from criticality_rules where tenant_id = $1) < $12",
        tenant,
        id,
        new.name,
        scope_type,
        account,
        cluster,
        namespace,
        &new.namespaces,
        new.selector,
        new.level.as_str(),
        new.enabled,
        MOST
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, WHAT, &new.name))?;
    if made.rows_affected() == 0 {
        return Err(StoreError::WrongState { what: WHAT, why: "is one too many: a tenant has at most 1000" });
    }
    reassess(tx, &new.scope).await?;
    get(tx, CriticalityRuleId(id)).await
}

/// One rule.
pub async fn get(tx: &mut TenantTx, id: CriticalityRuleId) -> Result<CriticalityRule, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select criticality_rule_id, name, scope_type, account, cluster_id, namespace, namespaces, selector, level,
                enabled, version, created_at, updated_at
         from criticality_rules where tenant_id = $1 and criticality_rule_id = $2",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: WHAT })?
    .parse()
}

/// Every rule of the tenant, by name.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<CriticalityRule>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        "select criticality_rule_id, name, scope_type, account, cluster_id, namespace, namespaces, selector, level,
                enabled, version, created_at, updated_at
         from criticality_rules where tenant_id = $1 order by name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// The rules that touch what the caller may see, by name.
pub async fn list(tx: &mut TenantTx, visible: &Visible, page: &Page) -> Result<Listed<CriticalityRule>, StoreError> {
    let mut rows = all(tx).await?;
    let seen = scopes_seen(tx, visible).await?;
    rows.retain(|row| seen(&row.rule.scope));
    page.slice(rows, |row| row.rule.name.clone())
}

/// Replaces what a rule says.
pub async fn update(
    tx: &mut TenantTx,
    id: CriticalityRuleId,
    version: Option<i64>,
    new: &NewCriticalityRule,
) -> Result<CriticalityRule, StoreError> {
    let before = lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    sqlx::query!(
        "update criticality_rules set name = $3, scope_type = $4, account = $5, cluster_id = $6, namespace = $7,
             namespaces = $8, selector = $9, level = $10, enabled = $11, version = version + 1, updated_at = now()
         where tenant_id = $1 and criticality_rule_id = $2",
        tenant,
        id.0,
        new.name,
        scope_type,
        account,
        cluster,
        namespace,
        &new.namespaces,
        new.selector,
        new.level.as_str(),
        new.enabled
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, WHAT, &new.name))?;
    reassess(tx, &before.rule.scope).await?;
    if new.scope != before.rule.scope {
        reassess(tx, &new.scope).await?;
    }
    get(tx, id).await
}

/// Removes a rule.
pub async fn delete(tx: &mut TenantTx, id: CriticalityRuleId, version: Option<i64>) -> Result<(), StoreError> {
    let before = lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from criticality_rules where tenant_id = $1 and criticality_rule_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    reassess(tx, &before.rule.scope).await
}

async fn lock(tx: &mut TenantTx, id: CriticalityRuleId, version: Option<i64>) -> Result<CriticalityRule, StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from criticality_rules where tenant_id = $1 and criticality_rule_id = $2 for update",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: WHAT })?;
    if version.is_some_and(|seen| seen != current) {
        return Err(StoreError::VersionMismatch { what: WHAT, current });
    }
    get(tx, id).await
}
