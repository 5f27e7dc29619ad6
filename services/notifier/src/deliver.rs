//! What is done about one webhook, under its lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use rampart_domain::{DeliveryId, WebhookId};
use rampart_store::keyring::Keyring;
use rampart_store::webhook::{self, Attempt, DeliveryStatus, Ending, NewDelivery, Pending, Queue, Turn};
use rampart_store::work::{self, Lease, WorkKind};
use rampart_store::worker::Failure;
use rampart_store::{Store, StoreError, TenantTx};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::batch::choose;
use crate::client::Client;
use crate::message::message;
use crate::retry::{Outcome, ending, retry_after};
use crate::signature::signature;

/// How long one webhook is delivered to before others come in between.
const TURN: Duration = Duration::from_secs(20);
/// Deliveries that are given up without an attempt in one turn, when more waits than may.
const CUTS: usize = 200;

/// Tells webhooks what waits for them.
#[derive(Debug, Clone)]
pub struct Notifier {
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) client: Client,
}

/// A delivery that is ready to be sent.
struct Ready {
    pending: Pending,
    turn: Turn,
    secrets: webhook::Secrets,
}

impl Notifier {
    /// Delivers what is due for the webhook of a lease.
    pub async fn notify(&self, lease: &Lease, cancel: &CancellationToken) -> Result<(), Failure> {
        let (id, began) = (WebhookId(lease.subject), Instant::now());
        while began.elapsed() < TURN {
            if cancel.is_cancelled() {
                return Err("the process is stopping".into());
            }
            let Some(ready) = self.next(lease, id).await? else { return Ok(()) };
            // A process that ends leaves the delivery as it is; whoever takes over sends it, perhaps again.
            let sent = tokio::select! {
                sent = self.send(&ready) => sent,
                () = cancel.cancelled() => return Err("the process is stopping".into()),
            };
            self.conclude(lease, id, &ready, sent).await?;
        }
        let mut tx = self.store.fenced(lease).await?;
        work::request(&mut tx, WorkKind::Notify, id.0).await?;
        Ok(tx.commit().await?)
    }

    /// Finds what is next and leaves it in the database as a delivery, before it is sent.
    async fn next(&self, lease: &Lease, id: WebhookId) -> Result<Option<Ready>, Failure> {
        let mut tx = self.store.fenced(lease).await?;
        let now = Utc::now();
        // Deleted while the work waited: nothing is left to do.
        let Some(turn) = webhook::turn(&mut tx, id, now).await? else { return Ok(None) };
        if let Queue::Closed(at) = turn.queue {
            work::request_at(&mut tx, WorkKind::Notify, id.0, at).await?;
        }
        let only_tests = turn.queue != Queue::Open;
        let mut pending = webhook::head(&mut tx, id, only_tests).await?;
        if pending.is_none() && !only_tests {
            pending = cut(&mut tx, id, turn, DeliveryStatus::Pending).await?.map(|(pending, _)| pending);
        }
        let Some(mut pending) = pending else {
            tx.commit().await?;
            return Ok(None);
        };
        if pending.body.is_empty() {
            pending.body = message(turn.format, pending.event, &[], now);
            webhook::set_body(&mut tx, id, pending.id, &pending.body).await?;
        }
        let secrets = webhook::secrets(&mut tx, &self.keyring, id, now).await?;
        tx.commit().await?;
        Ok(Some(Ready { pending, turn, secrets }))
    }

