use chrono::{DateTime, Utc};
use rampart_domain::{Cause, ExemptionId, ScoreCause, Status, UnitId};
use serde_json::Value;
use uuid::Uuid;

use super::exempt::note_uses;
use super::{Bitmap, DirtyRow, StoredResource};
use crate::governance::Standing;
use crate::{StoreError, TenantTx, score_history, webhook};

/// The packed verdicts of one resource.
#[derive(Debug)]
pub struct PackWrite {
    /// The resource.
    pub resource_id: Uuid,
    /// Revision that was judged.
    pub revision: i64,
    /// Healthy checks.
    pub healthy: Bitmap,
    /// Checks without meaning here.
    pub not_applicable: Bitmap,
    /// Checks that could not be judged.
    pub unknown: Bitmap,
    /// `{ordinal: reason}` of those. For checks without meaning, the number of the cause among those of the control; left
    /// out for the first.
    pub reasons: Option<Value>,
    /// Whether it counts.
    pub scored: bool,
}

/// A finding that appeared or may have changed. `before` is `None` for a new row.
#[derive(Debug)]
pub struct FindingWrite {
    /// The check.
    pub ordinal: i32,
    /// Its control.
    pub control_id: String,
    /// 1 informational … 5 critical; 0 leaves a stored row's as it is.
    pub severity: i16,
    /// What it is now.
    pub status: Status,
    /// What it was.
    pub before: Option<Status>,
    /// Why it changed.
    pub cause: Cause,
    /// The exemption by which it is exempt.
    pub exemption: Option<ExemptionId>,
    /// `None` keeps the last evidence.
    pub evidence: Option<Value>,
    /// Whether it counts.
    pub scored: bool,
    /// The resource.
    pub resource_id: Uuid,
    /// Where it lies, for a new row.
    pub place: FindingPlace,
    /// Risk, owner and days, for a new row; those of a stored one are written by [`crate::governance::grade`].
    pub standing: Standing,
}

/// Where a finding lies; without a kind it is not known any more, and a stored row keeps its place.
#[derive(Debug, Clone, Default)]
pub struct FindingPlace {
    /// Kind as text.
    pub kind: &'static str,
    /// Cluster.
    pub cluster_id: Option<Uuid>,
    /// Account.
    pub account: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
}

impl From<&StoredResource> for FindingPlace {
    fn from(resource: &StoredResource) -> Self {
        Self {
            kind: resource.kind.as_str(),
            cluster_id: resource.cluster_id,
            account: resource.account.clone(),
            namespace: resource.namespace.clone(),
        }
    }
}

/// How much a counter of a unit and check moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountDelta {
    /// Healthy verdicts.
    pub healthy: i64,
    /// Unhealthy verdicts.
    pub unhealthy: i64,
    /// Verdicts without meaning.
    pub not_applicable: i64,
    /// Verdicts that could not be given.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those that could not be given again.
    pub stale: i64,
    /// Exempt verdicts.
    pub exempt: i64,
    /// Resources of which no other control is violated in the score group.
    pub decisive: i64,
}

/// How much a counter of a unit and score group moves, in resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScoreDelta {
    /// Resources without an unhealthy or unknown verdict in the group.
    pub healthy: i64,
    /// Resources with an unhealthy verdict in the group.
    pub unhealthy: i64,
    /// Resources with an unknown verdict and no unhealthy one in the group.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those with a verdict that could not be given again.
    pub stale: i64,
    /// Resources with an exempt verdict in the group, however else they count.
    pub exempt: i64,
}

/// What one batch of an assessment writes.
#[derive(Debug, Default)]
pub struct VerdictWrite {
    /// Inputs that were evaluated against.
    pub inputs: Vec<u8>,
    /// New or changed packs.
    pub packs: Vec<PackWrite>,
    /// Packs of resources that are gone.
    pub gone: Vec<Uuid>,
    /// New or changed findings.
    pub findings: Vec<FindingWrite>,
    /// By ordinal, ascending.
    pub counts: Vec<(i32, CountDelta)>,
    /// By group, ascending.
    pub scores: Vec<(String, ScoreDelta)>,
    /// What moved `scores`, by group and cause: the same in sum.
    pub moves: Vec<(String, ScoreCause, ScoreDelta)>,
}

