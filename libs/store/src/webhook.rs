//! Webhooks: who is told of findings and scans.
//!
//! What there is to tell is written to an outbox by the statement that makes the change; who delivers takes it from there, one
//! webhook at a time under its lease, oldest first.

mod delivery;
mod outbox;
mod secret;
mod send;

pub use delivery::{Delivery, DeliveryStatus, deliveries, delivery, replay, replay_since, sweep, test};
pub use outbox::{Event, NewDelivery, WINDOW, cut, wake, window};
pub(crate) use outbox::{note_opened, note_scan};
pub use secret::{KEEP_PREVIOUS, Secrets, reseal, rotate, secrets};
pub use send::{Attempt, Ending, Pending, Queue, Turn, bound, head, record, set_body, turn};

use chrono::{DateTime, Utc};
use rampart_domain::{Severity, WebhookId};
use secrecy::SecretString;
use uuid::Uuid;

use crate::keyring::Keyring;
use crate::page::{Listed, Page};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// Webhooks that a tenant may have: every change of a finding is held against each.
const MOST: i64 = 50;
const WHAT: &str = "webhook";

/// What a webhook can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// A finding is unhealthy that was not, or not known.
    FindingOpened,
    /// Something about an open finding is different; also that it cannot be judged any more.
    FindingChanged,
    /// A finding is healthy, exempt, or gone with its resource or its control.
    FindingResolved,
    /// A scan ended, however it did.
    ScanFinished,
    /// Somebody tries the webhook.
    Test,
}

impl EventType {
    /// Those that can be asked for.
    pub const ALL: [Self; 4] = [Self::FindingOpened, Self::FindingChanged, Self::FindingResolved, Self::ScanFinished];

    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FindingOpened => "finding.opened",
            Self::FindingChanged => "finding.changed",
            Self::FindingResolved => "finding.resolved",
            Self::ScanFinished => "scan.finished",
            Self::Test => "webhook.test",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let all = Self::ALL.into_iter().chain([Self::Test]);
        let found = all.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| StoreError::Corrupt(format!("event type `{text}`")))
    }
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JSON as Standard Webhooks has it.
    Standard,
    /// A message of Slack's incoming webhooks.
    Slack,
    /// Tickets to be opened, updated and closed.
    Ticket,
}

impl Format {
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Slack => "slack",
            Self::Ticket => "ticket",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        let found = [Self::Standard, Self::Slack, Self::Ticket].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| StoreError::Corrupt(format!("format of a webhook `{text}`")))
    }
}

/// What a webhook is.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWebhook {
    /// Unique name.
    pub name: String,
    /// Scheme, host and port of the URL.
    pub origin: String,
    /// How messages are written.
    pub format: Format,
    /// What it is told of; at least one.
    pub events: Vec<EventType>,
    /// Findings of this severity and above.
    pub severity: Severity,
    /// Patterns of control ids; empty for any, as the other filters.
    pub controls: Vec<String>,
    /// Clusters.
    pub clusters: Vec<Uuid>,
    /// Accounts.
    pub accounts: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
    /// Kinds of resources.
    pub kinds: Vec<String>,
    /// Only what counts in the score (or only what does not).
    pub scored: Option<bool>,
    /// Findings in one delivery at most.
    pub batch: i16,
}

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What it is.
    pub webhook: NewWebhook,
    /// Whether events are collected and delivered.
    pub enabled: bool,
    /// Why it was switched off by itself.
    pub disabled_reason: Option<String>,
    /// Attempts that failed one after the other.
    pub failures: i32,
    /// Since when they fail.
    pub failing_since: Option<DateTime<Utc>>,
    /// Until when no further attempt is made.
    pub next_at: Option<DateTime<Utc>>,
    /// When something was last delivered.
    pub delivered_at: Option<DateTime<Utc>>,
    /// Events that wait to be delivered.
    pub waiting: i64,
    /// Deliveries that were given up and can be replayed.
    pub dead: i64,
    /// Events that were given up and cannot be replayed any more.
    pub dropped: i64,
    /// Until when messages are signed with the secret before the last rotation too.
    pub previous_secret_until: Option<DateTime<Utc>>,
    /// Rises with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

