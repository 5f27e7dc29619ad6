use rampart_domain::{Kind, ManagedBy, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields, set, text};

/// Churn: changes without a change of configuration.
const TOUCHED: &str = "modifiedAt";

/// The `cluster` object of `DescribeCluster`.
pub(crate) fn cluster(place: &Place, described: Value) -> Option<Resource> {
    let id = NativeId::new(text(&described, "arn")?);
    let name = text(&described, "name")?.to_owned();
    let active = matches!(text(&described, "status"), Some("ACTIVE" | "UPDATING"));
    let resource = place.resource(Kind::AwsEksCluster, id.clone(), &name, described);
    Some(Resource { cluster: Some(id), active, ..resource })
}

/// The `nodegroup` object of `DescribeNodegroup`.
pub(crate) fn nodegroup(place: &Place, cluster: &str, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &[TOUCHED]);
    let sizes = &described["scalingConfig"];
    // A group at zero runs nothing; one that does not tell its size counts as running.
    let has_nodes = sizes["desiredSize"].as_u64() != Some(0);
    let resource = child(place, cluster, Kind::AwsEksNodegroup, ["nodegroupArn", "nodegroupName"], described)?;
    Some(Resource { active: resource.active && has_nodes, ..resource })
}

/// The `fargateProfile` object of `DescribeFargateProfile`.
pub(crate) fn fargate_profile(place: &Place, cluster: &str, described: Value) -> Option<Resource> {
    child(place, cluster, Kind::AwsEksFargateProfile, ["fargateProfileArn", "fargateProfileName"], described)
}

/// The `addon` object of `DescribeAddon`, with `configuration` parsed out of `configurationValues`.
pub(crate) fn addon(place: &Place, cluster: &str, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &[TOUCHED]);
    if let Some(configuration) = text(&described, "configurationValues").and_then(json_or_yaml) {
        set(&mut described, "configuration", configuration);
    }
    let resource = child(place, cluster, Kind::AwsEksAddon, ["addonArn", "addonName"], described)?;
    Some(Resource { managed_by: ManagedBy::Addon, ..resource })
}

/// The `accessEntry` object of `DescribeAccessEntry`, with the policies of `ListAssociatedAccessPolicies`.
pub(crate) fn access_entry(
    place: &Place,
    cluster: &str,
    mut described: Value,
    policies: Vec<Value>,
) -> Option<Resource> {
    drop_fields(&mut described, &[TOUCHED]);
    set(&mut described, "associatedAccessPolicies", Value::Array(policies));
    child(place, cluster, Kind::AwsEksAccessEntry, ["accessEntryArn", "principalArn"], described)
}

/// The `identityProviderConfig` object of `DescribeIdentityProviderConfig`: one member, named after the type.
pub(crate) fn identity_provider_config(place: &Place, cluster: &str, described: Value) -> Option<Resource> {
    let (_, inner) = described.as_object()?.iter().next()?;
    let id = NativeId::new(text(inner, "identityProviderConfigArn")?);
    let name = text(inner, "identityProviderConfigName")?.to_owned();
    let labels = super::tags(&inner["tags"]);
    let active = is_active(inner);
    let resource = place.resource(Kind::AwsEksIdentityProviderConfig, id, &name, described);
    Some(Resource { cluster: Some(place.cluster(cluster)), labels, active, ..resource })
}

/// The `association` object of `DescribePodIdentityAssociation`.
pub(crate) fn pod_identity_association(place: &Place, cluster: &str, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &[TOUCHED]);
    let namespace = text(&described, "namespace").map(str::to_owned);
    let kind = Kind::AwsEksPodIdentityAssociation;
    let resource = child(place, cluster, kind, ["associationArn", "associationId"], described)?;
    Some(Resource { namespace, ..resource })
}

fn child(place: &Place, cluster: &str, kind: Kind, id_and_name: [&str; 2], described: Value) -> Option<Resource> {
    let [id, name] = id_and_name;
    let id = NativeId::new(text(&described, id)?);
    let name = text(&described, name)?.to_owned();
    let active = is_active(&described);
    Some(Resource { cluster: Some(place.cluster(cluster)), active, ..place.resource(kind, id, &name, described) })
}

