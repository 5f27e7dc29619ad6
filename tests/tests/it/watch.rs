//! A change in a watched cluster is known within seconds, whatever happens to the process, the connection or a scan beside it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloudsim::world::{Subject, kinds};
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform, eventually};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};

const CLUSTER: &str = "factory-floor";
/// What an idle machine needs is a second; a busy one gets more.
const SOON: Duration = Duration::from_secs(15);

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

async fn cluster(client: &Client) -> Value {
    let clusters = client.list(&format!("/v1/clusters?name_prefix={CLUSTER}")).await;
    clusters.into_iter().next().unwrap_or_default()
}

async fn is_in_state(client: &Client, state: &str) -> Option<Value> {
    let cluster = cluster(client).await;
    (cluster["watch"]["state"] == state).then_some(cluster)
}

/// Onboards the cluster, switches watching on and waits until it is watched and assessed.
async fn watched(platform: &Platform) -> Client {
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    let connector = client.patch(&format!("/v1/connectors/{CLUSTER}"), &json!({ "watch": true })).await;
    assert_eq!(connector["watch"], true);
    eventually("watching", Duration::from_mins(1), async || is_in_state(&client, "watching").await).await;
    platform.settle().await;
    client
}

/// A deployment of a team, and the object itself.
fn a_deployment(platform: &Platform, nth: usize) -> (Subject, Value) {
    let world = platform.simulator.world();
    let cluster = world.cluster(CLUSTER).expect("the world has the cluster");
    let deployments = world
        .kube_objects(cluster)
        .filter(|(key, object)| *key == kinds::DEPLOYMENT && text(&object["metadata"], "namespace").ends_with("-prod"));
    let (_, object) = deployments.into_iter().nth(nth).expect("teams have deployments");
    let metadata = &object["metadata"];
    let subject = Subject::Kube {
        cluster: CLUSTER.to_owned(),
        kind: kinds::DEPLOYMENT,
        namespace: Some(text(metadata, "namespace")),
        name: text(metadata, "name"),
    };
    (subject, object)
}

/// Runs a deployment's container as privileged, or no more.
fn set_privileged(platform: &Platform, subject: &Subject, privileged: bool) {
    let mut object = platform.simulator.object(subject).expect("the object is there");
    object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = privileged.into();
    platform.simulator.put(CLUSTER, kinds::DEPLOYMENT, object).expect("the cluster is there");
}

async fn resource(client: &Client, kind: &str, object: &Value) -> Option<String> {
    let (namespace, name) = (text(&object["metadata"], "namespace"), text(&object["metadata"], "name"));
    let found = client.list(&format!("/v1/resources?kind={kind}&namespace={namespace}&name_prefix={name}")).await;
    found.iter().find(|resource| resource["name"] == name.as_str()).map(|resource| text(resource, "id"))
}

async fn privileged_finding(client: &Client, resource: &str) -> Option<Value> {
    let findings = client.list(&format!("/v1/findings?resource={resource}")).await;
    findings.into_iter().find(|finding| finding["control_id"] == PRIVILEGED)
}

const PRIVILEGED: &str = "k8s.pod.privileged";