/// Writes a batch. The caller holds the lease of the unit, so nobody else writes its verdicts. Returns the webhooks that are
/// to be told of it, for [`crate::webhook::wake`] at the end of the transaction.
pub async fn write(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    batch: &VerdictWrite,
) -> Result<Vec<Uuid>, StoreError> {
    write_packs(tx, unit, now, batch).await?;
    let mut told = insert_findings(tx, unit, now, &batch.findings).await?;
    told.extend(update_findings(tx, unit, now, &batch.findings).await?);
    note_uses(tx, unit, now, &batch.findings).await?;
    move_counters(tx, unit, batch).await?;
    score_history::note(tx, unit, now, &batch.moves).await?;
    Ok(told)
}

async fn write_packs(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    batch: &VerdictWrite,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let packs = &batch.packs;
    if !packs.is_empty() {
        sqlx::query!(
            "insert into verdicts as v (tenant_id, unit_id, inputs, evaluated_at, resource_id, revision, healthy,
                 not_applicable, unknown, reasons, scored)
             select $1, $2, $3, $4, i.id, i.revision, i.healthy, i.na, i.unknown, i.reasons, i.scored
             from unnest($5::uuid[], $6::int8[], $7::bytea[], $8::bytea[], $9::bytea[], $10::jsonb[], $11::bool[])
               as i(id, revision, healthy, na, unknown, reasons, scored)
             on conflict (tenant_id, resource_id) do update set
                 unit_id = excluded.unit_id, inputs = excluded.inputs, evaluated_at = excluded.evaluated_at,
                 revision = excluded.revision, healthy = excluded.healthy, not_applicable = excluded.not_applicable,
                 unknown = excluded.unknown, reasons = excluded.reasons, scored = excluded.scored",
            tenant,
            unit.0,
            batch.inputs,
            now,
            &packs.iter().map(|p| p.resource_id).collect::<Vec<_>>(),
            &packs.iter().map(|p| p.revision).collect::<Vec<_>>(),
            &packs.iter().map(|p| p.healthy.as_bytes()).collect::<Vec<_>>() as _,
            &packs.iter().map(|p| p.not_applicable.as_bytes()).collect::<Vec<_>>() as _,
            &packs.iter().map(|p| p.unknown.as_bytes()).collect::<Vec<_>>() as _,
            &packs.iter().map(|p| p.reasons.clone()).collect::<Vec<_>>() as _,
            &packs.iter().map(|p| p.scored).collect::<Vec<_>>(),
        )
        .execute(tx.conn())
        .await?;
    }
    if !batch.gone.is_empty() {
        sqlx::query!("delete from verdicts where tenant_id = $1 and resource_id = any($2)", tenant, &batch.gone)
            .execute(tx.conn())
            .await?;
    }
    Ok(())
}

