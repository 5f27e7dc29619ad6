use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use rampart_domain::{Kind, Severity, WebhookId};
use rampart_store::webhook::{self, EventType, Format, KEEP_PREVIOUS, NewWebhook, Webhook};
use rampart_store::{AccessScope, TenantTx, score};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::{Position, Url};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{check_name, check_patterns};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageWebhooks, NoBody, PageParams, PathOf, Payload,
    ReadFindings, Submission, if_match, note_before,
};

/// Findings in one delivery.
const BATCH: std::ops::RangeInclusive<i16> = 1..=500;
/// Hours for which two secrets may sign.
const OVERLAP: std::ops::RangeInclusive<i64> = 0..=168;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(create_webhook, list_webhooks))
        .routes(routes!(get_webhook, update_webhook, delete_webhook))
        .routes(routes!(pause_webhook))
        .routes(routes!(resume_webhook))
        .routes(routes!(rotate_webhook_secret))
}

/// What a webhook is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEvent)]
enum EventWord {
    /// A finding is unhealthy that was not.
    #[serde(rename = "finding.opened")]
    Opened,
    /// Something about an open finding is different, also that it cannot be judged any more.
    #[serde(rename = "finding.changed")]
    Changed,
    /// A finding is healthy, exempt, or gone with its resource or its control.
    #[serde(rename = "finding.resolved")]
    Resolved,
    /// A scan ended, however it did. The filters are about findings and do not touch it.
    #[serde(rename = "scan.finished")]
    Scan,
}

impl EventWord {
    const fn event(self) -> EventType {
        match self {
            Self::Opened => EventType::FindingOpened,
            Self::Changed => EventType::FindingChanged,
            Self::Resolved => EventType::FindingResolved,
            Self::Scan => EventType::ScanFinished,
        }
    }
}

/// How messages are written.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WebhookFormat)]
enum FormatWord {
    /// `{"type", "timestamp", "data": {"findings": […]}}`, as Standard Webhooks has it.
    #[default]
    Standard,
    /// A message for an incoming webhook of Slack: how many findings, and the ten worst.
    Slack,
    /// `{"tickets": [{"external_id", "action", "title", "description", "priority", "labels", "fields"}]}`, where `action` is
    /// `open`, `update` or `close`.
    Ticket,
}

impl FormatWord {
    const fn format(self) -> Format {
        match self {
            Self::Standard => Format::Standard,
            Self::Slack => Format::Slack,
            Self::Ticket => Format::Ticket,
        }
    }
}

/// Which findings a webhook is told of; what is left out or empty stands for any.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct WebhookFilter {
    /// This severity and above.
    #[schema(value_type = Option<String>, example = "high")]
    severity: Option<Severity>,
    /// Control ids, in which `*` stands for any text.
    #[schema(example = json!(["k8s.pod.*"]))]
    controls: Vec<String>,
    /// Ids of clusters.
    clusters: Vec<Uuid>,
    /// Accounts, subscriptions or projects.
    accounts: Vec<String>,
    /// Kubernetes namespaces.
    namespaces: Vec<String>,
    /// Kinds of resources.
    #[schema(value_type = Vec<String>, example = json!(["k8s.deployment"]))]
    kinds: Vec<Kind>,
    /// Only what counts in the secure score (or only what does not, such as what a cloud manages by itself).
    scored: Option<bool>,
}

