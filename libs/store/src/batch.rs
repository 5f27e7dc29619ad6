//! Sessions of collectors and their batches, between the moment they come and the moment discovery takes them up.
//!
//! ```text
//! open ─last batch─▶ closed ──┬─▶ taking ─▶ applied | failed
//!   ├──idle─▶ abandoned ──────┘
//!   └──newer session─▶ superseded        (closed and abandoned ones too, when a newer one closes)
//! ```

use std::time::Duration;

use chrono::{DateTime, Utc};
use rampart_domain::{ConnectorId, ScanId};
use uuid::Uuid;

use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx, scan};

/// Most bytes of one session.
const SESSION_BYTES: i64 = 512 << 20;
/// Most bytes of a tenant that wait to be taken up.
const TENANT_BYTES: i64 = 2 << 30;

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// Takes batches.
    Open,
    /// Its last batch came; it waits to be taken up.
    Closed,
    /// Nothing came for too long; it waits to be taken up as far as it goes.
    Abandoned,
    /// It is being taken up.
    Taking,
    /// It is in the inventory.
    Applied,
    /// It could not be used.
    Failed,
    /// A newer one took its place.
    Superseded,
}

impl SessionState {
    const ALL: [Self; 7] =
        [Self::Open, Self::Closed, Self::Abandoned, Self::Taking, Self::Applied, Self::Failed, Self::Superseded];

    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Abandoned => "abandoned",
            Self::Taking => "taking",
            Self::Applied => "applied",
            Self::Failed => "failed",
            Self::Superseded => "superseded",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let found = Self::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| StoreError::Corrupt(format!("session state `{text}`")))
    }
}

/// One run of a collector.
#[derive(Debug, Clone)]
pub struct Session {
    /// The id that the collector chose.
    pub session_id: Uuid,
    /// Of which connector.
    pub connector: ConnectorId,
    /// When the run began, by the collector's clock.
    pub started_at: DateTime<Utc>,
    /// Where it stands.
    pub state: SessionState,
    /// When its last batch came; `None` for one that was not finished.
    pub closed_at: Option<DateTime<Utc>>,
    /// Number of the batch that is expected next.
    pub next_sequence: i32,
    /// The scan that takes it up, once it closed.
    pub scan: Option<ScanId>,
    /// Why it could not be used.
    pub error: Option<String>,
    /// When its last batch came.
    pub updated_at: DateTime<Utc>,
}

/// A batch whose signature was checked.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    /// The session.
    pub session: Uuid,
    /// Its number.
    pub sequence: i32,
    /// Whether the session ends with it.
    pub last: bool,
    /// When the session began.
    pub started_at: DateTime<Utc>,
    /// SHA-256 of the body.
    pub digest: [u8; 32],
    /// The body as it came.
    pub body: &'a [u8],
}

/// What became of a batch.
#[derive(Debug)]
pub enum Accepted {
    /// It is stored, or was stored before.
    Stored(Session),
    /// Another batch is expected.
    OutOfOrder {
        /// Its number.
        expected: i32,
    },
    /// Another batch of this session has this number, or the session is another one's.
    Differs,
    /// The session takes no more batches.
    Over(SessionState),
    /// A newer session came before this one.
    Outdated {
        /// When that one began.
        newest: DateTime<Utc>,
    },
    /// The session would be too large.
    SessionFull,
    /// Too much of the tenant waits already.
    TenantFull,
}

const NOT_FOUND: StoreError = StoreError::NotFound { what: "session" };

struct Row {
    session_id: Uuid,
    connector_id: Uuid,
    started_at: DateTime<Utc>,
    state: String,
    closed_at: Option<DateTime<Utc>>,
    next_sequence: i32,
    scan_id: Option<Uuid>,
    error: Option<String>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<Session, StoreError> {
        Ok(Session {
            session_id: self.session_id,
            connector: self.connector_id.into(),
            started_at: self.started_at,
            state: SessionState::parse(&self.state)?,
            closed_at: self.closed_at,
            next_sequence: self.next_sequence,
            scan: self.scan_id.map(Into::into),
            error: self.error,
            updated_at: self.updated_at,
        })
    }
}

/// One session of a connector.
pub async fn session(tx: &mut TenantTx, connector: ConnectorId, session: Uuid) -> Result<Session, StoreError> {
    let found = find(tx, session).await?.ok_or(NOT_FOUND)?;
    if found.connector == connector { Ok(found) } else { Err(NOT_FOUND) }
}

