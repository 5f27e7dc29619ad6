//! Jobs: work that a caller asks for and whose result it reads later. Their subject in `work` is the job itself.

pub mod finding_bundle;
pub mod pod_security;
pub mod policy_trial;
pub mod what_if;

use chrono::{DateTime, Utc};
use rampart_domain::JobId;
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{Access, StoreError, TenantTx, Visible};

/// What sort of job it is; who runs it reads the request accordingly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobKind {
    /// What hypothetical changes would do to verdicts and score.
    WhatIf,
    /// What a policy would say of the inventory, before it is saved.
    PolicyTrial,
    /// Which Pod Security level each namespace could enforce, and which pods would not come back.
    PodSecurity,
    /// A finding with all that its verdict rests on.
    FindingBundle,
}

impl JobKind {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WhatIf => "what_if",
            Self::PolicyTrial => "policy_trial",
            Self::PodSecurity => "pod_security",
            Self::FindingBundle => "finding_bundle",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [Self::WhatIf, Self::PolicyTrial, Self::PodSecurity, Self::FindingBundle]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| StoreError::Corrupt(format!("job kind `{text}`")))
    }
}

/// One job as its caller sees it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its id.
    pub job_id: Uuid,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub status: String,
    /// What was asked.
    pub request: Value,
    /// Steps done.
    pub done: i64,
    /// Steps in all, once that is known.
    pub total: Option<i64>,
    /// What came out, when it succeeded.
    pub result: Option<Value>,
    /// Why there is no result.
    pub error: Option<String>,
    /// When it was asked for.
    pub requested_at: DateTime<Utc>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// What a worker needs of a job.
#[derive(Debug, Clone)]
pub struct Task {
    /// What sort it is.
    pub kind: JobKind,
    /// What was asked.
    pub request: Value,
    /// The part of the tenant that it may read.
    pub visible: Visible,
}

/// Asks for a job, as `access` and with sight of `visible`.
pub async fn request(
    tx: &mut TenantTx,
    kind: JobKind,
    access: &Access,
    visible: &Visible,
    request: &Value,
) -> Result<Job, StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    sqlx::query!(
        "insert into jobs (tenant_id, job_id, kind, token_id, visible, request) values ($1, $2, $3, $4, $5, $6)",
        tenant,
        id,
        kind.as_str(),
        access.actor.id.0,
        serde_json::json!(visible),
        request
    )
    .execute(tx.conn())
    .await?;
    work::request(tx, WorkKind::Job, id).await?;
    get(tx, kind, access, visible, JobId(id)).await
}

/// A job that the caller may look at: its own, or any for who sees the whole tenant.
pub async fn get(
    tx: &mut TenantTx,
    kind: JobKind,
    access: &Access,
    visible: &Visible,
    job: JobId,
) -> Result<Job, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Job,
        "select job_id, status, request, done, total, result, error, requested_at, started_at, finished_at
         from jobs where tenant_id = $1 and job_id = $2 and kind = $3 and ($4 or token_id = $5)",
        tenant,
        job.0,
        kind.as_str(),
        visible.all,
        access.actor.id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "job" })
}

/// Jobs that the caller may look at, the latest first, without their results.
pub async fn list(
    tx: &mut TenantTx,
    kind: JobKind,
    access: &Access,
    visible: &Visible,
    page: &Page,
) -> Result<Listed<Job>, StoreError> {
    let tenant = tx.tenant_uuid();
    let (at, id) = page.after::<(DateTime<Utc>, Uuid)>()?.unzip();
    let rows = sqlx::query_as!(
        Job,
        r#"select job_id, status, request, done, total, null::jsonb as result, error, requested_at, started_at,
                  finished_at
           from jobs
           where tenant_id = $1 and kind = $2 and ($3 or token_id = $4)
             and ($5::timestamptz is null or (requested_at, job_id) < ($5, $6))
           order by requested_at desc, job_id desc limit $7"#,
        tenant,
        kind.as_str(),
        visible.all,
        access.actor.id.0,
        at,
        id,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| (row.requested_at, row.job_id)))
}

/// Marks a job as running and says what it is to do; `None` when it has ended or is gone.
pub async fn begin(tx: &mut TenantTx, job: JobId, now: DateTime<Utc>) -> Result<Option<Task>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        r#"update jobs set status = 'running', started_at = coalesce(started_at, $3), done = 0, total = null
           where tenant_id = $1 and job_id = $2 and status in ('queued', 'running')
           returning kind, request, visible as "visible: Json<Visible>""#,
        tenant,
        job.0,
        now
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| Ok(Task { kind: JobKind::parse(&row.kind)?, request: row.request, visible: row.visible.0 }))
        .transpose()
}

/// Notes how far a job is.
pub async fn progress(tx: &mut TenantTx, job: JobId, done: i64, total: i64) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update jobs set done = $3, total = $4 where tenant_id = $1 and job_id = $2",
        tenant,
        job.0,
        done,
        total
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends a job with its result, or with why there is none.
pub async fn end(
    tx: &mut TenantTx,
    job: JobId,
    result: Result<&Value, &str>,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let (status, result, error) = match result {
        Ok(result) => ("succeeded", Some(result), None),
        Err(error) => ("failed", None, Some(error)),
    };
    sqlx::query!(
        "update jobs set status = $3, result = $4, error = $5, finished_at = $6
         where tenant_id = $1 and job_id = $2",
        tenant,
        job.0,
        status,
        result,
        error,
        now
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
