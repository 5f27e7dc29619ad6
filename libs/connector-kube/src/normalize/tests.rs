use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource};
use serde_json::{Value, json};

use super::{Cluster, Owners, Pods, Redactor, object};
use crate::kinds::{CONFIG_MAPS, Entry, FIRST, REST};

fn cluster() -> Cluster {
    Cluster {
        uid: "c1".to_owned(),
        native_id: NativeId::new("k8s://c1"),
        name: "shop".to_owned(),
        cloud: Cloud::Aws,
        account: Some("111122223333".to_owned()),
        region: Some("eu-west-1".to_owned()),
        redactor: Redactor::new([7; 32]),
    }
}

fn entry(kind: Kind) -> &'static Entry {
    FIRST.iter().chain(REST).chain([&CONFIG_MAPS]).find(|entry| entry.kind == kind).unwrap()
}

fn normalised(kind: Kind, item: Value) -> Resource {
    let source = entry(kind).sources[0];
    object(&cluster(), entry(kind), source.group, source.version, item).unwrap()
}

fn controller(api: &str, kind: &str, name: &str, uid: &str) -> Value {
    json!([{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": true}])
}

/// A pod with an injected sidecar, in the shape of a live one.
fn pod(name: &str, owner: &Value) -> Value {
    let image_id = |image: &str, letter: &str| format!("docker.io/{image}@sha256:{}", letter.repeat(64));
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": "991", "generateName": "web-1-",
            "labels": {"app": "web", "pod-template-hash": "1"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"secret\":1}", "team": "red"},
            "managedFields": [{"manager": "kube-controller-manager"}, {"manager": "kubelet"}],
            "ownerReferences": owner,
        },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "web", "priority": 0, "hostname": null,
            "volumes": [{"name": "kube-api-access-x7", "projected": {}}, {"name": "data", "emptyDir": {}}],
            "initContainers": [{"name": "setup", "image": "acme/setup:1", "args": ["--password=hunter2"]}],
            "containers": [
                {"name": "web", "image": "acme/web:1", "volumeMounts": [{"name": "kube-api-access-x7"}, {"name": "data"}],
                 "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "MODE", "value": ""},
                         {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "db", "key": "k"}}}],
                 "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": "Bearer hunter2"}]}}},
                {"name": "proxy", "image": "istio/proxyv2:1.24"},
            ],
        },
        "status": {
            "phase": "Running", "startTime": "2026-01-01T00:00:00Z", "hostIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            "containerStatuses": [
                {"name": "web", "image": "docker.io/acme/web:1", "imageID": image_id("acme/web", "a"), "restartCount": 4,
                 "ready": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
                {"name": "proxy", "image": "docker.io/istio/proxyv2:1.24", "imageID": image_id("istio/proxyv2", "b"),
                 "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}},
            ],
            "initContainerStatuses": [
                {"name": "setup", "image": "acme/setup:1", "imageID": image_id("acme/setup", "c"),
                 "state": {"terminated": {"exitCode": 0}}}],
        },
    })
}

fn node(name: &str, labels: &Value) -> Value {
    json!({"metadata": {"name": name, "uid": name, "labels": labels}, "status": {"nodeInfo": {"architecture": "amd64"}}})
}

/// Owners as after the first lists: a deployment's replica set, a Rollout's one, a cron job's job, one node.
fn owners() -> Owners {
    let mut owners = Owners::default();
    let owned = |uid: &str, owner: Value| json!({"metadata": {"name": uid, "uid": uid, "ownerReferences": owner}});
    owners.note(Kind::K8sReplicaSet, &owned("web-1", controller("apps/v1", "Deployment", "web", "d")));
    owners.note(Kind::K8sReplicaSet, &owned("canary-1", controller("argoproj.io/v1alpha1", "Rollout", "canary", "r")));
    owners.note(Kind::K8sReplicaSet, &owned("bare", Value::Null));
    owners.note(Kind::K8sJob, &owned("nightly-1", controller("batch/v1", "CronJob", "nightly", "n")));
    owners.note(Kind::K8sNode, &node("node-1", &json!({"eks.amazonaws.com/nodegroup": "blue"})));
    owners
}