async fn insert_findings(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    findings: &[FindingWrite],
) -> Result<Vec<Uuid>, StoreError> {
    let new: Vec<&FindingWrite> = findings.iter().filter(|f| f.before.is_none()).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into findings (tenant_id, unit_id, first_seen, since, changed_at, resource_id, ordinal, control_id,
             severity, status, cause, cluster_id, account, namespace, kind, evidence, scored, open_since, risk,
             exemption_id, governance_rule_id, rule_owner, due_days, grace_period_days, set_owner, set_due_at)
         select $1, $2, $3::timestamptz, $3, $3, i.id, i.ordinal, i.control, i.severity, i.status, i.cause, i.cluster,
             i.account, i.namespace, i.kind, i.evidence::jsonb, i.scored,
             case when i.status = 'unhealthy' then $3::timestamptz end, i.risk, i.exemption, i.rule, i.owner, i.days, i.grace,
             a.owner, a.due_at
         from unnest($4::uuid[], $5::int4[], $6::text[], $7::int2[], $8::text[], $9::text[], $10::uuid[], $11::text[],
             $12::text[], $13::text[], $14::text[], $15::bool[], $16::uuid[], $17::int2[], $18::uuid[], $19::text[],
             $20::int2[], $21::int2[])
           as i(id, ordinal, control, severity, status, cause, cluster, account, namespace, kind, evidence, scored,
                exemption, risk, rule, owner, days, grace)
         left join finding_assignments a
           on a.tenant_id = $1 and a.resource_id = i.id and a.control_id = i.control",
        tenant,
        unit.0,
        now,
        &new.iter().map(|f| f.resource_id).collect::<Vec<_>>(),
        &new.iter().map(|f| f.ordinal).collect::<Vec<_>>(),
        &new.iter().map(|f| f.control_id.as_str()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.severity).collect::<Vec<_>>(),
        &new.iter().map(|f| f.status.as_str()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.cause.as_str()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.place.cluster_id).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.place.account.as_deref()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.place.namespace.as_deref()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.place.kind).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.evidence.as_ref().map_or_else(|| "{}".to_owned(), Value::to_string)).collect::<Vec<_>>()
            as _,
        &new.iter().map(|f| f.scored).collect::<Vec<_>>(),
        &new.iter().map(|f| f.exemption.map(|it| it.0)).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.standing.risk).collect::<Vec<_>>(),
        &new.iter().map(|f| f.standing.rule).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.standing.owner.as_deref()).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.standing.due_days).collect::<Vec<_>>() as _,
        &new.iter().map(|f| f.standing.grace_period_days).collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    let opened = new.iter().filter(|f| f.status == Status::Unhealthy).map(|f| (f.resource_id, f.ordinal)).unzip();
    webhook::note_opened(tx, now, opened).await
}

