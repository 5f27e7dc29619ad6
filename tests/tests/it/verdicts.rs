//! From an account's role and a cluster's kubeconfig to verdicts: what was planted is found, and nothing beside it.

use std::collections::{BTreeMap, HashMap};

use cloudsim::world::{Expected, Subject};
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

/// Cluster name, kind, namespace and name, as the worlds of both sides tell them.
type Place = (String, String, String, String);

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Every resource by native id and, in clusters, by place.
async fn inventory(client: &Client) -> (HashMap<String, String>, HashMap<Place, String>) {
    let clusters: HashMap<String, String> =
        client.list("/v1/clusters").await.iter().map(|cluster| (text(cluster, "id"), text(cluster, "name"))).collect();
    let (mut by_native_id, mut by_place) = (HashMap::new(), HashMap::new());
    for resource in client.list("/v1/resources").await {
        let id = text(&resource, "id");
        if let Some(cluster) = resource["cluster_id"].as_str().and_then(|cluster| clusters.get(cluster)) {
            let kind = text(&resource, "kind");
            let place = (cluster.clone(), kind, text(&resource, "namespace"), text(&resource, "name"));
            by_place.insert(place, id.clone());
        }
        by_native_id.insert(text(&resource, "native_id"), id);
    }
    (by_native_id, by_place)
}

/// Assigns every control of the catalogue to the whole tenant, those beyond the default initiative included.
async fn assign_everything(client: &Client) {
    let controls = client.list("/v1/controls").await;
    let choices: Vec<Value> = controls.iter().map(|control| json!({ "id": control["id"] })).collect();
    let initiative = json!({ "name": "everything", "title": "Everything", "controls": choices });
    client.post("/v1/initiatives", &initiative).await;
    let assignment = json!({ "name": "everything", "initiative": "everything", "scope": { "type": "tenant" } });
    client.post("/v1/assignments", &assignment).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_planted_is_found() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    assign_everything(&client).await;
    let accounts = platform.simulator.accounts();
    let mut connectors = vec!["factory-floor"];
    client.onboard_cluster(&platform.simulator, "factory-floor", "factory-floor").await;
    for (account, name) in accounts.iter().zip(["main", "partner"]) {
        client.onboard_account(&platform.simulator, name, &account.id).await;
        connectors.push(name);
    }
    for scan in platform.scan(&client, &connectors).await {
        assert!(matches!(scan["status"].as_str(), Some("succeeded" | "partial")), "{scan}");
    }

    let (by_native_id, by_place) = inventory(&client).await;
    let world = platform.simulator.world();
    let expected = world.expected();
    assert!(expected.len() > 100, "the world plants something");
    let mut by_subject: BTreeMap<String, Vec<&Expected>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for expectation in &expected {
        let found = match &expectation.subject {
            Subject::Native(id) => by_native_id.get(id),
            Subject::Kube { cluster, kind, namespace, name } => {
                let kind = format!("k8s.{}", kind.kind.to_lowercase());
                by_place.get(&(cluster.clone(), kind, namespace.clone().unwrap_or_default(), name.clone()))
            }
        };
        match found {
            Some(id) => by_subject.entry(id.clone()).or_default().push(expectation),
            None => wrong.push(format!("{expectation}, but is not in the inventory")),
        }
    }
    for (id, expectations) in by_subject {
        let answer = client.get(&format!("/v1/resources/{id}/verdicts")).await;
        let verdicts = answer["items"].as_array().expect("verdicts");
        for expectation in expectations {
            let verdict = verdicts.iter().find(|verdict| verdict["control_id"] == expectation.control_id);
            let status = verdict.map_or("not judged", |verdict| verdict["status"].as_str().unwrap_or_default());
            if status != expectation.status.as_str() {
                let why = verdict.map(|verdict| verdict["reason"].to_string()).unwrap_or_default();
                wrong.push(format!("{expectation}, but is {status} {why}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} are wrong:\n{}", wrong.len(), expected.len(), wrong.join("\n"));
}
