//! Clusters of AKS and GKE are watched with the credentials of their cloud account, as they are read.

use std::time::Duration;

use cloudsim::world::{Preset, Subject, kinds};
use platform_tests::{Client, Platform, eventually};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const PRIVILEGED: &str = "k8s.pod.privileged";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Switches watching on, makes a deployment of the cluster privileged and waits for its finding.
async fn a_change_is_found(platform: &Platform, client: &Client, connector: &str, cluster: &str) {
    client.patch(&format!("/v1/connectors/{connector}"), &json!({ "watch": true })).await;
    platform.scan(client, &[connector]).await;
    let row = async || client.list(&format!("/v1/clusters?name_prefix={cluster}")).await.into_iter().next();
    let watching = async || row().await.filter(|row| row["watch"]["state"] == "watching");
    let row = eventually("watching", Duration::from_mins(1), watching).await;
    platform.settle().await;

    let world = platform.simulator.world();
    let simulated = world.cluster(cluster).expect("the world has the cluster");
    let of_team = |object: &Value| text(&object["metadata"], "namespace").ends_with("-prod");
    let (_, mut object) = world
        .kube_objects(simulated)
        .find(|(key, object)| *key == kinds::DEPLOYMENT && of_team(object))
        .expect("teams have deployments");
    object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = true.into();
    let metadata = object["metadata"].clone();
    let put: Option<Subject> = platform.simulator.put(cluster, kinds::DEPLOYMENT, object);
    assert!(put.is_some());
    let path = format!(
        "/v1/findings?cluster={}&control={PRIVILEGED}&namespace={}&status=unhealthy",
        text(&row, "id"),
        text(&metadata, "namespace")
    );
    let name = text(&metadata, "name");
    let found = async || {
        let findings = client.list(&path).await;
        findings.into_iter().find(|finding| finding["resource_name"] == name.as_str())
    };
    let finding = eventually("the finding", SOON, found).await;
    assert_eq!(finding["kind"], "k8s.deployment", "{finding}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aks_is_watched_through_its_subscription() {
    let platform = Platform::over(Preset::Azure).await;
    let client = platform.tenant("demo").await;
    let shop = platform.simulator.subscriptions().remove(0);
    client.onboard_subscription("shop", &shop).await;
    platform.scan(&client, &["shop"]).await;
    a_change_is_found(&platform, &client, "shop", "shop-test").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gke_is_watched_through_its_project() {
    let platform = Platform::over(Preset::GoogleCloud).await;
    let client = platform.tenant("demo").await;
    let project = platform.simulator.world().projects()[0].clone();
    let key = platform.simulator.gcp_key(&project.scanner).expect("a key");
    let source = json!({ "provider": "gcp", "project_id": project.id, "service_account_key": key });
    client.post("/v1/connectors", &json!({ "name": "shop", "source": source })).await;
    client.post("/v1/connectors/shop/pause", &json!({})).await;
    platform.scan(&client, &["shop"]).await;
    a_change_is_found(&platform, &client, "shop", "checkout-prod").await;
}