#[test]
fn a_pod_keeps_its_shape_and_loses_churn_and_secrets() {
    let page = Pods::default().page(
        &cluster(),
        &owners(),
        vec![pod("web-1-a", &controller("apps/v1", "ReplicaSet", "web-1", "web-1"))].into_iter(),
    );
    let pod = &page.pods[0];
    assert_eq!(pod.native_id.as_str(), "k8s://c1//Pod/shop/web-1-a");
    assert_eq!(pod.owner.as_ref().unwrap().as_str(), "k8s://c1/apps/Deployment/shop/web");
    assert_eq!((pod.namespace.as_deref(), pod.uid.as_deref(), pod.active), (Some("shop"), Some("web-1-a"), true));
    assert_eq!((pod.account.as_deref(), pod.region.as_deref()), (Some("111122223333"), Some("eu-west-1")));
    assert_eq!(pod.labels["app"], "web");
    let config = &pod.config;
    assert_eq!((&config["apiVersion"], &config["kind"]), (&json!("v1"), &json!("Pod")));
    assert_eq!(config["metadata"]["annotations"], json!({"team": "red"}));
    for gone in [
        "/metadata/managedFields",
        "/metadata/resourceVersion",
        "/status/conditions",
        "/status/startTime",
        "/spec/hostname",
    ] {
        assert_eq!(config.pointer(gone), None, "{gone}");
    }
    assert_eq!(config["status"]["containerStatuses"][0]["state"], json!({"running": {}}));
    assert!(config["status"]["containerStatuses"][0].get("restartCount").is_none());

    assert!(!config.to_string().contains("hunter2"), "{config}");
    let env = &config["spec"]["containers"][0]["env"];
    let hashed = Redactor::new([7; 32]).hash("hunter2");
    assert_eq!(env[0], json!({"name": "DB_PASSWORD", "value": hashed}));
    assert_eq!(env[1], json!({"name": "MODE", "value": ""}));
    assert_eq!(env[2]["valueFrom"]["secretKeyRef"]["name"], "db");
    assert_eq!(config["spec"]["initContainers"][0]["args"][0], format!("--password={hashed}"));
    assert_ne!(Redactor::new([8; 32]).hash("hunter2"), hashed, "the key decides");
}

