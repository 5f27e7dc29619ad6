use serde_json::{Value, json};

use super::images;
use super::pod::{App, Style};
use super::workload::{Controller, Workload, objects as workload_objects};
use crate::world::draft::Object;
use crate::world::plan::Cluster;

/// Software that comes with a cluster or that an operator installs: one workload of it.
pub(crate) struct Component<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) team: &'a str,
    pub(crate) controller: Controller,
    pub(crate) image: (&'a str, &'a str),
    pub(crate) replicas: u64,
    /// Pod spec beside its containers.
    pub(crate) pod: Value,
    /// The container beside name and image.
    pub(crate) container: Value,
}

/// The objects of a component.
pub(crate) fn component(cluster: &Cluster, part: &Component<'_>) -> Vec<Object> {
    let image = images::public(cluster.world, part.image.0, part.image.1);
    let mut container = json!({ "name": part.name, "image": image.tagged(), "imagePullPolicy": "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File" });
    merge(&mut container, &part.container);
    let mut spec = json!({
        "containers": [container], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
        "terminationGracePeriodSeconds": 30, "securityContext": {}, "serviceAccountName": part.name, "serviceAccount": part.name,
    });
    merge(&mut spec, &part.pod);
    let app = App {
        seed: cluster.seed.child(part.name),
        name: part.name,
        team: part.team,
        style: Style::Typical,
        image,
        service_account: part.name.to_owned(),
    };
    let workload = Workload {
        namespace: part.namespace,
        controller: part.controller,
        app,
        spec,
        replicas: part.replicas,
        revisions: 0,
        service: part.controller == Controller::Deployment,
    };
    workload_objects(cluster, &workload)
}

/// Lays the fields of `over` on `base`, one level deep.
fn merge(base: &mut Value, over: &Value) {
    for (key, value) in over.as_object().into_iter().flatten() {
        base[key] = value.clone();
    }
}

/// Network plugin, proxy and DNS, as managed add-ons on EKS and as installed by hand elsewhere.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let everywhere = json!([{ "operator": "Exists" }]);
    let host = |name: &str, path: &str| json!({ "name": name, "hostPath": { "path": path, "type": "" } });
    let eks = cluster.region().map(|region| format!("602401143452.dkr.ecr.{region}.amazonaws.com/eks"));
    let repository =
        |name: &str, public: &str| eks.as_ref().map_or_else(|| public.to_owned(), |prefix| format!("{prefix}/{name}"));
    let (proxy, dns) = (
        repository("kube-proxy", "registry.k8s.io/kube-proxy"),
        repository("coredns", "registry.k8s.io/coredns/coredns"),
    );
    let network = repository("amazon-k8s-cni", "quay.io/calico/node");
    let network_name = if eks.is_some() { "aws-node" } else { "calico-node" };
    let mut objects = component(
        cluster,
        &Component {
            namespace: "kube-system",
            name: network_name,
            team: "platform",
            controller: Controller::DaemonSet,
            image: (&network, "v1.20.3"),
            replicas: cluster.nodes,
            pod: json!({ "hostNetwork": true, "priorityClassName": "system-node-critical", "tolerations": everywhere,
                     "volumes": [host("cni-bin-dir", "/opt/cni/bin"), host("cni-net-dir", "/etc/cni/net.d"), host("xtables-lock", "/run/xtables.lock")] }),
            container: json!({ "securityContext": { "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } },
                           "resources": { "requests": { "cpu": "25m" } },
                           "volumeMounts": [{ "name": "cni-bin-dir", "mountPath": "/host/opt/cni/bin" }, { "name": "cni-net-dir", "mountPath": "/host/etc/cni/net.d" },
                                            { "name": "xtables-lock", "mountPath": "/run/xtables.lock" }] }),
        },
    );
    objects.extend(component(cluster, &Component {
        namespace: "kube-system",
        name: "kube-proxy",
        team: "platform",
        controller: Controller::DaemonSet,
        image: (&proxy, "v1.33.3"),
        replicas: cluster.nodes,
        pod: json!({ "hostNetwork": true, "priorityClassName": "system-node-critical", "tolerations": everywhere,
                     "volumes": [host("lib-modules", "/lib/modules"), host("varlog", "/var/log")] }),
        container: json!({ "command": ["kube-proxy", "--v=2", "--config=/var/lib/kube-proxy-config/config"], "securityContext": { "privileged": true },
                           "volumeMounts": [{ "name": "lib-modules", "mountPath": "/lib/modules", "readOnly": true }, { "name": "varlog", "mountPath": "/var/log" }] }),
    }));
    objects.extend(component(cluster, &Component {
        namespace: "kube-system",
        name: "coredns",
        team: "platform",
        controller: Controller::Deployment,
        image: (&dns, "v1.12.4"),
        replicas: 2,
        pod: json!({ "priorityClassName": "system-cluster-critical", "dnsPolicy": "Default",
                     "securityContext": { "seccompProfile": { "type": "RuntimeDefault" } } }),
        container: json!({ "args": ["-conf", "/etc/coredns/Corefile"],
                           "resources": { "limits": { "memory": "170Mi" }, "requests": { "cpu": "100m", "memory": "70Mi" } },
                           "ports": [{ "name": "dns", "containerPort": 53, "protocol": "UDP" }, { "name": "dns-tcp", "containerPort": 53, "protocol": "TCP" }],
                           "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                                                "capabilities": { "add": ["NET_BIND_SERVICE"], "drop": ["ALL"] } } }),
    }));
    objects
}
