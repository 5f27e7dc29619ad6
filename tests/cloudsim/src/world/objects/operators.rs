use serde_json::{Value, json};

use super::addons::{Component, component};
use super::base;
use super::delivery::Delivery;
use super::rbac::{cluster_binding, cluster_role, rule, subject};
use super::workload::Controller;
use crate::world::draft::{Draft, Object};
use crate::world::kinds;
use crate::world::plan::Cluster;

const ALL: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

/// cert-manager, Argo Rollouts, the Prometheus stack and an ingress controller, each with its rights and webhooks.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let mut objects = Vec::new();
    for (name, labels) in [
        ("cert-manager", json!({ "pod-security.kubernetes.io/enforce": "restricted" })),
        ("argo-rollouts", Value::Null),
        ("monitoring", json!({ "pod-security.kubernetes.io/enforce": "privileged" })),
        ("ingress-nginx", Value::Null),
    ] {
        objects.extend(base::namespace(cluster, name, &labels));
    }
    let restricted = json!({ "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": { "drop": ["ALL"] } }, "resources": { "requests": { "cpu": "10m", "memory": "32Mi" } } });
    let nonroot =
        json!({ "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } } });
    // One cluster in six lags behind.
    let ingress = if cluster.seed.child("ingress-chart").chance(17) { "4.12.1" } else { "4.13.3" };
    let ingress = format!("ingress-nginx-{ingress}");
    let rollouts = format!("{}-argo-rollouts", cluster.name);
    let cert_manager = Delivery::Helm { chart: "cert-manager-v1.19.1", release: "cert-manager" };
    let monitoring = |chart| Delivery::FluxHelm { chart, release: "monitoring" };
    let parts = [
        ("cert-manager", "cert-manager", "quay.io/jetstack/cert-manager-controller", "v1.19.1", cert_manager),
        ("cert-manager", "cert-manager-webhook", "quay.io/jetstack/cert-manager-webhook", "v1.19.1", cert_manager),
        (
            "cert-manager",
            "cert-manager-cainjector",
            "quay.io/jetstack/cert-manager-cainjector",
            "v1.19.1",
            cert_manager,
        ),
        (
            "argo-rollouts",
            "argo-rollouts",
            "quay.io/argoproj/argo-rollouts",
            "v1.8.3",
            Delivery::ArgoChart { chart: "argo-rollouts-2.40.5", application: &rollouts },
        ),
        (
            "monitoring",
            "prometheus-operator",
            "quay.io/prometheus-operator/prometheus-operator",
            "v0.85.0",
            monitoring("kube-prometheus-stack-78.0.0"),
        ),
        (
            "monitoring",
            "kube-state-metrics",
            "registry.k8s.io/kube-state-metrics/kube-state-metrics",
            "v2.17.0",
            monitoring("kube-state-metrics-6.3.0"),
        ),
        (
            "ingress-nginx",
            "ingress-nginx-controller",
            "registry.k8s.io/ingress-nginx/controller",
            "v1.13.3",
            Delivery::Helm { chart: &ingress, release: "ingress-nginx" },
        ),
    ];
    for (namespace, name, image, tag, delivery) in parts {
        let mut part = component(
            cluster,
            &Component {
                namespace,
                name,
                team: "platform",
                controller: Controller::Deployment,
                image: (image, tag),
                replicas: 1,
                pod: nonroot.clone(),
                container: restricted.clone(),
            },
        );
        delivery.mark(&mut part);
        objects.extend(part);
    }
    let mut exporter = node_exporter(cluster);
    monitoring("prometheus-node-exporter-4.48.0").mark(&mut exporter);
    objects.extend(exporter);
    objects.extend(rights().into_iter().map(|draft| draft.managed_by("helm").build(cluster.seed)));
    objects.extend(webhooks().into_iter().map(|draft| draft.managed_by("helm").build(cluster.seed)));
    objects.push(prometheus(cluster));
    objects
}

fn node_exporter(cluster: &Cluster) -> Vec<Object> {
    component(
        cluster,
        &Component {
            namespace: "monitoring",
            name: "node-exporter",
            team: "platform",
            controller: Controller::DaemonSet,
            image: ("quay.io/prometheus/node-exporter", "v1.9.1"),
            replicas: cluster.nodes,
            pod: json!({ "hostNetwork": true, "hostPID": true, "tolerations": [{ "operator": "Exists" }],
                     "volumes": [{ "name": "root", "hostPath": { "path": "/", "type": "" } }],
                     "securityContext": { "runAsNonRoot": true, "runAsUser": 65_534 } }),
            container: json!({ "args": ["--path.rootfs=/host/root"], "ports": [{ "name": "metrics", "containerPort": 9100, "hostPort": 9100, "protocol": "TCP" }],
                           "volumeMounts": [{ "name": "root", "mountPath": "/host/root", "readOnly": true, "mountPropagation": "HostToContainer" }] }),
        },
    )
}

fn rights() -> Vec<Draft> {
    vec![
        cluster_role(
            "cert-manager-controller",
            &[rule(&["cert-manager.io"], &["certificates", "issuers"], ALL), rule(&[""], &["secrets"], ALL)],
        ),
        cluster_binding(
            "cert-manager-controller",
            "cert-manager-controller",
            &[subject("ServiceAccount", "cert-manager/cert-manager")],
        ),
        cluster_role(
            "argo-rollouts",
            &[rule(&["argoproj.io"], &["rollouts"], ALL), rule(&["apps"], &["replicasets"], ALL)],
        ),
        cluster_binding("argo-rollouts", "argo-rollouts", &[subject("ServiceAccount", "argo-rollouts/argo-rollouts")]),
        cluster_role(
            "prometheus-operator",
            &[rule(&["monitoring.coreos.com"], &["*"], &["*"]), rule(&[""], &["services", "endpoints"], ALL)],
        ),
        cluster_binding(
            "prometheus-operator",
            "prometheus-operator",
            &[subject("ServiceAccount", "monitoring/prometheus-operator")],
        ),
    ]
}

fn webhooks() -> Vec<Draft> {
    let hook = |name: &str, service: &str, failure: &str| {
        json!({ "webhooks": [{
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": failure, "timeoutSeconds": 30,
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "clientConfig": { "service": { "name": service, "namespace": "cert-manager", "path": "/validate", "port": 443 } },
            "rules": [{ "apiGroups": ["cert-manager.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["*/*"], "scope": "*" }],
        }] })
    };
    let policy = json!({ "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": { "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}, "resourceRules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"], "resources": ["deployments"], "scope": "*" }] },
        "validations": [{ "expression": "object.spec.replicas <= 50", "message": "at most fifty replicas" }],
    }, "status": { "observedGeneration": 1, "typeChecking": {} } });
    vec![
        Draft::new(
            kinds::VALIDATING_WEBHOOK,
            None,
            "cert-manager-webhook",
            hook("webhook.cert-manager.io", "cert-manager-webhook", "Fail"),
        ),
        Draft::new(kinds::MUTATING_WEBHOOK, None, "cert-manager-webhook", {
            let mut body = hook("webhook.cert-manager.io", "cert-manager-webhook", "Ignore");
            body["webhooks"][0]["reinvocationPolicy"] = json!("Never");
            body
        }),
        Draft::new(kinds::ADMISSION_POLICY, None, "replica-limit", policy),
        Draft::new(
            kinds::ADMISSION_BINDING,
            None,
            "replica-limit",
            json!({ "spec": { "policyName": "replica-limit", "validationActions": ["Deny"] } }),
        ),
    ]
}

fn prometheus(cluster: &Cluster) -> Object {
    let body = json!({ "spec": { "replicas": 2, "retention": "15d", "serviceAccountName": "prometheus-operator" } });
    Draft::new(kinds::PROMETHEUS, Some("monitoring"), "main", body).managed_by("helm").build(cluster.seed)
}
