//! What webhooks are told of findings and scans, and the stream of a scan.

use std::time::Duration;

use chrono::Utc;
use cloudsim::world::{Subject, kinds};
use cloudsim::{Fault, FaultKind, Target};
use futures::StreamExt as _;
use platform_tests::{Client, Estate, Platform, Received, Receiver};
use rampart_domain::{Kind, Resource, Severity, WebhookId};
use rampart_store::keyring::Keyring;
use rampart_store::webhook::{self, EventType, Format, NewWebhook};
use rampart_store::{AccessScope, Role, admin};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

const CLUSTER: &str = "factory-floor";
const CONTROL: &str = "k8s.pod.privileged";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn keyring() -> Keyring {
    Keyring::parse(&SecretString::from(format!("test:{}=", "A".repeat(43)))).expect("a key")
}

/// A webhook for every event of any finding.
pub(crate) fn any(name: &str) -> NewWebhook {
    NewWebhook {
        name: name.to_owned(),
        origin: "http://127.0.0.1".to_owned(),
        format: Format::Standard,
        events: EventType::ALL.to_vec(),
        severity: Severity::Informational,
        controls: Vec::new(),
        clusters: Vec::new(),
        accounts: Vec::new(),
        namespaces: Vec::new(),
        kinds: Vec::new(),
        scored: None,
        batch: 100,
    }
}

async fn create(estate: &Estate, new: &NewWebhook) -> WebhookId {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let url = SecretString::from("http://127.0.0.1/hook");
    let made = webhook::create(&mut tx, &keyring(), new, &url).await.unwrap();
    tx.commit().await.unwrap();
    made.0.id
}

/// A deployment with containers that are privileged, or not.
fn deployment(estate: &Estate, name: &str, containers: &[(&str, bool)]) -> Resource {
    let containers: Vec<Value> = containers
        .iter()
        .map(|(name, privileged)| {
            json!({"name": name, "image": "registry.example/web:1", "securityContext": {"privileged": privileged}})
        })
        .collect();
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"replicas": 1, "template": {"metadata": {}, "spec": {"containers": containers}}},
    });
    estate.object(Kind::K8sDeployment, object)
}

/// What waits for a webhook about the one control, as type and previous and new status; it waits no more.
async fn told(estate: &Estate, id: WebhookId) -> Vec<(String, String, String)> {
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    let events = webhook::window(&mut tx, id).await.unwrap();
    estate.database.run(&format!("delete from webhook_events where webhook_id = '{id}'")).await;
    let own = events.into_iter().filter(|event| event.data["control_id"] == CONTROL);
    own.map(|event| {
        (event.event.as_str().to_owned(), text(&event.data, "previous_status"), text(&event.data, "status"))
    })
    .collect()
}

