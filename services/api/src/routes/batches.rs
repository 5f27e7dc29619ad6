use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use chrono::{DateTime, TimeDelta, Utc};
use rampart_batch::{FRAME_LIMIT, Frame, FrameError, Header, PublicKey};
use rampart_store::batch::{self, Accepted, NewBatch, Session, SessionState};
use rampart_store::{TenantTx, collector, connector};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, Code, Octets, PathOf, PushBatches, ReadBatches};

/// Largest body: one batch of the largest size, or several small ones.
const BODY_LIMIT: usize = FRAME_LIMIT + (64 << 10);
/// How far a collector's clock may be ahead. Facts of the future would outlive those of the present.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);
/// How old a session may be that comes by file.
const OLDEST: TimeDelta = TimeDelta::days(30);

pub(super) fn router() -> OpenApiRouter<App> {
    let push = OpenApiRouter::new().routes(routes!(create_batch)).layer(DefaultBodyLimit::max(BODY_LIMIT));
    OpenApiRouter::new().merge(push).routes(routes!(get_batch_session))
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BatchSessionState)]
enum StateView {
    /// Takes batches.
    Open,
    /// Its last batch came; it waits to be taken up.
    Closed,
    /// Nothing came for too long; it is taken up as far as it goes, and nothing is removed by it.
    Abandoned,
    /// It is being taken up.
    Taking,
    /// It is in the inventory.
    Applied,
    /// It could not be used.
    Failed,
    /// A newer session took its place.
    Superseded,
}

impl From<SessionState> for StateView {
    fn from(state: SessionState) -> Self {
        match state {
            SessionState::Open => Self::Open,
            SessionState::Closed => Self::Closed,
            SessionState::Abandoned => Self::Abandoned,
            SessionState::Taking => Self::Taking,
            SessionState::Applied => Self::Applied,
            SessionState::Failed => Self::Failed,
            SessionState::Superseded => Self::Superseded,
        }
    }
}

/// One run of a collector.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchSession)]
struct SessionView {
    id: Uuid,
    state: StateView,
    /// Number of the batch that is expected next.
    next_sequence: i32,
    /// The scan that takes the session up; null until its last batch came.
    scan_id: Option<Uuid>,
    /// Why it could not be used.
    error: Option<String>,
    /// When it began, by the collector's clock.
    started_at: DateTime<Utc>,
    /// When its last batch came.
    updated_at: DateTime<Utc>,
}

impl From<Session> for SessionView {
    fn from(row: Session) -> Self {
        Self {
            id: row.session_id,
            state: row.state.into(),
            next_sequence: row.next_sequence,
            scan_id: row.scan.map(|scan| scan.0),
            error: row.error,
            started_at: row.started_at,
            updated_at: row.updated_at,
        }
    }
}

/// Push a batch of what a collector read.
///
/// The body is one batch as `rampart collect` makes it, or several of one file one after the other: a header line with
/// the signature, then gzip. Batches are taken in the order of their numbers; one that was taken before may be sent again.
/// The last one of a session asks for a scan that takes it up.
#[utoipa::path(post, path = "/v1/connectors/{connector}/batches", tag = "batches",
    params(("connector" = String, Path, description = "Name or id")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 202, body = SessionView)))]
async fn create_batch(
    State(app): State<App>,
    caller: Caller<PushBatches>,
    PathOf(name): PathOf<String>,
    Octets(body): Octets,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    caller.must_reach(id)?;
    let collector = collector::get(&mut tx, id).await?;
    if connector::get(&mut tx, id).await?.deleting {
        return Err(ApiError::not_found("connector"));
    }
    drop(tx);
    let key = collector.public_key.as_deref().and_then(PublicKey::from_bytes);
    let key = key.ok_or_else(|| ApiError::new(Code::InvalidSignature, "the collector's token was revoked"))?;
    let checked = tokio::task::spawn_blocking(move || check(&body, &key)).await;
    let batches = checked.expect("checking signatures does not panic").map_err(refusal)?;
    let mut tx = app.tx(&caller).await?;
    let mut taken = None;
    for (header, digest, body) in &batches {
        taken = Some(take(&mut tx, id, header, *digest, body).await?);
    }
    let session = taken.ok_or_else(|| refusal(FrameError::Header))?;
    let place = format!("/v1/connectors/{id}/batches/{}", session.session_id);
    Answer::accepted(place, SessionView::from(session)).commit(tx).await
}

/// The batches of a body, each with its digest, if all of them are this collector's.
fn check(body: &Bytes, key: &PublicKey) -> Result<Vec<(Header, [u8; 32], Bytes)>, FrameError> {
    let mut rest = &body[..];
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let (frame, behind) = Frame::split(rest)?;
        frame.verify(key)?;
        let digest = frame.digest();
        batches.push((frame.header, digest, body.slice_ref(frame.body)));
        rest = behind;
    }
    Ok(batches)
}

fn refusal(error: FrameError) -> ApiError {
    let code = match error {
        FrameError::Header | FrameError::Truncated { .. } => Code::MalformedBody,
        FrameError::TooLarge => Code::BodyTooLarge,
        FrameError::Signature => Code::InvalidSignature,
    };
    ApiError::new(code, error.to_string())
}

async fn take(
    tx: &mut TenantTx,
    connector: rampart_domain::ConnectorId,
    header: &Header,
    digest: [u8; 32],
    body: &Bytes,
) -> Result<Session, ApiError> {
    let now = Utc::now();
    if header.started_at > now + CLOCK_SKEW {
        let ahead = (header.started_at - now).num_seconds();
        return Err(ApiError::new(Code::InvalidBody, format!("the collector's clock is {ahead} s ahead: correct it")));
    }
    if header.started_at < now - OLDEST {
        let days = OLDEST.num_days();
        return Err(ApiError::new(Code::InvalidBody, format!("the session is older than {days} days: collect again")));
    }
    let sequence = i32::try_from(header.sequence).map_err(|_| refusal(FrameError::Header))?;
    let new =
        NewBatch { session: header.session, sequence, last: header.last, started_at: header.started_at, digest, body };
    let detail = match batch::accept(tx, connector, &new).await? {
        Accepted::Stored(session) => return Ok(session),
        Accepted::OutOfOrder { expected } => {
            (Code::OutOfSequence, format!("batch {sequence} came, batch {expected} is expected"))
        }
        Accepted::Differs => {
            (Code::OutOfSequence, format!("another batch {sequence} came before, or the session is another one's"))
        }
        Accepted::Over(state) => {
            (Code::SessionOver, format!("the session is {} and takes no more batches: begin a new one", state.as_str()))
        }
        Accepted::Outdated { newest } => {
            (Code::SessionOver, format!("a session that began at {newest} came before this one, which is not newer"))
        }
        Accepted::SessionFull => (Code::BodyTooLarge, "the session is too large".to_owned()),
        Accepted::TenantFull => return Err(ApiError::rate_limited(60)),
    };
    Err(ApiError::new(detail.0, detail.1))
}

/// Get a session: how far it came, and what became of it.
#[utoipa::path(get, path = "/v1/connectors/{connector}/batches/{session_id}", tag = "batches",
    params(("connector" = String, Path, description = "Name or id"), ("session_id" = Uuid, Path)),
    responses((status = 200, body = SessionView)))]
async fn get_batch_session(
    State(app): State<App>,
    caller: Caller<ReadBatches>,
    PathOf((name, session)): PathOf<(String, Uuid)>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    caller.must_reach(id)?;
    Ok(Answer::ok(SessionView::from(batch::session(&mut tx, id, session).await?)))
}
