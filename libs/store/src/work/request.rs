use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{CHANNEL, WorkKind};
use crate::{StoreError, TenantTx};

/// Asks for work on a subject now. Coalesces with a request that waits already.
pub async fn request(tx: &mut TenantTx, kind: WorkKind, subject: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into work (tenant_id, kind, subject) values ($1, $2, $3)
         on conflict (tenant_id, kind, subject) do update
         set want = greatest(work.want, work.claimed) + 1, run_at = least(work.run_at, now()), attempts = 0",
        tenant,
        kind.as_str(),
        subject
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, kind.as_str()).execute(tx.conn()).await?;
    Ok(())
}

/// Asks for work on a subject after `delay`, unless it waits already.
pub async fn request_after(
    tx: &mut TenantTx,
    kind: WorkKind,
    subject: Uuid,
    delay: Duration,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into work as w (tenant_id, kind, subject, run_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))
         on conflict (tenant_id, kind, subject) do update
         set want = greatest(w.want, w.claimed) + 1, run_at = excluded.run_at
         where w.want <= w.claimed",
        tenant,
        kind.as_str(),
        subject,
        delay.as_secs_f64()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Asks for work on a subject at a moment, unless it waits already.
pub async fn request_at(tx: &mut TenantTx, kind: WorkKind, subject: Uuid, at: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into work as w (tenant_id, kind, subject, run_at) values ($1, $2, $3, $4)
         on conflict (tenant_id, kind, subject) do update
         set want = greatest(w.want, w.claimed) + 1, run_at = excluded.run_at
         where w.want <= w.claimed",
        tenant,
        kind.as_str(),
        subject,
        at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Sets how often subjects repeat by themselves, first at a random point of the first interval; `None` stops repeating.
pub async fn schedule(
    tx: &mut TenantTx,
    kind: WorkKind,
    subjects: &[Uuid],
    every: Option<Duration>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let every_s = every.map(|every| i32::try_from(every.as_secs()).unwrap_or(i32::MAX));
    sqlx::query!(
        "insert into work as w (tenant_id, kind, subject, want, every_s, run_at)
         select $1, $2, s.id, case when $4::int is null then 0 else 1 end, $4,
                now() + random() * make_interval(secs => coalesce($4, 0))
         from unnest($3::uuid[]) as s(id) order by s.id
         on conflict (tenant_id, kind, subject) do update set
             every_s = excluded.every_s,
             want = case when excluded.every_s is null and w.lease_until is null and w.run_at > now() then w.done
                         else greatest(w.want, w.done + 1) end,
             run_at = least(w.run_at, excluded.run_at)",
        tenant,
        kind.as_str(),
        subjects,
        every_s
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes subjects away from whoever works on them: their writes are refused from now on, and the subjects are due again.
/// Subjects without a row are left alone. Locks in the order of the ids.
pub async fn revoke(tx: &mut TenantTx, kind: WorkKind, subjects: &[Uuid]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let mut ordered = subjects.to_vec();
    ordered.sort_unstable();
    for subject in ordered {
        sqlx::query!(
            "update work set fence = fence + 1, lease_until = null, want = greatest(want, claimed) + 1, run_at = now()
             where tenant_id = $1 and kind = $2 and subject = $3",
            tenant,
            kind.as_str(),
            subject
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(())
}

/// Makes everything of a kind that the tenant waits for due now. What another transaction holds at this moment is left out:
/// it is due soon by itself.
pub async fn hasten(tx: &mut TenantTx, kind: WorkKind) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update work w set run_at = now()
         from (select subject from work where tenant_id = $1 and kind = $2 and want > done and run_at > now()
                 and last_error is null for no key update skip locked) waiting
         where w.tenant_id = $1 and w.kind = $2 and w.subject = waiting.subject",
        tenant,
        kind.as_str()
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, kind.as_str()).execute(tx.conn()).await?;
    Ok(())
}

/// Locks a subject's row for the transaction. Whoever also locks what belongs to the subject takes this lock first, as
/// workers do.
pub async fn lock(tx: &mut TenantTx, kind: WorkKind, subject: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        r#"select 1 as "row!" from work where tenant_id = $1 and kind = $2 and subject = $3 for no key update"#,
        tenant,
        kind.as_str(),
        subject
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(())
}

/// Forgets subjects. Whoever works on one cannot write its effects any more.
pub async fn forget(tx: &mut TenantTx, kind: WorkKind, subjects: &[Uuid]) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from work where tenant_id = $1 and kind = $2 and subject = any($3)",
        tenant,
        kind.as_str(),
        subjects
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
