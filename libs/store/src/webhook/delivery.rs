use chrono::{DateTime, Utc};
use rampart_domain::{DeliveryId, WebhookId};
use serde_json::Value;
use uuid::Uuid;

use super::{WHAT, get, lock, try_again};
use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// Deliveries that one request may replay.
const MOST_REPLAYED: i64 = 1_000;
/// Tests that may wait.
const MOST_TESTS: i64 = 10;

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// It waits for its first or next attempt.
    Pending,
    /// It arrived.
    Delivered,
    /// It was given up.
    Dead,
}

impl DeliveryStatus {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// A message to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// The id that the receiver sees.
    pub delivery_id: Uuid,
    /// What it tells, such as `finding.opened`.
    pub event: String,
    /// `pending`, `delivered` or `dead`.
    pub status: String,
    /// How many events it tells.
    pub events: i32,
    /// Attempts since it was last asked for.
    pub attempts: i32,
    /// Each of these: `{at, duration_ms, response_status, error}`.
    pub log: Value,
    /// Status of the last answer.
    pub response_status: Option<i16>,
    /// Beginning of the last answer, without secrets.
    pub response_excerpt: Option<String>,
    /// Why the last attempt failed, or why there was none.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it arrived or was given up.
    pub finished_at: Option<DateTime<Utc>>,
    /// The message, for one that is asked for by itself.
    pub body: Option<String>,
}

/// Messages to a webhook, the newest first.
pub async fn deliveries(
    tx: &mut TenantTx,
    webhook: WebhookId,
    status: Option<DeliveryStatus>,
    page: &Page,
) -> Result<Listed<Delivery>, StoreError> {
    get(tx, webhook).await?;
    let tenant = tx.tenant_uuid();
    // Ids are ordered by time.
    let before = page.after::<Uuid>()?.unwrap_or(Uuid::max());
    let rows = sqlx::query_as!(
        Delivery,
        r#"select delivery_id, type as event, status, events, attempts, log, response_status, response_excerpt, error,
                  created_at, finished_at, null as body
           from webhook_deliveries
           where tenant_id = $1 and webhook_id = $2 and ($3::text is null or status = $3) and delivery_id < $4
           order by delivery_id desc limit $5"#,
        tenant,
        webhook.0,
        status.map(DeliveryStatus::as_str),
        before,
        page.fetch()
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.cut(rows, |row| row.delivery_id))
}

/// One message, with its text.
pub async fn delivery(tx: &mut TenantTx, webhook: WebhookId, id: DeliveryId) -> Result<Delivery, StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query_as!(
        Delivery,
        r#"select delivery_id, type as event, status, events, attempts, log, response_status, response_excerpt, error,
                  created_at, finished_at, body as "body?"
           from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and delivery_id = $3"#,
        tenant,
        webhook.0,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: "delivery" })
}

/// Asks for a test message. It is sent once, at once, whether the webhook is paused or fails.
pub async fn test(tx: &mut TenantTx, webhook: WebhookId) -> Result<Delivery, StoreError> {
    lock(tx, webhook, None).await?;
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let made = sqlx::query!(
        "insert into webhook_deliveries (tenant_id, webhook_id, delivery_id, type, events, body)
         select $1, $2, $3, 'webhook.test', 0, ''
         where (select count(*) from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and status = 'pending'
                  and type = 'webhook.test') < $4",
        tenant,
        webhook.0,
        id,
        MOST_TESTS
    )
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(StoreError::WrongState { what: WHAT, why: "has ten tests waiting; try again when they were sent" });
    }
    work::request(tx, WorkKind::Notify, webhook.0).await?;
    delivery(tx, webhook, DeliveryId(id)).await
}

/// Sends a message again, under the id that it has.
pub async fn replay(tx: &mut TenantTx, webhook: WebhookId, id: DeliveryId) -> Result<Delivery, StoreError> {
    lock(tx, webhook, None).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update webhook_deliveries set status = 'pending', attempts = 0, log = '[]', finished_at = null
         where tenant_id = $1 and webhook_id = $2 and delivery_id = $3 and status <> 'pending'",
        tenant,
        webhook.0,
        id.0
    )
    .execute(tx.conn())
    .await?;
    let found = delivery(tx, webhook, id).await?;
    try_again(tx, webhook).await?;
    Ok(found)
}

/// Sends again what was made since a time: what was given up, or `everything`. The oldest first, and at most a thousand at
/// once. Returns how many, and whether there are more.
pub async fn replay_since(
    tx: &mut TenantTx,
    webhook: WebhookId,
    since: DateTime<Utc>,
    everything: bool,
) -> Result<(i64, bool), StoreError> {
    lock(tx, webhook, None).await?;
    let tenant = tx.tenant_uuid();
    let found = sqlx::query_scalar!(
        "select delivery_id from webhook_deliveries
         where tenant_id = $1 and webhook_id = $2 and created_at >= $3 and type <> 'webhook.test'
           and (status = 'dead' or $4 and status = 'delivered')
         order by delivery_id limit $5",
        tenant,
        webhook.0,
        since,
        everything,
        MOST_REPLAYED + 1
    )
    .fetch_all(tx.conn())
    .await?;
    let more = found.len() as i64 > MOST_REPLAYED;
    let chosen = &found[..found.len().min(MOST_REPLAYED as usize)];
    sqlx::query!(
        "update webhook_deliveries set status = 'pending', attempts = 0, log = '[]', finished_at = null
         where tenant_id = $1 and webhook_id = $2 and delivery_id = any($3)",
        tenant,
        webhook.0,
        chosen
    )
    .execute(tx.conn())
    .await?;
    if !chosen.is_empty() {
        try_again(tx, webhook).await?;
    }
    Ok((chosen.len() as i64, more))
}

/// Forgets what was delivered a week ago, what was given up before `before`, and what waits for webhooks that are gone.
pub async fn sweep(tx: &mut TenantTx, before: DateTime<Utc>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from webhook_deliveries where tenant_id = $1
           and (status = 'delivered' and finished_at < greatest($2, now() - interval '7 days')
                or status = 'dead' and finished_at < $2)",
        tenant,
        before
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("delete from webhook_secrets where tenant_id = $1 and expires_at < now()", tenant)
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "delete from webhook_events e where tenant_id = $1
           and not exists (select from webhooks w where w.tenant_id = $1 and w.webhook_id = e.webhook_id)",
        tenant
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
