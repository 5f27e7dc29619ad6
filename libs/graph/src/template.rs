//! What of a configuration is the same wherever one manifest is applied.

use rampart_domain::{ConfigHash, Kind, hash_json};
use serde_json::{Map, Value, json};

use crate::Node;
use crate::chart::image;

const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Fields of a pod spec that place the pod or name what stands beside it: they differ from cluster to cluster, and from
/// release to release, in what is otherwise one manifest.
const PLACEMENT: &[&str] = &[
    "affinity",
    "hostname",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "schedulerName",
    "serviceAccount",
    "serviceAccountName",
    "subdomain",
    "tolerations",
    "topologySpreadConstraints",
];

/// Fields of a container that hold settings of one installation.
const SETTINGS: &[&str] = &["envFrom", "terminationMessagePath", "terminationMessagePolicy"];

/// What a workload is recognised by: the names of its containers and of their images, whatever registry and tag they come
/// from. `None` without a template.
pub(crate) fn shape(node: &Node<'_>) -> Option<Value> {
    let spec = node.pod_spec()?;
    let mut containers: Vec<Value> = members(spec)
        .map(|(list, container)| json!([list, container.get("name"), image(text(container, "image")).0]))
        .collect();
    containers.sort_unstable_by_key(ToString::to_string);
    Some(Value::Array(containers))
}

/// The tag of the first container's image, or the first digits of its digest.
pub(crate) fn image_version(node: &Node<'_>) -> Option<String> {
    let first = node.pod_spec()?.pointer("/containers/0/image")?.as_str()?;
    image(first).1.map(str::to_owned)
}

/// Equal for configurations that differ only in what an installation decides: replicas, image registry and tag, values of
/// environment and arguments, placement, names of accounts, secrets and config maps. Of roles and their bindings, the
/// rights. `None` for other kinds.
pub(crate) fn fingerprint(node: &Node<'_>) -> Option<ConfigHash> {
    match node.kind {
        Kind::K8sRole | Kind::K8sClusterRole => Some(hash_json(node.config.get("rules")?)),
        Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding => {
            let kinds = node.config.get("subjects").and_then(Value::as_array).into_iter().flatten();
            let kinds: Vec<Option<&Value>> = kinds.map(|subject| subject.get("kind")).collect();
            Some(hash_json(&json!([node.config.pointer("/roleRef/name"), kinds])))
        }
        _ => Some(hash_json(&normalised(node.pod_spec()?))),
    }
}

fn normalised(spec: &Value) -> Value {
    let mut spec = spec.as_object().cloned().unwrap_or_default();
    spec.retain(|field, _| !PLACEMENT.contains(&field.as_str()));
    for list in CONTAINERS {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                self::container(container);
            }
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        // The sort of volume tells; a path of the host also tells what it opens.
        for (sort, source) in volume.as_object_mut().into_iter().flatten() {
            if !matches!(sort.as_str(), "name" | "hostPath") {
                *source = Value::Null;
            }
        }
    }
    Value::Object(spec)
}

fn container(container: &mut Map<String, Value>) {
    container.retain(|field, _| !SETTINGS.contains(&field.as_str()));
    if let Some(reference) = container.get_mut("image") {
        *reference = image(reference.as_str().unwrap_or_default()).0.into();
    }
    for variable in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        *variable = variable.get("name").cloned().unwrap_or_default();
    }
    for list in ["command", "args"] {
        for argument in container.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let flag = argument.as_str().unwrap_or_default().split('=').next().unwrap_or_default();
            *argument = if flag.starts_with("hmac:") { Value::Null } else { flag.into() };
        }
    }
}

fn members(spec: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let of = |list: &'static str| {
        let containers = spec.get(list).and_then(Value::as_array).into_iter().flatten();
        containers.map(move |container| (list, container))
    };
    CONTAINERS.into_iter().flat_map(of)
}

fn text<'a>(holder: &'a Value, field: &str) -> &'a str {
    holder.get(field).and_then(Value::as_str).unwrap_or_default()
}