async fn find(tx: &mut TenantTx, session: Uuid) -> Result<Option<Session>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        Row,
        "select session_id, connector_id, started_at, state, closed_at, next_sequence, scan_id, error, updated_at
         from batch_sessions where tenant_id = $1 and session_id = $2",
        tenant,
        session
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::parse).transpose()
}

/// Takes a batch: in order, each once, a repeated one without effect. The last one asks for the session to be taken up.
pub async fn accept(tx: &mut TenantTx, connector: ConnectorId, batch: &NewBatch<'_>) -> Result<Accepted, StoreError> {
    if batch.last {
        // Work before what belongs to the subject: the order in which everybody locks them.
        work::lock(tx, WorkKind::Scan, connector.0).await?;
    }
    let tenant = tx.tenant_uuid();
    // Two batches of one connector at once are taken one after the other.
    let newest = sqlx::query_scalar!(
        "select newest_at from collectors where tenant_id = $1 and connector_id = $2 for no key update",
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "collector" })?;
    let next = match find(tx, batch.session).await? {
        None => {
            if batch.sequence != 0 {
                return Ok(Accepted::OutOfOrder { expected: 0 });
            }
            if let Some(newest) = newest.filter(|newest| *newest >= batch.started_at) {
                return Ok(Accepted::Outdated { newest });
            }
            if let Some(newest) = begin(tx, connector, batch).await? {
                return Ok(Accepted::Outdated { newest });
            }
            0
        }
        Some(known) => {
            if known.connector != connector || known.started_at != batch.started_at {
                return Ok(Accepted::Differs);
            }
            if batch.sequence < known.next_sequence {
                return repeated(tx, batch, known).await;
            }
            if known.state != SessionState::Open {
                return Ok(Accepted::Over(known.state));
            }
            known.next_sequence
        }
    };
    if batch.sequence != next {
        return Ok(Accepted::OutOfOrder { expected: next });
    }
    if let Some(full) = full(tx, batch).await? {
        return Ok(full);
    }
    store(tx, batch).await?;
    if batch.last {
        close(tx, connector, batch).await?;
    }
    Ok(Accepted::Stored(session(tx, connector, batch.session).await?))
}

/// Opens a session; an earlier one that is still open will not be finished any more. The start of a newer one that is
/// there already, in which case nothing is opened.
async fn begin(
    tx: &mut TenantTx,
    connector: ConnectorId,
    batch: &NewBatch<'_>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    let tenant = tx.tenant_uuid();
    let newer = sqlx::query_scalar!(
        "select started_at from batch_sessions
         where tenant_id = $1 and connector_id = $2 and started_at >= $3 and state in ('open', 'closed', 'abandoned', 'taking')
         order by started_at desc limit 1",
        tenant,
        connector.0,
        batch.started_at
    )
    .fetch_optional(tx.conn())
    .await?;
    if newer.is_some() {
        return Ok(newer);
    }
    supersede(tx, connector, batch, &["open"]).await?;
    sqlx::query!(
        "insert into batch_sessions (tenant_id, session_id, connector_id, started_at, state)
         values ($1, $2, $3, $4, 'open')",
        tenant,
        batch.session,
        connector.0,
        batch.started_at
    )
    .execute(tx.conn())
    .await?;
    Ok(None)
}

