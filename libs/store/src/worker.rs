//! The loop that claims work and keeps its leases while handlers run.
//!
//! ```text
//! announced or due ─▶ claim ─▶ handler(lease, cancel) ─▶ finish | fail
//!                               └ renewed every third of the lease; lost lease ⇒ cancel, effects refused by the fence
//! ```

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::work::{self, LEASE, Lease, WorkKind};
use crate::{Store, StoreError, Transient};

/// How often due work is looked for without an announcement.
const POLL: Duration = Duration::from_secs(2);
/// Wait between attempts to record how a handler ended.
const UNSETTLED: Duration = Duration::from_secs(1);

/// Subjects claimed by one statement. One by one: processes that are told of work at the same moment share it.
const AT_ONCE: i64 = 1;

/// What a handler may fail with. The text goes to the work row, so it must not carry secrets.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What to work on, and how much at once.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kinds of work.
    pub kinds: Vec<WorkKind>,
    /// Subjects at once in this process.
    pub concurrency: usize,
    /// Subjects at once for one tenant, over all processes.
    pub per_tenant: usize,
    /// How long running handlers may take to end after `cancel` fires.
    pub grace: Duration,
}

/// Works until `cancel` fires; then takes nothing new, lets handlers end within the grace and gives back the rest.
pub async fn run<H, F>(
    store: &Store,
    options: &Options,
    cancel: &CancellationToken,
    handler: H,
) -> Result<(), StoreError>
where
    H: Fn(Lease, CancellationToken) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let tasks = TaskTracker::new();
    let slots = std::sync::Arc::new(Semaphore::new(options.concurrency));
    let mut announcements = None;
    while !cancel.is_cancelled() {
        match claim_and_spawn(store, options, cancel, &handler, &tasks, &slots).await {
            Ok(0) => {}
            Ok(_) => continue,
            // The wait below is all the back-off there is: work goes on as soon as Postgres is back.
            Err(error) => tracing::warn!(error = %error, "work could not be claimed"),
        }
        if announcements.is_none() {
            announcements =
                store.listen().await.inspect_err(|error| tracing::warn!(error = %error, "not listening")).ok();
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            () = wait(&mut announcements, &options.kinds) => {}
        }
    }
    tasks.close();
    if tokio::time::timeout(options.grace, tasks.wait()).await.is_err() {
        tracing::warn!(running = tasks.len(), "handlers did not end in time; their leases run out");
    }
    Ok(())
}

async fn wait(announcements: &mut Option<work::Announcements>, kinds: &[WorkKind]) {
    if let Some(listener) = announcements
        && listener.wait(kinds, POLL).await.is_ok()
    {
        return;
    }
    *announcements = None;
    tokio::time::sleep(POLL).await;
}

async fn claim_and_spawn<H, F>(
    store: &Store,
    options: &Options,
    cancel: &CancellationToken,
    handler: &H,
    tasks: &TaskTracker,
    slots: &std::sync::Arc<Semaphore>,
) -> Result<usize, StoreError>
where
    H: Fn(Lease, CancellationToken) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    // A slot must be free before anything is claimed: a claimed subject starts at once.
    tokio::select! {
        () = cancel.cancelled() => return Ok(0),
        permit = slots.acquire() => drop(permit),
    }
    let mut tx = store.worker().await?;
    let leases = work::claim(&mut tx, &options.kinds, AT_ONCE, options.per_tenant as i64).await?;
    tx.commit().await?;
    let claimed = leases.len();
    for lease in leases {
        let (store, handler, cancel) = (store.clone(), handler.clone(), cancel.child_token());
        let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        tasks.spawn(async move {
            attend(&store, lease, cancel, handler).await;
            drop(slot);
        });
    }
    Ok(claimed)
}

/// Runs one handler, renewing its lease, and records how it ended.
async fn attend<H, F>(store: &Store, lease: Lease, cancel: CancellationToken, handler: H)
where
    H: Fn(Lease, CancellationToken) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut running = tokio::spawn(handler(lease.clone(), cancel.clone()));
    let mut renewal = tokio::time::interval_at(tokio::time::Instant::now() + LEASE / 3, LEASE / 3);
    let mut last_held = tokio::time::Instant::now();
    let outcome = loop {
        tokio::select! {
            outcome = &mut running => break outcome,
            _ = renewal.tick() => match renew(store, &lease).await {
                Ok(()) => last_held = tokio::time::Instant::now(),
                Err(StoreError::LeaseLost) => cancel.cancel(),
                // The database may be back before the lease ends; after that, somebody else may hold it.
                Err(_) if last_held.elapsed() < LEASE => {}
                Err(_) => cancel.cancel(),
            },
        }
    };
    let ended = match outcome {
        Ok(Ok(())) => Ended::Done,
        _ if cancel.is_cancelled() => Ended::Cancelled,
        Ok(Err(failure)) if Transient::behind(failure.as_ref()).is_some() => Ended::Disturbed(failure.to_string()),
        Ok(Err(failure)) => Ended::Failed(failure.to_string()),
        Err(panic) => Ended::Failed(format!("the handler panicked: {panic}")),
    };
    // While Postgres is away the outcome is kept: once the lease runs out, somebody else does it again.
    while let Err(error) = settle(store, &lease, &ended).await {
        let again = Transient::behind(&error).is_some() && last_held.elapsed() < LEASE;
        tracing::warn!(work.kind = lease.kind.as_str(), work.subject = %lease.subject, error = %error, again,
            "work not settled");
        if !again {
            break;
        }
        tokio::time::sleep(UNSETTLED).await;
    }
}

/// How a handler ended.
enum Ended {
    Done,
    /// It was told to.
    Cancelled,
    /// By what passes and was not its subject's fault.
    Disturbed(String),
    Failed(String),
}

async fn renew(store: &Store, lease: &Lease) -> Result<(), StoreError> {
    let mut tx = store.worker().await?;
    work::renew(&mut tx, lease).await?;
    tx.commit().await
}

async fn settle(store: &Store, lease: &Lease, ended: &Ended) -> Result<(), StoreError> {
    let mut tx = store.worker().await?;
    match ended {
        Ended::Done => match work::finish(&mut tx, lease).await {
            // What was asked for meanwhile was announced while the subject could not be claimed.
            Ok(true) => work::announce(&mut tx, lease.kind).await?,
            // Finished with its last effects, and taken up by another since.
            Ok(false) | Err(StoreError::LeaseLost) => {}
            Err(error) => return Err(error),
        },
        Ended::Cancelled => work::release(&mut tx, lease).await?,
        Ended::Disturbed(error) => {
            tracing::info!(tenant.id = %lease.tenant, work.kind = lease.kind.as_str(), work.subject = %lease.subject,
                error, "work was disturbed and is done again");
            work::repeat(&mut tx, lease).await?;
        }
        Ended::Failed(error) => {
            tracing::warn!(tenant.id = %lease.tenant, work.kind = lease.kind.as_str(), work.subject = %lease.subject,
                attempt = lease.attempts + 1, error, "work failed");
            work::fail(&mut tx, lease, error).await?;
        }
    }
    tx.commit().await
}
