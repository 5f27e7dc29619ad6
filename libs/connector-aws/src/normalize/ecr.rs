use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, policy, set, text};

/// The answer of `GetRegistryScanningConfiguration`.
pub(crate) fn registry(place: &Place, answer: Value) -> Option<Resource> {
    let id = text(&answer, "registryId")?.to_owned();
    answer.get("scanningConfiguration")?;
    Some(place.resource(Kind::AwsEcrRegistry, place.arn("ecr", &format!("registry/{id}")), &id, answer))
}

/// An item of `DescribeRepositories` with the texts of its policies; `None` means that it has no such policy.
///
/// Added: `policyText`, `policy`, `lifecyclePolicyText`, `lifecyclePolicy`. A text that is not JSON is kept as text.
pub(crate) fn repository(
    place: &Place,
    mut described: Value,
    policy_text: Option<String>,
    lifecycle_text: Option<String>,
) -> Option<Resource> {
    let id = NativeId::new(text(&described, "repositoryArn")?);
    let name = text(&described, "repositoryName")?.to_owned();
    if let Some(text) = policy_text {
        if let Some(policy) = policy(&text) {
            set(&mut described, "policy", policy);
        }
        set(&mut described, "policyText", Value::String(text));
    }
    if let Some(text) = lifecycle_text {
        if let Ok(lifecycle) = serde_json::from_str(&text) {
            set(&mut described, "lifecyclePolicy", lifecycle);
        }
        set(&mut described, "lifecyclePolicyText", Value::String(text));
    }
    Some(place.resource(Kind::AwsEcrRepository, id, &name, described))
}

/// An item of `DescribeImages`. The name is `repository:tag`, or `repository@digest` for an image without tags.
pub(crate) fn image(place: &Place, repository: &NativeId, described: Value) -> Option<Resource> {
    let digest = text(&described, "imageDigest")?;
    let id = NativeId::new(format!("{repository}@{digest}"));
    let of = text(&described, "repositoryName")?;
    let name = match described["imageTags"].get(0).and_then(Value::as_str) {
        Some(tag) => format!("{of}:{tag}"),
        None => format!("{of}@{digest}"),
    };
    let resource = place.resource(Kind::AwsEcrImage, id, &name, described);
    Some(Resource { owner: Some(repository.clone()), ..resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::place;
    use super::*;

    const ARN: &str = "arn:aws:ecr:eu-west-1:111122223333:repository/app";

    fn with_policy(policy: Option<&str>) -> Value {
        let described =
            json!({"repositoryArn": ARN, "repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"});
        repository(&place(), described, policy.map(str::to_owned), None).unwrap().config
    }

    #[test]
    fn statements_are_always_a_list_and_the_text_is_kept() {
        let text = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}"#;
        let config = with_policy(Some(text));
        assert_eq!(config["policy"]["Statement"][0]["Principal"], "*");
        assert_eq!(config["policyText"], text);
        assert_eq!(config["imageTagMutability"], "IMMUTABLE_WITH_EXCLUSION");
        let listed = with_policy(Some(r#"{"Statement":[{"Effect":"Deny"}]}"#));
        assert_eq!(listed["policy"]["Statement"], json!([{"Effect": "Deny"}]));
    }

    #[test]
    fn no_policy_and_an_unreadable_policy_differ() {
        let none = with_policy(None);
        assert_eq!((none.get("policy"), none.get("policyText")), (None, None));
        let broken = with_policy(Some("{"));
        assert_eq!((broken.get("policy"), broken.get("policyText")), (None, Some(&json!("{"))));
    }

    #[test]
    fn images_are_named_by_tag_or_digest_and_identified_by_digest() {
        let repository = NativeId::new(ARN);
        let described = json!({"repositoryName": "app", "imageDigest": "sha256:aa", "imageTags": ["v1", "latest"]});
        let tagged = image(&place(), &repository, described).unwrap();
        assert_eq!((tagged.name.as_str(), tagged.native_id.as_str()), ("app:v1", &*format!("{ARN}@sha256:aa")));
        let untagged =
            image(&place(), &repository, json!({"repositoryName": "app", "imageDigest": "sha256:bb"})).unwrap();
        assert_eq!((untagged.name.as_str(), untagged.owner), ("app@sha256:bb", Some(repository.clone())));
        assert_eq!(image(&place(), &repository, json!({"repositoryName": "app"})), None);
    }

    #[test]
    fn a_registry_is_named_by_its_account() {
        let answer = json!({"registryId": "111122223333", "scanningConfiguration": {"scanType": "BASIC", "rules": []}});
        let resource = registry(&place(), answer).unwrap();
        assert_eq!(resource.native_id.as_str(), "arn:aws:ecr:eu-west-1:111122223333:registry/111122223333");
        assert_eq!(registry(&place(), json!({"registryId": "1"})), None);
    }
}
