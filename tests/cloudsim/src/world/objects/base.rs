use serde_json::{Value, json};

use crate::world::aws;
use crate::world::draft::{CHURN_TIME, Draft, Object};
use crate::world::kinds::{self, Feature, Scoped};
use crate::world::plan::{Cluster, Home};

/// A namespace with its default service account and the CA bundle that every namespace gets.
pub(crate) fn namespace(cluster: &Cluster, name: &str, labels: &Value) -> Vec<Object> {
    let mut all = json!({ "kubernetes.io/metadata.name": name });
    for (key, value) in labels.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let body = json!({ "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" } });
    let bundle = json!({ "data": { "ca.crt": "-----BEGIN CERTIFICATE-----\n(public)\n-----END CERTIFICATE-----\n" } });
    vec![
        Draft::new(kinds::NAMESPACE, None, name, body).labels(all).managed_by("kubectl-create").build(cluster.seed),
        Draft::new(kinds::SERVICE_ACCOUNT, Some(name), "default", json!({})).build(cluster.seed),
        Draft::new(kinds::CONFIG_MAP, Some(name), "kube-root-ca.crt", bundle)
            .annotation(
                "kubernetes.io/description",
                "Contains a CA bundle that can be used to verify the kube-apiserver.",
            )
            .build(cluster.seed),
    ]
}

/// System namespaces, storage, custom resource definitions, leader-election leases, the EKS identity map.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let mut objects: Vec<Object> = ["default", "kube-system", "kube-public", "kube-node-lease"]
        .into_iter()
        .flat_map(|name| namespace(cluster, name, &Value::Null))
        .collect();
    objects.push(api_service(cluster));
    objects.push(storage_class(cluster));
    objects.extend(leader_election(cluster));
    objects.extend(
        kinds::ALL
            .iter()
            .filter(|key| key.feature != Feature::Builtin && cluster.serves(**key))
            .map(|key| definition(cluster, key)),
    );
    if matches!(cluster.home, Home::Eks { .. }) && cluster.authentication_mode() != "API" {
        objects.push(identity_map(cluster));
    }
    objects
}

fn api_service(cluster: &Cluster) -> Object {
    let body = json!({
        "spec": { "type": "ClusterIP", "clusterIP": "172.20.0.1", "clusterIPs": ["172.20.0.1"], "ipFamilies": ["IPv4"],
                  "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster", "sessionAffinity": "None",
                  "ports": [{ "name": "https", "port": 443, "protocol": "TCP", "targetPort": 443 }] },
        "status": { "loadBalancer": {} },
    });
    Draft::new(kinds::SERVICE, Some("default"), "kubernetes", body)
        .labels(json!({ "component": "apiserver", "provider": "kubernetes" }))
        .managed_by("kube-apiserver")
        .build(cluster.seed)
}

fn storage_class(cluster: &Cluster) -> Object {
    let provisioner = if cluster.account().is_some() { "ebs.csi.aws.com" } else { "rook-ceph.rbd.csi.ceph.com" };
    let body = json!({ "provisioner": provisioner, "parameters": { "type": "gp3", "encrypted": "true" },
        "reclaimPolicy": "Delete", "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true });
    Draft::new(kinds::STORAGE_CLASS, None, "standard", body)
        .annotation("storageclass.kubernetes.io/is-default-class", "true")
        .applied()
        .build(cluster.seed)
}

/// Leases, and a service annotated by an old-style leader election: both change all the time.
fn leader_election(cluster: &Cluster) -> Vec<Object> {
    let mut objects: Vec<Object> = ["kube-scheduler", "kube-controller-manager"]
        .map(|name| {
            let body = json!({ "spec": { "holderIdentity": format!("{name}-{}", cluster.seed.child(name).suffix(8)),
                "leaseDurationSeconds": 15, "leaseTransitions": 4, "renewTime": CHURN_TIME, "acquireTime": "2026-09-01T00:00:00.000000Z" } });
            Draft::new(kinds::LEASE, Some("kube-system"), name, body).churning().build(cluster.seed)
        })
        .into();
    let record = json!({ "holderIdentity": "legacy-provisioner", "leaseDurationSeconds": 15, "acquireTime": "2026-09-01T00:00:00Z",
        "renewTime": CHURN_TIME, "leaderTransitions": 2 });
    let body = json!({ "spec": { "type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None", "ports": [{ "name": "metrics", "port": 8080, "protocol": "TCP", "targetPort": 8080 }] },
        "status": { "loadBalancer": {} } });
    objects.push(
        Draft::new(kinds::SERVICE, Some("kube-system"), "legacy-provisioner", body)
            .annotation("control-plane.alpha.kubernetes.io/leader", record.to_string())
            .churning()
            .build(cluster.seed),
    );
    objects
}

fn definition(cluster: &Cluster, key: &kinds::KindKey) -> Object {
    let scope = if key.scope == Scoped::Namespaced { "Namespaced" } else { "Cluster" };
    let names = json!({ "kind": key.kind, "listKind": format!("{}List", key.kind), "plural": key.plural, "singular": key.kind.to_lowercase() });
    let body = json!({
        "spec": { "group": key.group, "names": names, "scope": scope, "conversion": { "strategy": "None" },
                  "versions": [{ "name": key.version, "served": true, "storage": true,
                                 "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
        "status": { "acceptedNames": names, "storedVersions": [key.version],
                    "conditions": [{ "type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                                     "message": "the initial names have been accepted", "lastTransitionTime": "2026-05-01T00:00:00Z" }] },
    });
    Draft::new(kinds::CUSTOM_RESOURCE_DEFINITION, None, format!("{}.{}", key.plural, key.group), body)
        .managed_by("helm")
        .build(cluster.seed)
}

/// `kube-system/aws-auth`: IAM roles and users, as YAML inside a config map.
fn identity_map(cluster: &Cluster) -> Object {
    let account = cluster.account().unwrap_or_default();
    let mut roles = format!(
        "- rolearn: arn:aws:iam::{account}:role/{}-workers\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n",
        cluster.name
    );
    let mut users = format!(
        "- userarn: arn:aws:iam::{account}:user/break-glass\n  username: break-glass\n  groups:\n  - system:masters\n"
    );
    if cluster.maps_reader() {
        let entry = |arn: &str, name: &str| {
            format!("- {arn}: arn:aws:iam::{account}:{name}\n  username: rampart\n  groups:\n  - rampart-readers\n")
        };
        roles.push_str(&entry("rolearn", &format!("role/{}", aws::READER_ROLE)));
        roles.push_str(&entry("rolearn", &format!("role/{}", aws::OPEN_ROLE)));
        users.push_str(&entry("userarn", &format!("user/{}", aws::READER_USER)));
    }
    Draft::new(
        kinds::CONFIG_MAP,
        Some("kube-system"),
        "aws-auth",
        json!({ "data": { "mapRoles": roles, "mapUsers": users } }),
    )
    .managed_by("vpcLambda")
    .build(cluster.seed)
}
