//! The audit log: who did what, when, from where, and what came of it. It is added to and read; nothing changes it.
//!
//! The entry of a change is written by the transaction that makes the change ([`TenantTx::audited`]), every other one by
//! [`record`].

use chrono::{DateTime, Utc};
use rampart_domain::{ActorId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::page::{Listed, Page};
use crate::{Actor, Identity, Store, StoreError, TenantTx};

/// What is written down of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Who.
    pub actor: Actor,
    /// Id of the operation in the API's document.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Template of the path, such as `/v1/tokens/{token_id}`.
    pub path: String,
    /// What the operation was about.
    pub target: Option<String>,
    /// Every variable part of the path, by name.
    pub params: Value,
    /// Address of the client, when it is known.
    pub address: Option<String>,
    /// HTTP status.
    pub status: u16,
    /// Code of the problem; `None` when it succeeded.
    pub code: Option<String>,
    /// Id of the request, as in the server's log.
    pub request_id: String,
    /// What was there before the change, as the API shows it.
    pub before: Option<Value>,
    /// What is there after it.
    pub after: Option<Value>,
}

/// An entry that was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// Its id.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// What it says.
    pub entry: Entry,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Below 400.
    Succeeded,
    /// 400 to 499.
    Refused,
    /// 500 and above.
    Failed,
}

impl Outcome {
    /// What a status says.
    pub const fn of(status: u16) -> Self {
        match status {
            ..400 => Self::Succeeded,
            400..500 => Self::Refused,
            _ => Self::Failed,
        }
    }

    const fn statuses(self) -> (i32, i32) {
        match self {
            Self::Succeeded => (0, 399),
            Self::Refused => (400, 499),
            Self::Failed => (500, 599),
        }
    }
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this caller.
    pub actor: Option<ActorId>,
    /// Of this operation.
    pub operation: Option<String>,
    /// About this.
    pub target: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

pub(crate) async fn insert(tx: &mut TenantTx, entry: &Entry) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let identity = entry.actor.identity.as_ref();
    sqlx::query!(
        "insert into audit_log (tenant_id, entry_id, actor_kind, actor_id, actor_name, provider, subject, operation, method,
             path, target, params, address, status, code, request_id, before, after)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        tenant,
        Uuid::now_v7(),
        entry.actor.kind(),
        entry.actor.id.0,
        entry.actor.name,
        identity.map(|identity| identity.provider.as_str()),
        identity.map(|identity| identity.subject.as_str()),
        entry.operation,
        entry.method,
        entry.path,
        entry.target,
        entry.params,
        entry.address,
        i32::from(entry.status),
        entry.code,
        entry.request_id,
        entry.before,
        entry.after
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes an entry by itself: of a request that changed nothing.
pub async fn record(store: &Store, tenant: TenantId, entry: &Entry) -> Result<(), StoreError> {
    let mut tx = store.tenant(tenant).await?;
    insert(&mut tx, entry).await?;
    tx.commit().await
}

/// Entries, the latest first, without what was before and after.
pub async fn list(tx: &mut TenantTx, filter: &Filter, page: &Page) -> Result<Listed<Written>, StoreError> {
    let tenant = tx.tenant_uuid();
    let (at, id) = page.after::<(DateTime<Utc>, Uuid)>()?.unzip();
    let (lowest, highest) = filter.outcome.map(Outcome::statuses).unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"select entry_id, at, actor_id, actor_name, provider, subject, operation, method, path, target, params, address,
                  status, code, request_id, null::jsonb as before, null::jsonb as after
           from audit_log
           where tenant_id = $1 and ($2::uuid is null or actor_id = $2) and ($3::text is null or operation = $3)
             and ($4::text is null or target = $4) and ($5::int is null or status between $5 and $6::int)
             and ($7::timestamptz is null or at >= $7) and ($8::timestamptz is null or at < $8)
             and ($9::timestamptz is null or (at, entry_id) < ($9, $10::uuid))
           order by at desc, entry_id desc limit $11"#,
        tenant,
        filter.actor.map(|actor| actor.0),
        filter.operation,
        filter.target,
        lowest,
        highest,
        filter.from,
        filter.to,
        at,
        id,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    let rows = rows.into_iter().map(Row::parse).collect::<Vec<_>>();
    Ok(page.cut(rows, |row| (row.at, row.id)))
}

/// One entry with all that it says.
pub async fn get(tx: &mut TenantTx, id: Uuid) -> Result<Written, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query_as!(
        Row,
        "select entry_id, at, actor_id, actor_name, provider, subject, operation, method, path, target, params, address,
                status, code, request_id, before, after
         from audit_log where tenant_id = $1 and entry_id = $2",
        tenant,
        id
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::parse).ok_or(StoreError::NotFound { what: "audit log entry" })
}

struct Row {
    entry_id: Uuid,
    at: DateTime<Utc>,
    actor_id: Uuid,
    actor_name: String,
    provider: Option<String>,
    subject: Option<String>,
    operation: String,
    method: String,
    path: String,
    target: Option<String>,
    params: Value,
    address: Option<String>,
    status: i32,
    code: Option<String>,
    request_id: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Row {
    fn parse(self) -> Written {
        let identity = self.provider.zip(self.subject).map(|(provider, subject)| Identity { provider, subject });
        let entry = Entry {
            actor: Actor { id: ActorId(self.actor_id), name: self.actor_name, identity },
            operation: self.operation,
            method: self.method,
            path: self.path,
            target: self.target,
            params: self.params,
            address: self.address,
            status: self.status as u16,
            code: self.code,
            request_id: self.request_id,
            before: self.before,
            after: self.after,
        };
        Written { id: self.entry_id, at: self.at, entry }
    }
}
