use serde_json::json;

use super::pod::{self, Placement};
use super::{images, node};
use crate::world::draft::{Object, Owner, uid};
use crate::world::kinds;
use crate::world::plan::Cluster;

/// The control plane of a cluster of one's own: mirror pods of what the kubelet runs from files.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let host = node::name(cluster, 0);
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
        .into_iter()
        .map(|component| mirror(cluster, component, &host))
        .collect()
}

fn mirror(cluster: &Cluster, component: &str, host: &str) -> Object {
    let image = images::public(cluster.world, &format!("registry.k8s.io/{component}"), "v1.33.4");
    let spec = json!({
        "hostNetwork": true, "priorityClassName": "system-node-critical", "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false,
        "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } },
        "tolerations": [{ "effect": "NoExecute", "operator": "Exists" }],
        "containers": [{
            "name": component, "image": image.tagged(), "imagePullPolicy": "IfNotPresent",
            "command": [component, "--bind-address=127.0.0.1", "--kubeconfig=/etc/kubernetes/component.conf"],
            "resources": { "requests": { "cpu": "200m" } },
            "volumeMounts": [{ "name": "kubernetes", "mountPath": "/etc/kubernetes", "readOnly": true }],
            "livenessProbe": { "httpGet": { "host": "127.0.0.1", "path": "/livez", "port": 10_257, "scheme": "HTTPS" }, "failureThreshold": 8,
                               "initialDelaySeconds": 10, "periodSeconds": 10, "successThreshold": 1, "timeoutSeconds": 15 },
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }],
        "volumes": [{ "name": "kubernetes", "hostPath": { "path": "/etc/kubernetes", "type": "DirectoryOrCreate" } }],
    });
    let labels = json!({ "component": component, "tier": "control-plane" });
    let owner = Owner {
        api_version: "v1".to_owned(),
        kind: "Node".to_owned(),
        name: host.to_owned(),
        uid: uid(cluster.seed, kinds::NODE, None, host),
    };
    let placement = Placement {
        namespace: "kube-system",
        name: format!("{component}-{host}"),
        node: host.to_owned(),
        owner: Some(owner),
    };
    let (key, mut pod) = pod::running(cluster.world, cluster.seed, &spec, &labels, &placement);
    let hash = cluster.seed.child("static").child(component).hex(32);
    pod["metadata"]["annotations"] = json!({
        "kubernetes.io/config.hash": hash, "kubernetes.io/config.mirror": hash,
        "kubernetes.io/config.seen": "2026-08-01T06:00:00.000000000Z", "kubernetes.io/config.source": "file",
    });
    (key, pod)
}
