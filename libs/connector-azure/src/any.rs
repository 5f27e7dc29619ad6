use rampart_domain::Resource;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::kubeconfig;
use crate::normalize::{
    Place, agent_pool, cluster, connected_cluster, diagnostic_setting, extension, image, maintenance_configuration,
    management_group, registry, replication, repository, role_assignment, scope_map, security_plan, subscription,
    token, trusted_access_role_binding, webhook, without,
};

/// Reads one object.
type Read = fn(&Place, Value) -> Option<Resource>;
/// Reads one object inside of another.
type ReadInside = fn(&Place, &Resource, Value) -> Option<Resource>;

/// What every listing of this connector makes of one object, whatever it is: for tests that feed what no API returns.
pub fn resources_of_anything(object: &Value) -> Vec<Resource> {
    let place = Place::new("00000000-1111-2222-3333-444444444444");
    let listed: [Read; 6] = [cluster, connected_cluster, registry, role_assignment, security_plan, subscription];
    let inside: [ReadInside; 9] = [
        agent_pool,
        diagnostic_setting,
        extension,
        maintenance_configuration,
        replication,
        scope_map,
        token,
        trusted_access_role_binding,
        webhook,
    ];
    let mut found: Vec<Resource> = listed.iter().filter_map(|read| read(&place, object.clone())).collect();
    found.extend(management_group(object.clone()));
    let anywhere =
        json!({ "id": "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/a/providers/b/c/d" });
    let within: Vec<Resource> = found.first().cloned().into_iter().chain(cluster(&place, anywhere)).collect();
    for whole in &within {
        found.extend(inside.iter().filter_map(|read| read(&place, whole, object.clone())));
        found.push(repository(&place, whole, "web", object.clone()));
        found.extend(image(&place, whole, "web", object.clone(), object.as_array().map(Vec::as_slice)));
        found.push(without(whole.clone(), &["properties"]));
    }
    found
}

/// Reads the kubeconfig of a managed cluster, in base64 or as it is; whether it could be used.
pub fn is_user_kubeconfig(text: &str) -> bool {
    kubeconfig::parse(&SecretString::from(text)).is_ok()
}
