use serde_json::{Map, Value, json};

use super::images::Image;
use crate::world::draft::{Draft, Object, Owner, timestamp};
use crate::world::kinds;
use crate::world::seed::Seed;

/// How carefully a pod template was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Meets the restricted Pod Security Standard and the usual hygiene.
    Hardened,
    /// Works, with the gaps that most estates have.
    Typical,
    /// The least that starts.
    Sloppy,
}

/// What a template is made from.
#[derive(Debug, Clone)]
pub(crate) struct App<'a> {
    pub(crate) seed: Seed,
    pub(crate) name: &'a str,
    pub(crate) team: &'a str,
    pub(crate) style: Style,
    pub(crate) image: Image,
    pub(crate) service_account: String,
}

/// Labels of an app's pods.
pub(crate) fn labels(app: &App<'_>) -> Value {
    json!({
        "app.kubernetes.io/name": app.name,
        "app.kubernetes.io/instance": app.name,
        "app.kubernetes.io/version": app.image.tag,
        "app.kubernetes.io/part-of": app.team,
        "team": app.team,
    })
}

/// The pod spec as its author wrote it and the API server defaulted it.
pub(crate) fn spec(app: &App<'_>) -> Value {
    let mut spec = json!({
        "serviceAccountName": app.service_account,
        "serviceAccount": app.service_account,
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "containers": [main_container(app)],
        "volumes": [
            { "name": "config", "configMap": { "name": format!("{}-config", app.name), "defaultMode": 420 } },
            { "name": "tmp", "emptyDir": {} },
        ],
        "affinity": { "podAntiAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 100,
            "podAffinityTerm": { "labelSelector": { "matchLabels": { "app.kubernetes.io/name": app.name } },
                                 "topologyKey": "topology.kubernetes.io/zone" },
        }] } },
    });
    if app.style == Style::Hardened {
        spec["automountServiceAccountToken"] = json!(false);
        spec["securityContext"] = json!({
            "runAsNonRoot": true, "runAsUser": 10_001, "runAsGroup": 10_001, "fsGroup": 10_001,
            "seccompProfile": { "type": "RuntimeDefault" },
        });
        spec["volumes"].as_array_mut().expect("made above").push(
            json!({ "name": "credentials", "secret": { "secretName": format!("{}-credentials", app.name), "defaultMode": 288 } }),
        );
    }
    if app.style == Style::Typical && app.seed.child("init").chance(35) {
        let mut init = json!({
            "name": "migrate", "image": app.image.tagged(), "imagePullPolicy": "IfNotPresent",
            "command": ["/app/migrate", "--wait"], "resources": {},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        });
        init["env"] = env(app);
        spec["initContainers"] = json!([init]);
    }
    if app.style == Style::Typical && app.seed.child("sidecar").chance(25) {
        let sidecar = json!({
            "name": "log-shipper", "image": "docker.io/fluent/fluent-bit:3.2.2", "imagePullPolicy": "IfNotPresent",
            "args": ["--config=/etc/fluent/fluent.conf", "--verbose"],
            "resources": { "requests": { "cpu": "20m", "memory": "32Mi" }, "limits": { "memory": "64Mi" } },
            "volumeMounts": [{ "name": "tmp", "mountPath": "/var/log/app" }],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        });
        spec["containers"].as_array_mut().expect("made above").push(sidecar);
    }
    spec
}

fn main_container(app: &App<'_>) -> Value {
    let mut container = json!({
        "name": app.name,
        "image": match app.style {
            Style::Hardened => app.image.pinned(),
            Style::Typical => app.image.tagged(),
            Style::Sloppy => format!("{}:latest", app.image.repository),
        },
        "imagePullPolicy": if app.style == Style::Typical { "IfNotPresent" } else { "Always" },
        "ports": [{ "name": "http", "containerPort": 8080, "protocol": "TCP" },
                  { "name": "metrics", "containerPort": 9090, "protocol": "TCP" }],
        "env": env(app),
        "resources": {},
        "volumeMounts": [{ "name": "config", "mountPath": "/etc/app", "readOnly": true },
                         { "name": "tmp", "mountPath": "/tmp" }],
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    });
    if app.style != Style::Sloppy {
        container["readinessProbe"] = probe("/ready");
        container["resources"] =
            json!({ "requests": { "cpu": "100m", "memory": "128Mi" }, "limits": { "memory": "256Mi" } });
    }
    if app.style == Style::Hardened {
        container["livenessProbe"] = probe("/healthz");
        container["startupProbe"] = probe("/healthz");
        container["resources"]["limits"]["cpu"] = json!("500m");
        container["securityContext"] = json!({
            "allowPrivilegeEscalation": false, "privileged": false, "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] }, "runAsNonRoot": true,
        });
        container["volumeMounts"]
            .as_array_mut()
            .expect("made above")
            .push(json!({ "name": "credentials", "mountPath": "/var/run/credentials", "readOnly": true }));
    }
    container
}

fn probe(path: &str) -> Value {
    json!({
        "httpGet": { "path": path, "port": "http", "scheme": "HTTP" },
        "initialDelaySeconds": 5, "periodSeconds": 10, "timeoutSeconds": 2, "successThreshold": 1, "failureThreshold": 3,
    })
}

