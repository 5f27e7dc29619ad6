use std::collections::HashMap;

use percent_encoding::percent_decode_str;
use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, policy, set, text};

/// Where roles lie that only a service of AWS can use, with policies that only AWS can change.
const SERVICE_LINKED: &str = "/aws-service-role/";

/// ARN and document of the default version of an item of `Policies`; `None` for one without.
pub(crate) fn default_document(listed: &Value) -> Option<(String, String)> {
    let versions = listed["PolicyVersionList"].as_array()?;
    let default = versions.iter().find(|version| version["IsDefaultVersion"] == true)?;
    Some((text(listed, "Arn")?.to_owned(), text(default, "Document")?.to_owned()))
}

/// Whether an item of `RoleDetailList` is a service-linked role.
pub(crate) fn is_service_linked(listed: &Value) -> bool {
    text(listed, "Path").is_some_and(|path| path.starts_with(SERVICE_LINKED))
}

/// An item of `RoleDetailList`. Its documents are decoded; one that is not JSON is left as text.
///
/// Added: `PolicyDocument` of attached policies and of the boundary, where `documents` has it: of the customer's own
/// policies, not of AWS's. Lists whose order has no meaning are sorted.
pub(crate) fn role(place: &Place, mut listed: Value, documents: &HashMap<String, String>) -> Option<Resource> {
    let id = NativeId::new(text(&listed, "Arn")?);
    let name = text(&listed, "RoleName")?.to_owned();
    decode(&mut listed, "AssumeRolePolicyDocument");
    for inline in sorted(&mut listed, "RolePolicyList", "PolicyName") {
        decode(inline, "PolicyDocument");
    }
    for attached in sorted(&mut listed, "AttachedManagedPolicies", "PolicyArn") {
        add_document(attached, "PolicyArn", documents);
    }
    sorted(&mut listed, "InstanceProfileList", "Arn");
    if let Some(boundary) = listed.get_mut("PermissionsBoundary") {
        add_document(boundary, "PermissionsBoundaryArn", documents);
    }
    let tags = sorted(&mut listed, "Tags", "Key");
    let label = |tag: &mut Value| Some((text(tag, "Key")?.to_owned(), tag["Value"].as_str()?.to_owned()));
    let labels = tags.iter_mut().filter_map(label).collect();
    Some(Resource { labels, ..place.resource(Kind::AwsIamRole, id, &name, listed) })
}

fn add_document(named: &mut Value, arn: &str, documents: &HashMap<String, String>) {
    if let Some(document) = text(named, arn).and_then(|arn| documents.get(arn)).cloned() {
        set(named, "PolicyDocument", Value::String(document));
        decode(named, "PolicyDocument");
    }
}

/// Puts JSON in place of a percent-encoded document.
fn decode(holder: &mut Value, field: &str) {
    let Some(encoded) = text(holder, field) else { return };
    let decoded = percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    let document = policy(&decoded).unwrap_or(Value::String(decoded));
    set(holder, field, document);
}

/// The list in `field`, sorted by a member of its items; an empty one where there is none.
fn sorted<'a>(holder: &'a mut Value, field: &str, by: &str) -> &'a mut [Value] {
    let Some(items) = holder.get_mut(field).and_then(Value::as_array_mut) else { return &mut [] };
    items.sort_by(|a, b| a[by].as_str().cmp(&b[by].as_str()));
    items
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{GLOBAL, place};
    use super::*;

    const ARN: &str = "arn:aws:iam::111122223333:role/team/nodes";
    const OWN: &str = "arn:aws:iam::111122223333:policy/push";
    const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Principal\
        %22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%7D";
    const PUSH: &str = "%7B%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22ecr%3APut*%22%2C%22Resource\
        %22%3A%22a%2Bb%20%2A%22%7D%5D%7D";

    fn with(field: &str, value: Value) -> Resource {
        let documents = HashMap::from([(OWN.to_owned(), PUSH.to_owned())]);
        let place = Place { region: GLOBAL.to_owned(), ..place() };
        let mut listed = json!({ "Arn": ARN, "RoleName": "nodes", "Path": "/team/" });
        listed[field] = value;
        role(&place, listed, &documents).unwrap()
    }

    #[test]
    fn documents_are_decoded_and_their_statements_are_a_list() {
        let trust = with("AssumeRolePolicyDocument", json!(TRUST)).config["AssumeRolePolicyDocument"].take();
        assert_eq!(trust["Statement"][0]["Principal"]["Service"], "ec2.amazonaws.com");
        let inline = json!([{"PolicyName": "b", "PolicyDocument": "%7B"}, {"PolicyName": "a", "PolicyDocument": PUSH}]);
        let inline = with("RolePolicyList", inline).config["RolePolicyList"].take();
        assert_eq!(inline[0]["PolicyDocument"]["Statement"][0]["Resource"], "a+b *");
        assert_eq!(inline[1], json!({"PolicyName": "b", "PolicyDocument": "{"}), "no JSON stays text");
    }

    #[test]
    fn own_policies_come_with_their_document() {
        let aws = "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly";
        let attached = json!([{"PolicyName": "p", "PolicyArn": aws}, {"PolicyName": "push", "PolicyArn": OWN}]);
        let attached = with("AttachedManagedPolicies", attached).config["AttachedManagedPolicies"].take();
        assert_eq!(attached[0]["PolicyDocument"]["Statement"][0]["Action"], "ecr:Put*");
        assert_eq!(attached[1], json!({"PolicyName": "p", "PolicyArn": aws}));
        let boundary = json!({"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": OWN});
        let boundary = with("PermissionsBoundary", boundary).config["PermissionsBoundary"].take();
        assert_eq!(boundary["PolicyDocument"]["Statement"][0]["Effect"], "Allow");
    }

    #[test]
    fn a_role_belongs_to_the_account_and_bears_its_tags() {
        let role = with("Tags", json!([{"Key": "team", "Value": "shop"}, {"Key": "cost", "Value": ""}]));
        assert_eq!((role.native_id.as_str(), role.name.as_str(), role.region.as_ref()), (ARN, "nodes", None));
        assert_eq!((role.labels["team"].as_str(), role.labels["cost"].as_str()), ("shop", ""));
        assert_eq!(role.config["Tags"][0]["Key"], "cost");
    }

    #[test]
    fn only_the_default_version_of_a_policy_counts() {
        let version = |id: &str, default: bool| json!({"VersionId": id, "IsDefaultVersion": default, "Document": id});
        let listed = |versions: Value| json!({"Arn": OWN, "PolicyVersionList": versions});
        let found = default_document(&listed(json!([version("v1", false), version("v2", true)])));
        assert_eq!(found, Some((OWN.to_owned(), "v2".to_owned())));
        assert_eq!(default_document(&listed(json!([version("v1", false)]))), None);
    }

    #[test]
    fn roles_of_services_are_told_by_their_path() {
        assert!(is_service_linked(&json!({"Path": "/aws-service-role/eks.amazonaws.com/"})));
        assert!(!is_service_linked(&json!({"Path": "/"})) && !is_service_linked(&json!({})));
    }
}
