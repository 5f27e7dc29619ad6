//! A second scan writes what changed, and only that.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::world::{Subject, kinds};
use platform_tests::{Client, Platform};
use serde_json::Value;

const CONNECTORS: [&str; 2] = ["main", "factory-floor"];
const EVERYTHING: &str = "/v1/findings?changed_since=2000-01-01T00:00:00Z";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Everything that the API tells of resources, findings and the score, by id.
async fn everything(client: &Client) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for path in ["/v1/resources", EVERYTHING, "/v1/recommendations", "/v1/images"] {
        for item in client.list(path).await {
            let id =
                ["id", "control_id", "digest"].map(|field| text(&item, field)).into_iter().find(|id| !id.is_empty());
            let mut item = item;
            // When facts were last seen moves on, that is its meaning.
            item.as_object_mut().expect("items are objects").remove("observed_at");
            all.insert(format!("{path} {}", id.expect("items have ids")), item);
        }
    }
    all.insert("score".into(), client.get("/v1/secure-score").await);
    all
}

fn count(scans: &[Value], what: &str) -> u64 {
    scans.iter().map(|scan| scan["progress"][what].as_u64().expect("scans count")).sum()
}

/// Revision and time of judgement of a sample of resources, which lists do not show.
async fn judged(client: &Client, resources: &[Value]) -> BTreeMap<String, (Value, Value)> {
    let mut judged = BTreeMap::new();
    for resource in resources.iter().step_by(23) {
        let detail = client.get(&format!("/v1/resources/{}", text(resource, "id"))).await;
        judged.insert(text(resource, "id"), (detail["revision"].clone(), detail["evaluated_at"].clone()));
    }
    judged
}

fn differing(before: &BTreeMap<String, Value>, after: &BTreeMap<String, Value>) -> Vec<String> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differ.map(|key| format!("{key}\n  was {:?}\n  is {:?}", before.get(key), after.get(key))).collect()
}

/// Subjects that the last round of changes touched, as cluster, kind, namespace and name.
fn touched(platform: &Platform, clusters: &[&str]) -> BTreeSet<[String; 4]> {
    let world = platform.simulator.world();
    let mut touched = BTreeSet::new();
    for name in clusters {
        let cluster = world.cluster(name).expect("the world has the cluster");
        for (kind, object) in world.changed_objects(cluster) {
            let metadata = &object["metadata"];
            let kind = format!("k8s.{}", kind.kind.to_lowercase());
            touched.insert([(*name).to_owned(), kind, text(metadata, "namespace"), text(metadata, "name")]);
        }
    }
    touched
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changed_is_written_and_nothing_else() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let account = platform.simulator.accounts().remove(0).id;
    client.onboard_account(&platform.simulator, "main", &account).await;
    client.onboard_cluster(&platform.simulator, "factory-floor", "factory-floor").await;
    let scans = platform.scan(&client, &CONNECTORS).await;
    let resources = client.list("/v1/resources").await;
    let total = count(&scans, "added");
    assert!(total > 1_000, "{scans:?}");
    let before = everything(&client).await;
    let judged_before = judged(&client, &resources).await;

    unchanged_writes_nothing(&platform, &client, &before, total).await;
    assert_eq!(judged(&client, &resources).await, judged_before, "what did not change is not judged again");

    changes_are_followed(&platform, &client, &resources).await;
    removals_end_findings(&platform, &client).await;
}

async fn unchanged_writes_nothing(platform: &Platform, client: &Client, before: &BTreeMap<String, Value>, total: u64) {
    let scans = platform.scan(client, &CONNECTORS).await;
    let changes = ["added", "changed", "removed"].map(|what| count(&scans, what));
    assert_eq!(changes, [0, 0, 0], "{scans:?}");
    assert_eq!(count(&scans, "unchanged"), total);
    let after = everything(client).await;
    let different = differing(before, &after);
    assert!(different.is_empty(), "{} rows were rewritten:\n{}", different.len(), different.join("\n"));
}

