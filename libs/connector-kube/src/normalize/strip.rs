//! Removes what changes without anybody changing anything. What is left is worth a new version when it differs.

use rampart_domain::Kind;
use serde_json::{Map, Value, json};

/// Annotations that controllers rewrite, or that repeat the object (with its secrets).
const ANNOTATIONS: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    "kapp.k14s.io/original",
    "objectset.rio.cattle.io/applied",
    "banzaicloud.com/last-applied",
    "control-plane.alpha.kubernetes.io/leader",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.daemonset.template.generation",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "node.alpha.kubernetes.io/ttl",
    "volumes.kubernetes.io/controller-managed-attach-detach",
    "csi.volume.kubernetes.io/nodeid",
    "batch.kubernetes.io/job-tracking",
    "batch.kubernetes.io/cronjob-scheduled-timestamp",
    "autoscaling.alpha.kubernetes.io/conditions",
    "autoscaling.alpha.kubernetes.io/current-metrics",
];

/// Fields of conditions and the like that tell when and how often, not what.
const CLOCKS: &[&str] = &[
    "lastHeartbeatTime",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
    "lastPhaseTransitionTime",
    "observedGeneration",
    "message",
];

/// Metadata of what a spec makes objects from.
const TEMPLATES: [&str; 3] = ["/template/metadata", "/jobTemplate/metadata", "/jobTemplate/spec/template/metadata"];

/// Strips one object of `kind`.
pub(crate) fn churn(kind: Kind, object: &mut Map<String, Value>) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        self::metadata(metadata);
    }
    // What kubectl or a tool wrote into a template comes with it, and repeats the object there too.
    if let Some(spec) = object.get_mut("spec") {
        for template in TEMPLATES {
            if let Some(metadata) = spec.pointer_mut(template).and_then(Value::as_object_mut) {
                annotations(metadata);
            }
        }
    }
    match kind {
        Kind::K8sPod => pod_status(object),
        Kind::K8sNode => node_status(object),
        Kind::K8sEndpointSlice => endpoints(object),
        Kind::K8sJob => job_status(object),
        Kind::K8sNamespace
        | Kind::K8sPersistentVolume
        | Kind::K8sService
        | Kind::K8sIngress
        | Kind::K8sGateway
        | Kind::K8sGatewayClass
        | Kind::K8sHttpRoute
        | Kind::K8sGrpcRoute
        | Kind::K8sTlsRoute
        | Kind::K8sTcpRoute => {
            if let Some(status) = object.get_mut("status") {
                clocks(status);
            }
        }
        Kind::K8sValidatingWebhookConfiguration | Kind::K8sMutatingWebhookConfiguration => webhooks(object),
        Kind::K8sCustomResourceDefinition | Kind::K8sSecret => names_only(object),
        Kind::K8sConfigMap => config_map(object),
        // Counters, revisions, collected roles: nothing that is not in the spec as intent.
        _ => {
            object.remove("status");
        }
    }
}

fn metadata(metadata: &mut Map<String, Value>) {
    for field in ["managedFields", "resourceVersion", "generation", "selfLink"] {
        metadata.remove(field);
    }
    annotations(metadata);
}

fn annotations(metadata: &mut Map<String, Value>) {
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

fn clocks(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| !CLOCKS.contains(&key.as_str()));
            map.values_mut().for_each(clocks);
        }
        Value::Array(items) => items.iter_mut().for_each(clocks),
        _ => {}
    }
}

/// Keeps of an object what `fields` names.
fn keep(map: &mut Map<String, Value>, fields: &[&str]) {
    map.retain(|key, _| fields.contains(&key.as_str()));
}

fn pod_status(object: &mut Map<String, Value>) {
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    keep(status, &[&["phase", "hostIP", "podIP", "qosClass"], &lists[..]].concat());
    for list in lists {
        for container in status.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(container) = container.as_object_mut() else { continue };
            keep(container, &["name", "image", "imageID", "state"]);
            // Which state, not since when: {"running": {}}.
            for detail in container.get_mut("state").and_then(Value::as_object_mut).into_iter().flatten() {
                *detail.1 = json!({});
            }
        }
    }
}

fn node_status(object: &mut Map<String, Value>) {
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    keep(status, &["nodeInfo", "addresses", "capacity", "conditions"]);
    if let Some(conditions) = status.get_mut("conditions") {
        clocks(conditions);
    }
}

/// Addresses in a fixed order, without the moments of their changes.
fn endpoints(object: &mut Map<String, Value>) {
    object.remove("status");
    let Some(endpoints) = object.get_mut("endpoints").and_then(Value::as_array_mut) else { return };
    for endpoint in endpoints.iter_mut() {
        let Some(endpoint) = endpoint.as_object_mut() else { continue };
        keep(endpoint, &["addresses", "conditions", "targetRef", "nodeName", "zone", "hostname"]);
        if let Some(conditions) = endpoint.get_mut("conditions").and_then(Value::as_object_mut) {
            keep(conditions, &["ready"]);
        }
        if let Some(target) = endpoint.get_mut("targetRef").and_then(Value::as_object_mut) {
            keep(target, &["kind", "namespace", "name"]);
        }
    }
    endpoints.sort_by_cached_key(|endpoint| endpoint.get("addresses").map(Value::to_string));
}

fn job_status(object: &mut Map<String, Value>) {
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else { return };
    keep(status, &["conditions"]);
    if let Some(conditions) = status.get_mut("conditions") {
        clocks(conditions);
    }
}

/// Bundles of certificates are large and tell nothing but their change: a digest tells that too.
fn webhooks(object: &mut Map<String, Value>) {
    for webhook in object.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(bundle) = webhook.pointer_mut("/clientConfig/caBundle")
            && let Some(text) = bundle.as_str()
        {
            *bundle = format!("blake3:{}", &blake3::hash(text.as_bytes()).to_hex()[..16]).into();
        }
    }
}

/// Nothing but the name and what it is filed under.
fn names_only(object: &mut Map<String, Value>) {
    keep(object, &["metadata"]);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        keep(metadata, &["name", "namespace", "uid", "labels", "creationTimestamp"]);
    }
}

/// Of config maps the name; of the identity map of EKS also the mappings.
fn config_map(object: &mut Map<String, Value>) {
    let metadata = object.get("metadata");
    let field = |name: &str| metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_str);
    let identity_map = field("namespace") == Some("kube-system") && field("name") == Some("aws-auth");
    let data = object.remove("data").filter(|_| identity_map);
    names_only(object);
    if let Some(Value::Object(mut data)) = data {
        keep(&mut data, &["mapRoles", "mapUsers"]);
        object.insert("data".to_owned(), data.into());
    }
}
