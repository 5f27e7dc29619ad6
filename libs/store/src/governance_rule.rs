//! Rules that say who mends some findings, and by when. Every change makes the units that it touches due for assessment,
//! which applies the rules.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rampart_domain::{GovernanceRuleId, Risk, Severity};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::assignment::{reassess, scopes_seen};
use crate::page::{Listed, Page};
use crate::{AccessScope, StoreError, TenantTx, Visible};

/// Rules that a tenant may have: each is asked about every finding.
const MOST: i64 = 1_000;

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct GovernanceRule {
    /// Its id.
    pub id: GovernanceRuleId,
    /// What it says.
    pub rule: NewGovernanceRule,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq)]
pub struct NewGovernanceRule {
    /// Unique name.
    pub name: String,
    /// The lowest that matches decides.
    pub priority: i32,
    /// Where it holds.
    pub scope: AccessScope,
    /// Severities of findings; empty means any.
    pub severities: Vec<Severity>,
    /// Risk levels of findings; empty means any.
    pub risks: Vec<Risk>,
    /// Patterns of control ids; empty means any.
    pub controls: Vec<String>,
    /// Label selector over the labels of the resource and of its namespace; `None` means any.
    pub selector: Option<Value>,
    /// The owner, or the one where the label is missing.
    pub owner: Option<String>,
    /// Label of the resource, or of its namespace, that names the owner.
    pub owner_label: Option<String>,
    /// Days until due; a severity without days sets no date.
    pub due_days: BTreeMap<Severity, i16>,
    /// Days after the due date until a finding counts as overdue.
    pub grace_period_days: i16,
    /// Whether it counts.
    pub enabled: bool,
}

struct Row {
    governance_rule_id: Uuid,
    name: String,
    priority: i32,
    scope_type: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    severities: Vec<String>,
    risks: Vec<String>,
    controls: Vec<String>,
    selector: Option<Value>,
    owner: Option<String>,
    owner_label: Option<String>,
    due_days: Value,
    grace_period_days: i16,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<GovernanceRule, StoreError> {
        let days: BTreeMap<String, i16> = serde_json::from_value(self.due_days)
            .map_err(|error| StoreError::Corrupt(format!("days of a governance rule: {error}")))?;
        let days = days.into_iter().map(|(severity, days)| Ok((severity.parse()?, days)));
        Ok(GovernanceRule {
            id: GovernanceRuleId(self.governance_rule_id),
            rule: NewGovernanceRule {
                name: self.name,
                priority: self.priority,
                scope: AccessScope::from_columns(&self.scope_type, self.account, self.cluster_id, self.namespace)?,
                severities: self.severities.iter().map(|word| word.parse()).collect::<Result<_, _>>()?,
                risks: self.risks.iter().map(|word| word.parse()).collect::<Result<_, _>>()?,
                controls: self.controls,
                selector: self.selector,
                owner: self.owner,
                owner_label: self.owner_label,
                due_days: days.collect::<Result<_, StoreError>>()?,
                grace_period_days: self.grace_period_days,
                enabled: self.enabled,
            },
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl NewGovernanceRule {
    fn days(&self) -> Value {
        let days: BTreeMap<&str, i16> =
            self.due_days.iter().map(|(severity, days)| (severity.as_str(), *days)).collect();
        json!(days)
    }

    fn severity_words(&self) -> Vec<String> {
        self.severities.iter().map(ToString::to_string).collect()
    }

    fn risk_words(&self) -> Vec<String> {
        self.risks.iter().map(ToString::to_string).collect()
    }
}

const WHAT: &str = "governance rule";

/// Makes a rule.
pub async fn create(tx: &mut TenantTx, new: &NewGovernanceRule) -> Result<GovernanceRule, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    let made = sqlx::query!(
        "insert into governance_rules (tenant_id, governance_rule_id, name, priority, scope_type, account, cluster_id,
             namespace, severities, risks, controls, selector, owner, owner_label, due_days, grace_period_days, enabled)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17
         where (select count(*) from governance_rules where tenant_id = $1) < $18",
        tenant,
        id,
        new.name,
        new.priority,
        scope_type,
        account,
        cluster,
        namespace,
        &new.severity_words(),
        &new.risk_words(),
        &new.controls,
        new.selector,
        new.owner,
        new.owner_label,
        new.days(),
        new.grace_period_days,
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
    get(tx, GovernanceRuleId(id)).await
}

/// One rule.
pub async fn get(tx: &mut TenantTx, id: GovernanceRuleId) -> Result<GovernanceRule, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Row,
        "select governance_rule_id, name, priority, scope_type, account, cluster_id, namespace, severities, risks, controls,
                selector, owner, owner_label, due_days, grace_period_days, enabled, version, created_at, updated_at
         from governance_rules where tenant_id = $1 and governance_rule_id = $2",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: WHAT })?
    .parse()
}

/// Every rule of the tenant, in the order in which they are asked.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<GovernanceRule>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        "select governance_rule_id, name, priority, scope_type, account, cluster_id, namespace, severities, risks, controls,
                selector, owner, owner_label, due_days, grace_period_days, enabled, version, created_at, updated_at
         from governance_rules where tenant_id = $1 order by priority, name",
        tenant
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// The rules that touch what the caller may see, in the order in which they are asked.
pub async fn list(tx: &mut TenantTx, visible: &Visible, page: &Page) -> Result<Listed<GovernanceRule>, StoreError> {
    let mut rows = all(tx).await?;
    let seen = scopes_seen(tx, visible).await?;
    rows.retain(|row| seen(&row.rule.scope));
    page.slice(rows, |row| (row.rule.priority, row.rule.name.clone()))
}

/// Replaces what a rule says.
pub async fn update(
    tx: &mut TenantTx,
    id: GovernanceRuleId,
    version: Option<i64>,
    new: &NewGovernanceRule,
) -> Result<GovernanceRule, StoreError> {
    let before = lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    let (scope_type, account, cluster, namespace) = new.scope.columns();
    sqlx::query!(
        "update governance_rules set name = $3, priority = $4, scope_type = $5, account = $6, cluster_id = $7,
             namespace = $8, severities = $9, risks = $10, controls = $11, selector = $12, owner = $13, owner_label = $14,
             due_days = $15, grace_period_days = $16, enabled = $17, version = version + 1, updated_at = now()
         where tenant_id = $1 and governance_rule_id = $2",
        tenant,
        id.0,
        new.name,
        new.priority,
        scope_type,
        account,
        cluster,
        namespace,
        &new.severity_words(),
        &new.risk_words(),
        &new.controls,
        new.selector,
        new.owner,
        new.owner_label,
        new.days(),
        new.grace_period_days,
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
pub async fn delete(tx: &mut TenantTx, id: GovernanceRuleId, version: Option<i64>) -> Result<(), StoreError> {
    let before = lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from governance_rules where tenant_id = $1 and governance_rule_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    reassess(tx, &before.rule.scope).await
}

async fn lock(tx: &mut TenantTx, id: GovernanceRuleId, version: Option<i64>) -> Result<GovernanceRule, StoreError> {
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from governance_rules where tenant_id = $1 and governance_rule_id = $2 for update",
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
