use std::collections::BTreeSet;

use rampart_domain::{Family, Kind, NativeId, image_digest};
use serde_json::Value;

use crate::bind::binds;
use crate::{Edge, EdgeKind, Node};

const SECRET: &str = "Secret";
const CONFIG_MAP: &str = "ConfigMap";
const CLAIM: &str = "PersistentVolumeClaim";

/// The edges that `node` alone determines, each once, in a fixed order.
///
/// What a template mounts and runs as is derived from the workload that is judged: pods, replica sets and jobs that have
/// an owner repeat their owner's template and are left out, so that ten thousand pods do not make forty thousand edges.
pub fn derive(node: &Node<'_>) -> Vec<Edge> {
    let mut edges = BTreeSet::new();
    let mut add = |kind, to: NativeId, expects| {
        edges.insert(Edge { kind, from: node.native_id.clone(), to, expects });
    };
    if let Some(owner) = node.owner {
        add(EdgeKind::Owner, owner.clone(), kind_of(owner));
    }
    if let Some(spec) = node.pod_spec() {
        let repeats_owner = node.owner.is_some() && node.kind.is_short_lived();
        if !repeats_owner {
            for (kind, name) in mounts(spec) {
                add(EdgeKind::Mounts, node.sibling("", kind, name), None);
            }
            if let Some(account) = service_account(node.kind, spec) {
                let to = node.sibling("", "ServiceAccount", account);
                add(EdgeKind::UsesServiceAccount, to, Some(Kind::K8sServiceAccount));
            }
        }
        for digest in running(node) {
            let to = NativeId::running_image(digest, node.cluster_uid);
            add(EdgeKind::RunsImage, to, Some(Kind::RunningImage));
        }
    }
    for (to, expects) in binds(node) {
        add(EdgeKind::Binds, to, expects);
    }
    edges.extend(contained(node));
    edges.into_iter().collect()
}

/// The edge from the cluster. What lies in a namespace is reached by its namespace: an edge for each would only repeat a
/// column.
fn contained(node: &Node<'_>) -> Option<Edge> {
    let is_inside = node.kind.family() == Family::Kubernetes && node.kind != Kind::K8sCluster;
    if !is_inside || node.namespace.is_some() || node.cluster_uid.is_empty() {
        return None;
    }
    let from = NativeId::new(format!("k8s://{}", node.cluster_uid));
    Some(Edge { kind: EdgeKind::Contains, from, to: node.native_id.clone(), expects: Some(node.kind) })
}

/// The kind of a listed owner, from its id.
fn kind_of(owner: &NativeId) -> Option<Kind> {
    let mut parts = owner.as_str().strip_prefix("k8s://")?.split('/').skip(1);
    match (parts.next()?, parts.next()?) {
        ("apps", "Deployment") => Some(Kind::K8sDeployment),
        ("apps", "DaemonSet") => Some(Kind::K8sDaemonSet),
        ("apps", "StatefulSet") => Some(Kind::K8sStatefulSet),
        ("apps", "ReplicaSet") => Some(Kind::K8sReplicaSet),
        ("batch", "Job") => Some(Kind::K8sJob),
        ("batch", "CronJob") => Some(Kind::K8sCronJob),
        ("", "ReplicationController") => Some(Kind::K8sReplicationController),
        ("", "StaticPod") => Some(Kind::K8sStaticPod),
        // An owner of another kind is known from its pods, if it has any.
        _ => None,
    }
}

/// The account of a pod spec. A template that names none runs as `default`; static pods cannot use accounts, and the API
/// server writes the account into every other pod.
fn service_account(kind: Kind, spec: &Value) -> Option<&str> {
    // The second is its old name, which the API server fills in too.
    let mut fields = ["serviceAccountName", "serviceAccount"].iter().filter_map(|field| spec.get(field)?.as_str());
    let named = fields.find(|name| !name.is_empty());
    match kind {
        Kind::K8sStaticPod => None,
        Kind::K8sPod => named,
        _ => Some(named.unwrap_or("default")),
    }
}

/// Kind and name of everything that the spec mounts or reads into the environment.
fn mounts(spec: &Value) -> Vec<(&'static str, &str)> {
    let mut named = Vec::new();
    for volume in items(spec, "volumes") {
        named.push((SECRET, volume.pointer("/secret/secretName")));
        named.push((SECRET, volume.pointer("/azureFile/secretName")));
        named.push((SECRET, volume.pointer("/csi/nodePublishSecretRef/name")));
        named.push((CONFIG_MAP, volume.pointer("/configMap/name")));
        named.push((CLAIM, volume.pointer("/persistentVolumeClaim/claimName")));
        for source in volume.get("projected").into_iter().flat_map(|projected| items(projected, "sources")) {
            named.push((SECRET, source.pointer("/secret/name")));
            named.push((CONFIG_MAP, source.pointer("/configMap/name")));
        }
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in items(spec, list) {
            for variable in items(container, "env") {
                named.push((SECRET, variable.pointer("/valueFrom/secretKeyRef/name")));
                named.push((CONFIG_MAP, variable.pointer("/valueFrom/configMapKeyRef/name")));
            }
            for source in items(container, "envFrom") {
                named.push((SECRET, source.pointer("/secretRef/name")));
                named.push((CONFIG_MAP, source.pointer("/configMapRef/name")));
            }
        }
    }
    named.into_iter().filter_map(|(kind, name)| Some((kind, name?.as_str()?))).collect()
}

fn items<'a>(holder: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    holder.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// Digests of the images that run in a pod now.
fn running<'a>(node: &Node<'a>) -> Vec<&'a str> {
    let ended = matches!(node.config.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"));
    let Some(status) = node.config.get("status").filter(|_| node.kind == Kind::K8sPod && !ended) else {
        return Vec::new();
    };
    let ids = |list: &'static str| {
        // Init containers that have ended run no more; sidecars do.
        let runs = move |it: &&Value| list == "containerStatuses" || it.pointer("/state/running").is_some();
        items(status, list).filter(runs).filter_map(|it| it.get("imageID")?.as_str())
    };
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    lists.into_iter().flat_map(ids).filter_map(image_digest).collect()
}

#[cfg(test)]
#[path = "derive_tests.rs"]
mod tests;
