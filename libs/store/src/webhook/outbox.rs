use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rampart_domain::{DeliveryId, ScanId, WebhookId};
use serde_json::Value;
use sqlx::types::Json;
use uuid::Uuid;

use super::{DeliveryStatus, EventType};
use crate::work::{self, WorkKind};
use crate::{StoreError, TenantTx};

/// Events that are looked at to make one delivery.
pub const WINDOW: i64 = 1_000;

/// Something to tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Rises in the order in which things happened to one subject.
    pub id: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What happened.
    pub event: EventType,
    /// The finding or scan.
    pub subject: String,
    /// What is told of it.
    pub data: Value,
}

/// A delivery made of events.
#[derive(Debug)]
pub struct NewDelivery<'a> {
    /// The id that the receiver sees.
    pub id: DeliveryId,
    /// What the events are, all of them.
    pub event: EventType,
    /// The events.
    pub events: &'a [i64],
    /// The message.
    pub body: &'a str,
    /// Pending, or dead when it is given up without an attempt.
    pub status: DeliveryStatus,
    /// Why it was given up.
    pub error: Option<&'a str>,
}

/// Lets those webhooks be told what was noted for them. Last in its transaction: all units of a tenant share these locks.
pub async fn wake(tx: &mut TenantTx, webhooks: &[Uuid]) -> Result<(), StoreError> {
    // In one order, whoever asks.
    for webhook in webhooks.iter().collect::<BTreeSet<_>>() {
        work::request(tx, WorkKind::Notify, *webhook).await?;
    }
    Ok(())
}

/// Notes findings that were just stored as unhealthy, given by resource and check, for the webhooks that want to know. Returns
/// those, for [`wake`].
pub(crate) async fn note_opened(
    tx: &mut TenantTx,
    at: DateTime<Utc>,
    (resources, ordinals): (Vec<Uuid>, Vec<i32>),
) -> Result<Vec<Uuid>, StoreError> {
    let tenant = tx.tenant_uuid();
    let is_wanted = sqlx::query_scalar!(
        r#"select exists (select from webhooks where tenant_id = $1 and enabled and 'finding.opened' = any(events)) as "is!""#,
        tenant
    );
    if !is_wanted.fetch_one(tx.conn()).await? {
        return Ok(Vec::new());
    }
    Ok(sqlx::query_scalar!(
        r#"with noted as (
         insert into webhook_events (tenant_id, webhook_id, at, type, subject, data)
         select $1, w.webhook_id, $2, 'finding.opened', n.resource_id || '.' || n.ordinal,
             webhook_finding(n.resource_id, n.ordinal, n.control_id, n.severity, n.status, null, n.cause, n.cluster_id,
                 n.account, n.namespace, n.kind, n.scored, n.evidence ->> 'message', $2)
         from unnest($3::uuid[], $4::int4[]) as i(id, ordinal)
         join findings n on n.tenant_id = $1 and n.resource_id = i.id and n.ordinal = i.ordinal
         join webhooks w on w.tenant_id = $1 and webhook_wants(w, 'finding.opened', n.severity, n.control_id, n.cluster_id,
             n.account, n.namespace, n.kind, n.scored)
         returning webhook_id
         ) select distinct webhook_id as "webhook_id!" from noted"#,
        tenant,
        at,
        &resources,
        &ordinals
    )
    .fetch_all(tx.conn())
    .await?)
}

/// Notes that a scan ended, for the webhooks that want to know.
pub(crate) async fn note_scan(tx: &mut TenantTx, scan: ScanId) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    let told = sqlx::query_scalar!(
        "insert into webhook_events (tenant_id, webhook_id, at, type, subject, data)
         select $1, w.webhook_id, coalesce(s.finished_at, now()), 'scan.finished', s.scan_id::text, jsonb_build_object(
             'id', s.scan_id, 'connector_id', s.connector_id, 'connector', c.name, 'status', s.status, 'trigger', s.trigger,
             'requested_at', s.requested_at, 'started_at', s.started_at, 'finished_at', s.finished_at,
             'added', s.progress -> 'added', 'changed', s.progress -> 'changed', 'removed', s.progress -> 'removed',
             'unchanged', s.progress -> 'unchanged', 'error', left(s.error, 500))
         from webhooks w
         join scans s on s.tenant_id = $1 and s.scan_id = $2
         join connectors c on c.tenant_id = $1 and c.connector_id = s.connector_id
         where w.tenant_id = $1 and w.enabled and 'scan.finished' = any(w.events)
         returning webhook_id",
        tenant,
        scan.0
    )
    .fetch_all(tx.conn())
    .await?;
    wake(tx, &told).await
}

/// The oldest events of a webhook, at most [`WINDOW`].
pub async fn window(tx: &mut TenantTx, webhook: WebhookId) -> Result<Vec<Event>, StoreError> {
    let tenant = tx.tenant_uuid();
    let rows = sqlx::query!(
        r#"select event_id, at, type, subject, data as "data: Json<Value>" from webhook_events
           where tenant_id = $1 and webhook_id = $2 order by event_id limit $3"#,
        tenant,
        webhook.0,
        WINDOW
    )
    .fetch_all(tx.conn())
    .await?;
    let event = |word: &str| EventType::parse(word);
    rows.into_iter()
        .map(|row| {
            let event = event(&row.r#type)?;
            Ok(Event { id: row.event_id, at: row.at, event, subject: row.subject, data: row.data.0 })
        })
        .collect()
}

/// Turns events into a delivery. The caller holds the lease of the webhook.
pub async fn cut(tx: &mut TenantTx, webhook: WebhookId, new: &NewDelivery<'_>) -> Result<(), StoreError> {
    let tenant = tx.tenant_uuid();
    sqlx::query!(
        "delete from webhook_events where tenant_id = $1 and webhook_id = $2 and event_id = any($3)",
        tenant,
        webhook.0,
        new.events
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "insert into webhook_deliveries (tenant_id, webhook_id, delivery_id, type, status, events, body, error, finished_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, case when $5 = 'dead' then now() end)",
        tenant,
        webhook.0,
        new.id.0,
        new.event.as_str(),
        new.status.as_str(),
        new.events.len() as i32,
        new.body,
        new.error
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