/// Rewrites only rows that differ; a change of status leaves an event. A finding is open from when it is unhealthy until it
/// is known not to be: what cannot be judged any more stays open.
async fn update_findings(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    findings: &[FindingWrite],
) -> Result<Vec<Uuid>, StoreError> {
    let old: Vec<&FindingWrite> = findings.iter().filter(|f| f.before.is_some()).collect();
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let tenant = tx.tenant_uuid();
    let told = sqlx::query_scalar!(
        r#"with changed as (
         update findings f
         set status = i.status, severity = coalesce(nullif(i.severity, 0), f.severity), scored = i.scored, unit_id = $2, changed_at = $3,
             cluster_id = case when i.placed then i.cluster else f.cluster_id end,
             account = case when i.placed then i.account else f.account end,
             namespace = case when i.placed then i.namespace else f.namespace end,
             since = case when f.status = i.status then f.since else $3 end,
             open_since = case i.status when 'unhealthy' then coalesce(f.open_since, $3::timestamptz)
                 when 'unknown' then f.open_since end,
             cause = case when f.status = i.status then f.cause else i.cause end,
             evidence = coalesce(i.evidence::jsonb, f.evidence), exemption_id = i.exemption
         from unnest($4::uuid[], $5::int4[], $6::int2[], $7::text[], $8::text[], $9::text[], $10::bool[], $11::bool[],
             $12::uuid[], $13::text[], $14::text[], $15::uuid[])
           as i(id, ordinal, severity, status, cause, evidence, scored, placed, cluster, account, namespace, exemption)
         where f.tenant_id = $1 and f.resource_id = i.id and f.ordinal = i.ordinal
           and ((i.placed and (f.cluster_id, f.account, f.namespace) is distinct from (i.cluster, i.account, i.namespace))
                or f.status <> i.status or f.severity <> coalesce(nullif(i.severity, 0), f.severity) or f.scored <> i.scored or f.unit_id <> $2
                or f.exemption_id is distinct from i.exemption
                or f.evidence is distinct from coalesce(i.evidence::jsonb, f.evidence))
         returning f.resource_id, f.ordinal, f.control_id, f.severity, f.status, f.cause, f.cluster_id, f.account, f.namespace,
             f.kind, f.scored, f.evidence ->> 'message' as message, f.open_since is not null as open
         ), noted as (
         insert into webhook_events (tenant_id, webhook_id, at, type, subject, data)
         select $1, w.webhook_id, $3, t.type, n.resource_id || '.' || n.ordinal,
             webhook_finding(n.resource_id, n.ordinal, n.control_id, n.severity, n.status, o.status, n.cause, n.cluster_id,
                 n.account, n.namespace, n.kind, n.scored, n.message, $3)
         from webhooks w cross join changed n
         -- As it was: a statement does not see what it writes.
         cross join lateral (select status, scored, open_since is not null as open from findings
             where tenant_id = $1 and resource_id = n.resource_id and ordinal = n.ordinal offset 0) o
         cross join lateral (select case when o.open and n.open then 'finding.changed' when n.open then 'finding.opened'
             when o.open then 'finding.resolved' end as type) t
         where w.tenant_id = $1 and webhook_wants(w, t.type, n.severity, n.control_id, n.cluster_id, n.account, n.namespace,
             n.kind, n.scored or o.scored)
         returning webhook_id
         ) select distinct webhook_id as "webhook_id!" from noted"#,
        tenant,
        unit.0,
        now,
        &old.iter().map(|f| f.resource_id).collect::<Vec<_>>(),
        &old.iter().map(|f| f.ordinal).collect::<Vec<_>>(),
        &old.iter().map(|f| f.severity).collect::<Vec<_>>(),
        &old.iter().map(|f| f.status.as_str()).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.cause.as_str()).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.evidence.as_ref().map(Value::to_string)).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.scored).collect::<Vec<_>>(),
        &old.iter().map(|f| !f.place.kind.is_empty()).collect::<Vec<_>>(),
        &old.iter().map(|f| f.place.cluster_id).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.place.account.as_deref()).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.place.namespace.as_deref()).collect::<Vec<_>>() as _,
        &old.iter().map(|f| f.exemption.map(|it| it.0)).collect::<Vec<_>>() as _,
    )
    .fetch_all(tx.conn())
    .await?;
    let moved: Vec<&&FindingWrite> = old.iter().filter(|f| f.before != Some(f.status)).collect();
    if moved.is_empty() {
        return Ok(told);
    }
    sqlx::query!(
        "insert into finding_events (tenant_id, at, resource_id, ordinal, from_status, to_status, cause)
         select $1, $2, i.id, i.ordinal, i.before, i.after, i.cause
         from unnest($3::uuid[], $4::int4[], $5::text[], $6::text[], $7::text[]) as i(id, ordinal, before, after, cause)",
        tenant,
        now,
        &moved.iter().map(|f| f.resource_id).collect::<Vec<_>>(),
        &moved.iter().map(|f| f.ordinal).collect::<Vec<_>>(),
        &moved.iter().map(|f| f.before.map_or("", Status::as_str)).collect::<Vec<_>>() as _,
        &moved.iter().map(|f| f.status.as_str()).collect::<Vec<_>>() as _,
        &moved.iter().map(|f| f.cause.as_str()).collect::<Vec<_>>() as _,
    )
    .execute(tx.conn())
    .await?;
    Ok(told)
}

