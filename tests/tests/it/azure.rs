//! An Azure subscription, from its onboarding to what is known of its clusters, workloads and images.

use std::collections::BTreeMap;

use cloudsim::world::{Preset, Subscription};
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

async fn onboard(client: &Client, subscription: &Subscription, local_accounts: bool) {
    let source = json!({
        "provider": "azure", "subscription_id": subscription.id, "tenant_id": subscription.tenant_id,
        "client_id": subscription.client_id, "client_secret": subscription.client_secret, "local_accounts": local_accounts,
    });
    let connector = client.post("/v1/connectors", &json!({ "name": subscription.name, "source": source })).await;
    assert_eq!(connector["source"]["auth"], "client_secret", "{connector}");
    assert!(!connector.to_string().contains(&subscription.client_secret), "secrets are not given back");
    client.post(&format!("/v1/connectors/{}/pause", subscription.name), &json!({})).await;
}

/// Resources by kind.
async fn kinds(client: &Client, query: &str) -> BTreeMap<String, u64> {
    let answer = client.get(&format!("/v1/resources?group_by=kind&limit=100{query}")).await;
    let groups = answer["groups"].as_array().expect("groups");
    groups
        .iter()
        .map(|group| (group["key"].as_str().unwrap_or_default().to_owned(), group["count"].as_u64().unwrap_or(0)))
        .collect()
}

/// State and remedy of a cluster's own API, by cluster name.
async fn reach(client: &Client, name: &str) -> (String, String) {
    let rows = client.list("/v1/coverage").await;
    let scope = format!("/managedclusters/{name}");
    let of_cluster = |row: &&Value| row["kind"] == "k8s.cluster" && row.to_string().contains(&scope);
    let row = rows.iter().find(of_cluster).unwrap_or_else(|| panic!("{name} has no coverage: {rows:?}"));
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("remedy"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_comes_with_its_clusters_workloads_and_images() {
    let platform = Platform::over(Preset::Azure).await;
    let client = platform.tenant("demo").await;
    let subscriptions = platform.simulator.subscriptions();
    let shop = &subscriptions[0];
    onboard(&client, shop, false).await;
    let scan = platform.scan(&client, &["Shop"]).await.remove(0);
    assert_eq!(scan["status"], "partial", "two clusters could not be read: {scan}");

    let found = kinds(&client, "&cloud=azure").await;
    for (kind, count) in [
        ("azure.subscription", 1),
        ("azure.aks.cluster", 4),
        ("azure.aks.agent_pool", 8),
        ("azure.acr.registry", 3),
        ("azure.acr.repository", 16),
        ("azure.acr.image", 80),
        ("azure.arc.cluster", 1),
        ("azure.arc.extension", 1),
        ("azure.security.plan", 2),
        ("azure.role_assignment", 4),
        ("azure.diagnostic_setting", 1),
        ("k8s.cluster", 2),
    ] {
        assert_eq!(found.get(kind), Some(&count), "{kind}: {found:?}");
    }
    assert!(found["k8s.deployment"] > 10 && found["image.running"] > 5, "{found:?}");

    let clusters = client.list("/v1/clusters").await;
    let prod = clusters.iter().find(|cluster| cluster["name"] == "shop-prod").expect("the cluster");
    assert_eq!((&prod["cloud"], &prod["account"]), (&json!("azure"), &json!(shop.id)), "{prod}");
    assert!(prod["kube_uid"].is_string() && prod["assessed_at"].is_string(), "{prod}");
    let id = prod["id"].as_str().expect("clusters have ids");
    let inside = kinds(&client, &format!("&cluster={id}")).await;
    assert!(
        inside.contains_key("azure.aks.cluster") && inside.contains_key("k8s.pod"),
        "both sides are one: {inside:?}"
    );
    assert!(!client.list(&format!("/v1/findings?cluster={id}")).await.is_empty(), "what was planted is found");

    // Nothing changed: nothing is written.
    let scan = platform.scan(&client, &["Shop"]).await.remove(0);
    let progress = &scan["progress"];
    assert_eq!([&progress["added"], &progress["changed"], &progress["removed"]], [&json!(0); 3], "{scan}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cluster_that_cannot_be_read_says_what_to_do() {
    let platform = Platform::over(Preset::Azure).await;
    let client = platform.tenant("demo").await;
    let subscriptions = platform.simulator.subscriptions();
    for subscription in &subscriptions {
        onboard(&client, subscription, false).await;
    }
    platform.scan(&client, &["Shop", "Lab"]).await;
    let assigned = kinds(&client, "").await.remove("azure.role_assignment");
    assert_eq!(assigned, Some(5), "what both inherit is kept for each of them");
    for (cluster, state, remedy) in [
        ("shop-paused", "unreachable", "Start the cluster"),
        ("shop-denied", "denied", "identity"),
        ("lab-local", "unauthorized", "local_accounts"),
        ("lab-sealed", "denied", "Cluster User Role"),
        ("shop-prod", "read", ""),
    ] {
        let (found, told) = reach(&client, cluster).await;
        assert!(found == state && told.contains(remedy), "{cluster}: {found}, {told}");
    }
    // Only who says so has local accounts used.
    let change = json!({ "source": { "provider": "azure", "subscription_id": subscriptions[1].id,
        "tenant_id": subscriptions[1].tenant_id, "client_id": subscriptions[1].client_id,
        "client_secret": subscriptions[1].client_secret, "local_accounts": true } });
    client.patch("/v1/connectors/Lab", &change).await;
    platform.scan(&client, &["Lab"]).await;
    assert_eq!(reach(&client, "lab-local").await.0, "read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_azure_refuses_or_delays_deletes_nothing() {
    let platform = Platform::over(Preset::Azure).await;
    let client = platform.tenant("demo").await;
    let shop = platform.simulator.subscriptions().remove(0);
    onboard(&client, &shop, false).await;
    platform.scan(&client, &["Shop"]).await;
    let before = kinds(&client, "").await;
    for target in [Target::azure("arm", "managedClusters"), Target::azure("acr", "manifests")] {
        platform.simulator.faults().inject(Fault { target, kind: FaultKind::Forbidden, times: None });
    }
    let throttle = FaultKind::Throttle { retry_after: Some(1) };
    let target = Target::azure("arm", "connectedClusters");
    platform.simulator.faults().inject(Fault { target, kind: throttle, times: Some(1) });
    let scan = platform.scan(&client, &["Shop"]).await.remove(0);
    assert_eq!(scan["status"], "partial", "{scan}");
    assert_eq!(kinds(&client, "").await, before);
    let rows = client.list("/v1/coverage").await;
    let state = |kind: &str| {
        let row = rows.iter().find(|row| row["kind"] == kind);
        row.map(|row| row["state"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(state("azure.aks.cluster").as_deref(), Some("denied"));
    assert_eq!(state("azure.acr.image").as_deref(), Some("denied"));
    assert_eq!(state("azure.arc.cluster").as_deref(), Some("read"), "a second try was enough");
}