fn env(app: &App<'_>) -> Value {
    let mut env = vec![
        json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.name" } } }),
        json!({ "name": "POD_NAMESPACE", "valueFrom": { "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } } }),
        json!({ "name": "LOG_LEVEL", "value": "info" }),
        json!({ "name": "LOG_FORMAT", "value": "json" }),
        json!({ "name": "HTTP_LISTEN", "value": ":8080" }),
        json!({ "name": "METRICS_LISTEN", "value": ":9090" }),
        json!({ "name": "OTEL_SERVICE_NAME", "value": app.name }),
        json!({ "name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel-collector.observability.svc:4317" }),
        json!({ "name": "FEATURE_FLAGS", "valueFrom": { "configMapKeyRef": { "name": format!("{}-config", app.name), "key": "flags" } } }),
    ];
    if app.style == Style::Typical {
        for (variable, key) in [("DATABASE_URL", "database-url"), ("CACHE_URL", "cache-url")] {
            env.push(json!({ "name": variable, "valueFrom": {
                "secretKeyRef": { "name": format!("{}-credentials", app.name), "key": key } } }));
        }
    }
    Value::Array(env)
}

/// Where and as what a pod runs.
#[derive(Debug, Clone)]
pub(crate) struct Placement<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) owner: Option<Owner>,
}

/// A pod running a template: what admission, the scheduler and the kubelet add to it.
pub(crate) fn running(world: Seed, seed: Seed, template: &Value, labels: &Value, placement: &Placement<'_>) -> Object {
    let mut spec = template.clone();
    let at = seed.child(placement.namespace).child(&placement.name);
    spec["nodeName"] = placement.node.clone().into();
    spec["priority"] = json!(0);
    spec["preemptionPolicy"] = json!("PreemptLowerPriority");
    spec["enableServiceLinks"] = json!(true);
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    tolerations.extend(["not-ready", "unreachable"].map(|condition| {
        json!({ "key": format!("node.kubernetes.io/{condition}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 })
    }));
    spec["tolerations"] = Value::Array(tolerations);
    if spec["automountServiceAccountToken"] != json!(false) {
        mount_token(&mut spec, &format!("kube-api-access-{}", at.child("token").suffix(5)));
    }
    let status = status(world, at, &spec);
    let mut draft = Draft::new(
        kinds::POD,
        Some(placement.namespace),
        placement.name.clone(),
        json!({ "spec": spec, "status": status }),
    )
    .labels(labels.clone());
    if let Some(owner) = &placement.owner {
        draft = draft.owned_by(owner.clone());
    }
    draft.build(seed)
}

/// The token volume that the service account admission plugin adds.
fn mount_token(spec: &mut Value, volume: &str) {
    let mount =
        json!({ "name": volume, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true });
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            match &mut container["volumeMounts"] {
                Value::Array(mounts) => mounts.push(mount.clone()),
                absent => *absent = json!([mount]),
            }
        }
    }
    let projected = json!({ "name": volume, "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } }] } },
    ] } });
    match &mut spec["volumes"] {
        Value::Array(volumes) => volumes.push(projected),
        absent => *absent = json!([projected]),
    }
}

fn status(world: Seed, at: Seed, spec: &Value) -> Value {
    let started = timestamp(at.child("started").below(30 * 86_400));
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({ "type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": started }));
    let address = format!("10.{}.{}.{}", at.below(200), at.nth(1).below(250), at.nth(2).below(250) + 1);
    let host = format!("10.0.{}.{}", at.nth(3).below(32), at.nth(4).below(250) + 1);
    let mut status = json!({
        "phase": "Running", "conditions": conditions, "hostIP": host, "hostIPs": [{ "ip": host }],
        "podIP": address, "podIPs": [{ "ip": address }], "startTime": started,
        "qosClass": if spec["containers"][0]["resources"].get("requests").is_some() { "Burstable" } else { "BestEffort" },
        "containerStatuses": container_statuses(world, at, &spec["containers"], &started),
    });
    if spec["initContainers"].is_array() {
        status["initContainerStatuses"] = container_statuses(world, at, &spec["initContainers"], &started);
        for item in status["initContainerStatuses"].as_array_mut().into_iter().flatten() {
            item["state"] = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": started } });
        }
    }
    status
}

fn container_statuses(world: Seed, at: Seed, containers: &Value, started: &str) -> Value {
    let one = |container: &Value| {
        let image = container["image"].as_str().unwrap_or_default();
        let name = container["name"].as_str().unwrap_or_default();
        json!({
            "name": name, "image": image.split('@').next(), "imageID": image_id(world, image),
            "containerID": format!("containerd://{}", at.child(name).hex(64)),
            "ready": true, "started": true, "restartCount": at.child("restarts").below(3),
            "state": { "running": { "startedAt": started } }, "lastState": {},
        })
    };
    containers.as_array().into_iter().flatten().map(one).collect()
}

/// `repository@digest`, as a container runtime reports it.
fn image_id(world: Seed, image: &str) -> String {
    let (reference, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, "latest"));
    let digest = digest.map_or_else(|| resolve(world, repository, tag), ToOwned::to_owned);
    format!("{repository}@{digest}")
}

/// The digest behind a tag: a version of an own image, or the one that a public tag stands for.
fn resolve(world: Seed, repository: &str, tag: &str) -> String {
    let own = repository.split_once(".amazonaws.com/").or_else(|| repository.split_once(".corp.example/"));
    match own {
        Some((_, name)) => {
            let version = (0..super::images::VERSIONS).find(|v| super::images::tag(*v) == tag);
            super::images::digest(world, name, version.unwrap_or(super::images::VERSIONS - 1))
        }
        None => super::images::public(world, repository, tag).digest,
    }
}

/// Metadata of a template.
pub(crate) fn template_metadata(labels: &Value, seed: Seed) -> Value {
    let mut annotations = Map::new();
    annotations.insert("checksum/config".to_owned(), seed.child("checksum").hex(64).into());
    annotations.insert("prometheus.io/scrape".to_owned(), "true".into());
    annotations.insert("prometheus.io/port".to_owned(), "9090".into());
    json!({ "creationTimestamp": null, "labels": labels, "annotations": annotations })
}
