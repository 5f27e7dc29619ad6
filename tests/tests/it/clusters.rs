//! One cluster stays one, however many connectors read it, and lasts as long as one of them does.

use std::collections::BTreeSet;

use cloudsim::world::Preset;
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

const CLUSTER: &str = "factory-floor";

fn ids(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(|item| item["id"].as_str().expect("items have ids").to_owned()).collect()
}

/// Clusters, resources and open findings, by id.
async fn estate(client: &Client) -> [BTreeSet<String>; 3] {
    [
        ids(&client.list("/v1/clusters").await),
        ids(&client.list("/v1/resources").await),
        ids(&client.list("/v1/findings").await),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connectors_of_one_cluster_share_it() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, "first", CLUSTER).await;
    platform.scan(&client, &["first"]).await;
    let alone = estate(&client).await;
    assert_eq!(alone[0].len(), 1);
    let assignment = json!({
        "name": "strict", "initiative": "pss-restricted",
        "scope": { "type": "cluster", "cluster_id": alone[0].first() },
    });
    client.post("/v1/assignments", &assignment).await;
    platform.settle().await;
    let alone = estate(&client).await;

    client.onboard_cluster(&platform.simulator, "second", CLUSTER).await;
    let scans = platform.scan(&client, &["second", "first"]).await;
    for scan in &scans {
        let progress = &scan["progress"];
        assert_eq!([&progress["added"], &progress["changed"], &progress["removed"]], [&json!(0); 3], "{scan}");
        assert_eq!(progress["unchanged"], alone[1].len(), "{scan}");
    }
    assert_eq!(estate(&client).await, alone, "nothing is there twice");

    client.delete("/v1/connectors/first").await;
    platform.settle().await;
    platform.scan(&client, &["second"]).await;
    assert_eq!(estate(&client).await, alone, "what the other connector reads stays, under the same ids");
    let stale = client.list("/v1/findings?stale=true").await;
    assert_eq!(stale, Vec::<Value>::new());

    client.delete("/v1/connectors/second").await;
    platform.settle().await;
    assert_eq!(estate(&client).await, [const { BTreeSet::new() }; 3], "nobody reads it any more");
    for path in ["/v1/connectors", "/v1/coverage", "/v1/recommendations"] {
        assert_eq!(client.list(path).await, Vec::<Value>::new(), "{path}");
    }
    for id in alone[2].iter().step_by(29) {
        let finding = client.get(&format!("/v1/findings/{id}")).await;
        assert_eq!((&finding["status"], &finding["cause"]), (&json!("not_applicable"), &json!("gone")), "{finding}");
    }
    let score = client.get("/v1/secure-score").await;
    assert_eq!(score["percent"], Value::Null, "nothing is left to be scored: {score}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_an_account_and_its_api_are_one() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let partner = platform.simulator.accounts().remove(1).id;
    client.onboard_account(&platform.simulator, "partner", &partner).await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    platform.scan(&client, &["partner", CLUSTER]).await;
    let clusters = client.list("/v1/clusters").await;
    assert_eq!(clusters.len(), 2, "the account's and the one on premises: {clusters:?}");
    for cluster in &clusters {
        let id = cluster["id"].as_str().expect("clusters have ids");
        assert!(cluster["kube_uid"].is_string() && cluster["assessed_at"].is_string(), "{cluster}");
        let kinds = client.get(&format!("/v1/resources?cluster={id}&group_by=kind&limit=100")).await;
        let kinds: BTreeSet<&str> =
            kinds["groups"].as_array().expect("groups").iter().filter_map(|group| group["key"].as_str()).collect();
        assert!(kinds.contains("k8s.pod"), "{kinds:?}");
        assert_eq!(kinds.contains("aws.eks.cluster"), cluster["cloud"] == "aws", "both sides are one: {kinds:?}");
    }

    // Of two connectors, the one that goes takes only its own along.
    let own = |cloud: &str| {
        let path = format!("/v1/resources?cloud={cloud}");
        let client = client.clone();
        async move { ids(&client.list(&path).await) }
    };
    let kept = own("on_premises").await;
    client.delete("/v1/connectors/partner").await;
    platform.settle().await;
    assert_eq!(own("aws").await, BTreeSet::new());
    assert_eq!(own("on_premises").await, kept);
    assert_eq!(client.list(&format!("/v1/findings?account={partner}")).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_its_cloud_does_not_reach_is_joined_by_what_its_owner_says() {
    let platform = Platform::over(Preset::Estate).await;
    let client = platform.tenant("demo").await;
    let shop = platform.simulator.subscriptions().remove(0);
    client.onboard_subscription("shop", &shop).await;
    let arc = shop.connected.values().next().expect("a cluster connected through Arc").0["id"].clone();
    for (name, cluster) in [("edge", "cold-store"), ("mistaken", "factory-floor")] {
        let kubeconfig = platform.simulator.kubeconfig(cluster).expect("a kubeconfig");
        let source =
            json!({ "provider": "kubernetes", "kubeconfig": kubeconfig, "native_id": arc, "cluster_name": name });
        let connector = client.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        let native = arc.as_str().expect("an id").to_lowercase();
        assert_eq!(connector["source"]["native_id"], native.as_str(), "{connector}");
        client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
    }
    let named = async |name: &str| client.list(&format!("/v1/clusters?name_prefix={name}")).await;

    // Whoever is read first: the owner's word and the cloud's are of one cluster, which is called as the cloud calls it.
    platform.scan(&client, &["edge"]).await;
    let id = named("edge").await[0]["id"].clone();
    platform.scan(&client, &["shop", "edge"]).await;
    let joined = named("warehouse").await;
    assert_eq!((joined.len(), &joined[0]["id"]), (1, &id), "{joined:?}");
    assert_eq!((&joined[0]["cloud"], &joined[0]["account"]), (&json!("azure"), &json!(shop.id)), "{joined:?}");
    let kinds =
        client.get(&format!("/v1/resources?cluster={}&group_by=kind&limit=100", id.as_str().expect("an id"))).await;
    let kinds: BTreeSet<&str> =
        kinds["groups"].as_array().expect("groups").iter().filter_map(|group| group["key"].as_str()).collect();
    assert!(kinds.contains("azure.arc.extension") && kinds.contains("k8s.pod"), "{kinds:?}");
    assert_eq!(named("edge").await, Vec::<Value>::new());

    // A word that another cluster's own API contradicts joins nothing and takes nothing away.
    let pods = client.list(&format!("/v1/resources?kind=k8s.pod&cluster={}", id.as_str().expect("an id"))).await.len();
    platform.scan(&client, &["mistaken"]).await;
    assert_eq!(named("mistaken").await.len(), 1);
    let kept = client.list(&format!("/v1/resources?kind=k8s.pod&cluster={}", id.as_str().expect("an id"))).await.len();
    assert_eq!((kept, named("warehouse").await.len()), (pods, 1));
}
