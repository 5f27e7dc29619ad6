//! Jobs that callers asked for: each reads what its caller may see, and ends with a result that the caller reads later.

mod pod_security;
mod policy_trial;
mod what_if;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use rampart_domain::JobId;
use rampart_store::job::{self, JobKind, Task};
use rampart_store::work::{Lease, WorkKind};
use rampart_store::worker::{self, Failure};
use rampart_store::{Store, StoreError, Visible, is_passing};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::{Knowledge, tenant};

/// Attempts after which a job that fails by itself is given up.
const ATTEMPTS: i32 = 3;

/// Why a job has no result.
#[derive(Debug)]
pub(crate) enum JobError {
    /// What was asked cannot be done, ever; the text is for the caller.
    Refused(String),
    /// Something else went wrong; the job is tried again.
    Failed(Failure),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::Refused(error.to_string()),
            other => Self::Failed(other.into()),
        }
    }
}

/// What a running job works with.
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a Store,
    /// What the tenant is judged by: the product's knowledge, with what the tenant wrote.
    pub(crate) knowledge: &'a Arc<Knowledge>,
    /// The product's knowledge alone.
    pub(crate) product: &'a Arc<Knowledge>,
    pub(crate) lease: &'a Lease,
    pub(crate) cancel: &'a CancellationToken,
    /// What the caller could see when it asked.
    pub(crate) visible: Visible,
}

impl Desk<'_> {
    /// Tells the caller how far the job is, and ends it when this process is to stop: another one begins it anew.
    pub(crate) async fn progress(&self, done: usize, total: usize) -> Result<(), JobError> {
        if self.cancel.is_cancelled() {
            return Err(JobError::Failed("the job was interrupted".into()));
        }
        let mut tx = self.store.fenced(self.lease).await?;
        job::progress(&mut tx, JobId::from(self.lease.subject), done as i64, total as i64).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Runs jobs until `cancel` fires.
pub(crate) async fn work(
    store: &Store,
    knowledge: &Arc<Knowledge>,
    concurrency: usize,
    cancel: &CancellationToken,
) -> Result<(), StoreError> {
    let options = worker::Options {
        kinds: vec![WorkKind::Job],
        concurrency: concurrency.max(1),
        per_tenant: concurrency.max(1),
        grace: Duration::from_secs(15),
    };
    let (db, knowledge) = (store.clone(), knowledge.clone());
    let handler = move |lease: Lease, cancel: CancellationToken| {
        let (db, knowledge) = (db.clone(), knowledge.clone());
        async move { run(&db, &knowledge, &lease, &cancel).await }
    };
    worker::run(store, &options, cancel, handler).await
}

/// Runs one job to its end.
pub async fn run(
    store: &Store,
    knowledge: &Arc<Knowledge>,
    lease: &Lease,
    cancel: &CancellationToken,
) -> Result<(), Failure> {
    let id = JobId::from(lease.subject);
    let mut tx = store.fenced(lease).await?;
    let task = job::begin(&mut tx, id, Utc::now()).await?;
    tx.commit().await?;
    let Some(Task { kind, request, visible }) = task else { return Ok(()) };
    let mut tx = store.tenant(lease.tenant).await?;
    let own = tenant::knowledge(knowledge, &mut tx).await?;
    drop(tx);
    let desk = Desk { store, knowledge: &own, product: knowledge, lease, cancel, visible };
    let outcome = dispatch(&desk, kind, request).await;
    let result = match outcome {
        Ok(result) => Ok(result),
        Err(JobError::Refused(why)) => Err(why),
        Err(JobError::Failed(failure))
            if cancel.is_cancelled() || lease.attempts + 1 < ATTEMPTS || is_passing(&*failure) =>
        {
            return Err(failure);
        }
        Err(JobError::Failed(failure)) => {
            tracing::error!(job.id = %id, error = %failure, "a job was given up");
            Err("the job failed repeatedly; the log of the assessor says why".to_owned())
        }
    };
    let mut tx = store.fenced(lease).await?;
    job::end(&mut tx, id, result.as_ref().map_err(String::as_str), Utc::now()).await?;
    tx.commit().await?;
    Ok(())
}

async fn dispatch(desk: &Desk<'_>, kind: JobKind, request: Value) -> Result<Value, JobError> {
    match kind {
        JobKind::WhatIf => what_if::run(desk, request).await,
        JobKind::PolicyTrial => policy_trial::run(desk, request).await,
        JobKind::PodSecurity => pod_security::run(desk, request).await,
    }
}