/// Somebody who is told of findings and scans.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Webhook)]
struct WebhookView {
    id: Uuid,
    #[schema(example = "soc")]
    name: String,
    /// Scheme, host and port of the URL; the rest of it may be a secret.
    #[schema(example = "https://hooks.example.com")]
    origin: String,
    /// `standard`, `slack` or `ticket`.
    format: &'static str,
    #[schema(value_type = Vec<EventWord>)]
    events: Vec<&'static str>,
    filter: WebhookFilter,
    /// Findings in one delivery at most.
    batch_size: i16,
    /// What messages are signed with (`whsec_…`), in the answer to its making only, and not in a repetition of that answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// Until when messages are signed with the secret before the last rotation too.
    previous_secret_until: Option<DateTime<Utc>>,
    /// Whether events are collected and delivered.
    enabled: bool,
    /// Why it was switched off by itself; null when it was not.
    disabled_reason: Option<String>,
    /// Events that wait to be delivered.
    waiting: i64,
    /// Deliveries that were given up and can be replayed; at most 1000 are kept.
    dead: i64,
    /// Events that were given up and cannot be replayed any more.
    dropped: i64,
    /// Attempts that failed one after the other.
    failures: i32,
    failing_since: Option<DateTime<Utc>>,
    /// When the next attempt is made, while attempts fail.
    next_attempt_at: Option<DateTime<Utc>>,
    /// When something was last delivered.
    delivered_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Webhook> for WebhookView {
    fn from(row: Webhook) -> Self {
        let own = row.webhook;
        let known = |word: &String| word.parse().ok();
        Self {
            id: row.id.0,
            name: own.name,
            origin: own.origin,
            format: own.format.as_str(),
            events: own.events.iter().map(|event| event.as_str()).collect(),
            filter: WebhookFilter {
                severity: Some(own.severity),
                controls: own.controls,
                clusters: own.clusters,
                accounts: own.accounts,
                namespaces: own.namespaces,
                kinds: own.kinds.iter().filter_map(known).collect(),
                scored: own.scored,
            },
            batch_size: own.batch,
            secret: None,
            previous_secret_until: row.previous_secret_until,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            waiting: row.waiting,
            dead: row.dead,
            dropped: row.dropped,
            failures: row.failures,
            failing_since: row.failing_since,
            next_attempt_at: row.next_at,
            delivered_at: row.delivered_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: Webhook) -> Answer {
    let version = row.version;
    Answer::ok(WebhookView::from(row)).version(version)
}

/// What a webhook is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutWebhook {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "soc")]
    name: String,
    /// Where messages are posted to, with https and without user or fragment, at most 2000 characters. Kept sealed; may be
    /// left out in an update, which then keeps it.
    #[schema(value_type = Option<String>, example = "https://hooks.example.com/rampart")]
    url: Option<SecretString>,
    #[serde(default)]
    format: FormatWord,
    /// At least one.
    events: Vec<EventWord>,
    #[serde(default)]
    filter: WebhookFilter,
    /// Findings in one delivery at most, 1 to 500. A first assessment that finds much comes in as many deliveries as that
    /// takes.
    #[serde(default = "hundred")]
    #[schema(minimum = 1, maximum = 500, default = 100)]
    batch_size: i16,
}

const fn hundred() -> i16 {
    100
}

/// Checks an URL, and gives its origin.
fn check_url(errors: &mut FieldErrors, text: &str, allow_http: bool) -> String {
    let Ok(url) = Url::parse(text) else {
        errors.add("/url", "must be a URL");
        return String::new();
    };
    let secure = url.scheme() == "https" || (allow_http && url.scheme() == "http");
    errors.check(secure, "/url", "must begin with https://");
    errors.check(url.has_host() && text.len() <= 2_000, "/url", "must have a host and at most 2000 characters");
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    errors.check(plain, "/url", "must have no user, password or fragment");
    url[..Position::BeforePath].to_owned()
}

impl PutWebhook {
    /// `before` is the origin of the URL that the webhook has.
    fn parse(self, allow_http: bool, before: Option<String>) -> Result<(NewWebhook, Option<SecretString>), ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        let origin = match (&self.url, before) {
            (Some(url), _) => check_url(&mut errors, url.expose_secret(), allow_http),
            (None, Some(before)) => before,
            (None, None) => {
                errors.add("/url", "is missing");
                String::new()
            }
        };
        let mut events: Vec<EventType> = self.events.iter().map(|word| word.event()).collect();
        events.sort_by_key(|event| event.as_str());
        events.dedup();
        errors.check(!events.is_empty(), "/events", "must be at least one");
        errors.check(BATCH.contains(&self.batch_size), "/batch_size", "must be 1 to 500");
        check_patterns(&mut errors, "/filter/controls", &self.filter.controls);
        errors.check(self.filter.clusters.len() <= 100, "/filter/clusters", "must be at most 100");
        errors.check(self.filter.kinds.len() <= 100, "/filter/kinds", "must be at most 100");
        check_patterns(&mut errors, "/filter/accounts", &self.filter.accounts);
        check_patterns(&mut errors, "/filter/namespaces", &self.filter.namespaces);
        errors.finish()?;
        let new = NewWebhook {
            name: self.name,
            origin,
            format: self.format.format(),
            events,
            severity: self.filter.severity.unwrap_or(Severity::Informational),
            controls: self.filter.controls,
            clusters: self.filter.clusters,
            accounts: self.filter.accounts,
            namespaces: self.filter.namespaces,
            kinds: self.filter.kinds.iter().map(ToString::to_string).collect(),
            scored: self.filter.scored,
            batch: self.batch_size,
        };
        Ok((new, self.url))
    }
}

/// The clusters of the filter must be there.
async fn must_reach(tx: &mut TenantTx, caller: &Caller<ManageWebhooks>, new: &NewWebhook) -> Result<(), ApiError> {
    for cluster in &new.clusters {
        score::reach(tx, &caller.visible(), &AccessScope::Cluster((*cluster).into())).await?;
    }
    Ok(())
}

/// Make a webhook. It is told of what happens from now on. The secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/v1/webhooks", tag = "webhooks", params(IdempotencyHeader), request_body = PutWebhook,
    responses((status = 201, body = WebhookView)))]
async fn create_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    submission: Submission<PutWebhook>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_webhook", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let (new, url) = body.parse(app.webhook_allow_http(), None)?;
    let url = url.unwrap_or_default();
    must_reach(&mut tx, &caller, &new).await?;
    let (row, secret) = webhook::create(&mut tx, app.keyring(), &new, &url).await?;
    let (place, version) = (format!("/v1/webhooks/{}", row.id), row.version);
    let view = WebhookView { secret: Some(secret.expose_secret().to_owned()), ..WebhookView::from(row) };
    let answer = Answer::created(place, view).version(version);
    submission.keep(&mut tx, &answer.clone().without("secret")).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List webhooks by name. Only who sees the whole tenant sees any.
