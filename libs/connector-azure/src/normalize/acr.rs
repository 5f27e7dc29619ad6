use rampart_domain::{Kind, NativeId, Resource};
use serde_json::{Value, json};

use super::{Place, is_passing, secret, set, text};

/// A registry with its policies, network rules and private endpoints.
pub(crate) fn registry(place: &Place, listed: Value) -> Option<Resource> {
    let resource = place.object(Kind::AzureAcrRegistry, listed)?;
    let active = !is_passing(&resource.config["properties"]);
    Some(Resource { active, ..resource })
}

/// A geo-replication.
pub(crate) fn replication(place: &Place, registry: &Resource, listed: Value) -> Option<Resource> {
    child(place, Kind::AzureAcrReplication, registry, listed)
}

/// A webhook; disabled ones are not active.
pub(crate) fn webhook(place: &Place, registry: &Resource, listed: Value) -> Option<Resource> {
    child(place, Kind::AzureAcrWebhook, registry, listed).map(enabled)
}

/// A token with the names of its passwords.
pub(crate) fn token(place: &Place, registry: &Resource, mut listed: Value) -> Option<Resource> {
    secret::strip(&mut listed);
    let passwords = listed.pointer_mut("/properties/credentials/passwords").and_then(Value::as_array_mut);
    for password in passwords.into_iter().flatten().filter_map(Value::as_object_mut) {
        password.remove("value");
    }
    child(place, Kind::AzureAcrToken, registry, listed).map(enabled)
}

/// A scope map; those that every registry comes with are the platform's.
pub(crate) fn scope_map(place: &Place, registry: &Resource, listed: Value) -> Option<Resource> {
    let resource = child(place, Kind::AzureAcrScopeMap, registry, listed)?;
    let system = text(&resource.config["properties"], "type").is_some_and(|word| word.starts_with("System"));
    let managed_by = if system { rampart_domain::ManagedBy::Platform } else { resource.managed_by };
    Some(Resource { managed_by, ..resource })
}

/// The attributes of a repository, as the registry's data plane tells them.
pub(crate) fn repository(place: &Place, registry: &Resource, name: &str, mut attributes: Value) -> Resource {
    set(&mut attributes, "imageName", json!(name));
    let id = NativeId::new(format!("{}/repositories/{name}", registry.native_id));
    inside(place, Kind::AzureAcrRepository, registry, (id, name.to_owned()), attributes)
}

/// A manifest of a repository with its tags. `tag_details` are the repository's tags with their own attributes, when they
/// were read.
pub(crate) fn image(
    place: &Place,
    registry: &Resource,
    repository: &str,
    mut manifest: Value,
    tag_details: Option<&[Value]>,
) -> Option<Resource> {
    let digest = text(&manifest, "digest")?.to_owned();
    let id = NativeId::new(format!("{}/repositories/{repository}@{digest}", registry.native_id));
    let name = match manifest["tags"].get(0).and_then(Value::as_str) {
        Some(tag) => format!("{repository}:{tag}"),
        None => format!("{repository}@{digest}"),
    };
    set(&mut manifest, "imageName", json!(repository));
    if let Some(server) = registry.config["properties"].get("loginServer") {
        set(&mut manifest, "registry", server.clone());
    }
    if let Some(details) = tag_details {
        let own: Vec<_> = details.iter().filter(|tag| tag["digest"] == digest.as_str()).cloned().collect();
        set(&mut manifest, "tagDetails", Value::Array(own));
    }
    let resource = inside(place, Kind::AzureAcrImage, registry, (id, name), manifest);
    let owner = NativeId::new(format!("{}/repositories/{repository}", registry.native_id));
    Some(Resource { owner: Some(owner), ..resource })
}

fn inside(place: &Place, kind: Kind, registry: &Resource, (id, name): (NativeId, String), config: Value) -> Resource {
    let resource = place.resource(kind, id, &name, config);
    Resource { owner: Some(registry.native_id.clone()), region: registry.region.clone(), ..resource }
}

fn child(place: &Place, kind: Kind, registry: &Resource, listed: Value) -> Option<Resource> {
    let resource = place.object(kind, listed)?;
    let region = resource.region.clone().or_else(|| registry.region.clone());
    Some(Resource { owner: Some(registry.native_id.clone()), region, ..resource })
}

fn enabled(resource: Resource) -> Resource {
    let active = text(&resource.config["properties"], "status") != Some("disabled");
    Resource { active, ..resource }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/Shop";

    fn shop() -> Resource {
        let listed =
            json!({"id": ID, "name": "Shop", "location": "westus", "properties": {"loginServer": "shop.azurecr.io"}});
        registry(&Place::new("s"), listed).unwrap()
    }

    #[test]
    fn images_are_named_by_tag_or_digest_and_identified_by_digest() {
        let (place, shop) = (Place::new("s"), shop());
        let tags = [json!({"name": "v1", "digest": "sha256:aa"}), json!({"name": "v0", "digest": "sha256:bb"})];
        let manifest = json!({"digest": "sha256:aa", "tags": ["v1"], "imageSize": 9});
        let tagged = image(&place, &shop, "team/api", manifest, Some(&tags)).unwrap();
        assert_eq!(tagged.name, "team/api:v1");
        assert!(tagged.native_id.as_str().ends_with("/registries/shop/repositories/team/api@sha256:aa"));
        assert_eq!(
            (&tagged.config["tagDetails"], &tagged.config["registry"]),
            (&json!([tags[0]]), &json!("shop.azurecr.io"))
        );
        assert_eq!(tagged.owner, Some(repository(&place, &shop, "team/api", json!({})).native_id));
        let untagged = image(&place, &shop, "team/api", json!({"digest": "sha256:bb"}), None).unwrap();
        assert_eq!((untagged.name.as_str(), untagged.config.get("tagDetails")), ("team/api@sha256:bb", None));
        assert_eq!(image(&place, &shop, "team/api", json!({"tags": []}), None), None);
    }

    #[test]
    fn tokens_keep_names_and_lose_values() {
        let listed = json!({"id": format!("{ID}/tokens/ci"), "name": "ci", "properties": {"status": "disabled",
            "credentials": {"passwords": [{"name": "password1", "value": "hush", "expiry": "2027-01-01"}]}}});
        let token = token(&Place::new("s"), &shop(), listed).unwrap();
        let passwords = &token.config["properties"]["credentials"]["passwords"];
        assert_eq!(passwords, &json!([{"name": "password1", "expiry": "2027-01-01"}]));
        assert!(!token.active);
    }

    #[test]
    fn the_scope_maps_of_every_registry_are_the_platforms() {
        let of = |word| {
            let listed = json!({"id": format!("{ID}/scopeMaps/x"), "name": "x", "properties": {"type": word}});
            scope_map(&Place::new("s"), &shop(), listed).unwrap().managed_by.as_str()
        };
        assert_eq!((of("SystemDefined"), of("UserDefined")), ("platform", "customer"));
    }
}