async fn changes_are_followed(platform: &Platform, client: &Client, before: &[Value]) {
    let open: BTreeSet<String> = client.list("/v1/findings").await.iter().map(|finding| text(finding, "id")).collect();
    platform.simulator.mutate(0.05, 11);
    let scans = platform.scan(client, &CONNECTORS).await;
    assert!(count(&scans, "changed") > 50, "{scans:?}");
    assert_eq!(count(&scans, "removed"), 0, "{scans:?}");

    let clusters: BTreeMap<String, String> =
        client.list("/v1/clusters").await.iter().map(|cluster| (text(cluster, "id"), text(cluster, "name"))).collect();
    let names: Vec<&str> = ["storefront-prod", "payments-prod", "data-staging", "factory-floor"].into();
    let touched = touched(platform, &names);
    let changed_before: BTreeMap<String, String> =
        before.iter().map(|resource| (text(resource, "id"), text(resource, "changed_at"))).collect();
    let mut wrong = Vec::new();
    for resource in client.list("/v1/resources").await {
        let kind = text(&resource, "kind");
        // What is derived from several objects changes with any of them.
        if !kind.starts_with("k8s.") || matches!(kind.as_str(), "k8s.cluster" | "k8s.staticpod" | "k8s.workload") {
            continue;
        }
        let cluster = clusters.get(&text(&resource, "cluster_id")).expect("objects are in clusters");
        let place = [cluster.clone(), kind, text(&resource, "namespace"), text(&resource, "name")];
        let moved = changed_before.get(&text(&resource, "id")) != Some(&text(&resource, "changed_at"));
        if moved && !touched.contains(&place) {
            wrong.push(format!("{place:?} was rewritten"));
        }
        let workload = ["k8s.deployment", "k8s.statefulset", "k8s.daemonset", "k8s.cronjob", "k8s.role"];
        if !moved && touched.contains(&place) && workload.contains(&place[1].as_str()) {
            wrong.push(format!("{place:?} was not rewritten"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));

    let now: BTreeSet<String> = client.list("/v1/findings").await.iter().map(|finding| text(finding, "id")).collect();
    let (opened, closed) = (now.difference(&open).count(), open.difference(&now).count());
    assert!(opened > 0 && closed > 0, "{opened} opened, {closed} closed");
    for id in open.difference(&now) {
        let finding = client.get(&format!("/v1/findings/{id}")).await;
        let last = &finding["history"][0];
        assert_eq!((&last["from_status"], &last["to_status"]), (&"unhealthy".into(), &finding["status"]), "{finding}");
        let causes = ["resource", "neighbour"];
        assert!(causes.contains(&finding["cause"].as_str().unwrap_or_default()), "{finding}");
        assert_eq!(finding["cause"], last["cause"], "{finding}");
    }
}

async fn removals_end_findings(platform: &Platform, client: &Client) {
    let find = |kind: &str, name: &str| {
        let path = format!("/v1/resources?kind={kind}&name_prefix={name}");
        async move { client.list(&path).await }
    };
    let world = platform.simulator.world();
    let factory = world.cluster("factory-floor").expect("the world has the cluster").name.clone();
    let deployments = find("k8s.deployment", "floating-tag").await;
    let factory_id = client
        .list("/v1/clusters?name_prefix=factory-floor")
        .await
        .first()
        .map(|cluster| text(cluster, "id"))
        .expect("the cluster is known");
    let deployment = deployments.iter().find(|found| found["cluster_id"] == factory_id).expect("it is planted");
    let repositories = find("aws.ecr.repository", "sandbox").await;
    let repository = repositories.first().expect("it is planted");
    platform.simulator.delete(&Subject::Kube {
        cluster: factory,
        kind: kinds::DEPLOYMENT,
        namespace: Some(text(deployment, "namespace")),
        name: text(deployment, "name"),
    });
    platform.simulator.delete(&Subject::Native(text(repository, "native_id")));
    let mut findings = Vec::new();
    for resource in [deployment, repository] {
        let open = client.list(&format!("/v1/findings?resource={}", text(resource, "id"))).await;
        assert!(!open.is_empty(), "a planted weakness has findings");
        findings.extend(open);
    }

    let scans = platform.scan(client, &CONNECTORS).await;
    assert!(count(&scans, "removed") >= 2, "{scans:?}");
    for resource in [deployment, repository] {
        let id = text(resource, "id");
        let (status, _) = client.request(reqwest::Method::GET, &format!("/v1/resources/{id}"), None).await;
        assert_eq!(status, 404, "{resource}");
        let history = client.list(&format!("/v1/resources/{id}/history")).await;
        assert_eq!(history[0]["gone"], true, "{history:?}");
    }
    for finding in findings {
        let ended = client.get(&format!("/v1/findings/{}", text(&finding, "id"))).await;
        assert_eq!((&ended["status"], &ended["cause"]), (&"not_applicable".into(), &"gone".into()), "{ended}");
        assert_eq!(ended["history"][0]["cause"], "gone", "{ended}");
    }
}