#[utoipa::path(get, path = "/v1/webhooks", tag = "webhooks", params(PageParams),
    responses((status = 200, body = List<WebhookView>)))]
async fn list_webhooks(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<WebhookView>>, ApiError> {
    if !caller.visible().all {
        return Ok(List::empty());
    }
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(webhook::list(&mut tx, &listing.page).await?, WebhookView::from))
}

/// Get a webhook.
#[utoipa::path(get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    responses((status = 200, body = WebhookView)))]
async fn get_webhook(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("webhook")?;
    let mut tx = app.tx(&caller).await?;
    Ok(answer(webhook::get(&mut tx, WebhookId(id)).await?))
}

/// Replace a webhook. What waits already is delivered as it was written, to the new URL.
#[utoipa::path(put, path = "/v1/webhooks/{webhook_id}", tag = "webhooks",
    params(("webhook_id" = Uuid, Path), IfMatchHeader), request_body = PutWebhook,
    responses((status = 200, body = WebhookView)))]
async fn update_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutWebhook>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = webhook::get(&mut tx, WebhookId(id)).await?;
    let before = row.webhook.origin.clone();
    note_before(&mut tx, WebhookView::from(row));
    let version = if_match(&headers)?;
    let (new, url) = body.parse(app.webhook_allow_http(), Some(before))?;
    must_reach(&mut tx, &caller, &new).await?;
    let row = webhook::update(&mut tx, app.keyring(), WebhookId(id), version, (&new, url.as_ref())).await?;
    answer(row).commit(tx).await
}

/// Delete a webhook, with what waits for it and what it was told.
#[utoipa::path(delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    responses((status = 204)))]
async fn delete_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    let row = webhook::get(&mut tx, WebhookId(id)).await?;
    note_before(&mut tx, WebhookView::from(row));
    webhook::delete(&mut tx, WebhookId(id), version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Pause a webhook. Until it is resumed, events are neither collected nor delivered; what waits keeps waiting.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/pause", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    responses((status = 200, body = WebhookView)))]
async fn pause_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    Payload(NoBody {}): Payload<NoBody>,
) -> Result<Answer, ApiError> {
    set_enabled(&app, &caller, id, false).await
}

/// Resume a webhook, also one that was switched off because its receiver answered 410 Gone.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/resume", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    responses((status = 200, body = WebhookView)))]
async fn resume_webhook(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    Payload(NoBody {}): Payload<NoBody>,
) -> Result<Answer, ApiError> {
    set_enabled(&app, &caller, id, true).await
}

async fn set_enabled(app: &App, caller: &Caller<ManageWebhooks>, id: Uuid, enabled: bool) -> Result<Answer, ApiError> {
    let mut tx = app.tx(caller).await?;
    let before = webhook::get(&mut tx, WebhookId(id)).await?;
    note_before(&mut tx, WebhookView::from(before));
    let row = webhook::set_enabled(&mut tx, WebhookId(id), enabled).await?;
    answer(row).commit(tx).await
}

/// How a secret is rotated.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotateWebhookSecret {
    /// Hours for which messages are signed with the secret before, too: 0 to 168.
    #[serde(default = "day")]
    #[schema(minimum = 0, maximum = 168, default = 24)]
    overlap_hours: i64,
}

const fn day() -> i64 {
    KEEP_PREVIOUS.num_hours()
}

/// Give a webhook a new secret, which is in this answer and nowhere else.
///
/// During the overlap `webhook-signature` holds a signature by each, separated by a space.
#[utoipa::path(post, path = "/v1/webhooks/{webhook_id}/secret", tag = "webhooks", params(("webhook_id" = Uuid, Path)),
    request_body = RotateWebhookSecret, responses((status = 200, body = WebhookView)))]
async fn rotate_webhook_secret(
    State(app): State<App>,
    caller: Caller<ManageWebhooks>,
    PathOf(id): PathOf<Uuid>,
    Payload(body): Payload<RotateWebhookSecret>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let (id, now) = (WebhookId(id), Utc::now());
    webhook::get(&mut tx, id).await?;
    let mut errors = FieldErrors::default();
    errors.check(OVERLAP.contains(&body.overlap_hours), "/overlap_hours", "must be 0 to 168");
    errors.finish()?;
    let until = now + TimeDelta::hours(body.overlap_hours);
    let secret = webhook::rotate(&mut tx, app.keyring(), id, (until, now)).await?;
    let row = webhook::get(&mut tx, id).await?;
    let version = row.version;
    let view = WebhookView { secret: Some(secret.expose_secret().to_owned()), ..WebhookView::from(row) };
    Answer::ok(view).version(version).commit(tx).await
}
