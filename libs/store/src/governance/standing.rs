use chrono::{DateTime, Utc};
use rampart_domain::{Kind, UnitId};
use uuid::Uuid;

use crate::{StoreError, TenantTx};

/// What context and rules say of a finding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// 1 low … 4 critical.
    pub risk: i16,
    /// The rule that decided; `None` when none matched.
    pub rule: Option<Uuid>,
    /// Who mends it, by the rule.
    pub owner: Option<String>,
    /// Days until due, by the rule.
    pub due_days: Option<i16>,
    /// Days after the due date until it counts as overdue.
    pub grace_period_days: i16,
}

/// A finding with its standing as stored.
#[derive(Debug, Clone)]
pub struct Graded {
    /// The resource.
    pub resource_id: Uuid,
    /// The check.
    pub ordinal: i32,
    /// The control.
    pub control_id: String,
    /// 1 informational … 5 critical.
    pub severity: i16,
    /// How it stands.
    pub standing: Standing,
}

/// The findings of some resources with their standing.
pub async fn graded(tx: &mut TenantTx, ids: &[Uuid]) -> Result<Vec<Graded>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        "select f.* from (select distinct unnest($2::uuid[])) i(id) cross join lateral (
             select resource_id, ordinal, control_id, severity, risk, governance_rule_id, rule_owner, due_days,
                 grace_period_days
             from findings where tenant_id = $1 and resource_id = i.id offset 0) f",
        tenant,
        ids
    )
    .fetch_all(tx.conn())
    .await?;
    let graded = rows.into_iter().map(|row| Graded {
        resource_id: row.resource_id,
        ordinal: row.ordinal,
        control_id: row.control_id,
        severity: row.severity,
        standing: Standing {
            risk: row.risk,
            rule: row.governance_rule_id,
            owner: row.rule_owner,
            due_days: row.due_days,
            grace_period_days: row.grace_period_days,
        },
    });
    Ok(graded.collect())
}

/// Stores how findings stand now; give only those that differ.
pub async fn grade(tx: &mut TenantTx, now: DateTime<Utc>, findings: &[Graded]) -> Result<(), StoreError> {
    if findings.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update findings f
         set risk = i.risk, governance_rule_id = i.rule, rule_owner = i.owner, due_days = i.days,
             grace_period_days = i.grace, changed_at = $2
         from unnest($3::uuid[], $4::int4[], $5::int2[], $6::uuid[], $7::text[], $8::int2[], $9::int2[])
           as i(id, ordinal, risk, rule, owner, days, grace)
         where f.tenant_id = $1 and f.resource_id = i.id and f.ordinal = i.ordinal",
        tenant,
        now,
        &findings.iter().map(|f| f.resource_id).collect::<Vec<_>>(),
        &findings.iter().map(|f| f.ordinal).collect::<Vec<_>>(),
        &findings.iter().map(|f| f.standing.risk).collect::<Vec<_>>(),
        &findings.iter().map(|f| f.standing.rule).collect::<Vec<_>>() as _,
        &findings.iter().map(|f| f.standing.owner.as_deref()).collect::<Vec<_>>() as _,
        &findings.iter().map(|f| f.standing.due_days).collect::<Vec<_>>() as _,
        &findings.iter().map(|f| f.standing.grace_period_days).collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Copies what people decided about the findings of some resources into the findings, where it is not there yet: a finding
/// may be new while the decision is old.
pub async fn copy_assignments(tx: &mut TenantTx, ids: &[Uuid]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update findings f set set_owner = a.owner, set_due_at = a.due_at
         from finding_assignments a
         where a.tenant_id = $1 and a.resource_id in (select unnest($2::uuid[]))
           and f.tenant_id = $1 and f.resource_id = a.resource_id and f.control_id = a.control_id
           and (f.set_owner, f.set_due_at) is distinct from (a.owner, a.due_at)",
        tenant,
        ids
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The ids of a unit's resources that have verdicts: all, or those of some kinds in some namespaces.
pub async fn judged(
    tx: &mut TenantTx,
    unit: UnitId,
    kinds: Option<&[Kind]>,
    namespaces: Option<&[String]>,
) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let kinds: Option<Vec<&str>> = kinds.map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect());
    if kinds.is_none() && namespaces.is_none() {
        let ids = sqlx::query_scalar!(
            "select resource_id from verdicts where tenant_id = $1 and unit_id = $2 order by 1",
            tenant,
            unit.0
        );
        return Ok(ids.fetch_all(tx.conn()).await?);
    }
    Ok(sqlx::query_scalar!(
        "select r.resource_id from resources r
         where r.tenant_id = $1 and r.unit_id = $2 and ($3::text[] is null or r.kind = any($3))
           and ($4::text[] is null or r.namespace = any($4))
           and exists (select from verdicts v where v.tenant_id = $1 and v.resource_id = r.resource_id)
         order by 1",
        tenant,
        unit.0,
        kinds as _,
        namespaces as _
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Fingerprint of the rules by which the findings of a unit stand.
pub async fn applied_rules(tx: &mut TenantTx, unit: UnitId) -> Result<Option<Vec<u8>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row =
        sqlx::query_scalar!("select rules from assessments where tenant_id = $1 and unit_id = $2", tenant, unit.0)
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.flatten())
}

/// Notes by which rules the findings of an assessed unit stand.
pub async fn set_applied_rules(tx: &mut TenantTx, unit: UnitId, rules: &[u8]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update assessments set rules = $3 where tenant_id = $1 and unit_id = $2 and rules is distinct from $3",
        tenant,
        unit.0,
        rules
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
