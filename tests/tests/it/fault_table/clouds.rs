//! The worlds of the table, and which call stands for which permission.

use std::collections::BTreeSet;

use cloudsim::Target;
use cloudsim::world::{Preset, kinds};
use platform_tests::{Client, Platform};
use rampart_connector::Permission;
use rampart_connector_aws::Regions;
use rampart_domain::{Family, Kind};
use serde_json::json;

use super::{Row, Table, impatient};
use crate::lost_access::listing;

const CLUSTER: &str = "factory-floor";

/// What organisations are made of, and no account has.
const ABOVE: [Kind; 3] = [Kind::AwsOrganization, Kind::AzureManagementGroup, Kind::GcpFolder];

/// Onboarded, with its cloud's kinds alone: what is inside its clusters is another table.
async fn only(client: &Client, connector: &str, family: Family) {
    let kinds = Kind::ALL.iter().filter(|kind| kind.family() == family && !ABOVE.contains(kind));
    let kinds: Vec<&str> = kinds.map(|kind| kind.as_str()).collect();
    client.patch(&format!("/v1/connectors/{connector}"), &json!({ "kinds": kinds })).await;
}

/// Scans whole and makes the rows of the calls that this took.
async fn table(
    platform: Platform,
    client: Client,
    connector: &str,
    row_of: impl Fn(&str) -> Option<Row>,
    declared: &[String],
) -> Table {
    platform.settle().await;
    platform.simulator.calls().reset();
    platform.simulator.expire_sessions();
    let scan = platform.scan(&client, &[connector]).await.remove(0);
    assert_eq!(scan["status"], "succeeded", "{scan}");
    let calls = platform.simulator.calls().all();
    let rows: Vec<Row> = calls.keys().filter_map(|call| row_of(call)).collect();
    let without: Vec<&String> = declared.iter().filter(|call| !rows.iter().any(|row| row.call == **call)).collect();
    assert!(without.is_empty(), "declared calls without a row: {without:?}; there are {:?}", calls.keys());
    Table { platform, client, connector: connector.to_owned(), rows }
}

/// The row of a call that stands for a permission, or for none: then everything may hang on it.
fn row(call: &str, target: Target, permission: Option<&Permission>, all: usize) -> Row {
    let kinds = permission.map(|permission| &permission.kinds[..]).unwrap_or_default();
    let kinds: BTreeSet<String> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let kinds = if kinds.len() >= all { BTreeSet::new() } else { kinds };
    Row { call: call.to_owned(), target, kinds, is_declared: permission.is_some() }
}

fn family(family: Family) -> usize {
    Kind::ALL.iter().filter(|kind| kind.family() == family).count() - 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_aws_with_every_fault() {
    let platform = Platform::asking(Preset::Demo, impatient()).await;
    let client = platform.tenant("demo").await;
    let account = platform.simulator.accounts().remove(0).id;
    client.onboard_account(&platform.simulator, "account", &account).await;
    only(&client, "account", Family::Aws).await;
    let permissions = rampart_connector_aws::permissions(&Regions::Enabled);
    let row_of = |call: &str| {
        let (service, operation) = call.split_once(':').filter(|(_, operation)| !operation.contains(' '))?;
        let permission = permissions.iter().find(|permission| permission.name == call);
        Some(row(call, Target::aws(service, operation), permission, family(Family::Aws)))
    };
    let declared: Vec<String> = permissions.iter().map(|permission| permission.name.clone()).collect();
    table(platform, client, "account", row_of, &declared).await.run(false).await;
}

/// How the simulator counts the calls that an action of Azure allows.
fn azure_calls(action: &str) -> Vec<String> {
    let parts: Vec<&str> = action.split('/').collect();
    match parts[..] {
        [.., "catalog", "read"] => vec!["acr:catalog".to_owned()],
        [.., "metadata", "read"] => vec!["acr:manifests".to_owned()],
        [.., word, _] => vec![format!("arm:{word}")],
        _ => Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_azure_with_every_fault() {
    let platform = Platform::asking(Preset::Azure, impatient()).await;
    let client = platform.tenant("demo").await;
    let subscription = platform.simulator.subscriptions().remove(0);
    client.onboard_subscription("subscription", &subscription).await;
    only(&client, "subscription", Family::Azure).await;
    let permissions = rampart_connector_azure::permissions();
    let permissions: Vec<&Permission> =
        permissions.iter().filter(|permission| permission.kinds != [Kind::K8sCluster]).collect();
    let row_of = |call: &str| {
        let (service, operation) =
            call.split_once(':').filter(|(service, _)| ["entra", "arm", "acr"].contains(service))?;
        let permission = permissions.iter().find(|permission| azure_calls(&permission.name).contains(&call.to_owned()));
        let mut row = row(call, Target::azure(service, operation), permission.copied(), family(Family::Azure));
        if service == "acr" && !row.is_declared {
            // Tokens of the registries open what is inside them.
            row.kinds = [Kind::AzureAcrRepository, Kind::AzureAcrImage].map(|kind| kind.as_str().to_owned()).into();
        }
        Some(row)
    };
    let declared: Vec<String> = permissions.iter().flat_map(|permission| azure_calls(&permission.name)).collect();
    table(platform, client, "subscription", row_of, &declared).await.run(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_google_cloud_with_every_fault() {
    let platform = Platform::asking(Preset::GoogleCloud, impatient()).await;
    let client = platform.tenant("demo").await;
    let project = platform.simulator.world().projects()[0].clone();
    let key = platform.simulator.gcp_key(&project.scanner).expect("a key");
    let source = json!({ "provider": "gcp", "project_id": project.id, "service_account_key": key });
    client.post("/v1/connectors", &json!({ "name": "project", "source": source })).await;
    client.post("/v1/connectors/project/pause", &json!({})).await;
    only(&client, "project", Family::Gcp).await;
    let permissions = rampart_connector_gcp::permissions();
    let permissions: Vec<&Permission> =
        permissions.iter().filter(|permission| permission.kinds != [Kind::K8sCluster]).collect();
    let row_of = |call: &str| {
        let permission = permissions.iter().find(|permission| permission.name == call);
        Some(row(call, Target::gcp(call), permission.copied(), family(Family::Gcp)))
    };
    let declared: Vec<String> = permissions.iter().map(|permission| permission.name.clone()).collect();
    table(platform, client, "project", row_of, &declared).await.run(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_kubernetes_with_every_fault() {
    let platform = Platform::asking(Preset::Demo, impatient()).await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, "cluster", CLUSTER).await;
    let listed: Vec<(String, String)> = kinds::ALL.iter().map(listing).collect();
    let row_of = |call: &str| {
        let path = call.strip_prefix(CLUSTER)?.strip_prefix(" GET ")?;
        let is_declared = listed.iter().any(|(_, at)| at == path);
        // What a group serves is asked for before its kinds are listed.
        let below = format!("{path}/");
        let kinds = listed.iter().filter(|(_, at)| at == path || path.len() > 5 && at.starts_with(&below));
        let kinds = kinds.map(|(kind, _)| kind.clone()).collect();
        Some(Row { call: call.to_owned(), target: Target::kube(CLUSTER, path), kinds, is_declared })
    };
    table(platform, client, "cluster", row_of, &[]).await.run(false).await;
}
