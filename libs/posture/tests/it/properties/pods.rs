//! Pods, and other ways to write them.

use proptest::prelude::*;
use proptest::sample::select;
use rampart_domain::Kind;
use serde_json::{Map, Value, json};

/// The specification and the metadata of a pod.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    spec: Value,
    metadata: Value,
}

pub(super) const KINDS: [Kind; 8] = [
    Kind::K8sPod,
    Kind::K8sReplicaSet,
    Kind::K8sReplicationController,
    Kind::K8sStatefulSet,
    Kind::K8sDaemonSet,
    Kind::K8sJob,
    Kind::K8sCronJob,
    Kind::K8sWorkload,
];

const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// One of the values; null for none.
fn one_of(values: Value) -> BoxedStrategy<Value> {
    let Value::Array(values) = values else { unreachable!("a list of values") };
    select(values).boxed()
}

fn objects(fields: Vec<(&'static str, Value)>) -> BoxedStrategy<Value> {
    let (pointers, values): (Vec<_>, Vec<_>) =
        fields.into_iter().map(|(pointer, values)| (pointer, one_of(values))).unzip();
    values
        .prop_map(move |values| {
            let mut object = json!({});
            for (pointer, value) in pointers.iter().zip(values).filter(|(_, value)| !value.is_null()) {
                set(&mut object, pointer, value);
            }
            object
        })
        .boxed()
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut place = object;
    for key in pointer.split('/') {
        if place.is_null() {
            *place = json!({});
        }
        place = &mut place[key];
    }
    *place = value;
}

pub(super) fn pod() -> BoxedStrategy<Pod> {
    let lists = (
        prop::collection::vec(container(), 1..4),
        prop::collection::vec(container(), 0..3),
        prop::collection::vec(container(), 0..2),
    );
    (spec(), metadata(), lists, prop::collection::vec(volume(), 0..3))
        .prop_map(|(mut spec, metadata, (app, init, debug), volumes)| {
            for (list, containers) in LISTS.into_iter().zip([app, init, debug]) {
                if !containers.is_empty() {
                    spec[list] = named(containers, list);
                }
            }
            if !volumes.is_empty() {
                spec["volumes"] = named(volumes, "v");
            }
            Pod { spec, metadata }
        })
        .boxed()
}

/// The objects with names of their own.
fn named(objects: Vec<Value>, prefix: &str) -> Value {
    let named = objects.into_iter().enumerate().map(|(index, mut object)| {
        object["name"] = format!("{}{index}", &prefix[..1]).into();
        object
    });
    named.collect()
}

fn metadata() -> BoxedStrategy<Value> {
    objects(vec![
        ("labels", json!([null, {"app": "web"}, {"app.kubernetes.io/name": "web", "owner": "me"}])),
        (
            "annotations",
            json!([null, null, {"container.apparmor.security.beta.kubernetes.io/c0": "unconfined"},
                {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}]),
        ),
    ])
}

fn spec() -> BoxedStrategy<Value> {
    objects(vec![
        ("hostNetwork", json!([null, null, true])),
        ("hostPID", json!([null, null, true])),
        ("hostIPC", json!([null, null, true])),
        ("hostUsers", json!([null, null, false, true])),
        ("shareProcessNamespace", json!([null, null, true])),
        ("automountServiceAccountToken", json!([null, true, false])),
        ("serviceAccountName", json!([null, "default", "web"])),
        ("os/name", json!([null, null, null, "linux", "windows"])),
        ("nodeSelector", json!([null, null, {"kubernetes.io/os": "linux"}, {"kubernetes.io/os": "windows"}])),
        ("hostAliases", json!([null, null, [{"ip": "10.0.0.1", "hostnames": ["a"]}]])),
        ("priorityClassName", json!([null, "system-node-critical"])),
        ("tolerations", json!([null, [{"operator": "Exists"}], [{"key": "CriticalAddonsOnly"}]])),
        (
            "topologySpreadConstraints",
            json!([null, [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]]),
        ),
        ("securityContext/runAsNonRoot", json!([null, true, false])),
        ("securityContext/runAsUser", json!([null, 0, 1000, 20_000])),
        ("securityContext/runAsGroup", json!([null, 0, 1000, 20_000])),
        ("securityContext/fsGroup", json!([null, 0, 2000])),
        ("securityContext/supplementalGroups", json!([null, [], [0], [1, 2]])),
        ("securityContext/seccompProfile", json!([null, {"type": "RuntimeDefault"}, {"type": "Unconfined"}])),
        ("securityContext/appArmorProfile", json!([null, null, {"type": "Unconfined"}])),
        (
            "securityContext/seLinuxOptions",
            json!([null, null, {"type": "container_t"}, {"type": "spc_t"}, {"level": "s0"}]),
        ),
        (
            "securityContext/sysctls",
            json!([null, null, [{"name": "kernel.msgmax", "value": "1"}, {"name": "net.ipv4.tcp_syncookies", "value": "1"}]]),
        ),
        (
            "securityContext/windowsOptions",
            json!([null, null, {"hostProcess": true}, {"runAsUserName": "ContainerAdministrator"}]),
        ),
    ])
}

fn volume() -> BoxedStrategy<Value> {
    one_of(json!([
        {"emptyDir": {}}, {"emptyDir": {"medium": "Memory"}}, {"secret": {"secretName": "s"}}, {"configMap": {"name": "c"}},
        {"hostPath": {"path": "/"}}, {"hostPath": {"path": "/var/log"}}, {"hostPath": {"path": "/var/run/docker.sock"}},
        {"hostPath": {"path": "/etc/kubernetes/azure.json"}}, {"nfs": {"server": "s", "path": "/"}},
        {"flexVolume": {"driver": "d"}}, {"persistentVolumeClaim": {"claimName": "c"}},
        {"projected": {"sources": [{"secret": {"name": "s"}}, {"serviceAccountToken": {"path": "t"}}]}},
    ]))
}

fn container() -> BoxedStrategy<Value> {
    let digest = format!("registry.example.com/web@sha256:{}", "0".repeat(64));
    objects(vec![
        (
            "image",
            json!([
                "nginx",
                "nginx:latest",
                "registry.example.com:5000/web",
                "registry.example.com/web:1.2",
                digest,
                "k8s.gcr.io/pause:3"
            ]),
        ),
        ("imagePullPolicy", json!([null, null, "Always", "IfNotPresent", "Never"])),
        ("command", json!([null, null, ["sudo", "x"], ["/usr/sbin/sshd"]])),
        (
            "ports",
            json!([null, [{"containerPort": 8080}], [{"containerPort": 22}, {"containerPort": 80, "hostPort": 80}], [{"containerPort": 8443, "hostPort": 0}]]),
        ),
        (
            "env",
            json!([null, [{"name": "PASSWORD", "value": "hunter2"}, {"name": "A", "value": "b"}], [{"name": "A"}, {"name": "A", "value": "x"}],
            [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]]),
        ),
        ("resources/limits/cpu", json!([null, "500m", "1", "0", "2000m"])),
        ("resources/limits/memory", json!([null, "64Mi", "1Gi", "0", "2Gi"])),
        ("resources/requests/cpu", json!([null, "100m", "1"])),
        ("resources/requests/memory", json!([null, "32Mi", "1Gi"])),
        (
            "livenessProbe",
            json!([null, {"httpGet": {"port": 80}}, {"httpGet": {"port": 80, "host": "10.0.0.1"}}, {"exec": {"command": ["x"]}}]),
        ),
        ("readinessProbe", json!([null, {"tcpSocket": {"port": 80}}, {"httpGet": {"port": 8080}}])),
        ("lifecycle/preStop", json!([null, {"exec": {"command": ["x"]}}])),
        (
            "volumeMounts",
            json!([null, [{"name": "v0", "mountPath": "/a"}, {"name": "v1", "mountPath": "/b", "readOnly": true}], [{"name": "v0", "mountPath": "/a", "subPath": "x"}]]),
        ),
        ("securityContext/privileged", json!([null, null, null, true, false])),
        ("securityContext/allowPrivilegeEscalation", json!([null, true, false])),
        ("securityContext/readOnlyRootFilesystem", json!([null, true, false])),
        ("securityContext/runAsNonRoot", json!([null, null, true, false])),
        ("securityContext/runAsUser", json!([null, null, 0, 1000, 20_000])),
        ("securityContext/runAsGroup", json!([null, null, 0, 20_000])),
        ("securityContext/procMount", json!([null, null, null, "Unmasked"])),
        (
            "securityContext/seccompProfile",
            json!([null, null, {"type": "Localhost", "localhostProfile": "p"}, {"type": "Unconfined"}]),
        ),
        (
            "securityContext/appArmorProfile",
            json!([null, null, null, {"type": "RuntimeDefault"}, {"type": "Unconfined"}]),
        ),
        ("securityContext/capabilities/add", json!([null, null, ["NET_BIND_SERVICE"], ["SYS_ADMIN", "CHOWN"]])),
        ("securityContext/capabilities/drop", json!([null, ["ALL"], ["NET_RAW", "CHOWN"]])),
    ])
}

impl Pod {
    pub(super) fn object(&self) -> Value {
        let mut metadata = self.metadata.clone();
        metadata["name"] = "it".into();
        metadata["namespace"] = "shop".into();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": self.spec})
    }

    fn changed(&self, change: impl FnOnce(&mut Value)) -> Self {
        let mut pod = self.clone();
        change(&mut pod.spec);
        pod
    }

    /// Every list from its end.
    pub(super) fn reversed(&self) -> Self {
        fn reverse(value: &mut Value) {
            match value {
                // What a container is started with has an order, and nothing else here.
                Value::Object(map) => {
                    map.iter_mut().filter(|(key, _)| *key != "command").for_each(|(_, value)| reverse(value));
                }
                Value::Array(items) => {
                    items.iter_mut().for_each(reverse);
                    items.reverse();
                }
                _ => {}
            }
        }
        self.changed(reverse)
    }

    /// With the containers and volumes of another, under other names.
    pub(super) fn with(&self, more: &Self) -> Self {
        self.changed(|spec| {
            for list in LISTS.into_iter().chain(["volumes"]) {
                let added = more.spec.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
                let added = added.into_iter().map(|mut object| {
                    object["name"] = format!("more-{}", object["name"].as_str().unwrap()).into();
                    object
                });
                let mut items = spec.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
                items.extend(added);
                if !items.is_empty() {
                    spec[list] = items.into();
                }
            }
        })
    }

    fn each_container(spec: &mut Value, mut change: impl FnMut(&str, &mut Value)) {
        for list in LISTS {
            if let Some(Value::Array(containers)) = spec.get_mut(list) {
                for container in containers.iter_mut() {
                    change(list, container);
                }
            }
        }
    }

    /// As the API server keeps it.
    pub(super) fn defaulted(&self) -> Self {
        self.changed(|spec| {
            fill(spec, &json!({
                "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
                "schedulerName": "default-scheduler", "securityContext": {}, "enableServiceLinks": true,
                "hostNetwork": false, "hostPID": false, "hostIPC": false, "preemptionPolicy": "PreemptLowerPriority",
                "serviceAccountName": "default",
            }));
            spec["serviceAccount"] = spec["serviceAccountName"].clone();
            Self::each_container(spec, |list, container| {
                let image = container["image"].as_str().unwrap().to_owned();
                let last = image.rsplit('/').next().unwrap();
                let moving = !last.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
                fill(container, &json!({
                    "imagePullPolicy": if moving { "Always" } else { "IfNotPresent" }, "resources": {},
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }));
                if let Some(context) = container.get_mut("securityContext") {
                    fill(context, &json!({"procMount": "Default"}));
                }
                for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                    fill(port, &json!({"protocol": "TCP"}));
                }
                for probe in ["livenessProbe", "readinessProbe"] {
                    let Some(probe) = container.get_mut(probe) else { continue };
                    fill(probe, &json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}));
                    if let Some(get) = probe.get_mut("httpGet") {
                        fill(get, &json!({"path": "/", "scheme": "HTTP"}));
                    }
                }
                for env in container.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(field) = env.pointer_mut("/valueFrom/fieldRef") {
                        fill(field, &json!({"apiVersion": "v1"}));
                    }
                }
                // What is limited and asks for nothing asks for its limit.
                let limits = container["resources"].get("limits").cloned();
                if let Some(limits) = limits.filter(|_| list != "ephemeralContainers") {
                    let requests = container["resources"].as_object_mut().unwrap().entry("requests").or_insert_with(|| json!({}));
                    fill(requests, &limits);
                }
            });
            for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
                for source in ["secret", "configMap", "projected"] {
                    if let Some(source) = volume.get_mut(source) {
                        fill(source, &json!({"defaultMode": 420}));
                    }
                }
                if let Some(path) = volume.get_mut("hostPath") {
                    fill(path, &json!({"type": ""}));
                }
            }
        })
    }

    /// With null where a field may be.
    pub(super) fn with_nulls(&self) -> Self {
        self.changed(|spec| {
            let nulls = |names: &[&str]| {
                Value::Object(names.iter().map(|name| ((*name).to_owned(), Value::Null)).collect::<Map<_, _>>())
            };
            fill(
                spec,
                &nulls(&[
                    "hostNetwork",
                    "hostPID",
                    "securityContext",
                    "automountServiceAccountToken",
                    "volumes",
                    "initContainers",
                    "os",
                    "affinity",
                ]),
            );
            Self::each_container(spec, |_, container| {
                fill(
                    container,
                    &nulls(&[
                        "securityContext",
                        "ports",
                        "env",
                        "resources",
                        "livenessProbe",
                        "command",
                        "volumeMounts",
                        "lifecycle",
                    ]),
                );
                if let Some(context @ Value::Object(_)) = container.get_mut("securityContext") {
                    fill(
                        context,
                        &nulls(&[
                            "privileged",
                            "capabilities",
                            "runAsUser",
                            "runAsNonRoot",
                            "seccompProfile",
                            "procMount",
                        ]),
                    );
                }
            });
        })
    }

    /// With empty lists and objects where there are none.
    pub(super) fn with_empties(&self) -> Self {
        self.changed(|spec| {
            fill(spec, &json!({
                "securityContext": {}, "volumes": [], "initContainers": [], "ephemeralContainers": [], "tolerations": [],
                "hostAliases": [], "nodeSelector": {}, "imagePullSecrets": [], "topologySpreadConstraints": [], "affinity": {},
            }));
            fill(&mut spec["securityContext"], &json!({"supplementalGroups": [], "sysctls": []}));
            Self::each_container(spec, |_, container| {
                fill(container, &json!({
                    "securityContext": {}, "ports": [], "env": [], "envFrom": [], "resources": {}, "volumeMounts": [],
                    "command": [], "args": [], "lifecycle": {},
                }));
                fill(&mut container["resources"], &json!({"limits": {}, "requests": {}}));
            });
        })
    }

    /// With other spellings of the same quantities and ports.
    pub(super) fn respelled(&self) -> Self {
        self.changed(|spec| {
            Self::each_container(spec, |_, container| {
                for part in ["limits", "requests"] {
                    for (resource, spellings) in [
                        ("cpu", json!({"1": "1000m", "500m": 0.5, "0": 0, "2000m": 2, "100m": "0.1"})),
                        ("memory", json!({"1Gi": 1_073_741_824, "64Mi": "65536Ki", "0": "0Mi", "2Gi": "2048Mi", "32Mi": "33554432"})),
                    ] {
                        let Some(amount) = container.pointer_mut(&format!("/resources/{part}/{resource}")) else { continue };
                        if let Some(other) = amount.as_str().and_then(|amount| spellings.get(amount)) {
                            *amount = other.clone();
                        }
                    }
                }
                for probe in ["/livenessProbe/httpGet/port", "/readinessProbe/tcpSocket/port", "/readinessProbe/httpGet/port"] {
                    if let Some(port) = container.pointer_mut(probe) {
                        *port = "web".into();
                    }
                }
            });
        })
    }
}

