use rampart_domain::{ConfigHash, hash_json};
use serde_json::{Map, Value};

/// What scheduling and debugging add to a pod after it was created.
const LATER: &[&str] = &["nodeName", "ephemeralContainers"];
/// What the API server writes into the metadata of a pod that exists.
const STAMPS: &[&str] = &["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation", "selfLink"];
/// Labels that differ between pods of one template.
const OWN_LABELS: &[&str] = &[
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
];

/// The pod as a request to create it again would have it, once mutating admission has done to it what it did before: without
/// status, node and debugging containers.
pub fn recreated(pod: &Value) -> Value {
    let mut pod = pod.clone();
    if let Some(fields) = pod.as_object_mut() {
        fields.remove("status");
    }
    take(pod.pointer_mut("/metadata"), STAMPS);
    take(pod.pointer_mut("/spec"), LATER);
    pod
}

/// Equal for pods that differ only in what is theirs alone: name, host name, the generated names of token volumes. Admission
/// is taken to treat such pods alike.
pub fn shape(pod: &Value) -> ConfigHash {
    let mut pod = recreated(pod);
    take(pod.pointer_mut("/metadata"), &["name", "ownerReferences"]);
    take(pod.pointer_mut("/metadata/labels"), OWN_LABELS);
    take(pod.pointer_mut("/spec"), &["hostname"]);
    unname(pod.pointer_mut("/spec/volumes"));
    for list in ["containers", "initContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            unname(container.get_mut("volumeMounts"));
        }
    }
    hash_json(&pod)
}

fn take(map: Option<&mut Value>, fields: &[&str]) {
    if let Some(map) = map.and_then(Value::as_object_mut) {
        map.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// Gives the token volumes among `items` one name.
fn unname(items: Option<&mut Value>) {
    let items = items.and_then(Value::as_array_mut).into_iter().flatten();
    for fields in items.filter_map(Value::as_object_mut).filter(|fields| is_token(fields)) {
        fields.insert("name".to_owned(), "token".into());
    }
}

fn is_token(fields: &Map<String, Value>) -> bool {
    fields.get("name").and_then(Value::as_str).is_some_and(|name| name.starts_with("kube-api-access-"))
}
