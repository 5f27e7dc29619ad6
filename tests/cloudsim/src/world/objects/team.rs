use serde_json::{Value, json};

use super::base;
use super::rbac::{binding, role, rule, subject};
use crate::world::draft::{Draft, Object};
use crate::world::kinds::{self, Feature};
use crate::world::plan::{Cluster, Space};

/// A team's namespace: labels, network policies, quota, limits, roles, ingress.
pub(crate) fn objects(cluster: &Cluster, space: &Space) -> Vec<Object> {
    let mut labels =
        json!({ "team": space.team, "environment": if space.guarded { "production" } else { "development" } });
    if space.guarded {
        labels["pod-security.kubernetes.io/enforce"] = "baseline".into();
        labels["pod-security.kubernetes.io/enforce-version"] = "latest".into();
        labels["pod-security.kubernetes.io/warn"] = "restricted".into();
    }
    let mut objects = base::namespace(cluster, &space.name, &labels);
    let mut drafts = vec![
        role(
            &space.name,
            "deployer",
            &[
                rule(
                    &["apps"],
                    &["deployments", "statefulsets"],
                    &["get", "list", "watch", "create", "update", "patch"],
                ),
                rule(&[""], &["pods", "services"], &["get", "list", "watch"]),
            ],
        )
        .applied(),
        binding(
            &space.name,
            "deployer",
            "Role",
            "deployer",
            &[subject("Group", &format!("{}-developers", space.team))],
        )
        .applied(),
    ];
    if space.guarded {
        drafts.extend(guards(&space.name));
    }
    if cluster.serves(kinds::CILIUM_POLICY) {
        drafts.push(Draft::new(kinds::CILIUM_POLICY, Some(&space.name), "allow-dns", json!({ "spec": {
            "endpointSelector": {}, "egress": [{ "toPorts": [{ "ports": [{ "port": "53", "protocol": "UDP" }] }] }] } })).applied());
    }
    if cluster.features.contains(&Feature::Gateway) {
        drafts.push(Draft::new(kinds::HTTP_ROUTE, Some(&space.name), "public", json!({ "spec": {
            "parentRefs": [{ "group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "shared", "namespace": "default" }], "hostnames": [host(space)],
            "rules": [{ "matches": [{ "path": { "type": "PathPrefix", "value": "/" } }],
                        "backendRefs": [{ "group": "", "kind": "Service", "name": "api-core", "port": 80, "weight": 1 }] }] } })).applied());
    }
    drafts.push(Draft::new(kinds::INGRESS, Some(&space.name), "public", ingress(space, space.guarded)).applied());
    objects.extend(drafts.into_iter().map(|draft| draft.build(cluster.seed)));
    objects
}

fn host(space: &Space) -> String {
    format!("{}.example.com", space.name)
}

fn ingress(space: &Space, tls: bool) -> Value {
    let mut spec = json!({
        "ingressClassName": "nginx",
        "rules": [{ "host": host(space), "http": { "paths": [{ "path": "/", "pathType": "Prefix",
            "backend": { "service": { "name": "api-core", "port": { "name": "http" } } } }] } }],
    });
    if tls {
        spec["tls"] = json!([{ "hosts": [host(space)], "secretName": "public-tls" }]);
    }
    json!({ "spec": spec, "status": { "loadBalancer": {} } })
}

/// What a careful platform team puts into a namespace.
pub(crate) fn guards(namespace: &str) -> Vec<Draft> {
    vec![
        Draft::new(kinds::NETWORK_POLICY, Some(namespace), "default-deny",
            json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress", "Egress"] } })).applied(),
        Draft::new(kinds::NETWORK_POLICY, Some(namespace), "allow-same-namespace",
            json!({ "spec": { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{ "from": [{ "podSelector": {} }] }] } })).applied(),
        Draft::new(kinds::RESOURCE_QUOTA, Some(namespace), "compute",
            json!({ "spec": { "hard": { "requests.cpu": "40", "requests.memory": "80Gi", "pods": "200" } },
                    "status": { "hard": { "requests.cpu": "40", "requests.memory": "80Gi", "pods": "200" }, "used": { "pods": "12" } } })).applied(),
        Draft::new(kinds::LIMIT_RANGE, Some(namespace), "defaults",
            json!({ "spec": { "limits": [{ "type": "Container", "default": { "memory": "512Mi" }, "defaultRequest": { "cpu": "50m", "memory": "64Mi" } }] } })).applied(),
    ]
}

/// What teams share in a cluster: gateway, volumes, cluster-wide policies of installed network plugins.
pub(crate) fn shared(cluster: &Cluster) -> Vec<Object> {
    let mut drafts = Vec::new();
    if cluster.features.contains(&Feature::Gateway) {
        drafts.push(
            Draft::new(
                kinds::GATEWAY_CLASS,
                None,
                "shared",
                json!({ "spec": { "controllerName": "gateway.envoyproxy.io/gatewayclass-controller" } }),
            )
            .applied(),
        );
        drafts.push(Draft::new(kinds::GATEWAY, Some("default"), "shared", json!({ "spec": { "gatewayClassName": "shared",
            "listeners": [{ "name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": { "namespaces": { "from": "All" } } }] } })).applied());
    }
    if cluster.features.contains(&Feature::Calico) {
        drafts.push(Draft::new(kinds::CALICO_GLOBAL_POLICY, None, "deny-metadata", json!({ "spec": { "types": ["Egress"], "order": 10,
            "egress": [{ "action": "Deny", "destination": { "nets": ["169.254.169.254/32"] } }, { "action": "Allow" }] } })).applied());
    }
    if cluster.features.contains(&Feature::AdminNetworkPolicy) {
        drafts.push(
            Draft::new(
                kinds::ADMIN_POLICY,
                None,
                "isolate-legacy",
                json!({ "spec": { "priority": 20,
            "subject": { "namespaces": { "matchLabels": { "team": "legacy" } } },
            "ingress": [{ "action": "Deny", "from": [{ "namespaces": {} }] }] } }),
            )
            .applied(),
        );
    }
    for index in 0..4 {
        let name = format!("pvc-{}", cluster.seed.child("volume").nth(index).uuid());
        drafts.push(Draft::new(kinds::PERSISTENT_VOLUME, None, name, json!({
            "spec": { "capacity": { "storage": "20Gi" }, "accessModes": ["ReadWriteOnce"], "persistentVolumeReclaimPolicy": "Delete",
                      "storageClassName": "standard", "volumeMode": "Filesystem",
                      "csi": { "driver": "ebs.csi.aws.com", "fsType": "ext4", "volumeHandle": format!("vol-{}", cluster.seed.nth(index).hex(17)) } },
            "status": { "phase": "Bound" } })));
    }
    drafts.into_iter().map(|draft| draft.build(cluster.seed)).collect()
}