fn event(kind: &str, was: &str, is: &str) -> (String, String, String) {
    (format!("finding.{kind}"), was.to_owned(), is.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn events_follow_a_finding_through_its_life() {
    let estate = Estate::new().await;
    let list = async |app: bool, proxy: bool| {
        estate.list(Kind::K8sDeployment, vec![deployment(&estate, "web", &[("app", app), ("proxy", proxy)])]).await;
        estate.assess().await;
    };
    list(true, false).await;
    let id = create(&estate, &any("all")).await;
    list(true, false).await;
    assert!(told(&estate, id).await.is_empty(), "nothing happened since it was made");
    list(true, true).await;
    assert_eq!(told(&estate, id).await, [event("changed", "unhealthy", "unhealthy")]);
    list(false, false).await;
    assert_eq!(told(&estate, id).await, [event("resolved", "unhealthy", "healthy")]);
    list(true, false).await;
    assert_eq!(told(&estate, id).await, [event("opened", "healthy", "unhealthy")]);
    estate.deny(Kind::K8sDeployment).await;
    estate.assess().await;
    assert!(told(&estate, id).await.iter().all(|(kind, ..)| kind == "finding.changed"), "lost access resolves nothing");
    list(true, false).await;
    told(&estate, id).await;
    estate.list(Kind::K8sDeployment, Vec::new()).await;
    estate.assess().await;
    assert_eq!(told(&estate, id).await, [event("resolved", "unhealthy", "not_applicable")], "gone with its resource");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_told_what_its_filters_say_and_nobody_elses() {
    let estate = Estate::new().await;
    let beside = Estate::beside(estate.database.clone()).await;
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let yes = [
        NewWebhook { controls: words(&["k8s.*", "nothing"]), ..any("control") },
        NewWebhook { namespaces: words(&["shop"]), kinds: words(&["k8s.deployment"]), ..any("place") },
        NewWebhook { clusters: vec![estate.cluster.id.0], scored: Some(true), ..any("cluster") },
        NewWebhook { severity: Severity::High, ..any("severity") },
    ];
    let no = [
        NewWebhook { controls: words(&["k8s_pod_*", "k8s.pod.privilege"]), ..any("other-control") },
        NewWebhook { namespaces: words(&["other"]), ..any("other-namespace") },
        NewWebhook { kinds: words(&["k8s.pod"]), ..any("other-kind") },
        NewWebhook { accounts: words(&["123456789012"]), ..any("other-account") },
        NewWebhook { clusters: vec![beside.cluster.id.0], ..any("other-cluster") },
        NewWebhook { scored: Some(false), ..any("unscored") },
        NewWebhook { events: vec![EventType::FindingResolved], ..any("resolved-only") },
    ];
    let mut ids = Vec::new();
    for (new, wanted) in yes.iter().map(|new| (new, true)).chain(no.iter().map(|new| (new, false))) {
        ids.push((create(&estate, new).await, new.name.clone(), wanted));
    }
    let paused = create(&estate, &any("paused")).await;
    let mut tx = estate.store.tenant(estate.tenant).await.unwrap();
    webhook::set_enabled(&mut tx, paused, false).await.unwrap();
    tx.commit().await.unwrap();
    ids.push((paused, "paused".to_owned(), false));
    let foreign = create(&beside, &any("foreign")).await;

    estate.list(Kind::K8sDeployment, vec![deployment(&estate, "web", &[("app", true)])]).await;
    estate.assess().await;
    for (id, name, wanted) in ids {
        assert_eq!(!told(&estate, id).await.is_empty(), wanted, "{name}");
    }
    assert!(told(&beside, foreign).await.is_empty(), "another tenant's");
}

/// The messages of a type that tell of the one control on a resource.
fn about(messages: &[Received], kind: &str, resource: &str) -> usize {
    let bodies = messages.iter().map(Received::json).filter(|body| body["type"] == kind);
    let findings = bodies.flat_map(|body| body["data"]["findings"].as_array().cloned().unwrap_or_default());
    findings.filter(|finding| finding["control_id"] == CONTROL && finding["resource_id"] == resource).count()
}

/// A deployment of the world that is not privileged.
fn a_deployment(platform: &Platform) -> (Subject, Value) {
    let world = platform.simulator.world();
    let cluster = world.cluster(CLUSTER).expect("the world has the cluster");
    let found = world
        .kube_objects(cluster)
        .find(|(key, object)| *key == kinds::DEPLOYMENT && text(&object["metadata"], "namespace").ends_with("-prod"));
    let (_, object) = found.expect("teams have deployments");
    let (namespace, name) = (text(&object["metadata"], "namespace"), text(&object["metadata"], "name"));
    (Subject::Kube { cluster: CLUSTER.to_owned(), kind: kinds::DEPLOYMENT, namespace: Some(namespace), name }, object)
}

fn set_privileged(platform: &Platform, object: &Value, privileged: bool) {
    let mut object = object.clone();
    object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = privileged.into();
    platform.simulator.put(CLUSTER, kinds::DEPLOYMENT, object).expect("the cluster is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weakness_is_told_when_it_appears_and_when_it_is_mended() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    let (_, object) = a_deployment(&platform);
    set_privileged(&platform, &object, false);
    platform.scan(&client, &[CLUSTER]).await;
    let name = text(&object["metadata"], "name");
    let namespace = text(&object["metadata"], "namespace");
    let found =
        client.list(&format!("/v1/resources?kind=k8s.deployment&namespace={namespace}&name_prefix={name}")).await;
    let resource =
        found.iter().find(|it| it["name"] == name.as_str()).map(|it| text(it, "id")).expect("it was scanned");

    let receiver = Receiver::start().await;
    let new = json!({ "name": "soc", "url": receiver.url, "filter": { "controls": [CONTROL] },
        "events": ["finding.opened", "finding.resolved", "scan.finished"] });
    let made = client.post("/v1/webhooks", &new).await;
    let (id, secret) = (text(&made, "id"), text(&made, "secret"));
    assert!(secret.starts_with("whsec_") && !made.to_string().contains("T0K3N"), "{made}");

    set_privileged(&platform, &object, true);
    let scans = platform.scan(&client, &[CLUSTER]).await;
    let messages = receiver.wait_for(2).await;
    assert_eq!(about(&messages, "finding.opened", &resource), 1, "{messages:?}");
    let told =
        messages.iter().map(Received::json).find(|body| body["type"] == "scan.finished").expect("the scan is told");
    assert_eq!(told["data"]["scan"]["id"], scans[0]["id"]);
    set_privileged(&platform, &object, false);
    platform.scan(&client, &[CLUSTER]).await;
    let messages = receiver.wait_for(4).await;
    assert_eq!(about(&messages, "finding.resolved", &resource), 1, "{messages:?}");
    for message in &messages {
        assert!(message.is_signed_by(&secret), "{message:?}");
        assert!(!message.is_signed_by("whsec_AAAA"));
    }

    let try_it = async || {
        let tested = client.post(&format!("/v1/webhooks/{id}/test"), &json!({})).await;
        platform.settle().await;
        let messages = receiver.received();
        messages.into_iter().find(|message| message.id == text(&tested, "id")).expect("the test came")
    };
    let renewed = text(&client.post(&format!("/v1/webhooks/{id}/secret"), &json!({})).await, "secret");
    let message = try_it().await;
    assert!(message.is_signed_by(&secret) && message.is_signed_by(&renewed), "both, for a time");
    let at_once = json!({ "overlap_hours": 0 });
    let last = text(&client.post(&format!("/v1/webhooks/{id}/secret"), &at_once).await, "secret");
    let message = try_it().await;
    assert!(message.is_signed_by(&last) && !message.is_signed_by(&renewed));

    // Nothing of it lies in the database as it is.
    let prints = platform.database.texts().await;
    for hidden in [&secret, &renewed, &last, &"T0K3N-of-the-url".to_owned()] {
        assert!(!prints.contains(hidden.as_str()), "{hidden} lies in the clear");
    }
    only_who_may_manages_webhooks(&platform, &client, &id).await;
}

async fn only_who_may_manages_webhooks(platform: &Platform, client: &Client, id: &str) {
    let cluster = text(&client.list("/v1/clusters").await[0], "id").parse().expect("an id");
    let tenant = text(&client.get("/v1/tenant").await, "id").parse().expect("an id");
    let scope = AccessScope::Cluster(cluster);
    let token = admin::create_token(&platform.database.store, tenant, "t", Role::Owner, scope, 1).await.unwrap();
    let scoped = client.with_token(token);
    assert_eq!(scoped.list("/v1/webhooks").await, Vec::<Value>::new());
    let (status, _) = scoped.request(Method::GET, &format!("/v1/webhooks/{id}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let new = json!({ "name": "mine", "url": "https://hooks.invalid", "events": ["finding.opened"] });
    let (status, _) = scoped.request(Method::POST, "/v1/webhooks", Some(&new)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "a webhook is told of the whole tenant");
}

/// Reads a stream of events to its end; id, name and data of each.
fn events(text: &str) -> Vec<(String, String, Value)> {
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_default().to_owned()
    };
    let blocks = text.split("\n\n").filter(|block| block.contains("data: "));
    blocks
        .map(|block| {
            let data = serde_json::from_str(&field(block, "data")).expect("data is JSON");
            (field(block, "id"), field(block, "event"), data)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_is_streamed_to_its_end_and_a_stream_ends_with_its_token_and_its_process() {
    let mut platform = Platform::start().await;
    platform.add_replica().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    let kind = FaultKind::Delay(Duration::from_millis(700));
    platform.simulator.faults().inject(Fault { target: Target::kube(CLUSTER, "*"), kind, times: None });
    let scan = client.start_scan(CLUSTER).await;
    let path = format!("/v1/scans/{scan}/events");

    let tenant = text(&client.get("/v1/tenant").await, "id").parse().expect("an id");
    let token = client
        .post(
            "/v1/tokens",
            &json!({ "name": "passing", "grants": [{ "role": "owner", "scope": { "type": "tenant" } }] }),
        )
        .await;
    let passing = SecretString::from(text(&token, "secret"));
    let open = async |base: &str, token: &SecretString| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = http.get(format!("{base}{path}")).bearer_auth(token.expose_secret()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.bytes_stream().boxed()
    };
    let mut revoked = open(client.base(), &passing).await;
    let owner = admin::create_token(&platform.database.store, tenant, "o", Role::Owner, AccessScope::Tenant, 1).await;
    let mut drained = open(&platform.replicas[1].url, &owner.unwrap()).await;
    assert!(revoked.next().await.is_some() && drained.next().await.is_some(), "both begin with the scan as it is");
    client.delete(&format!("/v1/tokens/{}", text(&token, "id"))).await;
    let begun = Utc::now();
    platform.replicas.remove(1).stop().await;
    while drained.next().await.is_some_and(|chunk| chunk.is_ok()) {}
    assert!((Utc::now() - begun).num_seconds() < 20, "a stream does not keep a process");
    while let Some(Ok(chunk)) = revoked.next().await {
        assert!(!String::from_utf8_lossy(&chunk).contains("event: finished"), "the token did not hold to the end");
    }

    let (reader, read) = (client.clone(), path.clone());
    let whole = tokio::spawn(async move { reader.get(&read).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    platform.simulator.faults().clear();
    let whole = whole.await.unwrap();
    let told = events(whole.as_str().expect("a text"));
    let (last, before) = told.split_last().expect("something is told");
    assert_eq!((last.1.as_str(), &last.2["status"]), ("finished", &json!("succeeded")), "{told:?}");
    assert!(before.iter().all(|(_, name, _)| name == "progress") && !before.is_empty(), "{told:?}");
    assert!(last.2["progress"]["phases"].as_array().is_some_and(|phases| !phases.is_empty()), "{last:?}");
    let again = |id: &str| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.get(format!("{}{path}", client.base())).header("last-event-id", id);
        let owner = client.token().clone();
        async move { request.bearer_auth(owner.expose_secret()).send().await.unwrap() }
    };
    assert_eq!(again(&last.0).await.status(), StatusCode::NO_CONTENT, "there is nothing more to tell");
    let missed = events(&again(&before[0].0).await.text().await.unwrap());
    assert_eq!(missed.len(), 1, "what it is now, and not what lay between: {missed:?}");
}
