//! Clusters and node pools of GKE.
//!
//! What is absent in GKE's JSON (container API v1, revision 20261027; proto3 JSON, which leaves defaults out):
//!
//! | in the answer | means |
//! |---|---|
//! | no boolean (`legacyAbac: {}`, `shieldedNodes: {}`) | false |
//! | no optional boolean (all of `ipEndpointsConfig`, `dnsEndpointConfig` and `rbacBindingConfig`; `gcpPublicCidrsAccessEnabled`, `privateEndpointEnforcementEnabled`) | never set: the service's default holds |
//! | no number (`initialNodeCount`) | 0 |
//! | no enumeration (`databaseEncryption: {}`) | the unspecified value: the service's default holds |
//! | no list or map (`cidrBlocks`, `nodePools`, `resourceLabels`) | empty |
//! | no message (`networkPolicy`, `workloadIdentityConfig`) | the feature was never configured: off |
//! | an empty message (`networkPolicy: {}`, `autopilot: {}`) | configured with defaults: off as well |
//! | no `privateClusterConfig` | a public cluster |
//! | no `controlPlaneEndpointsConfig` | an answer from before it existed: `endpoint` and `privateClusterConfig` tell |
//! | no `masterAuth.clientCertificate` | no client certificate was issued |
//!
//! Nothing is filled in: evidence points at what the API said. Conditions of controls read these defaults with `has()`.

use rampart_domain::{Kind, ManagedBy, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields, labels, text};

/// Changes without a change of configuration: version marks, and counts that autoscaling moves.
const CHURN: [&str; 2] = ["etag", "currentNodeCount"];
/// What is put where a secret may stand.
const HIDDEN: &str = "hidden by rampart";
/// Settings of Google's own agents; other metadata of machines is the customer's, start-up scripts and keys included.
const PLAIN_METADATA: [&str; 7] = [
    "disable-legacy-endpoints",
    "enable-oslogin",
    "block-project-ssh-keys",
    "serial-port-enable",
    "serial-port-logging-enable",
    "google-compute-enable-virtio-rng",
    "cluster-location",
];

/// An item of `clusters.list`, whose node pools are resources of their own.
pub(crate) fn cluster(place: &Place, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    drop_fields(&mut described, &["nodePools"]);
    if let Some(auth) = described.get_mut("masterAuth") {
        drop_fields(auth, &["password", "clientKey"]);
    }
    hide(&mut described);
    let (name, location) = (text(&described, "name")?.to_owned(), text(&described, "location")?.to_owned());
    let id = NativeId::new(format!(
        "//container.googleapis.com/projects/{}/locations/{location}/clusters/{name}",
        place.project
    ));
    let labels = labels(&described["resourceLabels"]);
    let active = is_up(&described);
    let uid = text(&described, "id").map(str::to_owned);
    let resource = place.at(&location).resource(Kind::GcpGkeCluster, id.clone(), &name, described);
    Some(Resource { cluster: Some(id), labels, active, uid, ..resource })
}

/// A node pool of a cluster. Those of Autopilot belong to Google: nobody else can change them.
pub(crate) fn node_pool(place: &Place, cluster: &Resource, mut described: Value) -> Option<Resource> {
    drop_fields(&mut described, &CHURN);
    hide(&mut described);
    let name = text(&described, "name")?.to_owned();
    let id = NativeId::new(format!("{}/nodePools/{name}", cluster.native_id));
    let labels = labels(&described["config"]["resourceLabels"]);
    let active = is_up(&described);
    let autopilot = cluster.config["autopilot"]["enabled"] == Value::Bool(true);
    let managed_by = if autopilot { ManagedBy::Platform } else { ManagedBy::Customer };
    let place = Place { location: cluster.region.clone(), ..place.clone() };
    let resource = place.resource(Kind::GcpGkeNodePool, id, &name, described);
    Some(Resource { cluster: Some(cluster.native_id.clone()), labels, active, managed_by, ..resource })
}

/// Things without a status work as soon as they exist.
fn is_up(described: &Value) -> bool {
    !matches!(text(described, "status"), Some("PROVISIONING" | "STOPPING" | "ERROR" | "STATUS_UNSPECIFIED"))
}

/// Hides what machines are told at their start: metadata of instances and arguments of their scripts.
fn hide(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), &mut *value) {
                    ("metadata", Value::Object(entries)) => {
                        for (key, value) in entries {
                            if !PLAIN_METADATA.contains(&key.as_str()) {
                                *value = HIDDEN.into();
                            }
                        }
                    }
                    ("initScript", Value::Object(script)) => {
                        for argument in script.get_mut("args").and_then(Value::as_array_mut).into_iter().flatten() {
                            *argument = HIDDEN.into();
                        }
                    }
                    _ => hide(value),
                }
            }
        }
        _ => {}
    }
}
