//! The loop for work that is held rather than done: one process holds thousands of subjects at once.
//!
//! ```text
//! due ─▶ claim ─▶ task(lease, cancel), for as long as it likes
//!                  └ all leases are renewed by one statement; what is lost is cancelled
//! stop ─▶ every lease is given back ─▶ another process claims
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::work::{self, LEASE, Lease, WorkKind};
use crate::{Store, StoreError, Transient};

/// How often due subjects are looked for without an announcement.
const POLL: Duration = Duration::from_secs(2);
/// Subjects claimed at once: few enough that processes that start together share what is there.
const CLAIM: usize = 50;
/// Leases renewed by one statement.
const CHUNK: usize = 1_000;

/// What to hold, and how much of it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The kind of work.
    pub kind: WorkKind,
    /// Subjects at once in this process.
    pub capacity: usize,
    /// Subjects at once for one tenant, over all processes.
    pub per_tenant: usize,
    /// How long tasks may take to end after `cancel` fires.
    pub grace: Duration,
}

/// Why a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The subject is not to be held any more, until it is asked for again.
    Done,
    /// Somebody should hold it: it is due again after a while.
    Failed,
    /// It was told to.
    Told,
}

/// A subject that is held.
struct Holding {
    lease: Lease,
    cancel: CancellationToken,
    /// When the lease was last known to be held.
    renewed: Instant,
}

/// Holds subjects until `cancel` fires; then gives all of them back.
pub async fn run<H, F>(store: &Store, options: &Options, cancel: &CancellationToken, task: H) -> Result<(), StoreError>
where
    H: Fn(Lease, CancellationToken) -> F + Send + Sync,
    F: Future<Output = Ended> + Send + 'static,
{
    let mut holder = Holder { store, options, held: HashMap::new(), tasks: JoinSet::new(), unsettled: Vec::new() };
    let mut renewal = tokio::time::interval(LEASE / 3);
    let mut announcements = None;
    while !cancel.is_cancelled() {
        holder.settle_late().await;
        let claimed = holder.claim(cancel, &task).await.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "nothing could be claimed to be held");
            0
        });
        if announcements.is_none() {
            announcements = store.listen().await.ok();
        }
        // A full claim is followed by the next after a breath, in which other processes get theirs.
        let patience = if claimed == CLAIM { Duration::from_millis(100) } else { POLL };
        let wait = async {
            match &mut announcements {
                Some(listener) if claimed < CLAIM => listener.wait(&[options.kind], patience).await,
                _ => {
                    tokio::time::sleep(patience).await;
                    Ok(())
                }
            }
        };
        tokio::select! {
            () = cancel.cancelled() => {}
            _ = renewal.tick() => holder.renew().await,
            Some(ended) = holder.tasks.join_next_with_id() => holder.ended(ended).await,
            waited = wait => if waited.is_err() { announcements = None },
        }
    }
    holder.drain().await
}

struct Holder<'a> {
    store: &'a Store,
    options: &'a Options,
    held: HashMap<Id, Holding>,
    tasks: JoinSet<Ended>,
    /// What ended while Postgres was away, and until when the lease lasts.
    unsettled: Vec<(Lease, Ended, Instant)>,
}

impl Holder<'_> {
    async fn claim<H, F>(&mut self, cancel: &CancellationToken, task: &H) -> Result<usize, StoreError>
    where
        H: Fn(Lease, CancellationToken) -> F,
        F: Future<Output = Ended> + Send + 'static,
    {
        let free = self.options.capacity.saturating_sub(self.held.len()).min(CLAIM);
        if free == 0 {
            return Ok(0);
        }
        let mut tx = self.store.worker().await?;
        let per_tenant = self.options.per_tenant as i64;
        let leases = work::claim(&mut tx, &[self.options.kind], free as i64, per_tenant).await?;
        tx.commit().await?;
        let claimed = leases.len();
        for lease in leases {
            let cancel = cancel.child_token();
            let id = self.tasks.spawn(task(lease.clone(), cancel.clone())).id();
            self.held.insert(id, Holding { lease, cancel, renewed: Instant::now() });
        }
        Ok(claimed)
    }

    /// Renews every lease. Whoever lost theirs is told to end; their writes are refused by the fence already.
    async fn renew(&mut self) {
        let leases: Vec<Lease> = self.held.values().map(|holding| holding.lease.clone()).collect();
        let mut renewed: Option<Vec<Uuid>> = Some(Vec::with_capacity(leases.len()));
        for chunk in leases.chunks(CHUNK) {
            match self.renew_chunk(chunk).await {
                Ok(subjects) => renewed.iter_mut().for_each(|all| all.extend(&subjects)),
                Err(error) => {
                    tracing::warn!(error = %error, "leases could not be renewed");
                    renewed = None;
                    break;
                }
            }
        }
        let now = Instant::now();
        let renewed = renewed.map(|subjects| subjects.into_iter().collect::<std::collections::HashSet<_>>());
        for holding in self.held.values_mut() {
            match &renewed {
                Some(subjects) if subjects.contains(&holding.lease.subject) => holding.renewed = now,
                // The database may be back before the lease ends; after that, somebody else may hold it.
                None if now.duration_since(holding.renewed) < LEASE => {}
                _ => holding.cancel.cancel(),
            }
        }
    }

    async fn renew_chunk(&self, leases: &[Lease]) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.store.worker().await?;
        let renewed = work::renew_all(&mut tx, leases).await?;
        tx.commit().await?;
        Ok(renewed)
    }

    async fn ended(&mut self, ended: Result<(Id, Ended), tokio::task::JoinError>) {
        let (id, how) = match ended {
            Ok((id, how)) => (id, how),
            Err(panic) => {
                tracing::error!(error = %panic, "a task that held a subject panicked");
                (panic.id(), Ended::Failed)
            }
        };
        let Some(holding) = self.held.remove(&id) else { return };
        self.unsettled.push((holding.lease, how, holding.renewed + LEASE));
        self.settle_late().await;
    }

    /// Records what ended. What cannot be recorded now is tried again until its lease runs out.
    async fn settle_late(&mut self) {
        for (lease, how, until) in std::mem::take(&mut self.unsettled) {
            let Err(error) = self.settle(&lease, how).await else { continue };
            let again = Transient::behind(&error).is_some() && Instant::now() < until;
            tracing::warn!(work.subject = %lease.subject, error = %error, again, "a subject was not given back");
            if again {
                self.unsettled.push((lease, how, until));
            }
        }
    }

    async fn settle(&self, lease: &Lease, how: Ended) -> Result<(), StoreError> {
        let mut tx = self.store.worker().await?;
        match how {
            Ended::Done => match work::finish(&mut tx, lease).await {
                Ok(false) | Err(StoreError::LeaseLost) => {}
                Ok(true) => work::announce(&mut tx, lease.kind).await?,
                Err(error) => return Err(error),
            },
            Ended::Failed => work::fail(&mut tx, lease, "see the state of what is held").await?,
            Ended::Told => work::release(&mut tx, lease).await?,
        }
        tx.commit().await
    }

    /// Waits for the tasks, which were told to end, and gives everything back.
    async fn drain(mut self) -> Result<(), StoreError> {
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.grace, all_ended).await.is_err() {
            tracing::warn!(running = self.tasks.len(), "what holds subjects did not end in time");
        }
        let leases: Vec<Lease> = self.held.into_values().map(|holding| holding.lease).collect();
        for chunk in leases.chunks(CHUNK) {
            let mut tx = self.store.worker().await?;
            work::release_all(&mut tx, chunk).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
