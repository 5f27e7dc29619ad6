//! A directory of Azure and an organisation of Google Cloud: subscriptions and projects come, go and come back by themselves.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

const ORGANIZATION: &str = "organizations/400000000001";
const FOLDER: &str = "folders/500000000001";
const AUDITOR: &str = "auditor@security.iam.gserviceaccount.com";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Decision by name of the account.
async fn decisions(client: &Client) -> BTreeMap<String, String> {
    let accounts = client.list("/v1/connectors/whole/accounts").await;
    accounts.iter().map(|account| (text(account, "name"), text(account, "decision"))).collect()
}

fn expected(decisions: &[(&str, &str)]) -> BTreeMap<String, String> {
    decisions.iter().map(|(name, decision)| ((*name).to_owned(), (*decision).to_owned())).collect()
}

/// Accounts of which the inventory has something of a kind.
async fn read(client: &Client, kind: &str) -> BTreeSet<String> {
    client.list(&format!("/v1/resources?kind={kind}")).await.iter().map(|row| text(row, "account")).collect()
}

async fn state_of(client: &Client, kind: &str) -> Vec<String> {
    client.list(&format!("/v1/coverage?kind={kind}")).await.iter().map(|row| text(row, "state")).collect()
}

async fn onboard(client: &Client, source: &Value) {
    client.post("/v1/connectors", &json!({ "name": "whole", "source": source })).await;
    client.post("/v1/connectors/whole/pause", &json!({})).await;
}

