use rampart_domain::Resource;
use serde_json::Value;

use crate::normalize::{
    Place, cluster, firewall, folder, image, node_pool, policy, project, repository, service, subnetwork,
};

/// What every listing of this connector makes of one object, whatever it is: for tests that feed what no API returns.
pub fn resources_of_anything(object: &Value) -> Vec<Resource> {
    const REPOSITORY: &str = "projects/shop/locations/europe-west1/repositories/web";
    let place = Place::of_project("shop").at("europe-west1");
    let listed: [fn(&Place, Value) -> Option<Resource>; 5] = [cluster, firewall, policy, project, subnetwork];
    let mut found: Vec<Resource> = listed.iter().filter_map(|read| read(&place, object.clone())).collect();
    if let Some(known) = found.first().cloned() {
        found.extend(node_pool(&place, &known, object.clone()));
    }
    found.extend(service(&place, object));
    found.extend(folder(object.clone()));
    found.extend(image(&place, REPOSITORY, object.clone()));
    for policy in [None, Some(object.clone())] {
        found.extend(repository(&place, REPOSITORY, object.clone(), policy));
    }
    found
}
