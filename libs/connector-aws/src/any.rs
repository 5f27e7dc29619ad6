use std::collections::HashMap;

use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use crate::normalize::{
    self, Place, access_entry, addon, cluster, default_document, fargate_profile, identity_provider_config, image,
    log_group, nodegroup, organization, pod_identity_association, registry, repository, role,
};
use crate::partition::Partition;

/// Reads one object.
type Read = fn(&Place, Value) -> Option<Resource>;
/// Reads one object of a cluster.
type ReadOfCluster = fn(&Place, &str, Value) -> Option<Resource>;

/// What every listing of this connector makes of one object, whatever it is: for tests that feed what no API returns.
pub fn resources_of_anything(object: &Value) -> Vec<Resource> {
    let place = Place { partition: Partition::Aws, account: "123456789012".to_owned(), region: "eu-west-1".to_owned() };
    let text = || Some(object.to_string());
    let documents: HashMap<String, String> = default_document(object).into_iter().collect();
    let inside = NativeId::new("arn:aws:ecr:eu-west-1:123456789012:repository/web");
    let listed: [Read; 3] = [cluster, log_group, registry];
    let of_cluster: [ReadOfCluster; 5] =
        [nodegroup, fargate_profile, addon, identity_provider_config, pod_identity_association];
    let mut found: Vec<Option<Resource>> = Vec::new();
    found.extend(listed.iter().map(|read| read(&place, object.clone())));
    found.extend(of_cluster.iter().map(|read| read(&place, "shop", object.clone())));
    found.push(access_entry(&place, "shop", object.clone(), vec![object.clone()]));
    found.push(repository(&place, object.clone(), text(), text()));
    found.push(image(&place, &inside, object.clone()));
    found.push(role(&place, object.clone(), &documents));
    found.push(organization::organization(Partition::Aws, object.clone(), vec![object.clone()]));
    // Members and log groups of control planes are told by other shapes; reading them must not fail either.
    drop((organization::member(object, &[]), organization::unit(object, None), normalize::is_of_control_plane(object)));
    let mut found: Vec<Resource> = found.into_iter().flatten().collect();
    let known = found.iter().find(|resource| resource.kind == Kind::AwsEksCluster).cloned();
    found.extend(known.map(|cluster| normalize::without(cluster, &["tags"])));
    found
}
