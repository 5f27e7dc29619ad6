use serde_json::{Value, json};

use super::{Care, GcpRepository};
use crate::world::objects::images;
use crate::world::seed::Seed;

/// A repository; `names` also decide which digests its images have.
pub(crate) fn repository(world: Seed, name: &str, names: &[String], care: Care) -> GcpRepository {
    let seed = world.child("repository").child(name);
    let good = |setting: &str| match care {
        Care::Sound => true,
        Care::Weak => false,
        Care::Mixed => seed.child(setting).chance(50),
    };
    let mut value = json!({
        "name": name, "format": "DOCKER", "mode": "STANDARD_REPOSITORY", "createTime": "2025-01-10T08:00:00Z",
        "updateTime": "2026-08-10T08:00:00Z", "sizeBytes": (seed.below(9_000_000_000) + 1).to_string(),
        "labels": { "team": "platform" },
        "vulnerabilityScanningConfig": { "enablementState": if good("scan") { "SCANNING_ACTIVE" } else { "SCANNING_DISABLED" } },
    });
    value["dockerConfig"] = if good("immutable") { json!({ "immutableTags": true }) } else { json!({}) };
    if good("key") {
        let project = name.split('/').nth(1).unwrap_or_default();
        value["kmsKeyName"] = format!("projects/{project}/locations/global/keyRings/images/cryptoKeys/images").into();
    }
    if good("cleanup") {
        value["cleanupPolicies"] = json!({ "untagged": { "id": "untagged", "action": "DELETE",
            "condition": { "tagState": "UNTAGGED", "olderThan": "1209600s" } } });
    }
    let policy = match care {
        Care::Weak => json!({ "version": 1, "etag": "BwXhqQ==",
            "bindings": [{ "role": "roles/artifactregistry.reader", "members": ["allUsers"] }] }),
        _ => json!({ "etag": "ACAB" }),
    };
    let images = names.iter().flat_map(|image| images_of(world, seed, name, image)).collect();
    GcpRepository { repository: value, policy, images }
}

/// Tagged versions, one of them `latest`, and an untagged one.
fn images_of(world: Seed, seed: Seed, repository: &str, name: &str) -> Vec<Value> {
    let place: Vec<_> = repository.split('/').collect();
    (0..=images::VERSIONS)
        .map(|version| {
            let digest = images::digest(world, name, version);
            let (size, escaped) = (seed.child(name).nth(version).below(300_000_000) + 5_000_000, name.replace('/', "%2F"));
            let mut image = json!({
                "name": format!("{repository}/dockerImages/{escaped}@{digest}"),
                "uri": format!("{}-docker.pkg.dev/{}/{}/{name}@{digest}", place[3], place[1], place[5]),
                "imageSizeBytes": size.to_string(), "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "uploadTime": "2026-05-01T10:00:00Z", "updateTime": "2026-05-01T10:00:00Z", "buildTime": "2026-05-01T09:58:00Z",
            });
            if version < images::VERSIONS {
                let latest = (version + 1 == images::VERSIONS).then(|| "latest".to_owned());
                image["tags"] = json!([images::tag(version)].into_iter().chain(latest).collect::<Vec<_>>());
            }
            image
        })
        .collect()
}
