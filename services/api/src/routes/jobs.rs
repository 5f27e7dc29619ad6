use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::JobId;
use rampart_store::job::{self, Job, JobKind};
use rampart_store::{StoreError, Visible};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, Permit, Repeatable};

/// How far a job is. The nouns that are jobs add what was asked and what came out.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobState {
    id: Uuid,
    /// `queued`, `running`, `succeeded` or `failed`.
    #[schema(example = "succeeded")]
    status: String,
    /// Steps done.
    done: i64,
    /// Steps in all; null until that is known.
    total: Option<i64>,
    requested_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
    /// Why there is no result.
    error: Option<String>,
}

impl From<&Job> for JobState {
    fn from(row: &Job) -> Self {
        Self {
            id: row.job_id,
            status: row.status.clone(),
            done: row.done,
            total: row.total,
            requested_at: row.requested_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.error.clone(),
        }
    }
}

/// What a job left behind, in the shape that its runner wrote.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| StoreError::Corrupt(format!("result of a job: {error}")).into())
}

/// A noun whose instances are jobs.
pub(super) struct Noun<V> {
    pub(super) kind: JobKind,
    /// Where its instances lie, such as `/v1/what-if`.
    pub(super) path: &'static str,
    /// Name of the operation that starts one.
    pub(super) operation: &'static str,
    pub(super) view: fn(Job) -> Result<V, ApiError>,
}

impl<V: Serialize> Noun<V> {
    /// Asks for the job and waits for its end, as long as the caller would.
    pub(super) async fn start<P: Permit>(
        &self,
        app: &App,
        caller: &Caller<P>,
        submission: Repeatable,
        (visible, request): (&Visible, &Value),
        patience: Duration,
    ) -> Result<Answer, ApiError> {
        let mut tx = app.tx(caller).await?;
        if let Some(earlier) = submission.replay(&mut tx, self.operation, caller.access.actor.id).await? {
            return Ok(earlier);
        }
        let mut row = job::request(&mut tx, self.kind, &caller.access, visible, request).await?;
        let id = JobId(row.job_id);
        let place = format!("{}/{id}", self.path);
        submission.keep(&mut tx, &Answer::accepted(place.clone(), (self.view)(row.clone())?)).await?;
        tx.commit().await?;
        let deadline = Instant::now() + patience;
        while row.finished_at.is_none() && Instant::now() < deadline {
            sleep(Duration::from_millis(250)).await;
            row = job::get(&mut app.tx(caller).await?, self.kind, &caller.access, visible, id).await?;
        }
        let over = row.finished_at.is_some();
        let answer = Answer::accepted(place, (self.view)(row)?);
        Ok(if over { answer.over() } else { answer })
    }

    /// One of the caller's own.
    pub(super) async fn get<P: Permit>(
        &self,
        app: &App,
        caller: &Caller<P>,
        visible: &Visible,
        id: Uuid,
    ) -> Result<Answer, ApiError> {
        Ok(Answer::ok((self.view)(self.row(app, caller, visible, id).await?)?))
    }

    /// What is stored of it.
    pub(super) async fn row<P: Permit>(
        &self,
        app: &App,
        caller: &Caller<P>,
        visible: &Visible,
        id: Uuid,
    ) -> Result<Job, ApiError> {
        Ok(job::get(&mut app.tx(caller).await?, self.kind, &caller.access, visible, JobId(id)).await?)
    }
}