struct Row {
    webhook_id: Uuid,
    name: String,
    origin: String,
    format: String,
    events: Vec<String>,
    severity: i16,
    controls: Vec<String>,
    clusters: Vec<Uuid>,
    accounts: Vec<String>,
    namespaces: Vec<String>,
    kinds: Vec<String>,
    scored: Option<bool>,
    batch: i16,
    enabled: bool,
    disabled_reason: Option<String>,
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    next_at: Option<DateTime<Utc>>,
    delivered_at: Option<DateTime<Utc>>,
    waiting: i64,
    dead: i64,
    dropped: i64,
    previous_secret_until: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn parse(self) -> Result<Webhook, StoreError> {
        let severity = usize::try_from(self.severity - 1).ok().and_then(|index| Severity::ALL.get(index).copied());
        Ok(Webhook {
            id: WebhookId(self.webhook_id),
            webhook: NewWebhook {
                name: self.name,
                origin: self.origin,
                format: Format::parse(&self.format)?,
                events: self.events.iter().map(|word| EventType::parse(word)).collect::<Result<_, _>>()?,
                severity: severity.unwrap_or(Severity::Critical),
                controls: self.controls,
                clusters: self.clusters,
                accounts: self.accounts,
                namespaces: self.namespaces,
                kinds: self.kinds,
                scored: self.scored,
                batch: self.batch,
            },
            enabled: self.enabled,
            disabled_reason: self.disabled_reason,
            failures: self.failures,
            failing_since: self.failing_since,
            next_at: self.next_at,
            delivered_at: self.delivered_at,
            waiting: self.waiting,
            dead: self.dead,
            dropped: self.dropped,
            previous_secret_until: self.previous_secret_until,
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

impl NewWebhook {
    fn event_words(&self) -> Vec<String> {
        self.events.iter().map(|event| event.as_str().to_owned()).collect()
    }

    fn least_severity(&self) -> i16 {
        Severity::ALL.iter().position(|severity| *severity == self.severity).map_or(1, |index| index as i16 + 1)
    }
}

async fn rows(tx: &mut TenantTx, id: Option<Uuid>) -> Result<Vec<Webhook>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query_as!(
        Row,
        r#"select w.webhook_id, name, origin, format, events, severity, controls, clusters, accounts, namespaces, kinds, scored,
                  batch, enabled, disabled_reason, failures, failing_since, next_at, delivered_at, dropped, version,
                  created_at, updated_at, s.expires_at as "previous_secret_until?",
                  (select count(*) from webhook_events e where e.tenant_id = $1 and e.webhook_id = w.webhook_id)
                    + (select coalesce(sum(d.events), 0) from webhook_deliveries d
                       where d.tenant_id = $1 and d.webhook_id = w.webhook_id and d.status = 'pending') as "waiting!",
                  (select count(*) from webhook_deliveries d where d.tenant_id = $1 and d.webhook_id = w.webhook_id
                       and d.status = 'dead') as "dead!"
           from webhooks w
           left join webhook_secrets s on s.tenant_id = $1 and s.webhook_id = w.webhook_id and s.field = 'previous'
             and s.expires_at > now()
           where w.tenant_id = $1 and ($2::uuid is null or w.webhook_id = $2) order by name"#,
        tenant,
        id
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::parse).collect()
}

/// One webhook.
pub async fn get(tx: &mut TenantTx, id: WebhookId) -> Result<Webhook, StoreError> {
    rows(tx, Some(id.0)).await?.pop().ok_or(StoreError::NotFound { what: WHAT })
}

/// Webhooks by name.
pub async fn list(tx: &mut TenantTx, page: &Page) -> Result<Listed<Webhook>, StoreError> {
    page.slice(rows(tx, None).await?, |row| row.webhook.name.clone())
}

/// Makes a webhook. Returns it with the secret that messages are signed with, to be shown once.
pub async fn create(
    tx: &mut TenantTx,
    keyring: &Keyring,
    new: &NewWebhook,
    url: &SecretString,
) -> Result<(Webhook, SecretString), StoreError> {
    let (tenant, id) = (tx.tenant_uuid(), Uuid::now_v7());
    let made = sqlx::query!(
        "insert into webhooks (tenant_id, webhook_id, name, origin, format, events, severity, controls, clusters, accounts,
             namespaces, kinds, scored, batch)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
         where (select count(*) from webhooks where tenant_id = $1) < $15",
        tenant,
        id,
        new.name,
        new.origin,
        new.format.as_str(),
        &new.event_words(),
        new.least_severity(),
        &new.controls,
        &new.clusters,
        &new.accounts,
        &new.namespaces,
        &new.kinds,
        new.scored,
        new.batch,
        MOST
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, WHAT, &new.name))?;
    if made.rows_affected() == 0 {
        return Err(StoreError::WrongState { what: WHAT, why: "is one too many: a tenant has at most 50" });
    }
    secret::seal(tx, keyring, WebhookId(id), "url", url).await?;
    let secret = secret::generate()?;
    secret::seal(tx, keyring, WebhookId(id), "secret", &secret).await?;
    Ok((get(tx, WebhookId(id)).await?, secret))
}

/// Replaces what a webhook is; without a URL it keeps the one that it has. What waits already stays as it is.
pub async fn update(
    tx: &mut TenantTx,
    keyring: &Keyring,
    id: WebhookId,
    version: Option<i64>,
    (new, url): (&NewWebhook, Option<&SecretString>),
) -> Result<Webhook, StoreError> {
    lock(tx, id, version).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update webhooks set name = $3, origin = $4, format = $5, events = $6, severity = $7, controls = $8, clusters = $9,
             accounts = $10, namespaces = $11, kinds = $12, scored = $13, batch = $14,
             version = version + 1, updated_at = now()
         where tenant_id = $1 and webhook_id = $2",
        tenant,
        id.0,
        new.name,
        new.origin,
        new.format.as_str(),
        &new.event_words(),
        new.least_severity(),
        &new.controls,
        &new.clusters,
        &new.accounts,
        &new.namespaces,
        &new.kinds,
        new.scored,
        new.batch
    )
    .execute(tx.conn())
    .await
    .map_err(|error| StoreError::on_conflict(error, WHAT, &new.name))?;
    if let Some(url) = url {
        secret::seal(tx, keyring, id, "url", url).await?;
        try_again(tx, id).await?;
    }
    get(tx, id).await
}

