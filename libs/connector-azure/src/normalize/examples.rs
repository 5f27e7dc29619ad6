//! Microsoft's own examples, as far as they are copied, become resources.

use rampart_domain::{Kind, Resource};
use serde_json::{Value, json};

use super::*;

macro_rules! example {
    ($name:literal) => {
        serde_json::from_str::<Value>(include_str!(concat!("../../tests/fixtures/", $name, ".json"))).unwrap()
    };
}

fn place() -> Place {
    Place::new("00000000-0000-0000-0000-000000000000")
}

/// Normalises every item of a list.
fn all(mut answer: Value, normalize: impl Fn(Value) -> Option<Resource>) -> Vec<Resource> {
    let items = crate::arm::items("example", &mut answer, "value").unwrap();
    items.into_iter().map(|item| normalize(item).expect("an example has an id")).collect()
}

#[track_caller]
fn check(resources: &[Resource], kind: Kind, name: &str, region: Option<&str>) {
    let first = &resources[0];
    assert_eq!((first.kind, first.name.as_str(), first.region.as_deref()), (kind, name, region));
    assert_eq!(first.native_id.as_str(), first.native_id.as_str().to_lowercase());
    assert!(!first.config.to_string().to_lowercase().contains("\"etag\""));
    assert_eq!(first.config.get("systemData"), None);
}

#[test]
fn managed_clusters_of_every_age() {
    for list in [example!("aks_clusters_2021"), example!("aks_clusters_2023")] {
        let clusters = all(list, |item| cluster(&place(), item));
        check(&clusters, Kind::AzureAksCluster, "clustername1", Some("location1"));
        assert_eq!(clusters[0].config["properties"]["networkProfile"]["networkPlugin"], "kubenet");
    }
    let one = cluster(&place(), example!("aks_cluster")).unwrap();
    assert_eq!(one.config["properties"]["agentPoolProfiles"][0]["upgradeSettings"], json!({"maxSurge": "33%"}));
    let secured = cluster(&place(), example!("aks_security_profile")).unwrap();
    assert_eq!(secured.native_id, one.native_id, "told in another case, and the same");
    assert!(secured.config["properties"]["securityProfile"].is_object());
    assert_eq!(secured.labels["tier"], "production");
    let pools = all(example!("aks_agent_pools"), |item| agent_pool(&place(), &one, item));
    check(&pools, Kind::AzureAksAgentPool, "agentpool1", Some("location1"));
    assert_eq!((pools[0].cluster.as_ref(), pools[0].active), (Some(&one.native_id), true));
}

#[test]
fn registries_and_what_they_have() {
    let registries = all(example!("acr_registries"), |item| registry(&place(), item));
    check(&registries, Kind::AzureAcrRegistry, "myRegistry", Some("westus"));
    assert!(registries[0].config["properties"]["policies"].is_object());
    let older = all(example!("acr_registries_2019"), |item| registry(&place(), item));
    assert_eq!(older[0].native_id, registries[0].native_id);
    let of = &registries[0];
    check(
        &all(example!("acr_tokens"), |item| token(&place(), of, item)),
        Kind::AzureAcrToken,
        "myToken",
        Some("westus"),
    );
    let maps = all(example!("acr_scope_maps"), |item| scope_map(&place(), of, item));
    check(&maps, Kind::AzureAcrScopeMap, "myScopeMap", Some("westus"));
    let replications = all(example!("acr_replications"), |item| replication(&place(), of, item));
    check(&replications, Kind::AzureAcrReplication, "myReplication", Some("eastus"));
    let webhooks = all(example!("acr_webhooks"), |item| webhook(&place(), of, item));
    check(&webhooks, Kind::AzureAcrWebhook, "myWebhook", Some("westus"));
    assert_eq!(webhooks[0].owner, Some(of.native_id.clone()));
}

#[test]
fn connected_clusters_and_subscriptions() {
    let clusters = all(example!("arc_clusters"), |item| connected_cluster(&place(), item));
    check(&clusters, Kind::AzureArcCluster, "connectedCluster1", Some("eastus"));
    assert_eq!(clusters[0].config["properties"].get("lastConnectivityTime"), None);
    let one = subscription(&place(), example!("subscription")).unwrap();
    assert_eq!((one.kind, one.name.as_str(), one.active), (Kind::AzureSubscription, "Example Subscription", true));
}

#[test]
fn a_credential_that_is_no_kubeconfig_is_refused() {
    let answer = example!("aks_user_credentials");
    let value = answer["kubeconfigs"][0]["value"].as_str().unwrap().to_owned();
    assert!(crate::kubeconfig::parse(&value.into()).is_err());
}
