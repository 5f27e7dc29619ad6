//! How webhooks are delivered to: what receivers may do, and what happens to processes in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use platform_tests::{Estate, Receiver, Reply};
use rampart_chassis::Ctx;
use rampart_domain::WebhookId;
use rampart_notifier::{Config, Notifier};
use rampart_store::page::Page;
use rampart_store::webhook::{self, Delivery, NewWebhook, Webhook};
use rampart_store::work::{self, Lease, WorkKind};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::webhooks::{any, keyring};

fn config() -> Config {
    Config {
        deliveries: 8,
        deliveries_per_tenant: 8,
        delivery_timeout_s: 1,
        allow_http: true,
        egress_allow: vec!["127.0.0.0/8".parse().unwrap()],
        ca_bundle: None,
    }
}

async fn create(estate: &Estate, new: &NewWebhook, url: &str) -> WebhookId {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let made = webhook::create(&mut tx, &keyring(), new, &SecretString::from(url)).await.unwrap();
    tx.commit().await.unwrap();
    made.0.id
}

/// Notes so many findings as an assessment does, of subjects one after the other, and asks for their delivery.
async fn note(estate: &Estate, id: WebhookId, kind: &str, events: std::ops::Range<usize>) {
    let tenant = estate.tenant;
    let (from, to) = (events.start, events.end - 1);
    estate
        .database
        .run(&format!(
            "insert into webhook_events (tenant_id, webhook_id, at, type, subject, data)
             select '{tenant}', '{id}', now(), '{kind}', n::text, jsonb_build_object('id', n::text, 'severity', 'high')
             from generate_series({from}, {to}) n"
        ))
        .await;
    ask(estate, id).await;
}

async fn ask(estate: &Estate, id: WebhookId) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    webhook::wake(&mut tx, &[id.0]).await.unwrap();
    tx.commit().await.unwrap();
}

async fn claim(estate: &Estate) -> Option<Lease> {
    let mut tx = estate.store.worker().await.unwrap();
    let leases = work::claim(&mut tx, &[WorkKind::Notify], 1, 8).await.unwrap();
    tx.commit().await.unwrap();
    leases.into_iter().next()
}

/// Runs what is due, as one claim of the worker's loop does.
async fn turn(estate: &Estate) {
    let notifier = Notifier::new(estate.store.clone(), Arc::new(keyring()), config()).unwrap();
    let Some(lease) = claim(estate).await else { return };
    notifier.notify(&lease, &CancellationToken::new()).await.unwrap();
    let mut tx = estate.store.worker().await.unwrap();
    work::finish(&mut tx, &lease).await.unwrap();
    tx.commit().await.unwrap();
}

async fn state(estate: &Estate, id: WebhookId) -> (Webhook, Vec<Delivery>) {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let found = webhook::get(&mut tx, id).await.unwrap();
    (found, webhook::deliveries(&mut tx, id, None, &Page::first(100)).await.unwrap().items)
}

