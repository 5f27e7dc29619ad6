//! A Google Cloud project from its onboarding to its findings, over the REST API alone.

use std::collections::BTreeMap;

use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

const NAME: &str = "shop";
/// Clusters whose API lets Rampart in, of four.
const OPEN: [&str; 2] = ["checkout-prod", "legacy-prod"];

async fn counts(client: &Client, filter: &str) -> BTreeMap<String, u64> {
    let groups = client.get(&format!("/v1/resources?{filter}group_by=kind&limit=100")).await;
    let groups = groups["groups"].as_array().expect("groups").iter();
    groups
        .map(|group| (group["key"].as_str().unwrap_or_default().to_owned(), group["count"].as_u64().unwrap_or(0)))
        .collect()
}

async fn coverage(client: &Client, kind: &str, state: &str) -> Vec<Value> {
    client.list(&format!("/v1/coverage?cloud=gcp&kind={kind}&state={state}")).await
}

async fn onboard(client: &Client, name: &str, mut source: Value, project: &str) -> Value {
    source["provider"] = "gcp".into();
    source["project_id"] = project.into();
    client.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
    client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_read_with_its_clusters_workloads_and_images() {
    let platform = Platform::over(Preset::GoogleCloud).await;
    let client = platform.tenant("shop").await;
    let project = platform.simulator.world().projects()[0].clone();
    let key = platform.simulator.gcp_key(&project.scanner).expect("a key");
    let connector = onboard(&client, NAME, json!({ "service_account_key": key }), &project.id).await;
    assert!(!connector.to_string().contains("PRIVATE KEY"), "credentials are never returned: {connector}");
    let scans = platform.scan(&client, &[NAME]).await;
    assert_eq!(scans[0]["status"], "partial", "two clusters cannot be read: {}", scans[0]);

    let before = counts(&client, "cloud=gcp&").await;
    for (kind, count) in [
        ("gcp.project", 1),
        ("gcp.gke.cluster", 4),
        ("gcp.gke.node_pool", 8),
        ("gcp.artifactregistry.repository", 3),
        ("gcp.artifactregistry.image", 85),
        ("gcp.iam_policy", 1),
        ("gcp.service", 8),
        ("gcp.compute.subnetwork", 2),
        ("gcp.compute.firewall", 3),
    ] {
        assert_eq!(before.get(kind), Some(&count), "{before:?}");
    }
    let clusters = client.list("/v1/clusters").await;
    assert_eq!(clusters.len(), 4);
    for cluster in &clusters {
        let (id, name) = (cluster["id"].as_str().expect("an id"), cluster["name"].as_str().expect("a name"));
        let inside = counts(&client, &format!("cluster={id}&")).await;
        assert_eq!(inside.contains_key("k8s.pod"), OPEN.contains(&name), "{name}: {inside:?}");
        assert!(inside.contains_key("gcp.gke.cluster"), "both sides are one: {inside:?}");
        assert!(cluster["version"].as_str().is_some_and(|version| version.contains("gke")), "{cluster}");
        let findings = client.list(&format!("/v1/findings?cluster={id}")).await;
        assert!(name != "legacy-prod" || !findings.is_empty(), "what is planted there is found");
    }
    let shared = client.list("/v1/images?running=true&stored=true").await;
    assert!(!shared.is_empty(), "images in the registry and in the clusters are joined by digest");

    for (name, state, part) in
        [("sealed", "unauthorized", &*project.scanner), ("hidden", "unreachable", "DNS endpoint")]
    {
        let rows = coverage(&client, "k8s.cluster", state).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0]["scope"].as_str().is_some_and(|scope| scope.ends_with(name)), "{}", rows[0]);
        assert!(rows[0]["remedy"].as_str().is_some_and(|remedy| remedy.contains(part)), "{}", rows[0]);
    }

    // What Google leaves out or refuses takes nothing away.
    let (clusters, subnetworks) = ("container.clusters.list", "compute.subnetworks.list");
    for (api, kind, state, part) in [
        (clusters, FaultKind::MissingZones, "failed", "us-east4"),
        (clusters, FaultKind::Disabled, "unsupported", "gcloud services enable container.googleapis.com"),
        (clusters, FaultKind::Forbidden, "denied", clusters),
        (subnetworks, FaultKind::MissingZones, "failed", "us-east4"),
        (subnetworks, FaultKind::Disabled, "unsupported", "gcloud services enable compute.googleapis.com"),
    ] {
        platform.simulator.faults().inject(Fault { target: Target::gcp(api), kind, times: None });
        let scans = platform.scan(&client, &[NAME]).await;
        assert_eq!(
            (&scans[0]["status"], &scans[0]["progress"]["removed"]),
            (&json!("partial"), &json!(0)),
            "{}",
            scans[0]
        );
        let listed = if api == clusters { "gcp.gke.cluster" } else { "gcp.compute.subnetwork" };
        let rows = coverage(&client, listed, state).await;
        let said = |row: &Value| row["message"].to_string() + &row["remedy"].to_string();
        assert!(rows.len() == 1 && said(&rows[0]).contains(part), "{rows:?}");
        assert_eq!(counts(&client, "cloud=gcp&").await, before);
        platform.simulator.faults().clear();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impersonation_reaches_only_an_account_that_was_made_for_the_connector() {
    let platform = Platform::over(Preset::GoogleCloud).await;
    let client = platform.tenant("shop").await;
    let project = platform.simulator.world().projects()[0].id.clone();
    let source = json!({ "impersonation": true, "locations": ["europe-west1", "europe"] });
    let connector = onboard(&client, NAME, source, &project).await;
    let name = connector["external_id"].as_str().expect("the name of the service account");
    let account = format!("{name}@{project}.iam.gserviceaccount.com");

    let scans = platform.scan(&client, &[NAME]).await;
    assert_eq!(scans[0]["status"], "failed", "nobody may act as it yet: {}", scans[0]);
    assert!(scans[0]["error"].as_str().is_some_and(|error| error.contains(&account)), "{}", scans[0]);

    platform.simulator.gcp_allow_acting("rampart@operator-tools.iam.gserviceaccount.com", &account);
    platform.simulator.gcp_grant(&account);
    platform.scan(&client, &[NAME]).await;
    let read = counts(&client, "cloud=gcp&").await;
    assert_eq!(
        (read.get("gcp.gke.cluster"), read.get("gcp.artifactregistry.repository")),
        (Some(&2), Some(&2)),
        "{read:?}"
    );
    let networks = (read.get("gcp.compute.subnetwork"), read.get("gcp.compute.firewall"));
    assert_eq!(networks, (Some(&1), Some(&3)), "firewall rules belong to no location: {read:?}");

    let named = json!({ "name": "other", "source": { "provider": "gcp", "project_id": project, "impersonation": true,
        "service_account": account } });
    let (status, problem) = client.request(reqwest::Method::POST, "/v1/connectors", Some(&named)).await;
    assert_eq!(status, 422, "nobody chooses the account: {problem}");
}
