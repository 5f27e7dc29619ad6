use std::collections::BTreeSet;
use std::time::Instant;

use uuid::Uuid;

use super::{CHANNEL, Clock, LEASE, Lease, WorkKind};
use crate::{StoreError, WorkerTx};

/// Takes up to `limit` due subjects: of the tenants that hold the fewest leases first, of those the longest waiting. One tenant
/// never holds more than `per_tenant` leases.
pub async fn claim(
    tx: &mut WorkerTx,
    kinds: &[WorkKind],
    limit: i64,
    per_tenant: i64,
) -> Result<Vec<Lease>, StoreError> {
    let kinds: Vec<String> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let rows = sqlx::query!(
        r#"with due as (
               select tenant_id, kind, subject, run_at,
                      row_number() over (partition by tenant_id order by run_at) as rank
               from work
               where kind = any($1) and want > done and run_at <= now() and (lease_until is null or lease_until < now())
           ), running as (
               select tenant_id, count(*) as leases from work
               where kind = any($1) and lease_until >= now() group by tenant_id
           ), picked as (
               select d.tenant_id, d.kind, d.subject from due d left join running r using (tenant_id)
               where coalesce(r.leases, 0) + d.rank <= $3
               order by coalesce(r.leases, 0) + d.rank, d.run_at limit $2
           ), locked as (
               select w.tenant_id, w.kind, w.subject from work w join picked p using (tenant_id, kind, subject)
               where w.want > w.done and (w.lease_until is null or w.lease_until < now())
               for update of w skip locked
           )
           update work w
           set lease_until = now() + make_interval(secs => $4), fence = fence + 1, claimed = want, attempts = attempts + 1
           from locked l
           where (w.tenant_id, w.kind, w.subject) = (l.tenant_id, l.kind, l.subject)
           returning w.tenant_id, w.kind, w.subject, w.fence, w.attempts, clock_timestamp() as "at!""#,
        &kinds,
        limit,
        per_tenant,
        LEASE.as_secs_f64()
    )
    .fetch_all(tx.conn())
    .await?;
    let read = Instant::now();
    rows.into_iter()
        .map(|row| {
            Ok(Lease {
                clock: Clock { at: row.at, read },
                tenant: row.tenant_id.into(),
                kind: WorkKind::parse(&row.kind)?,
                subject: row.subject,
                fence: row.fence,
                attempts: row.attempts - 1,
            })
        })
        .collect()
}

/// Extends a lease. [`StoreError::LeaseLost`] when it ran out and may be somebody else's.
pub async fn renew(tx: &mut WorkerTx, lease: &Lease) -> Result<(), StoreError> {
    let renewed = sqlx::query!(
        "update work set lease_until = now() + make_interval(secs => $5)
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4 and lease_until >= now()",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence,
        LEASE.as_secs_f64()
    )
    .execute(tx.conn())
    .await?;
    if renewed.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
}

/// Extends leases, all in one statement. Returns those that are still held; the others ran out or were taken away.
pub async fn renew_all(tx: &mut WorkerTx, leases: &[Lease]) -> Result<Vec<Uuid>, StoreError> {
    let held = Held::of(leases);
    Ok(sqlx::query_scalar!(
        "update work w set lease_until = now() + make_interval(secs => $5)
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[]) as l(tenant, kind, subject, fence)
         where (w.tenant_id, w.kind, w.subject, w.fence) = (l.tenant, l.kind, l.subject, l.fence)
           and w.lease_until >= now()
         returning w.subject",
        &held.tenants,
        &held.kinds as _,
        &held.subjects,
        &held.fences,
        LEASE.as_secs_f64()
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Gives leases back, all in one statement, and lets others know.
pub async fn release_all(tx: &mut WorkerTx, leases: &[Lease]) -> Result<(), StoreError> {
    let held = Held::of(leases);
    sqlx::query!(
        "update work w set lease_until = null, attempts = greatest(attempts - 1, 0)
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[]) as l(tenant, kind, subject, fence)
         where (w.tenant_id, w.kind, w.subject, w.fence) = (l.tenant, l.kind, l.subject, l.fence)",
        &held.tenants,
        &held.kinds as _,
        &held.subjects,
        &held.fences
    )
    .execute(tx.conn())
    .await?;
    for kind in held.kinds.iter().collect::<BTreeSet<_>>() {
        sqlx::query!("select pg_notify($1, $2)", CHANNEL, kind).execute(tx.conn()).await?;
    }
    Ok(())
}

/// Leases column by column, as `unnest` takes them.
struct Held {
    tenants: Vec<Uuid>,
    kinds: Vec<&'static str>,
    subjects: Vec<Uuid>,
    fences: Vec<i64>,
}

impl Held {
    fn of(leases: &[Lease]) -> Self {
        Self {
            tenants: leases.iter().map(|lease| lease.tenant.0).collect(),
            kinds: leases.iter().map(|lease| lease.kind.as_str()).collect(),
            subjects: leases.iter().map(|lease| lease.subject).collect(),
            fences: leases.iter().map(|lease| lease.fence).collect(),
        }
    }
}