/// Lets the time pass that an endpoint that fails is given.
async fn hurry(estate: &Estate, id: WebhookId) {
    estate.database.run(&format!("update webhooks set next_at = now() where webhook_id = '{id}'")).await;
    estate.database.run("update work set run_at = now() where kind = 'notify' and want > done").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_findings_come_in_few_messages_each_once_and_in_order() {
    let estate = Estate::new().await;
    let receiver = Receiver::start().await;
    let id = create(&estate, &any("all"), &receiver.url).await;
    note(&estate, id, "finding.opened", 0..250).await;
    note(&estate, id, "finding.resolved", 0..1).await;
    turn(&estate).await;
    let messages = receiver.received();
    assert_eq!(messages.len(), 4, "a hundred in each");
    let ids: Vec<String> = messages
        .iter()
        .flat_map(|message| message.json()["data"]["findings"].as_array().cloned().unwrap())
        .map(|finding| finding["id"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (0..250).chain([0]).map(|n| n.to_string()).collect();
    assert_eq!(ids, expected);
    assert_eq!(messages[3].json()["type"], "finding.resolved");
    let (found, deliveries) = state(&estate, id).await;
    assert_eq!((found.waiting, found.dead, found.failures), (0, 0, 0));
    assert!(deliveries.iter().all(|it| it.status == "delivered" && it.attempts == 1), "{deliveries:?}");
}

/// One message is answered so; how the delivery and the webhook stand then.
async fn answered(reply: Option<Reply>, url: Option<&str>) -> (Webhook, Delivery, Receiver, Estate) {
    let estate = Estate::new().await;
    let receiver = Receiver::start().await;
    receiver.reply(reply);
    let id = create(&estate, &any("all"), url.unwrap_or(&receiver.url)).await;
    note(&estate, id, "finding.opened", 0..1).await;
    turn(&estate).await;
    let (found, mut deliveries) = state(&estate, id).await;
    (found, deliveries.remove(0), receiver, estate)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_fails_is_tried_again_under_the_same_id_and_stops_the_queue() {
    let (found, first, receiver, estate) = answered(Some(Reply::Status(500, "", "oh no".into())), None).await;
    assert_eq!((first.status.as_str(), first.attempts, first.response_status), ("pending", 1, Some(500)));
    assert_eq!(first.response_excerpt.as_deref(), Some("oh no"));
    assert!(found.failures == 1 && found.failing_since.is_some(), "{found:?}");
    let wait = found.next_at.unwrap() - Utc::now();
    assert!(wait > TimeDelta::seconds(2) && wait < TimeDelta::seconds(7), "{wait}");

    // Something new does not break through to an endpoint that rests.
    note(&estate, found.id, "finding.opened", 1..2).await;
    turn(&estate).await;
    assert_eq!(receiver.received().len(), 1);
    hurry(&estate, found.id).await;
    turn(&estate).await;
    let messages = receiver.received();
    assert_eq!(messages.len(), 3);
    assert_eq!((&messages[1].id, &messages[1].body), (&messages[0].id, &messages[0].body), "the same message");
    assert_ne!(messages[2].id, messages[0].id);
    let (found, deliveries) = state(&estate, found.id).await;
    assert_eq!((found.failures, found.failing_since, found.waiting), (0, None, 0));
    assert_eq!(deliveries[1].log.as_array().map(Vec::len), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_receivers_answer_is_obeyed_and_bounded() {
    let (found, delivery, ..) = answered(Some(Reply::Status(429, "retry-after: 600", String::new())), None).await;
    assert_eq!(delivery.status, "pending");
    assert!(found.next_at.unwrap() > Utc::now() + TimeDelta::seconds(590), "{found:?}");

    let (found, delivery, _, estate) = answered(Some(Reply::Status(410, "", String::new())), None).await;
    assert_eq!((delivery.status.as_str(), found.enabled), ("dead", false));
    assert!(found.disabled_reason.is_some_and(|why| why.contains("410")));
    note(&estate, found.id, "finding.opened", 5..6).await;
    turn(&estate).await;
    assert_eq!(state(&estate, found.id).await.1.len(), 1, "it is left alone");

    let (found, delivery, ..) = answered(Some(Reply::Status(422, "", String::new())), None).await;
    assert_eq!((delivery.status.as_str(), found.failures, found.dead), ("dead", 0, 1), "the message alone is given up");

    let began = Instant::now();
    let (_, delivery, ..) = answered(Some(Reply::Late(Duration::from_secs(30))), None).await;
    assert!(began.elapsed() < Duration::from_secs(20) && delivery.status == "pending", "{delivery:?}");

    let elsewhere = Receiver::start().await;
    let location = Box::leak(format!("location: {}", elsewhere.url).into_boxed_str());
    let (_, delivery, ..) = answered(Some(Reply::Status(302, location, String::new())), None).await;
    assert_eq!((delivery.status.as_str(), delivery.response_status), ("pending", Some(302)));
    assert!(elsewhere.received().is_empty(), "a redirect is not followed");

    let (_, delivery, ..) = answered(Some(Reply::Status(500, "", "x".repeat(8 << 20))), None).await;
    assert_eq!(delivery.response_excerpt.map(|text| text.len()), Some(1 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_inside_are_not_reached_and_errors_hold_no_secret() {
    for url in ["http://10.0.0.1/secret-path", "http://169.254.169.254/secret-path", "http://[::1]:9/secret-path"] {
        let (_, delivery, ..) = answered(None, Some(url)).await;
        let error = delivery.error.unwrap();
        assert!(error.contains("not allowed") && !error.contains("secret-path"), "{error}");
    }
    let closed = answered(None, Some("http://127.0.0.1:1/secret-path")).await.1.error.unwrap();
    assert!(!closed.contains("secret-path"), "{closed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_is_seen_and_replayed() {
    let (found, _, receiver, estate) = answered(Some(Reply::Status(500, "", String::new())), None).await;
    let id = found.id;
    receiver.reply(std::iter::repeat_n(Reply::Status(500, "", String::new()), 11));
    for _ in 0..11 {
        hurry(&estate, id).await;
        turn(&estate).await;
    }
    let (found, deliveries) = state(&estate, id).await;
    assert_eq!((found.dead, found.failures, deliveries[0].status.as_str()), (1, 12, "dead"));
    assert_eq!(deliveries[0].log.as_array().map(Vec::len), Some(12));
    let message = receiver.received().remove(0);

    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let since = Utc::now() - TimeDelta::hours(1);
    assert_eq!(webhook::replay_since(&mut tx, id, since, false).await.unwrap(), (1, false));
    tx.commit().await.unwrap();
    turn(&estate).await;
    let messages = receiver.received();
    assert_eq!((messages.len(), &messages[12].id), (13, &message.id));
    let (found, deliveries) = state(&estate, id).await;
    assert_eq!((found.dead, found.failures, deliveries[0].status.as_str()), (0, 0, "delivered"));
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    webhook::replay(&mut tx, id, deliveries[0].delivery_id.into()).await.unwrap();
    tx.commit().await.unwrap();
    turn(&estate).await;
    assert_eq!(receiver.received().len(), 14, "also what was delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_keeps_no_more_than_is_allowed_and_says_so() {
    let (found, ..) = {
        let estate = Estate::new().await;
        let receiver = Receiver::start().await;
        receiver.reply([Reply::Status(500, "", String::new())]);
        let id = create(&estate, &NewWebhook { batch: 500, ..any("all") }, &receiver.url).await;
        note(&estate, id, "finding.opened", 0..101_000).await;
        turn(&estate).await;
        let (found, deliveries) = state(&estate, id).await;
        let oldest = deliveries.last().unwrap();
        assert_eq!(oldest.status, "pending", "the one under way stays");
        assert!(deliveries[0].error.as_deref().is_some_and(|why| why.contains("more waited")), "{:?}", deliveries[0]);
        (found, estate)
    };
    assert_eq!((found.waiting, found.dead), (100_500, 1), "a hundred thousand beside the one that is tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_send_one_message_at_a_time_and_lose_none() {
    let estate = Estate::new().await;
    let receiver = Receiver::start().await;
    receiver.reply(std::iter::repeat_n(Reply::Late(Duration::from_millis(30)), 60));
    let id = create(&estate, &NewWebhook { batch: 5, ..any("all") }, &receiver.url).await;
    let ctx = Ctx::new();
    let run = || rampart_notifier::run(config(), ctx.clone(), estate.store.clone(), Arc::new(keyring()));
    let workers = [tokio::spawn(run()), tokio::spawn(run())];
    for n in 0..10 {
        note(&estate, id, "finding.opened", n * 20..(n + 1) * 20).await;
    }
    receiver.wait_for(40).await;
    for _ in 0..100 {
        if state(&estate, id).await.0.waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ctx.cancel.cancel();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    assert_eq!(receiver.most_at_once(), 1, "never two at once");
    let mut told: Vec<usize> = receiver
        .received()
        .iter()
        .flat_map(|message| message.json()["data"]["findings"].as_array().cloned().unwrap())
        .map(|finding| finding["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(told.is_sorted(), "in order");
    told.dedup();
    assert_eq!(told, (0..200).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_dies_between_sending_and_noting_sends_again_under_the_same_id() {
    let estate = Estate::new().await;
    let receiver = Receiver::start().await;
    receiver.reply([Reply::Late(Duration::from_millis(500))]);
    let id = create(&estate, &any("all"), &receiver.url).await;
    note(&estate, id, "finding.opened", 0..3).await;
    let notifier = Notifier::new(estate.store.clone(), Arc::new(keyring()), config()).unwrap();
    let lease = claim(&estate).await.expect("it is due");
    let dying = tokio::spawn(async move { notifier.notify(&lease, &CancellationToken::new()).await });
    receiver.wait_for(1).await;
    dying.abort();
    let (found, deliveries) = state(&estate, id).await;
    assert_eq!(
        (found.waiting, deliveries.len(), deliveries[0].attempts),
        (3, 1, 0),
        "the message is kept, not its answer"
    );
    estate.database.run("update work set lease_until = now() - interval '1 s' where kind = 'notify'").await;
    turn(&estate).await;
    let messages = receiver.received();
    assert_eq!(messages.len(), 2);
    assert_eq!((&messages[0].id, &messages[0].body), (&messages[1].id, &messages[1].body));
    assert_eq!(state(&estate, id).await.1[0].status, "delivered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_sent_to_a_webhook_that_is_paused_and_repeated_by_nobody() {
    let (found, ..) = {
        let estate = Estate::new().await;
        let receiver = Receiver::start().await;
        receiver.reply([Reply::Status(500, "", String::new())]);
        let id = create(&estate, &any("all"), &receiver.url).await;
        let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
        webhook::set_enabled(&mut tx, id, false).await.unwrap();
        webhook::test(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
        turn(&estate).await;
        assert_eq!(receiver.received()[0].json()["type"], "webhook.test");
        let (found, deliveries) = state(&estate, id).await;
        assert_eq!(deliveries[0].status, "dead");
        assert!(claim(&estate).await.is_none(), "nothing is left to do");
        (found, estate)
    };
    assert_eq!(found.failures, 0, "it says nothing about what waits");
}