    async fn send(&self, ready: &Ready) -> (Attempt, Outcome) {
        let (at, began) = (Utc::now(), Instant::now());
        let (url, signing) = (&ready.secrets.url, &ready.secrets.signing);
        let id = ready.pending.id.to_string();
        let answered = match headers(&id, at.timestamp(), signature(signing, &id, at, &ready.pending.body)) {
            Some(headers) => self.client.post(url, headers, ready.pending.body.clone()).await,
            None => Err("the secret of the webhook cannot be used".to_owned()),
        };
        let duration_ms = began.elapsed().as_millis() as i64;
        match answered {
            Ok(answer) => {
                let asked = answer.retry_after.and_then(|text| retry_after(&text, Utc::now()));
                let well = (200..300).contains(&answer.status);
                let error = (!well).then(|| format!("the receiver answered {}", answer.status));
                let excerpt = Some(ready.secrets.redact(&answer.excerpt)).filter(|text| !text.is_empty());
                let attempt = Attempt { at, duration_ms, status: Some(answer.status as i16), excerpt, error };
                (attempt, Outcome::Answered(answer.status, asked))
            }
            Err(error) => {
                let error = Some(ready.secrets.redact(&error).chars().take(500).collect());
                (Attempt { at, duration_ms, status: None, excerpt: None, error }, Outcome::Unanswered)
            }
        }
    }

    /// Notes how it went, and when to go on.
    async fn conclude(
        &self,
        lease: &Lease,
        id: WebhookId,
        ready: &Ready,
        (attempt, outcome): (Attempt, Outcome),
    ) -> Result<(), Failure> {
        let pending = &ready.pending;
        let ending = match ending(outcome, pending.attempts, ready.turn.failures, rand::random(), Utc::now()) {
            // A test says what it found and is not repeated; it stops nothing but, when it succeeds, waiting.
            Ending::Retry(_) | Ending::GivenUp(_) | Ending::Gone if pending.event == webhook::EventType::Test => {
                Ending::Refused
            }
            other => other,
        };
        let mut tx = self.store.fenced(lease).await?;
        webhook::record(&mut tx, id, pending.id, (&attempt, ending)).await?;
        if matches!(ending, Ending::Retry(_) | Ending::GivenUp(_)) {
            give_up_oldest(&mut tx, id, ready.turn).await?;
        }
        tx.commit().await?;
        let word = match ending {
            Ending::Delivered => "delivered",
            Ending::Retry(_) => "retry",
            Ending::GivenUp(_) | Ending::Refused | Ending::Gone => "dead",
        };
        metrics::counter!("rampart_webhook_attempts_total", "outcome" => word).increment(1);
        if ending != Ending::Delivered {
            tracing::info!(tenant.id = %lease.tenant, webhook.id = %id, delivery.id = %pending.id, outcome = word,
                status = attempt.status, error = attempt.error, "a webhook was not told");
        }
        Ok(())
    }
}

fn headers(id: &str, timestamp: i64, signature: Option<String>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    let values = [("webhook-id", id.to_owned()), ("webhook-timestamp", timestamp.to_string())];
    for (name, value) in values.into_iter().chain([("webhook-signature", signature?)]) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?);
    }
    Some(headers)
}

/// Makes one delivery of the oldest events, and says how many; `None` when there are none.
async fn cut(
    tx: &mut TenantTx,
    id: WebhookId,
    turn: Turn,
    status: DeliveryStatus,
) -> Result<Option<(Pending, i64)>, StoreError> {
    let window = webhook::window(tx, id).await?;
    let chosen = choose(&window, turn.batch);
    let Some(event) = chosen.first().map(|first| first.event) else { return Ok(None) };
    let body = message(turn.format, event, &chosen, Utc::now());
    let events: Vec<i64> = chosen.iter().map(|event| event.id).collect();
    let delivery = DeliveryId(Uuid::now_v7());
    let error = (status == DeliveryStatus::Dead).then_some("more waited than is kept for an endpoint that fails");
    let new = NewDelivery { id: delivery, event, events: &events, body: &body, status, error };
    webhook::cut(tx, id, &new).await?;
    Ok(Some((Pending { id: delivery, event, body, attempts: 0 }, events.len() as i64)))
}

/// When more waits for an endpoint that fails than may, the oldest is given up; it can be replayed.
async fn give_up_oldest(tx: &mut TenantTx, id: WebhookId, turn: Turn) -> Result<(), StoreError> {
    let mut over = webhook::bound(tx, id).await?;
    for _ in 0..CUTS {
        if over <= 0 {
            break;
        }
        let Some((_, events)) = cut(tx, id, turn, DeliveryStatus::Dead).await? else { break };
        over -= events;
    }
    Ok(())
}