async fn fails(platform: &Platform, client: &Client, target: Target, kind: &str) {
    let (accounts, units) =
        (client.list("/v1/connectors/whole/accounts").await, client.list(&format!("/v1/resources?kind={kind}")).await);
    platform.simulator.faults().inject(Fault { target, kind: FaultKind::Forbidden, times: None });
    let scans = platform.scan(client, &["whole"]).await;
    assert_eq!(scans[0]["status"], "failed", "{}", scans[0]);
    assert_eq!(client.list("/v1/connectors/whole/accounts").await, accounts);
    assert_eq!(client.list(&format!("/v1/resources?kind={kind}")).await.len(), units.len());
    assert_eq!(state_of(client, kind).await, ["denied"]);
    platform.simulator.faults().clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_of_a_directory_are_read_join_and_leave() {
    let platform = Platform::over(Preset::Azure).await;
    let client = platform.tenant("acme").await;
    let subscriptions = platform.simulator.subscriptions();
    let (shop, lab) = (subscriptions[0].clone(), subscriptions[1].clone());
    platform.simulator.resubscribe(|all| {
        all[0].group = Some("production".to_owned());
        all[1].group = Some("sandboxes".to_owned());
    });
    let source = json!({
        "provider": "azure", "tenant_id": shop.tenant_id, "client_id": shop.reader.client_id,
        "client_secret": shop.reader.client_secret, "organization": { "exclude": ["sandboxes"] },
    });
    onboard(&client, &source).await;
    let scans = platform.scan(&client, &["whole"]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);
    assert_eq!(decisions(&client).await, expected(&[("Lab", "excluded"), ("Shop", "included")]));
    assert_eq!(read(&client, "azure.aks.cluster").await, BTreeSet::from([shop.id.clone()]));
    assert_eq!(state_of(&client, "azure.management_group").await, ["read"]);
    let groups = client.list("/v1/resources?kind=azure.management_group").await;
    assert_eq!(groups.len(), 3, "{groups:?}");
    let prod = client.list("/v1/clusters?name_prefix=shop-prod").await;
    assert!(prod[0]["kube_uid"].is_string(), "the directory's application reaches the clusters: {prod:?}");

    let target = Target::azure("arm", "descendants");
    fails(&platform, &client, target, "azure.management_group").await;

    // One moves to where it is read, the other is switched off.
    platform.simulator.resubscribe(|all| {
        all[0].state = "Disabled";
        all[1].group = Some("production".to_owned());
    });
    platform.scan(&client, &["whole"]).await;
    assert_eq!(decisions(&client).await, expected(&[("Lab", "included"), ("Shop", "suspended")]));
    let both = BTreeSet::from([shop.id.clone(), lab.id.clone()]);
    assert_eq!(read(&client, "azure.aks.cluster").await, both, "what was read of the other is kept");
    let findings = client.list(&format!("/v1/findings?account={}", shop.id)).await;
    assert!(!findings.is_empty() && findings.iter().all(|finding| finding["stale"] == true));

    // Only one group of it: what lies elsewhere is left alone.
    let source = json!({
        "provider": "azure", "tenant_id": shop.tenant_id, "client_id": shop.reader.client_id,
        "client_secret": shop.reader.client_secret,
        "organization": { "management_group": "sandboxes", "exclude": [] },
    });
    client.post("/v1/connectors", &json!({ "name": "part", "source": source })).await;
    client.post("/v1/connectors/part/pause", &json!({})).await;
    platform.simulator.resubscribe(|all| all[0].group = Some("sandboxes".to_owned()));
    let scans = platform.scan(&client, &["part"]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);
    let accounts = client.list("/v1/connectors/part/accounts").await;
    assert_eq!(accounts.iter().map(|account| text(account, "name")).collect::<Vec<_>>(), ["Shop"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn projects_of_an_organisation_are_read_join_and_leave() {
    let platform = Platform::over(Preset::GoogleCloud).await;
    let client = platform.tenant("acme").await;
    platform.simulator.gcp_grant(AUDITOR);
    let key = platform.simulator.gcp_key(AUDITOR).expect("a key");
    let project = platform.simulator.world().projects()[0].clone();
    let source = json!({
        "provider": "gcp", "service_account_key": key, "organization": { "parent": ORGANIZATION, "auto_add": false },
    });
    onboard(&client, &source).await;

    // Seen first, added then.
    let wanted = json!({ "selection": { "include": [FOLDER], "auto_add": true } });
    let preview = client.post("/v1/connectors/whole/previews", &wanted).await;
    platform.settle().await;
    let preview = client.get(&format!("/v1/connectors/whole/previews/{}", text(&preview, "id"))).await;
    assert_eq!((&preview["status"], &preview["added"]), (&json!("succeeded"), &json!(1)), "{preview}");
    let scans = platform.scan(&client, &["whole"]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);
    let now = decisions(&client).await;
    let waiting = now.iter().filter(|(_, decision)| *decision == "waiting").count();
    assert_eq!((waiting, now.len()), (1, 2), "{now:?}");
    assert_eq!(client.list("/v1/connectors").await.len(), 1);
    client.post("/v1/connectors/whole/accounts/add", &json!({ "accounts": [project.id] })).await;
    platform.scan(&client, &["whole"]).await;
    assert_eq!(read(&client, "gcp.gke.cluster").await, BTreeSet::from([project.id.clone()]));
    assert_eq!(state_of(&client, "gcp.folder").await, ["read"]);
    let units = client.list("/v1/resources?kind=gcp.folder").await;
    assert_eq!(units.len(), 2, "{units:?}");

    let target = Target::gcp("resourcemanager.projects.list");
    fails(&platform, &client, target, "gcp.folder").await;

    // It leaves, and its data stays; it comes back, and is read by the connector that it had.
    let before = client.list(&format!("/v1/resources?account={}", project.id)).await.len();
    platform.simulator.rearrange(|all| all[0].project["parent"] = "folders/599999999999".into());
    platform.scan(&client, &["whole"]).await;
    let left = client.get(&format!("/v1/connectors/whole/accounts/{}", project.id)).await;
    assert_eq!((text(&left, "decision").as_str(), left["retired_at"].is_string()), ("removed", true), "{left}");
    assert_eq!(client.list(&format!("/v1/resources?account={}", project.id)).await.len(), before);
    platform.simulator.rearrange(|all| all[0].project["parent"] = FOLDER.into());
    platform.scan(&client, &["whole"]).await;
    let back = client.get(&format!("/v1/connectors/whole/accounts/{}", project.id)).await;
    assert_eq!((&back["connector_id"], &back["retired_at"]), (&left["connector_id"], &Value::Null), "{back}");
    assert!(client.list(&format!("/v1/findings?account={}&stale=true", project.id)).await.is_empty());
}
