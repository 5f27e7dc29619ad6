use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::{DeliveryId, WebhookId};
use rampart_store::webhook::{self, Delivery, DeliveryStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::document::PreferHeader;
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManageWebhooks, NoBody, PageParams, PathOf, Payload, ReadFindings, Wait,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(test_webhook))
        .routes(routes!(list_webhook_deliveries))
        .routes(routes!(get_webhook_delivery))
        .routes(routes!(replay_webhook_delivery))
        .routes(routes!(replay_webhook_deliveries))
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookDeliveryStatus)]
enum StatusWord {
    /// It waits for its first or next attempt.
    Pending,
    /// It arrived.
    Delivered,
    /// It was given up.
    Dead,
}

impl From<StatusWord> for DeliveryStatus {
    fn from(word: StatusWord) -> Self {
        match word {
            StatusWord::Pending => Self::Pending,
            StatusWord::Delivered => Self::Delivered,
            StatusWord::Dead => Self::Dead,
        }
    }
}

/// A message to a webhook. What was delivered is kept for a week, what was given up as long as findings that are gone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
struct DeliveryView {
    /// The `webhook-id` of the message, however often it is sent.
    id: Uuid,
    /// `finding.opened`, `finding.changed`, `finding.resolved`, `scan.finished` or `webhook.test`.
    r#type: String,
    #[schema(value_type = StatusWord)]
    status: String,
    /// How many events it tells.
    events: i32,
    /// Attempts since it was last asked for.
    attempts: i32,
    /// Each of these: `at`, `duration_ms`, `response_status`, `error`.
    log: Value,
    /// Status of the last answer; null when there was none.
    response_status: Option<i16>,
    /// The first kibibyte of the last answer, without secrets of the webhook.
    response_excerpt: Option<String>,
    /// Why the last attempt failed, or why there was none.
    error: Option<String>,
    created_at: DateTime<Utc>,
    /// When it arrived or was given up.
    finished_at: Option<DateTime<Utc>>,
    /// The message; only where one delivery is asked for, and not before a test was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
}

impl From<Delivery> for DeliveryView {
    fn from(row: Delivery) -> Self {
        Self {
            id: row.delivery_id,
            r#type: row.event,
            status: row.status,
            events: row.events,
            attempts: row.attempts,
            log: row.log,
            response_status: row.response_status,
            response_excerpt: row.response_excerpt,
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
            body: row.body.and_then(|body| serde_json::from_str(&body).ok()),
        }
    }
}

/// Send a test message, once and at once, also to a webhook that is paused or fails.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/test", tag = "webhooks",
    params(("webhook_id" = Uuid, Path), PreferHeader),
    responses((status = 202, body = DeliveryView), (status = 200, body = DeliveryView)))]
async fn test_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    Wait(patience): Wait,
    Payload(NoBody {}): Payload<NoBody>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let mut row = webhook::test(&mut tx, WebhookId(id)).await?;
    let place = format!("/v1/webhooks/{id}/deliveries/{}", row.delivery_id);
    let asked = Answer::accepted(place.clone(), DeliveryView::from(row.clone())).commit(tx).await?;
    let deadline = Instant::now() + patience;
    while row.finished_at.is_none() && Instant::now() < deadline {
        sleep(Duration::from_millis(250)).await;
        let mut tx = app.tx(&caller).await?;
        row = webhook::delivery(&mut tx, WebhookId(id), DeliveryId(row.delivery_id)).await?;
    }
    let over = row.finished_at.is_some();
    Ok(if over { Answer::accepted(place, DeliveryView::from(row)).over() } else { asked })
}

/// Which deliveries to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryFilter {
    /// In this state.
    status: Option<StatusWord>,
}

/// List the messages to a webhook, the newest first.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}/deliveries", tag = "webhooks",
    params(("webhook_id" = Uuid, Path), PageParams, DeliveryFilter),
    responses((status = 200, body = List<DeliveryView>)))]
async fn list_webhook_deliveries(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
    listing: Listing<DeliveryFilter>,
) -> Result<Json<List<DeliveryView>>, ApiError> {
    caller.must_see_everything("webhook")?;
    let mut tx = app.tx(&caller).await?;
    let status = listing.filter.status.map(Into::into);
    let rows = webhook::deliveries(&mut tx, WebhookId(id), status, &listing.page).await?;
    Ok(List::of(rows, DeliveryView::from))
}

/// Get a message to a webhook, with its text.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", tag = "webhooks",
    params(("webhook_id" = Uuid, Path), ("delivery_id" = Uuid, Path)), responses((status = 200, body = DeliveryView)))]
async fn get_webhook_delivery(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf((webhook, id)): PathOf<(Uuid, Uuid)>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("delivery")?;
    let mut tx = app.tx(&caller).await?;
    let row = webhook::delivery(&mut tx, WebhookId(webhook), DeliveryId(id)).await?;
    Ok(Answer::ok(DeliveryView::from(row)))
}

/// Send a message again, under the `webhook-id` that it has.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", tag = "webhooks",
    params(("webhook_id" = Uuid, Path), ("delivery_id" = Uuid, Path)), responses((status = 202, body = DeliveryView)))]
async fn replay_webhook_delivery(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf((webhook, id)): PathOf<(Uuid, Uuid)>,
    Payload(NoBody {}): Payload<NoBody>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = webhook::replay(&mut tx, WebhookId(webhook), DeliveryId(id)).await?;
    let place = format!("/v1/webhooks/{webhook}/deliveries/{id}");
    Answer::accepted(place, DeliveryView::from(row)).commit(tx).await
}

/// What to send again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReplayWebhookDeliveries {
    /// Messages made at or after this time.
    since: DateTime<Utc>,
    /// Also what was delivered; left out, only what was given up.
    #[serde(default)]
    delivered: bool,
}

/// What is sent again.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookReplay {
    /// How many messages.
    deliveries: i64,
    /// Whether there are more than one request takes: ask again once these were sent.
    more: bool,
}

/// Send messages again, the oldest first and at most 1000 at once, each under the `webhook-id` that it has.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/replay", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    request_body = ReplayWebhookDeliveries, responses((status = 202, body = WebhookReplay)))]
async fn replay_webhook_deliveries(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    Payload(body): Payload<ReplayWebhookDeliveries>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let (deliveries, more) = webhook::replay_since(&mut tx, WebhookId(id), body.since, body.delivered).await?;
    let place = format!("/v1/webhooks/{id}/deliveries");
    Answer::accepted(place, WebhookReplay { deliveries, more }).commit(tx).await
}
