//! Subnetworks and firewall rules of Compute Engine, whose JSON writes most defaults out: `"disabled": false`.

use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields, text};

const SERVICE: &str = "//compute.googleapis.com";
/// Changes without a change of configuration.
const CHURN: [&str; 1] = ["fingerprint"];

/// An item of `subnetworks.aggregatedList`; `place` is its region.
pub(crate) fn subnetwork(place: &Place, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    let region = place.location.as_deref().filter(|region| !region.is_empty())?;
    let name = text(&described, "name")?.to_owned();
    let id = format!("{SERVICE}/projects/{}/regions/{region}/subnetworks/{name}", place.project);
    let uid = text(&described, "id").map(str::to_owned);
    let resource = place.resource(Kind::GcpComputeSubnetwork, NativeId::new(id), &name, described);
    Some(Resource { uid, ..resource })
}

/// An item of `firewalls.list`. A rule that is switched off is not active.
pub(crate) fn firewall(place: &Place, described: Value) -> Option<Resource> {
    let name = text(&described, "name")?.to_owned();
    let id = format!("{SERVICE}/projects/{}/global/firewalls/{name}", place.project);
    let uid = text(&described, "id").map(str::to_owned);
    let active = described["disabled"] != Value::Bool(true);
    let resource = place.resource(Kind::GcpComputeFirewall, NativeId::new(id), &name, described);
    Some(Resource { uid, active, ..resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subnetwork_is_named_by_its_region_and_keeps_what_is_switched_off() {
        let place = Place::of_project("shop-prod").at("europe-west1");
        let answer = json!({ "id": "123", "name": "nodes", "fingerprint": "x=", "enableFlowLogs": false,
            "logConfig": { "enable": false }, "newerThanRampart": { "kept": true } });
        let found = subnetwork(&place, answer).unwrap();
        assert_eq!(
            found.native_id.as_str(),
            "//compute.googleapis.com/projects/shop-prod/regions/europe-west1/subnetworks/nodes"
        );
        assert_eq!((found.region.as_deref(), found.uid.as_deref()), (Some("europe-west1"), Some("123")));
        let kept = json!({ "id": "123", "name": "nodes", "enableFlowLogs": false, "logConfig": { "enable": false },
            "newerThanRampart": { "kept": true } });
        assert_eq!(found.config, kept);
        assert_eq!(subnetwork(&place, json!({ "id": "123" })), None);
    }

    #[test]
    fn a_firewall_rule_belongs_to_no_region_and_may_be_switched_off() {
        let place = Place::of_project("shop-prod");
        let rule = |off: bool| json!({ "id": "7", "name": "allow-ssh", "direction": "INGRESS", "disabled": off });
        let found = firewall(&place, rule(false)).unwrap();
        assert_eq!(found.native_id.as_str(), "//compute.googleapis.com/projects/shop-prod/global/firewalls/allow-ssh");
        assert_eq!((found.region, found.active, found.config), (None, true, rule(false)));
        assert!(!firewall(&place, rule(true)).unwrap().active);
        assert_eq!(firewall(&place, json!({})), None);
    }
}
