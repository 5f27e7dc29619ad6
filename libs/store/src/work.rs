//! The one mechanism for work: "this subject is dirty".
//!
//! A request raises `want`; a claim takes a lease, raises the fence and notes what it claimed; a finish sets `done` to
//! that. So requests coalesce, one worker runs a subject at a time, a request during a run makes it run again, and a
//! worker whose lease ran out cannot write: its effects check the fence in their own transaction.

mod ending;
mod lease;
mod request;

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rampart_domain::TenantId;
use sqlx::postgres::PgListener;
use uuid::Uuid;

pub use ending::{fail, finish, finish_with, release, repeat};
pub use lease::{claim, release_all, renew, renew_all};
pub use request::{forget, hasten, lock, request, request_after, request_at, revoke, schedule};

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

/// Lets those who wait for work of a kind look for it now.
pub async fn announce(tx: &mut WorkerTx, kind: WorkKind) -> Result<(), StoreError> {
    sqlx::query!("select pg_notify($1, $2)", CHANNEL, kind.as_str()).execute(tx.conn()).await?;
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
