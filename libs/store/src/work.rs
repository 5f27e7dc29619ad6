//! The one mechanism for work: "this subject is dirty".
//!
//! A request raises `want`; a claim takes a lease, raises the fence and notes what it claimed; a finish sets `done` to
//! that. So requests coalesce, one worker runs a subject at a time, a request during a run makes it run again, and a
//! worker whose lease ran out cannot write: its effects check the fence in their own transaction.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rampart_domain::TenantId;
use sqlx::PgConnection;
use sqlx::postgres::PgListener;
use uuid::Uuid;

use crate::{Store, StoreError, TenantTx, WorkerTx};

/// How long a claim holds without renewal.
pub const LEASE: Duration = Duration::from_secs(30);

/// Channel that is notified when work becomes due at once; the payload is the kind.
const CHANNEL: &str = "rampart_work";

/// What sort of work a subject waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WorkKind {
    /// Scan a connector.
    Scan,
    /// Check a connector's permissions.
    Preflight,
    /// See what an organisation's choice of accounts would do.
    Preview,
    /// Delete a connector with its data.
    Delete,
    /// Assess a unit.
    Assess,
    /// Run a job, whose id the subject is.
    Job,
    /// Assess what an exemption held for, at the moment at which it expires.
    Expire,
    /// Watch a cluster: held for as long as it is watched, see [`crate::hold`].
    Watch,
    /// Tell a webhook what waits for it.
    Notify,
}

impl WorkKind {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Preflight => "preflight",
            Self::Preview => "preview",
            Self::Delete => "delete",
            Self::Assess => "assess",
            Self::Job => "job",
            Self::Expire => "expire",
            Self::Watch => "watch",
            Self::Notify => "notify",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [
            Self::Scan,
            Self::Preflight,
            Self::Preview,
            Self::Delete,
            Self::Assess,
            Self::Expire,
            Self::Job,
            Self::Watch,
            Self::Notify,
        ]
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| StoreError::Corrupt(format!("work kind `{text}`")))
    }
}

/// A claimed subject. Proof of the claim for [`TenantTx::fenced`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub tenant: TenantId,
    /// What to do.
    pub kind: WorkKind,
    /// To which connector or unit.
    pub subject: Uuid,
    /// Rises with every claim of the subject.
    pub fence: i64,
    /// How many claims ended without success before this one.
    pub attempts: i32,
    /// The database's clock.
    clock: Clock,
}

impl Lease {
    /// What the time is by the database's clock. Whoever holds a lease dates what it reads by this, not by its machine's
    /// clock: replicas whose clocks differ could not tell which of two readings is the newer one.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.at + self.clock.read.elapsed()
    }
}

/// The database's time at a claim, and the moment at which it was told, from which this process counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    at: DateTime<Utc>,
    read: Instant,
}

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
    for kind in held.kinds.iter().collect::<std::collections::BTreeSet<_>>() {
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

/// Lets those who wait for work of a kind look for it now.
pub async fn announce(tx: &mut WorkerTx, kind: WorkKind) -> Result<(), StoreError> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, kind.as_str()).execute(tx.conn()).await?;
    Ok(())
}

/// Ends a run that did what was asked. Returns whether something was asked meanwhile.
/// What repeats by itself is due again after its interval, give or take a tenth.
pub async fn finish(tx: &mut WorkerTx, lease: &Lease) -> Result<bool, StoreError> {
    end(tx.conn(), lease).await
}

/// The same in one transaction with the last effects, for work that must not be done again once they are written.
/// [`finish`] may follow and changes nothing more.
pub async fn finish_with(tx: &mut TenantTx, lease: &Lease) -> Result<(), StoreError> {
    if end(tx.conn(), lease).await? {
        sqlx::query!("select pg_notify($1, $2)", CHANNEL, lease.kind.as_str()).execute(tx.conn()).await?;
    }
    Ok(())
}

async fn end(conn: &mut PgConnection, lease: &Lease) -> Result<bool, StoreError> {
    let row = sqlx::query!(
        r#"update work
           set done = claimed, lease_until = null, attempts = 0, last_error = null,
               want = case when every_s is null then want else greatest(want, claimed + 1) end,
               run_at = case when want > claimed or every_s is null then run_at
                             else now() + (0.9 + 0.2 * random()) * make_interval(secs => every_s) end
           where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4
           returning run_at <= now() and want > done as "again!""#,
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| row.again).ok_or(StoreError::LeaseLost)
}

/// Gives a subject back after a failure: it is due again after a delay that doubles with each attempt, up to an hour.
pub async fn fail(tx: &mut WorkerTx, lease: &Lease, error: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "update work
         set lease_until = null, last_error = left($5, 2000),
             run_at = now() + least(3600, 5 * power(2, least(attempts, 10))) * (0.8 + 0.4 * random()) * interval '1 second'
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence,
        error
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives a subject back at once, as when the process is asked to stop: it counts as no attempt.
pub async fn release(tx: &mut WorkerTx, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query!(
        "update work set lease_until = null, attempts = greatest(attempts - 1, 0)
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, lease.kind.as_str()).execute(tx.conn()).await?;
    Ok(())
}

/// Gives a subject back that failed for no fault of its own, as in a deadlock: it is due again within a second, and it counts
/// as no attempt. At random, so that those who were in each other's way are not again.
pub async fn repeat(tx: &mut WorkerTx, lease: &Lease) -> Result<(), StoreError> {
    sqlx::query!(
        "update work
         set lease_until = null, attempts = greatest(attempts - 1, 0),
             run_at = greatest(run_at, now()) + (0.2 + 0.8 * random()) * interval '1 second'
         where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4",
        lease.tenant.0,
        lease.kind.as_str(),
        lease.subject,
        lease.fence
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

impl Store {
    /// A transaction whose effects count only while `lease` is held: the row is locked until commit, so no other worker
    /// can claim the subject in between.
    pub async fn fenced(&self, lease: &Lease) -> Result<TenantTx, StoreError> {
        let mut tx = self.tenant(lease.tenant).await?;
        let held = sqlx::query_scalar!(
            r#"select 1 as "held!" from work
               where tenant_id = $1 and kind = $2 and subject = $3 and fence = $4 and lease_until >= now()
               for no key update"#,
            lease.tenant.0,
            lease.kind.as_str(),
            lease.subject,
            lease.fence
        )
        .fetch_optional(tx.conn())
        .await?;
        if held.is_some() { Ok(tx) } else { Err(StoreError::LeaseLost) }
    }

    /// Waits until work is announced or `patience` is over, whichever is first. Announcements may be lost; the caller
    /// looks for due work either way.
    pub async fn listen(&self) -> Result<Announcements, StoreError> {
        let mut listener = PgListener::connect_with(self.pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(Announcements(listener))
    }
}

/// A connection on which requests for work are announced.
#[derive(Debug)]
pub struct Announcements(PgListener);

impl Announcements {
    /// Returns at the next announcement of one of `kinds` or after `patience`. Reconnects by itself.
    pub async fn wait(&mut self, kinds: &[WorkKind], patience: Duration) -> Result<(), StoreError> {
        let announced = async {
            loop {
                let announcement = self.0.recv().await?;
                if kinds.iter().any(|kind| kind.as_str() == announcement.payload()) {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(patience, announced).await.unwrap_or(Ok(()))
    }
}