/// Adds what is not there.
fn fill(object: &mut Value, defaults: &Value) {
    let (Some(map), Some(defaults)) = (object.as_object_mut(), defaults.as_object()) else { return };
    for (key, value) in defaults {
        map.entry(key.as_str()).or_insert_with(|| value.clone());
    }
}

/// A workload of the kind that carries the pod.
pub(super) fn wrapped(kind: Kind, pod: &Pod) -> Value {
    let template = json!({"metadata": pod.metadata, "spec": pod.spec});
    let object = |api: &str, name: &str, spec: Value| json!({"apiVersion": api, "kind": name, "metadata": {"name": "it", "namespace": "shop"}, "spec": spec});
    match kind {
        Kind::K8sPod => pod.object(),
        Kind::K8sReplicationController => object("v1", "ReplicationController", json!({"template": template})),
        Kind::K8sJob => object("batch/v1", "Job", json!({"template": template})),
        Kind::K8sCronJob => object(
            "batch/v1",
            "CronJob",
            json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": template}}}),
        ),
        Kind::K8sDaemonSet => object("apps/v1", "DaemonSet", json!({"template": template})),
        Kind::K8sStatefulSet => object("apps/v1", "StatefulSet", json!({"template": template})),
        Kind::K8sReplicaSet => object("apps/v1", "ReplicaSet", json!({"template": template})),
        Kind::K8sWorkload => object("example.com/v1", "Rollout", json!({"template": template})),
        _ => object("apps/v1", "Deployment", json!({"template": template})),
    }
}
