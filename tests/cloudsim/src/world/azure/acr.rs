use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{AzureRegistry, AzureRepository, Subscription};
use crate::world::aws::Care;
use crate::world::draft::timestamp;
use crate::world::objects::images;
use crate::world::seed::Seed;

/// A registry that holds these repositories; their names also decide which images they have.
pub(crate) fn registry(
    world: Seed,
    subscription: &Subscription,
    name: &str,
    repositories: &[String],
    care: Care,
) -> AzureRegistry {
    let seed = world.child("acr").child(&subscription.id).child(name);
    let server = format!("{name}.azurecr.io");
    let good = care == Care::Sound;
    let state = |good: bool| if good { "enabled" } else { "disabled" };
    let id = subscription.id_of("registries", "Microsoft.ContainerRegistry/registries", name);
    let of = "Microsoft.ContainerRegistry/registries";
    let registry = json!({
        "id": id, "name": name, "type": of, "location": "westeurope", "tags": { "team": "platform" },
        "sku": { "name": "Premium", "tier": "Premium" },
        "properties": { "loginServer": server, "creationDate": timestamp(seed.below(1_000_000)),
            "provisioningState": "Succeeded", "adminUserEnabled": !good,
            "policies": { "quarantinePolicy": { "status": state(good) }, "trustPolicy": { "type": "Notary", "status": state(good) },
                "retentionPolicy": { "days": 7, "status": state(good) }, "softDeletePolicy": { "retentionDays": 7, "status": state(good) },
                "azureADAuthenticationAsArmPolicy": { "status": "enabled" } },
            "networkRuleSet": { "defaultAction": if good { "Deny" } else { "Allow" }, "ipRules": [] },
            "publicNetworkAccess": "Enabled", "privateEndpointConnections": [], "anonymousPullEnabled": !good } });
    let child = |what: &str, name: &str, properties: Value| json!({ "id": format!("{id}/{what}/{name}"), "name": name, "type": format!("{of}/{what}"), "properties": properties });
    let placed = |mut value: Value| {
        value["location"] = json!("westeurope");
        value
    };
    let replication =
        json!({ "provisioningState": "Succeeded", "status": { "displayStatus": "Ready", "timestamp": timestamp(9) } });
    let webhook = json!({ "status": "enabled", "scope": "", "actions": ["push"], "provisioningState": "Succeeded" });
    let token = json!({ "creationDate": timestamp(7), "provisioningState": "Succeeded", "status": "enabled",
        "scopeMapId": format!("{id}/scopeMaps/_repositories_pull"), "credentials": { "certificates": [],
            "passwords": [{ "name": "password1", "creationTime": timestamp(7), "expiry": "2027-01-01T00:00:00Z" }] } });
    let scope_map = json!({ "description": "Can pull any repository of the registry", "type": "SystemDefined",
        "creationDate": timestamp(7), "provisioningState": "Succeeded", "actions": ["repositories/*/content/read"] });
    let children = BTreeMap::from([
        ("replications", vec![placed(child("replications", "northeurope", replication))]),
        ("webhooks", vec![placed(child("webhooks", "deploy", webhook))]),
        ("tokens", vec![child("tokens", "ci", token)]),
        ("scopeMaps", vec![child("scopeMaps", "_repositories_pull", scope_map)]),
    ]);
    let repositories = repositories.iter().map(|name| (name.clone(), repository(world, &server, name, care))).collect();
    AzureRegistry { registry, children, repositories }
}

fn attributes(locked: bool) -> Value {
    json!({ "deleteEnabled": !locked, "writeEnabled": !locked, "readEnabled": true, "listEnabled": true })
}

/// Tagged versions, one of them `latest`, and an untagged one.
fn repository(world: Seed, server: &str, name: &str, care: Care) -> AzureRepository {
    let locked = care == Care::Sound;
    let (mut manifests, mut tags) = (Vec::new(), Vec::new());
    for version in 0..=images::VERSIONS {
        let digest = images::digest(world, name, version);
        let time = timestamp(version * 86_400);
        let mut own = Vec::new();
        if version < images::VERSIONS {
            own.push(images::tag(version));
        }
        if version + 1 == images::VERSIONS {
            own.push("latest".to_owned());
        }
        tags.extend(own.iter().map(|tag| {
            json!({ "name": tag, "digest": digest, "createdTime": time, "lastUpdateTime": time, "signed": false,
                "changeableAttributes": attributes(locked) })
        }));
        manifests.push(json!({ "digest": digest, "imageSize": 20_000_000 + version, "createdTime": time,
            "lastUpdateTime": time, "architecture": "amd64", "os": "linux", "tags": own,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "configMediaType": "application/vnd.oci.image.config.v1+json", "changeableAttributes": attributes(locked) }));
    }
    let attributes = json!({ "registry": server, "imageName": name, "createdTime": timestamp(0), "lastUpdateTime": timestamp(9),
        "manifestCount": manifests.len(), "tagCount": tags.len(), "changeableAttributes": attributes(locked) });
    AzureRepository { attributes, manifests, tags }
}