/// A scan finds nothing that the watch had not told.
async fn nothing_was_missed(platform: &Platform, client: &Client) {
    platform.settle().await;
    let scans = platform.scan(client, &[CLUSTER]).await;
    let changes = ["added", "changed", "removed"].map(|what| scans[0]["progress"][what].as_u64());
    assert_eq!(changes, [Some(0), Some(0), Some(0)], "{scans:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_has_its_finding_within_seconds_and_what_is_gone_is_gone() {
    let platform = Platform::start().await;
    let client = watched(&platform).await;
    let (subject, object) = a_deployment(&platform, 0);
    let id = resource(&client, "k8s.deployment", &object).await.expect("the scan found it");
    assert!(privileged_finding(&client, &id).await.is_none(), "the deployment is not privileged at first");

    set_privileged(&platform, &subject, true);
    let found = async || privileged_finding(&client, &id).await;
    let finding = eventually("the finding", SOON, found).await;
    assert_eq!(finding["status"], "unhealthy", "{finding}");
    let watch = cluster(&client).await["watch"].clone();
    assert!(watch["last_event_at"].is_string() && watch["lag_ms"].is_number(), "{watch}");

    set_privileged(&platform, &subject, false);
    let closed = async || privileged_finding(&client, &id).await.is_none().then_some(());
    eventually("the end of the finding", SOON, closed).await;

    platform.simulator.delete(&subject);
    let gone = async || resource(&client, "k8s.deployment", &object).await.is_none().then_some(());
    eventually("the end of the deployment", SOON, gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_replica_takes_over_and_nothing_is_missed_in_between() {
    let mut platform = Platform::start().await;
    let client = watched(&platform).await;
    let (subject, object) = a_deployment(&platform, 0);
    let id = resource(&client, "k8s.deployment", &object).await.expect("the scan found it");
    platform.replicas.remove(0).kill();
    set_privileged(&platform, &subject, true);
    platform.add_replica().await;
    let client = client.at(&platform.replicas[0].url);
    let lists = platform.simulator.calls().of(&format!("{CLUSTER} GET /apis/apps/v1/deployments"));

    // The lease of the dead has to run out first.
    let found = async || privileged_finding(&client, &id).await;
    eventually("the finding", Duration::from_mins(1), found).await;
    let listed = platform.simulator.calls().of(&format!("{CLUSTER} GET /apis/apps/v1/deployments"));
    assert_eq!(listed, lists, "the watch goes on where the other had come to, without a list");

    // One that is asked to stop gives its watches back at once.
    platform.add_replica().await;
    let begun = Instant::now();
    platform.replicas.remove(0).stop().await;
    let client = client.at(&platform.replicas[0].url);
    set_privileged(&platform, &subject, false);
    let closed = async || privileged_finding(&client, &id).await.is_none().then_some(());
    eventually("the end of the finding", Duration::from_secs(25), closed).await;
    assert!(begun.elapsed() < Duration::from_secs(29), "no lease had to run out");
    nothing_was_missed(&platform, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_watch_cannot_tell_is_listed_and_what_it_may_not_see_is_left_to_scans() {
    let platform = Platform::start().await;
    let denied = Target::kube(CLUSTER, "/api/v1/services?watch");
    platform.simulator.faults().inject(Fault { target: denied, kind: FaultKind::Forbidden, times: None });
    let client = watched(&platform).await;
    let polled = cluster(&client).await["watch"]["polled"].clone();
    assert_eq!(polled[0]["kind"], "k8s.service", "{polled}");
    assert_eq!(polled[0]["state"], "denied", "{polled}");
    assert!(text(&polled[0], "remedy").contains("watch"), "{polled}");

    let (subject, object) = a_deployment(&platform, 0);
    let id = resource(&client, "k8s.deployment", &object).await.expect("the scan found it");
    let deployments = format!("{CLUSTER} GET /apis/apps/v1/deployments");
    let lists = platform.simulator.calls().of(&deployments);
    // The connection breaks, and before it is back the server has forgotten what came between.
    let away = Target::kube(CLUSTER, "*?watch");
    platform.simulator.faults().inject(Fault { target: away, kind: FaultKind::Status(503), times: None });
    platform.simulator.cut_watches(CLUSTER);
    set_privileged(&platform, &subject, true);
    platform.simulator.compact(CLUSTER);
    platform.simulator.faults().clear();
    let found = async || privileged_finding(&client, &id).await;
    eventually("the finding after a 410", SOON, found).await;
    assert!(platform.simulator.calls().of(&deployments) > lists, "what came between was listed");

    eventually("watching", SOON, async || is_in_state(&client, "watching").await).await;
    platform.simulator.cut_watches(CLUSTER);
    set_privileged(&platform, &subject, false);
    let closed = async || privileged_finding(&client, &id).await.is_none().then_some(());
    eventually("the end of the finding after a cut", SOON, closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_off_ends_the_watch_at_once() {
    let platform = Platform::start().await;
    let client = watched(&platform).await;
    client.patch(&format!("/v1/connectors/{CLUSTER}"), &json!({ "watch": false })).await;
    assert!(cluster(&client).await["watch"].is_null());
    let (subject, object) = a_deployment(&platform, 0);
    let id = resource(&client, "k8s.deployment", &object).await.expect("the scan found it");
    set_privileged(&platform, &subject, true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(privileged_finding(&client, &id).await.is_none(), "who held the watch may write nothing any more");
    platform.scan(&client, &[CLUSTER]).await;
    assert!(privileged_finding(&client, &id).await.is_some(), "the next scan reads it");
}

/// One random edit: changed, deleted and made anew, pods of known and unknown owners, replica sets.
fn edit(platform: &Platform, random: &mut StdRng, gone: &mut Vec<(cloudsim::world::KindKey, Value)>) {
    let world = platform.simulator.world();
    let cluster = world.cluster(CLUSTER).expect("the world has the cluster");
    let chosen = [kinds::DEPLOYMENT, kinds::POD, kinds::REPLICA_SET, kinds::ROLE, kinds::SERVICE];
    let objects: Vec<_> = world.kube_objects(cluster).filter(|(key, _)| chosen.contains(key)).collect();
    let (key, mut object) = objects[random.random_range(0..objects.len())].clone();
    match random.random_range(0..5) {
        0 => {
            let metadata = &object["metadata"];
            let namespace = metadata["namespace"].as_str().map(ToOwned::to_owned);
            let subject =
                Subject::Kube { cluster: CLUSTER.to_owned(), kind: key, namespace, name: text(metadata, "name") };
            platform.simulator.delete(&subject);
            object["metadata"]["uid"] = Value::Null;
            gone.push((key, object));
        }
        1 => {
            if let Some((key, object)) = gone.pop() {
                platform.simulator.put(CLUSTER, key, object);
            }
        }
        _ => {
            object["metadata"]["labels"]["edited"] = random.random_range(0..1_000).to_string().into();
            platform.simulator.put(CLUSTER, key, object);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_and_scans_side_by_side_leave_the_state_of_the_cluster() {
    let platform = Platform::start().await;
    let client = watched(&platform).await;
    let mut random = StdRng::seed_from_u64(7);
    let mut gone = Vec::new();
    let mut scans = BTreeSet::new();
    for round in 0..60 {
        edit(&platform, &mut random, &mut gone);
        if round % 15 == 5 {
            scans.insert(client.start_scan(CLUSTER).await);
        }
        if round % 20 == 12 {
            platform.simulator.cut_watches(CLUSTER);
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(0..120))).await;
    }
    for scan in scans {
        client.wait_for_scan(&scan).await;
    }
    eventually("watching", SOON, async || is_in_state(&client, "watching").await).await;
    // Images are told from all pods together, some seconds after the last of them.
    tokio::time::sleep(Duration::from_secs(13)).await;
    nothing_was_missed(&platform, &client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_switched_off_is_not_watched() {
    let platform = Platform::start().await;
    let client = watched(&platform).await;
    let (subject, object) = a_deployment(&platform, 0);
    let id = resource(&client, "k8s.deployment", &object).await.expect("the scan found it");
    let place = format!("/v1/clusters/{}/pricings/discovery", text(&cluster(&client).await, "id"));
    let put = async |body: Value| client.request(reqwest::Method::PUT, &place, Some(&body)).await.0;
    let off = json!({ "enabled": true, "extensions": [{ "name": "kubernetes", "enabled": false }] });
    assert_eq!(put(off).await, reqwest::StatusCode::OK);
    let ended = async || (cluster(&client).await["watch"]["state"] != "watching").then_some(());
    eventually("the end of the watch", SOON, ended).await;
    set_privileged(&platform, &subject, true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(privileged_finding(&client, &id).await.is_none(), "nothing is read");

    let on = json!({ "enabled": true, "extensions": [{ "name": "kubernetes", "enabled": true }] });
    assert_eq!(put(on).await, reqwest::StatusCode::OK);
    platform.scan(&client, &[CLUSTER]).await;
    let found = async || privileged_finding(&client, &id).await;
    eventually("the finding", SOON, found).await;
    eventually("watching", Duration::from_mins(1), async || is_in_state(&client, "watching").await).await;
}
