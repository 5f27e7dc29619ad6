//! The delivering side: what is next, and how an attempt went. Under the lease of the webhook.

use chrono::{DateTime, Utc};
use rampart_domain::{DeliveryId, WebhookId};
use serde_json::json;
use uuid::Uuid;

use super::{EventType, Format};
use crate::{StoreError, TenantTx};

/// Events that may wait for a webhook that fails; the oldest of more are given up.
const MOST_WAITING: i64 = 100_000;
/// Given-up deliveries that are kept for each webhook; the oldest of more are forgotten.
const MOST_DEAD: i64 = 1_000;

/// A delivery to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: DeliveryId,
    /// What it tells.
    pub event: EventType,
    /// The message; empty for a test that was not sent yet.
    pub body: String,
    /// Attempts so far.
    pub attempts: i32,
}

/// What an attempt came to.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took.
    pub duration_ms: i64,
    /// Status of the answer, when there was one.
    pub status: Option<i16>,
    /// Beginning of the answer, without secrets.
    pub excerpt: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It arrived.
    Delivered,
    /// It is tried again, and nothing else before.
    Retry(DateTime<Utc>),
    /// It is given up after too many attempts; the next one is tried at that time.
    GivenUp(DateTime<Utc>),
    /// It is given up, and says nothing about others.
    Refused,
    /// The receiver wants no more: the webhook is switched off.
    Gone,
}

/// What is to be known to tell a webhook something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Whether it may be told something now.
    pub queue: Queue,
    /// Attempts that failed one after the other.
    pub failures: i32,
    /// How messages are written.
    pub format: Format,
    /// Findings in one delivery at most.
    pub batch: usize,
}

/// Whether a webhook may be told something now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Yes.
    Open,
    /// Not before this time.
    Closed(DateTime<Utc>),
    /// No: it is paused.
    Paused,
}

/// How a webhook stands; `None` when there is none any more.
pub async fn turn(tx: &mut TenantTx, webhook: WebhookId, now: DateTime<Utc>) -> Result<Option<Turn>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        "select enabled, failures, next_at, format, batch from webhooks where tenant_id = $1 and webhook_id = $2",
        tenant,
        webhook.0
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let queue = match row.next_at.filter(|at| *at > now) {
            _ if !row.enabled => Queue::Paused,
            Some(at) => Queue::Closed(at),
            None => Queue::Open,
        };
        let batch = usize::try_from(row.batch).unwrap_or(1);
        Ok(Turn { queue, failures: row.failures, format: Format::parse(&row.format)?, batch })
    })
    .transpose()
}

/// The delivery to be sent next: the oldest test, and unless only `tests` are wanted, the oldest of any.
pub async fn head(tx: &mut TenantTx, webhook: WebhookId, tests: bool) -> Result<Option<Pending>, StoreError> {
    let tenant = tx.tenant_uuid();
    let row = sqlx::query!(
        "select delivery_id, type, body, attempts from webhook_deliveries
         where tenant_id = $1 and webhook_id = $2 and status = 'pending' and (not $3 or type = 'webhook.test')
         order by type = 'webhook.test' desc, delivery_id limit 1",
        tenant,
        webhook.0,
        tests
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let event = EventType::parse(&row.r#type)?;
        Ok(Pending { id: DeliveryId(row.delivery_id), event, body: row.body, attempts: row.attempts })
    })
    .transpose()
}

/// Gives a test its message.
pub async fn set_body(
    tx: &mut TenantTx,
    webhook: WebhookId,
    delivery: DeliveryId,
    body: &str,
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update webhook_deliveries set body = $4 where tenant_id = $1 and webhook_id = $2 and delivery_id = $3",
        tenant,
        webhook.0,
        delivery.0,
        body
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Notes an attempt and what comes of it.
pub async fn record(
    tx: &mut TenantTx,
    webhook: WebhookId,
    delivery: DeliveryId,
    (attempt, ending): (&Attempt, Ending),
) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let status = match ending {
        Ending::Delivered => "delivered",
        Ending::Retry(_) => "pending",
        Ending::GivenUp(_) | Ending::Refused | Ending::Gone => "dead",
    };
    let line = json!([{ "at": attempt.at, "duration_ms": attempt.duration_ms, "response_status": attempt.status,
        "error": attempt.error }]);
    sqlx::query!(
        "update webhook_deliveries
         set status = $4, attempts = attempts + 1, log = log || $5, response_status = $6, response_excerpt = $7, error = $8,
             finished_at = case when $4 = 'pending' then null else now() end
         where tenant_id = $1 and webhook_id = $2 and delivery_id = $3",
        tenant,
        webhook.0,
        delivery.0,
        status,
        line,
        attempt.status,
        attempt.excerpt,
        attempt.error
    )
    .execute(tx.conn())
    .await?;
    match ending {
        Ending::Delivered => {
            sqlx::query!(
                "update webhooks set failures = 0, failing_since = null, next_at = null, delivered_at = $3
                 where tenant_id = $1 and webhook_id = $2",
                tenant,
                webhook.0,
                attempt.at
            )
            .execute(tx.conn())
            .await?;
        }
        Ending::Retry(next_at) | Ending::GivenUp(next_at) => {
            sqlx::query!(
                "update webhooks set failures = failures + 1, failing_since = coalesce(failing_since, $3), next_at = $4
                 where tenant_id = $1 and webhook_id = $2",
                tenant,
                webhook.0,
                attempt.at,
                next_at
            )
            .execute(tx.conn())
            .await?;
        }
        Ending::Refused => {}
        Ending::Gone => {
            sqlx::query!(
                "update webhooks set enabled = false, disabled_reason = 'the receiver answered 410 Gone',
                     version = version + 1, updated_at = now()
                 where tenant_id = $1 and webhook_id = $2",
                tenant,
                webhook.0
            )
            .execute(tx.conn())
            .await?;
        }
    }
    if status == "dead" { forget_oldest(tx, webhook.0).await } else { Ok(()) }
}

/// How many events of a webhook that fails are more than may wait.
pub async fn bound(tx: &mut TenantTx, webhook: WebhookId) -> Result<i64, StoreError> {
    let tenant = tx.tenant_uuid();
    let waiting = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_events where tenant_id = $1 and webhook_id = $2"#,
        tenant,
        webhook.0
    )
    .fetch_one(tx.conn())
    .await?;
    forget_oldest(tx, webhook.0).await?;
    Ok((waiting - MOST_WAITING).max(0))
}

/// Forgets the oldest given-up deliveries beyond those that are kept, and counts what they told.
async fn forget_oldest(tx: &mut TenantTx, webhook: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "with forgotten as (
             delete from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and status = 'dead' and delivery_id in (
                 select delivery_id from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and status = 'dead'
                 order by delivery_id desc offset $3)
             returning events)
         update webhooks set dropped = dropped + (select sum(events) from forgotten)
         where tenant_id = $1 and webhook_id = $2 and exists (select from forgotten)",
        tenant,
        webhook,
        MOST_DEAD
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