/// Things without a status work as soon as they exist.
fn is_active(described: &Value) -> bool {
    !matches!(text(described, "status"), Some("CREATING" | "CREATE_FAILED" | "DELETING" | "DELETE_FAILED"))
}

/// Only an object or a list is configuration: every text is YAML of itself.
fn json_or_yaml(text: &str) -> Option<Value> {
    let parsed: Option<Value> = serde_json::from_str(text).ok().or_else(|| serde_saphyr::from_str(text).ok());
    parsed.filter(|value| value.is_object() || value.is_array())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::place;
    use super::*;

    const ARN: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/prod";

    #[test]
    fn a_cluster_keeps_fields_that_no_model_knows_and_loses_nulls() {
        let described = json!({"arn": ARN, "name": "prod", "status": "ACTIVE", "tags": {"team": "a"}, "deletionProtection": true,
            "futureField": {"nested": [1]}, "outpostConfig": null});
        let resource = cluster(&place(), described).unwrap();
        assert_eq!(resource.config["futureField"]["nested"], json!([1]));
        assert_eq!(resource.config.get("outpostConfig"), None);
        assert_eq!(resource.cluster, Some(resource.native_id.clone()));
        assert_eq!((resource.native_id.as_str(), resource.active), (ARN, true));
        assert_eq!(resource.labels["team"], "a");
    }

    #[test]
    fn clusters_that_do_not_answer_are_not_active() {
        let active = |status| cluster(&place(), json!({"arn": ARN, "name": "p", "status": status})).unwrap().active;
        assert!(active("ACTIVE") && active("UPDATING"));
        assert!(!active("CREATING") && !active("DELETING") && !active("FAILED"));
    }

    #[test]
    fn an_object_without_an_id_is_no_resource() {
        assert_eq!(cluster(&place(), json!({"name": "prod"})), None);
        assert_eq!(nodegroup(&place(), "prod", json!({"nodegroupName": "n"})), None);
        assert_eq!(identity_provider_config(&place(), "prod", json!({})), None);
    }

    #[test]
    fn add_on_configuration_is_read_from_json_and_yaml() {
        let parsed = |values: &str| {
            let described =
                json!({"addonArn": "a", "addonName": "vpc-cni", "modifiedAt": 1, "configurationValues": values});
            let resource = addon(&place(), "prod", described).unwrap();
            assert_eq!(resource.managed_by, ManagedBy::Addon);
            assert_eq!(resource.config.get("modifiedAt"), None);
            resource.config.get("configuration").cloned()
        };
        let want = Some(json!({"enableNetworkPolicy": "true"}));
        assert_eq!(parsed(r#"{"enableNetworkPolicy":"true"}"#), want);
        assert_eq!(parsed("enableNetworkPolicy: \"true\"\n"), want);
        assert_eq!(parsed("just words"), None);
        assert_eq!(parsed("{"), None);
    }

    #[test]
    fn children_belong_to_their_cluster() {
        let entry = json!({"accessEntryArn": "arn:entry", "principalArn": "arn:aws:iam::1:role/x", "modifiedAt": 3});
        let policies = vec![json!({"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSAdminPolicy"})];
        let resource = access_entry(&place(), "prod", entry, policies).unwrap();
        assert_eq!(resource.cluster.unwrap().as_str(), ARN);
        assert_eq!(resource.config["associatedAccessPolicies"].as_array().unwrap().len(), 1);

        let oidc = json!({"oidc": {"identityProviderConfigArn": "arn:idp", "identityProviderConfigName": "okta",
            "status": "CREATING", "tags": {"a": "b"}}});
        let resource = identity_provider_config(&place(), "prod", oidc).unwrap();
        assert_eq!((resource.name.as_str(), resource.active, resource.labels.len()), ("okta", false, 1));

        let idle = json!({"nodegroupArn": "arn:ng", "nodegroupName": "n", "status": "ACTIVE", "scalingConfig": {"desiredSize": 0}});
        assert!(!nodegroup(&place(), "prod", idle).unwrap().active);
    }
}