async fn move_counters(tx: &mut TenantTx, unit: UnitId, batch: &VerdictWrite) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let counts: Vec<_> = batch.counts.iter().filter(|(_, delta)| *delta != CountDelta::default()).collect();
    if !counts.is_empty() {
        sqlx::query!(
            "insert into verdict_counts as c (tenant_id, unit_id, ordinal, healthy, unhealthy, not_applicable, unknown,
                 stale, exempt, decisive)
             select $1, $2, i.*
             from unnest($3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[], $9::int8[], $10::int8[]) as i
             on conflict (tenant_id, unit_id, ordinal) do update set
                 healthy = c.healthy + excluded.healthy, unhealthy = c.unhealthy + excluded.unhealthy,
                 not_applicable = c.not_applicable + excluded.not_applicable, unknown = c.unknown + excluded.unknown,
                 stale = c.stale + excluded.stale, exempt = c.exempt + excluded.exempt,
                 decisive = c.decisive + excluded.decisive",
            tenant,
            unit.0,
            &counts.iter().map(|(ordinal, _)| *ordinal).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.healthy).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.unhealthy).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.not_applicable).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.unknown).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.stale).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.exempt).collect::<Vec<_>>(),
            &counts.iter().map(|(_, d)| d.decisive).collect::<Vec<_>>(),
        )
        .execute(tx.conn())
        .await?;
    }
    let scores: Vec<_> = batch.scores.iter().filter(|(_, delta)| *delta != ScoreDelta::default()).collect();
    if !scores.is_empty() {
        sqlx::query!(
            "insert into score_counts as c (tenant_id, unit_id, score_group, healthy, unhealthy, unknown, stale, exempt)
             select $1, $2, i.*
             from unnest($3::text[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[]) as i
             on conflict (tenant_id, unit_id, score_group) do update set
                 healthy = c.healthy + excluded.healthy, unhealthy = c.unhealthy + excluded.unhealthy,
                 unknown = c.unknown + excluded.unknown, stale = c.stale + excluded.stale,
                 exempt = c.exempt + excluded.exempt",
            tenant,
            unit.0,
            &scores.iter().map(|(group, _)| group.as_str()).collect::<Vec<_>>() as _,
            &scores.iter().map(|(_, d)| d.healthy).collect::<Vec<_>>(),
            &scores.iter().map(|(_, d)| d.unhealthy).collect::<Vec<_>>(),
            &scores.iter().map(|(_, d)| d.unknown).collect::<Vec<_>>(),
            &scores.iter().map(|(_, d)| d.stale).collect::<Vec<_>>(),
            &scores.iter().map(|(_, d)| d.exempt).collect::<Vec<_>>(),
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Sets the counters of a unit anew, for when deltas cannot tell: a new catalogue may move controls between groups.
/// By as much as they differ from what they were, the content moved the score.
pub async fn rebuild_counters(
    tx: &mut TenantTx,
    unit: UnitId,
    now: DateTime<Utc>,
    batch: &VerdictWrite,
) -> Result<(), StoreError> {
    score_history::note_rest(tx, unit, now, &batch.scores).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from verdict_counts where tenant_id = $1 and unit_id = $2", tenant, unit.0)
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from score_counts where tenant_id = $1 and unit_id = $2", tenant, unit.0)
        .execute(tx.conn())
        .await?;
    move_counters(tx, unit, batch).await
}

/// Clears what was assessed, unless it changed again meanwhile.
pub async fn clear_dirty(tx: &mut TenantTx, unit: UnitId, rows: &[DirtyRow]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from dirty d using unnest($3::text[], $4::uuid[], $5::int8[]) as i(kind, id, marks)
         where d.tenant_id = $1 and d.unit_id = $2 and d.kind = i.kind and d.resource_id = i.id and d.marks = i.marks",
        tenant,
        unit.0,
        &rows.iter().map(|row| row.kind.as_str()).collect::<Vec<_>>() as _,
        &rows.iter().map(|row| row.resource_id).collect::<Vec<_>>(),
        &rows.iter().map(|row| row.marks).collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes that the whole unit was assessed against `inputs`.
pub async fn set_assessed(
    tx: &mut TenantTx,
    unit: UnitId,
    inputs: &[u8],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into assessments (tenant_id, unit_id, inputs, assessed_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, unit_id) do update set inputs = excluded.inputs, assessed_at = excluded.assessed_at",
        tenant,
        unit.0,
        inputs,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