/// Pauses a webhook, or resumes it. While it is paused nothing is collected; what waited goes on when it is resumed.
pub async fn set_enabled(tx: &mut TenantTx, id: WebhookId, enabled: bool) -> Result<Webhook, StoreError> {
    lock(tx, id, None).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "update webhooks set enabled = $3, disabled_reason = null, version = version + 1, updated_at = now()
         where tenant_id = $1 and webhook_id = $2 and (enabled <> $3 or disabled_reason is not null)",
        tenant,
        id.0,
        enabled
    )
    .execute(tx.conn())
    .await?;
    if enabled {
        try_again(tx, id).await?;
    }
    get(tx, id).await
}

/// Lets the next attempt be made now.
async fn try_again(tx: &mut TenantTx, id: WebhookId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!("update webhooks set next_at = null where tenant_id = $1 and webhook_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    work::request(tx, WorkKind::Notify, id.0).await
}

/// Removes a webhook with all that waits for it and all that it was told.
pub async fn delete(tx: &mut TenantTx, id: WebhookId, version: Option<i64>) -> Result<(), StoreError> {
    lock(tx, id, version).await?;
    work::forget(tx, WorkKind::Notify, &[id.0]).await?;
    let tenant = tx.tenant_uuid();
    sqlx::query!("delete from webhook_events where tenant_id = $1 and webhook_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from webhooks where tenant_id = $1 and webhook_id = $2", tenant, id.0)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Locks the work of a webhook and then the webhook, as whoever delivers does.
async fn lock(tx: &mut TenantTx, id: WebhookId, version: Option<i64>) -> Result<(), StoreError> {
    work::lock(tx, WorkKind::Notify, id.0).await?;
    let tenant = tx.tenant_uuid();
    let current = sqlx::query_scalar!(
        "select version from webhooks where tenant_id = $1 and webhook_id = $2 for update",
        tenant,
        id.0
    )
    .fetch_optional(tx.conn())
    .await?
    .ok_or(StoreError::NotFound { what: WHAT })?;
    if version.is_some_and(|seen| seen != current) {
        return Err(StoreError::VersionMismatch { what: WHAT, current });
    }
    Ok(())
}
