use rampart_domain::{Kind, NativeId};
use serde_json::{Value, json};

use super::derive;
use crate::Node;

/// Derived edges as `kind -> end`, without the cluster's prefix.
fn edges(kind: Kind, namespace: Option<&str>, owner: Option<&str>, config: &Value) -> Vec<String> {
    let (id, owner) = (NativeId::new("self"), owner.map(NativeId::new));
    let node = Node { kind, native_id: &id, cluster_uid: "c1", namespace, owner: owner.as_ref(), config };
    derive(&node)
        .into_iter()
        .map(|edge| format!("{} {}", edge.kind, edge.to.as_str().replace("k8s://c1/", "")))
        .collect()
}

fn spec() -> Value {
    json!({
        "serviceAccountName": "runner",
        "volumes": [
            {"name": "a", "secret": {"secretName": "tls"}},
            {"name": "b", "configMap": {"name": "settings"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "d", "projected": {"sources": [{"secret": {"name": "extra"}}, {"serviceAccountToken": {}}]}},
        ],
        "containers": [{
            "name": "web",
            "env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "tls", "key": "p"}}}, {"name": "Q", "value": "1"}],
            "envFrom": [{"configMapRef": {"name": "flags"}}],
        }],
    })
}

#[test]
fn templates_mount_and_run_as() {
    let config = json!({"spec": {"template": {"spec": spec()}}});
    assert_eq!(
        edges(Kind::K8sDeployment, Some("a"), None, &config),
        [
            "mounts /ConfigMap/a/flags",
            "mounts /ConfigMap/a/settings",
            "mounts /PersistentVolumeClaim/a/data",
            "mounts /Secret/a/extra",
            "mounts /Secret/a/tls",
            "uses_service_account /ServiceAccount/a/runner",
        ]
    );
    let bare = json!({"spec": {"template": {"spec": {}}}});
    assert_eq!(edges(Kind::K8sDeployment, Some("a"), None, &bare), ["uses_service_account /ServiceAccount/a/default"]);
    assert!(edges(Kind::K8sStaticPod, Some("a"), None, &bare).is_empty());
}

#[test]
fn owned_pods_have_their_owner_and_images_only() {
    let digest = format!("sha256:{}", "a".repeat(64));
    let status =
        |name: &str, state: &str| json!({"name": name, "imageID": format!("r/{name}@{digest}"), "state": {state: {}}});
    let config = json!({
        "spec": spec(),
        "status": {"phase": "Running", "containerStatuses": [status("web", "running")],
                   "initContainerStatuses": [status("init", "terminated")]},
    });
    let owner = "k8s://c1/apps/Deployment/a/web";
    let runs = format!("runs_image image://{digest}@c1");
    assert_eq!(edges(Kind::K8sPod, Some("a"), Some(owner), &config), ["owner apps/Deployment/a/web", &runs]);
    assert_eq!(edges(Kind::K8sPod, Some("a"), None, &config).len(), 7);

    let mut ended = config;
    ended["status"]["phase"] = "Succeeded".into();
    assert_eq!(edges(Kind::K8sPod, Some("a"), Some(owner), &ended), ["owner apps/Deployment/a/web"]);
}

#[test]
fn bindings_bind_role_and_subjects() {
    let config = json!({
        "roleRef": {"kind": "Role", "name": "reader"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
            {"kind": "ServiceAccount", "name": "here"},
            {"kind": "User", "name": "system:serviceaccount:build:ci"},
            {"kind": "User", "name": "bob"},
            {"kind": "Group", "name": "system:authenticated"},
        ],
    });
    assert_eq!(
        edges(Kind::K8sRoleBinding, Some("a"), None, &config),
        [
            "binds /ServiceAccount/a/here",
            "binds /ServiceAccount/build/ci",
            "binds rbac.authorization.k8s.io/Group//system:authenticated",
            "binds rbac.authorization.k8s.io/Role/a/reader",
            "binds rbac.authorization.k8s.io/User//bob",
        ]
    );
    assert!(edges(Kind::K8sRole, Some("a"), None, &config).is_empty());
}

#[test]
fn clusters_contain_what_lies_in_no_namespace() {
    assert_eq!(edges(Kind::K8sNode, None, None, &json!({})), ["contains self"]);
    assert!(edges(Kind::K8sConfigMap, Some("a"), None, &json!({})).is_empty());
    assert!(edges(Kind::AwsEksCluster, None, None, &json!({})).is_empty());
}