#[test]
fn churn_alone_changes_nothing() {
    let owner = controller("apps/v1", "ReplicaSet", "web-1", "web-1");
    let mut later = pod("web-1-a", &owner);
    later["metadata"]["resourceVersion"] = "992".into();
    later["metadata"]["managedFields"] = json!([{"manager": "kubelet", "time": "2026-02-02T00:00:00Z"}]);
    later["status"]["containerStatuses"][0]["restartCount"] = 5.into();
    later["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] = "2026-02-02T00:00:00Z".into();
    let page = Pods::default().page(&cluster(), &owners(), vec![pod("web-1-a", &owner), later].into_iter());
    let [before, mut after]: [_; 2] = page.pods.try_into().unwrap();
    assert_eq!((before.version, after.version), (Some(991), Some(992)));
    // The version orders what is read; it is no part of what is stored.
    after.version = before.version;
    assert_eq!(before, after);
}

#[track_caller]
fn top_of(owner: &Value, expected: &str) {
    let page = Pods::default().page(&cluster(), &owners(), vec![pod("p", owner)].into_iter());
    assert_eq!(page.pods[0].owner.as_ref().map(NativeId::as_str), Some(expected));
}

#[test]
fn owners_roll_up_to_the_top() {
    top_of(&controller("apps/v1", "ReplicaSet", "bare", "bare"), "k8s://c1/apps/ReplicaSet/shop/bare");
    top_of(&controller("batch/v1", "Job", "nightly-1", "nightly-1"), "k8s://c1/batch/CronJob/shop/nightly");
    top_of(&controller("apps/v1", "StatefulSet", "db", "s"), "k8s://c1/apps/StatefulSet/shop/db");
    // A replica set that was not read: its name ends in the hash that deployments put on their pods.
    top_of(&controller("apps/v1", "ReplicaSet", "api-1", "unread"), "k8s://c1/apps/Deployment/shop/api");
    let not_controlling = json!([{"apiVersion": "v1", "kind": "Thing", "name": "t", "uid": "t"}]);
    let page = Pods::default().page(&cluster(), &owners(), vec![pod("p", &not_controlling)].into_iter());
    assert_eq!(page.pods[0].owner, None);
}

#[test]
fn an_unlisted_owner_is_made_once_from_its_running_pods() {
    let rollout = controller("apps/v1", "ReplicaSet", "canary-1", "canary-1");
    let task = controller("tekton.dev/v1", "TaskRun", "build", "t");
    let mut ended = pod("build-pod", &task);
    ended["status"]["phase"] = "Succeeded".into();
    let mut pods = Pods::default();
    let page = pods.page(&cluster(), &owners(), vec![ended, pod("c-1", &rollout), pod("c-2", &rollout)].into_iter());
    assert_eq!((page.pods.len(), page.workloads.len()), (3, 1));
    let canary = &page.workloads[0];
    assert_eq!(canary.native_id.as_str(), "k8s://c1/argoproj.io/Rollout/shop/canary");
    assert_eq!((canary.managed_by, canary.active), (ManagedBy::Customer, true));
    let template = &canary.config["spec"]["template"];
    assert_eq!(template["metadata"]["labels"], json!({"app": "web"}));
    assert_eq!(template["spec"]["volumes"], json!([{"name": "data", "emptyDir": {}}]));
    assert_eq!(template["spec"]["containers"][0]["volumeMounts"], json!([{"name": "data"}]));
    assert_eq!(template["spec"]["containers"].as_array().unwrap().len(), 2, "an injected sidecar runs too");
    assert!(template["spec"].get("nodeName").is_none());

    let idle = pods.idle(Kind::K8sWorkload);
    assert_eq!(idle.len(), 1);
    assert_eq!((idle[0].name.as_str(), idle[0].active), ("build", false));
}

#[test]
fn static_pods_roll_up_to_pool_and_component() {
    let mirror = |name: &str, node: &str| {
        let mut pod = pod(name, &controller("v1", "Node", node, node));
        pod["metadata"]["namespace"] = "kube-system".into();
        pod["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "h"});
        pod["spec"] =
            json!({"nodeName": node, "containers": [{"name": "c", "image": "registry.k8s.io/kube-apiserver:v1.33.0"}]});
        pod
    };
    let mut owners = owners();
    owners.note(Kind::K8sNode, &node("node-2", &json!({"eks.amazonaws.com/nodegroup": "blue"})));
    owners.note(Kind::K8sNode, &node("cp-1", &json!({})));
    let pods = vec![
        mirror("kube-apiserver-node-1", "node-1"),
        mirror("kube-apiserver-node-2", "node-2"),
        mirror("kube-apiserver-cp-1", "cp-1"),
        mirror("kube-apiserver-unread", "unread"),
    ];
    let page = Pods::default().page(&cluster(), &owners, pods.into_iter());
    let names: Vec<_> = page.static_pods.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["blue:kube-apiserver", "default:kube-apiserver"]);
    assert_eq!(page.static_pods[0].managed_by, ManagedBy::Platform);
    assert!(page.static_pods[0].config.pointer("/spec/template/spec/containers/0").is_some());
    assert_eq!(page.pods[0].owner, page.pods[1].owner);
    assert_eq!(page.pods[3].owner.as_ref().unwrap().as_str(), "k8s://c1//Node//unread");
}

#[test]
fn images_are_joined_by_digest_over_running_containers() {
    let owner = controller("apps/v1", "ReplicaSet", "web-1", "web-1");
    let mut mirrored = pod("web-1-b", &owner);
    let other = format!("mirror.acme.test/web@sha256:{}", "a".repeat(64));
    mirrored["status"]["containerStatuses"][0]["imageID"] = other.into();
    mirrored["status"]["containerStatuses"][0]["image"] = "mirror.acme.test/web:latest".into();
    let mut ended = pod("web-1-c", &owner);
    ended["status"]["phase"] = "Failed".into();
    ended["status"]["containerStatuses"][0]["imageID"] = format!("x@sha256:{}", "f".repeat(64)).into();
    let mut pods = Pods::default();
    pods.page(&cluster(), &owners(), vec![pod("web-1-a", &owner), mirrored, ended].into_iter());
    let (images, too_many) = pods.images(&cluster());
    assert!(!too_many);
    assert_eq!(images.len(), 2, "neither what has ended nor what an init container ran");
    assert_eq!(images[0].native_id, NativeId::running_image(&format!("sha256:{}", "a".repeat(64)), "c1"));
    assert_eq!(images[0].config["references"], json!(["docker.io/acme/web", "mirror.acme.test/web"]));
    assert_eq!(images[0].config["imageIds"].as_array().unwrap().len(), 2);
    assert_eq!(images[0].config["architectures"], json!(["amd64"]));
}

#[test]
fn what_is_at_zero_suspended_or_finished_is_not_active() {
    let active = |kind, spec: Value, status: Value| {
        normalised(kind, json!({"metadata": {"name": "x"}, "spec": spec, "status": status})).active
    };
    assert!(active(Kind::K8sDeployment, json!({}), json!({})));
    assert!(!active(Kind::K8sDeployment, json!({"replicas": 0}), json!({})));
    assert!(!active(Kind::K8sReplicaSet, json!({"replicas": 0}), json!({})));
    assert!(!active(Kind::K8sCronJob, json!({"suspend": true}), json!({})));
    assert!(active(Kind::K8sJob, json!({}), json!({"active": 1})));
    let done = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    assert!(!active(Kind::K8sJob, json!({}), done));
}

#[test]
fn nodes_lose_heartbeats_and_images() {
    let item = json!({
        "metadata": {"name": "node-1", "uid": "n", "annotations": {"node.alpha.kubernetes.io/ttl": "0"}},
        "spec": {"providerID": "aws:///eu-west-1a/i-1"},
        "status": {
            "nodeInfo": {"kubeletVersion": "v1.33.1"},
            "conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "t", "message": "posted 3s ago"}],
            "images": [{"names": ["a"]}], "volumesInUse": ["v"],
        },
    });
    let config = normalised(Kind::K8sNode, item).config;
    assert_eq!(
        config["status"],
        json!({"nodeInfo": {"kubeletVersion": "v1.33.1"}, "conditions": [{"type": "Ready", "status": "True"}]})
    );
    assert!(config["metadata"].get("annotations").is_none());
}

#[test]
fn of_the_identity_map_only_the_mappings_stay_and_of_others_only_the_name() {
    let map = |name: &str| {
        json!({"metadata": {"name": name, "namespace": "kube-system", "annotations": {"a": "b"}},
               "data": {"mapRoles": "[]", "mapUsers": "[]", "password": "hunter2"}, "binaryData": {"k": "aHVudGVyMg=="}})
    };
    let config = normalised(Kind::K8sConfigMap, map("aws-auth")).config;
    assert_eq!(config["data"], json!({"mapRoles": "[]", "mapUsers": "[]"}));
    let config = normalised(Kind::K8sConfigMap, map("other")).config;
    let bare =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": "kube-system"}});
    assert_eq!(config, bare);
}

#[test]
fn endpoints_do_not_change_with_their_order() {
    let slice = |first: &str, second: &str| {
        let endpoint = |ip: &str| json!({"addresses": [ip], "conditions": {"ready": true, "serving": true}});
        json!({"metadata": {"name": "web-x", "namespace": "shop",
                            "annotations": {"endpoints.kubernetes.io/last-change-trigger-time": first}},
               "endpoints": [endpoint(first), endpoint(second)]})
    };
    let one = normalised(Kind::K8sEndpointSlice, slice("10.0.0.1", "10.0.0.2"));
    assert_eq!(one, normalised(Kind::K8sEndpointSlice, slice("10.0.0.2", "10.0.0.1")));
    assert_eq!(one.config["endpoints"][0]["conditions"], json!({"ready": true}));
}

#[test]
fn rbac_keeps_rules_and_subjects() {
    let item = json!({
        "metadata": {"name": "reader", "namespace": "shop", "managedFields": []},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "Group", "name": "team"}],
    });
    let binding = normalised(Kind::K8sRoleBinding, item);
    assert_eq!(binding.native_id.as_str(), "k8s://c1/rbac.authorization.k8s.io/RoleBinding/shop/reader");
    assert_eq!(binding.config["subjects"][0]["name"], "team");
    assert_eq!(binding.managed_by, ManagedBy::Customer);
}

#[test]
fn what_is_no_object_is_left_out() {
    assert!(object(&cluster(), entry(Kind::K8sService), "", "v1", json!("text")).is_none());
    assert!(object(&cluster(), entry(Kind::K8sService), "", "v1", json!({"metadata": {}})).is_none());
}
