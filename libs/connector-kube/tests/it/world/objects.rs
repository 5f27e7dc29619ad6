use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::World;

/// Uid of the world's kube-system namespace.
pub(crate) const UID: &str = "7c1d0f3e-0000-4000-8000-000000000001";

/// Lists that hold one plain object each.
const PLAIN: &[&str] = &[
    "/api/v1/namespaces",
    "/apis/apps/v1/deployments",
    "/apis/apps/v1/daemonsets",
    "/apis/apps/v1/statefulsets",
    "/api/v1/replicationcontrollers",
    "/apis/batch/v1/jobs",
    "/apis/batch/v1/cronjobs",
    "/api/v1/services",
    "/apis/discovery.k8s.io/v1/endpointslices",
    "/apis/networking.k8s.io/v1/ingresses",
    "/apis/gateway.networking.k8s.io/v1/gatewayclasses",
    "/apis/gateway.networking.k8s.io/v1/gateways",
    "/apis/gateway.networking.k8s.io/v1/httproutes",
    "/apis/gateway.networking.k8s.io/v1/grpcroutes",
    "/apis/gateway.networking.k8s.io/v1/tlsroutes",
    "/apis/gateway.networking.k8s.io/v1alpha2/tcproutes",
    "/apis/networking.k8s.io/v1/networkpolicies",
    "/apis/cilium.io/v2/ciliumnetworkpolicies",
    "/apis/cilium.io/v2/ciliumclusterwidenetworkpolicies",
    "/apis/crd.projectcalico.org/v1/networkpolicies",
    "/apis/crd.projectcalico.org/v1/globalnetworkpolicies",
    "/apis/policy.networking.k8s.io/v1alpha1/adminnetworkpolicies",
    "/apis/policy.networking.k8s.io/v1alpha1/baselineadminnetworkpolicies",
    "/api/v1/serviceaccounts",
    "/apis/rbac.authorization.k8s.io/v1/roles",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/rolebindings",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/apis/templates.gatekeeper.sh/v1/constrainttemplates",
    "/api/v1/resourcequotas",
    "/api/v1/limitranges",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/storage.k8s.io/v1/storageclasses",
    "/api/v1/persistentvolumes",
    "/api/v1/secrets",
];

/// An estate with something of every kind, and more pods than one page holds: 600 of one replica set, one of a Rollout,
/// one static pod. They run two images.
pub(crate) fn estate() -> World {
    let mut world = World::default();
    for path in PLAIN {
        let plural = path.rsplit('/').next().unwrap_or_default();
        let item = json!({"metadata": {"name": format!("one-{plural}"), "uid": plural}, "data": {"k": "s3cr3t"}});
        world.lists.insert((*path).to_owned(), vec![item]);
    }
    let template = |kind: &str| json!({"metadata": {"name": kind.to_lowercase(), "uid": kind}, "spec": {"crd": {"spec": {"names": {"kind": kind}}}}});
    // The second has just been made: its kind is not served yet.
    let templates = vec![template("K8sRequiredLabels"), template("K8sNotServedYet")];
    world.lists.insert("/apis/templates.gatekeeper.sh/v1/constrainttemplates".to_owned(), templates);
    let constraint =
        json!({"metadata": {"name": "owner", "uid": "constraint"}, "spec": {}, "status": {"violations": []}});
    let path = "/apis/constraints.gatekeeper.sh/v1beta1/k8srequiredlabels";
    world.lists.insert(path.to_owned(), vec![constraint]);
    let config_map = |name: &str| json!({"metadata": {"name": name, "namespace": "kube-system"}, "data": {"k": "v"}});
    world.lists.insert("/api/v1/configmaps".to_owned(), vec![config_map("aws-auth"), config_map("other")]);
    let mut identity_map = config_map("aws-auth");
    identity_map["data"] = json!({"mapRoles": "- rolearn: r\n", "other": "dropped"});
    let identity_path = "/api/v1/namespaces/kube-system/configmaps/aws-auth";
    world.single.insert(identity_path.to_owned(), identity_map);

    let replica_set = |name: &str, api: &str, kind: &str, owner: &str| {
        json!({"metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "ownerReferences": [
            {"apiVersion": api, "kind": kind, "name": owner, "uid": format!("uid-{owner}"), "controller": true}]},
            "spec": {"replicas": 1}})
    };
    let sets = vec![
        replica_set("web-1", "apps/v1", "Deployment", "web"),
        replica_set("canary-1", "argoproj.io/v1alpha1", "Rollout", "canary"),
    ];
    world.lists.insert("/apis/apps/v1/replicasets".to_owned(), sets);
    let node = json!({"metadata": {"name": "node-1", "uid": "n1", "labels": {"eks.amazonaws.com/nodegroup": "blue"}},
        "status": {"nodeInfo": {"architecture": "arm64"}}});
    world.lists.insert("/api/v1/nodes".to_owned(), vec![node]);
    let mut pods: Vec<Value> =
        (0..600).map(|n| pod(&format!("web-1-{n:03}"), "apps/v1", "ReplicaSet", "web-1", 'a')).collect();
    pods.push(pod("canary-1-x", "apps/v1", "ReplicaSet", "canary-1", 'b'));
    let mut mirror = pod("kube-proxy-node-1", "v1", "Node", "node-1", 'b');
    mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    pods.push(mirror);
    world.lists.insert("/api/v1/pods".to_owned(), pods);

    let namespace = json!({"metadata": {"name": "kube-system", "uid": UID}});
    world.single.insert("/api/v1/namespaces/kube-system".to_owned(), namespace);
    let version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.1-eks-1", "buildDate": "x", "platform": "linux/amd64"});
    world.single.insert("/version".to_owned(), version);
    world.single.insert("/apis".to_owned(), groups(&world.lists));
    world
}

/// The list of groups that serves these lists. The Gateway API also has an older version, which serves TCP routes alone.
fn groups(lists: &BTreeMap<String, Vec<Value>>) -> Value {
    let mut groups: BTreeMap<&str, std::collections::BTreeSet<&str>> = BTreeMap::new();
    for path in lists.keys() {
        if let ["", "apis", group, version, _] = path.split('/').collect::<Vec<_>>()[..] {
            groups.entry(group).or_default().insert(version);
        }
    }
    let version = |version: &&str| json!({ "version": version });
    let groups = groups
        .iter()
        .map(|(name, versions)| json!({"name": name, "versions": versions.iter().map(version).collect::<Vec<_>>()}));
    json!({"kind": "APIGroupList", "groups": groups.collect::<Vec<_>>()})
}

fn pod(name: &str, api: &str, kind: &str, owner: &str, image: char) -> Value {
    let digest = image.to_string().repeat(64);
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "7",
            "labels": {"app": "web"},
            "ownerReferences": [{"apiVersion": api, "kind": kind, "name": owner, "uid": format!("uid-{owner}"), "controller": true}],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "nginx:1.27",
            "env": [{"name": "PASSWORD", "value": "hunter2"}]}]},
        "status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "containerStatuses": [
            {"name": "web", "image": "nginx:1.27", "imageID": format!("docker.io/library/nginx@sha256:{digest}"),
             "restartCount": 3, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]},
    })
}