async fn supersede(
    tx: &mut TenantTx,
    connector: ConnectorId,
    batch: &NewBatch<'_>,
    states: &[&str],
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let ended = sqlx::query_scalar!(
        "update batch_sessions set state = 'superseded', bytes = 0
         where tenant_id = $1 and connector_id = $2 and session_id <> $3 and started_at < $4 and state = any($5)
         returning session_id",
        tenant,
        connector.0,
        batch.session,
        batch.started_at,
        states as _
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!("delete from batches where tenant_id = $1 and session_id = any($2)", tenant, &ended)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A batch that came before: the same once more is fine, another one under its number is not.
async fn repeated(tx: &mut TenantTx, batch: &NewBatch<'_>, known: Session) -> Result<Accepted, StoreError> {
    let tenant = tx.tenant_uuid();
    // The digest of the last one outlives the batches.
    let digest = sqlx::query_scalar!(
        r#"select case when $3 = s.next_sequence - 1 then s.last_digest
                       else (select b.digest from batches b where b.tenant_id = $1 and b.session_id = $2
                             and b.sequence = $3) end as "digest?"
           from batch_sessions s where s.tenant_id = $1 and s.session_id = $2"#,
        tenant,
        batch.session,
        batch.sequence
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(match digest {
        Some(digest) if digest == batch.digest => Accepted::Stored(known),
        Some(_) => Accepted::Differs,
        None => Accepted::Over(known.state),
    })
}

/// Whether the batch would be too much.
async fn full(tx: &mut TenantTx, batch: &NewBatch<'_>) -> Result<Option<Accepted>, StoreError> {
    let tenant = tx.tenant_uuid();
    let sums = sqlx::query!(
        r#"select coalesce(sum(bytes) filter (where session_id = $2), 0)::bigint as "session!",
                  coalesce(sum(bytes), 0)::bigint as "tenant!"
           from batch_sessions where tenant_id = $1 and state in ('open', 'closed', 'abandoned', 'taking')"#,
        tenant,
        batch.session
    )
    .fetch_one(tx.conn())
    .await?;
    let length = batch.body.len() as i64;
    Ok(if sums.session + length > SESSION_BYTES {
        Some(Accepted::SessionFull)
    } else if sums.tenant + length > TENANT_BYTES {
        Some(Accepted::TenantFull)
    } else {
        None
    })
}

async fn store(tx: &mut TenantTx, batch: &NewBatch<'_>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "insert into batches (tenant_id, session_id, sequence, digest, body) values ($1, $2, $3, $4, $5)",
        tenant,
        batch.session,
        batch.sequence,
        &batch.digest[..],
        batch.body
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update batch_sessions
         set next_sequence = next_sequence + 1, bytes = bytes + $3, last_digest = $4, updated_at = now()
         where tenant_id = $1 and session_id = $2",
        tenant,
        batch.session,
        batch.body.len() as i64,
        &batch.digest[..]
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Ends a session and asks for a scan that takes it up.
async fn close(tx: &mut TenantTx, connector: ConnectorId, batch: &NewBatch<'_>) -> Result<(), StoreError> {
    supersede(tx, connector, batch, &["closed", "abandoned"]).await?;
    let scan = scan::pushed(tx, connector).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update batch_sessions set state = 'closed', closed_at = now(), scan_id = $3
         where tenant_id = $1 and session_id = $2",
        tenant,
        batch.session,
        scan.scan_id
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update collectors set newest_at = greatest(newest_at, $3) where tenant_id = $1 and connector_id = $2",
        tenant,
        connector.0,
        batch.started_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Takes the session that is due: one that another worker began to take up, one that closed, else one to which nothing
/// came for `idle`.
pub async fn take(tx: &mut TenantTx, connector: ConnectorId, idle: Duration) -> Result<Option<Session>, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update batch_sessions set state = 'abandoned'
         where tenant_id = $1 and connector_id = $2 and state = 'open' and updated_at < now() - make_interval(secs => $3)",
        tenant,
        connector.0,
        idle.as_secs_f64()
    )
    .execute(tx.conn())
    .await?;
    let row = sqlx::query_as!(
        Row,
        "update batch_sessions set state = 'taking'
         where tenant_id = $1 and session_id = (
             select session_id from batch_sessions
             where tenant_id = $1 and connector_id = $2 and state in ('taking', 'closed', 'abandoned')
             order by state = 'taking' desc, state = 'closed' desc, started_at desc limit 1)
         returning session_id, connector_id, started_at, state, closed_at, next_sequence, scan_id, error, updated_at",
        tenant,
        connector.0
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::parse).transpose()
}

/// The body of one batch; `None` behind the last.
pub async fn body(tx: &mut TenantTx, session: Uuid, sequence: i32) -> Result<Option<Vec<u8>>, StoreError> {
    let tenant = tx.tenant_uuid();
    Ok(sqlx::query_scalar!(
        "select body from batches where tenant_id = $1 and session_id = $2 and sequence = $3",
        tenant,
        session,
        sequence
    )
    .fetch_optional(tx.conn())
    .await?)
}

/// Ends a session that was taken up by `scan`, well or with the `error`; its batches go.
pub async fn taken(tx: &mut TenantTx, session: &Session, scan: ScanId, error: Option<&str>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let state = if error.is_some() { SessionState::Failed } else { SessionState::Applied };
    sqlx::query!(
        "update batch_sessions set state = $3, scan_id = $4, error = $5, bytes = 0
         where tenant_id = $1 and session_id = $2 and state = 'taking'",
        tenant,
        session.session_id,
        state.as_str(),
        scan.0,
        error
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("delete from batches where tenant_id = $1 and session_id = $2", tenant, session.session_id)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "update collectors set newest_at = greatest(newest_at, $3), taken_at = now()
         where tenant_id = $1 and connector_id = $2",
        tenant,
        session.connector.0,
        session.started_at
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
