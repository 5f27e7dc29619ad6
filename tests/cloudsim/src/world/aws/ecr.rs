use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Care, Registry, Repository, epoch};
use crate::world::objects::images;
use crate::world::seed::Seed;

/// An empty registry whose scanning is left to the repositories.
pub(crate) fn registry() -> Registry {
    Registry { scanning: json!({ "scanType": "BASIC", "rules": [] }), repositories: BTreeMap::new() }
}

/// A repository; `name` also decides which images it holds.
pub(crate) fn repository(world: Seed, account: &str, region: &str, name: &str, care: Care) -> Repository {
    let seed = world.child("repository").child(account).child(region).child(name);
    let good = |setting: &str| match care {
        Care::Sound => true,
        Care::Weak => false,
        Care::Mixed => seed.child(setting).chance(50),
    };
    let arn = format!("arn:aws:ecr:{region}:{account}:repository/{name}");
    let encryption = if good("key") {
        // Only customers have multi-region keys.
        let key = seed.child("key").hex(32);
        json!({ "encryptionType": "KMS", "kmsKey": format!("arn:aws:kms:{region}:{account}:key/mrk-{key}") })
    } else {
        json!({ "encryptionType": "AES256" })
    };
    let mut value = json!({
        "repositoryArn": arn, "registryId": account, "repositoryName": name,
        "repositoryUri": format!("{account}.dkr.ecr.{region}.amazonaws.com/{name}"), "createdAt": epoch(seed, 800),
        "imageTagMutability": if good("immutable") { "IMMUTABLE" } else { "MUTABLE" },
        "imageScanningConfiguration": { "scanOnPush": good("scan") }, "encryptionConfiguration": encryption,
    });
    if care == Care::Mixed && seed.child("exclusion").chance(10) {
        value["imageTagMutability"] = json!("IMMUTABLE_WITH_EXCLUSION");
        value["imageTagMutabilityExclusionFilters"] = json!([{ "filterType": "WILDCARD", "filter": "dev-*" }]);
    }
    let policy = match care {
        Care::Weak => Some(policy(&json!("*"), None)),
        Care::Sound => Some(policy(&json!("*"), Some("o-a1b2c3d4e5"))),
        Care::Mixed => seed
            .child("policy")
            .chance(40)
            .then(|| policy(&json!({ "AWS": format!("arn:aws:iam::{account}:root") }), None)),
    };
    Repository {
        repository: value,
        images: images_of(world, seed, account, name),
        policy,
        lifecycle: good("lifecycle").then(lifecycle),
        tags: vec![json!({ "Key": "team", "Value": name.split('/').next().unwrap_or(name) })],
    }
}

/// Pull rights for a principal, optionally limited to an organisation.
fn policy(principal: &Value, organisation: Option<&str>) -> String {
    let mut statement = json!({ "Sid": "pull", "Effect": "Allow", "Principal": principal,
        "Action": ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"] });
    if let Some(id) = organisation {
        statement["Condition"] = json!({ "StringEquals": { "aws:PrincipalOrgID": id } });
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string()
}

fn lifecycle() -> String {
    json!({ "rules": [{ "rulePriority": 1, "description": "expire untagged", "action": { "type": "expire" },
        "selection": { "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14 } }] })
    .to_string()
}

/// Tagged versions, one of them `latest`, and an untagged one.
fn images_of(world: Seed, seed: Seed, account: &str, name: &str) -> Vec<Value> {
    (0..=images::VERSIONS)
        .map(|version| {
            let at = seed.child("image").nth(version);
            let mut image = json!({
                "registryId": account, "repositoryName": name, "imageDigest": images::digest(world, name, version),
                "imageSizeInBytes": at.below(300_000_000) + 5_000_000, "imagePushedAt": epoch(at, 200),
                "imageManifestMediaType": "application/vnd.oci.image.manifest.v1+json",
                "artifactMediaType": "application/vnd.oci.image.config.v1+json",
            });
            if version < images::VERSIONS {
                let mut tags = vec![images::tag(version)];
                if version + 1 == images::VERSIONS {
                    tags.push("latest".to_owned());
                }
                image["imageTags"] = json!(tags);
                image["lastRecordedPullTime"] = epoch(at.child("pull"), 20);
            }
            image
        })
        .collect()
}
