use serde_json::{Value, json};

use crate::world::draft::{Draft, Object};
use crate::world::kinds;
use crate::world::plan::{Cluster, Home};

/// One rule of a role.
pub(crate) fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({ "apiGroups": groups, "resources": resources, "verbs": verbs })
}

/// A subject of a binding; `name` is `namespace/name` for service accounts.
pub(crate) fn subject(kind: &str, name: &str) -> Value {
    match (kind, name.split_once('/')) {
        ("ServiceAccount", Some((namespace, name))) => json!({ "kind": kind, "name": name, "namespace": namespace }),
        _ => json!({ "kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io" }),
    }
}

/// A cluster role.
pub(crate) fn cluster_role(name: &str, rules: &[Value]) -> Draft {
    Draft::new(kinds::CLUSTER_ROLE, None, name, json!({ "rules": rules }))
}

/// A role.
pub(crate) fn role(namespace: &str, name: &str, rules: &[Value]) -> Draft {
    Draft::new(kinds::ROLE, Some(namespace), name, json!({ "rules": rules }))
}

fn reference(kind: &str, role: &str) -> Value {
    json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role })
}

/// A binding of a cluster role in the whole cluster.
pub(crate) fn cluster_binding(name: &str, role: &str, subjects: &[Value]) -> Draft {
    let body = json!({ "roleRef": reference("ClusterRole", role), "subjects": subjects });
    Draft::new(kinds::CLUSTER_ROLE_BINDING, None, name, body)
}

/// A binding of a role or cluster role in a namespace.
pub(crate) fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: &[Value]) -> Draft {
    let body = json!({ "roleRef": reference(kind, role), "subjects": subjects });
    Draft::new(kinds::ROLE_BINDING, Some(namespace), name, body)
}

fn bootstrap(draft: Draft) -> Draft {
    draft
        .labels(json!({ "kubernetes.io/bootstrapping": "rbac-defaults" }))
        .annotation("rbac.authorization.kubernetes.io/autoupdate", "true")
        .managed_by("kube-apiserver")
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// The roles and bindings that every API server makes for itself, and what a provider adds.
pub(crate) fn objects(cluster: &Cluster) -> Vec<Object> {
    let controllers = [
        "deployment",
        "replicaset",
        "statefulset",
        "daemon-set",
        "job",
        "cronjob",
        "endpointslice",
        "namespace",
        "node",
        "pod-garbage-collector",
        "service-account",
        "generic-garbage-collector",
        "horizontal-pod-autoscaler",
        "resourcequota",
        "ttl",
        "persistent-volume-binder",
        "disruption",
        "certificate",
        "expand",
        "attachdetach",
    ];
    let workloads = &["deployments", "daemonsets", "replicasets", "statefulsets"];
    let core = &["pods", "services", "configmaps", "endpoints", "persistentvolumeclaims", "serviceaccounts"];
    let mut drafts = vec![
        cluster_role(
            "cluster-admin",
            &[rule(&["*"], &["*"], &["*"]), json!({ "nonResourceURLs": ["*"], "verbs": ["*"] })],
        ),
        cluster_role(
            "admin",
            &[
                rule(&[""], core, WRITE),
                rule(&[""], &["secrets", "pods/exec", "pods/portforward"], READ),
                rule(&["apps"], workloads, WRITE),
                rule(&["rbac.authorization.k8s.io"], &["roles", "rolebindings"], WRITE),
            ],
        ),
        cluster_role(
            "edit",
            &[rule(&[""], core, WRITE), rule(&[""], &["secrets"], READ), rule(&["apps"], workloads, WRITE)],
        ),
        cluster_role("view", &[rule(&[""], core, READ), rule(&["apps"], workloads, READ)]),
        cluster_role(
            "system:basic-user",
            &[rule(&["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"])],
        ),
        cluster_role(
            "system:discovery",
            &[json!({ "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez",
            "/openapi", "/openapi/*", "/readyz", "/version", "/version/"], "verbs": ["get"] })],
        ),
        cluster_role(
            "system:public-info-viewer",
            &[
                json!({ "nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"] }),
            ],
        ),
        cluster_role(
            "system:node",
            &[rule(&[""], &["nodes", "pods", "secrets", "configmaps"], &["get", "list", "watch", "patch", "update"])],
        ),
        cluster_role("system:node-proxier", &[rule(&[""], &["endpoints", "services", "nodes"], READ)]),
        cluster_role(
            "system:kube-scheduler",
            &[rule(&[""], &["pods", "nodes"], READ), rule(&[""], &["pods/binding"], &["create"])],
        ),
        cluster_role(
            "system:kube-controller-manager",
            &[
                rule(&[""], &["secrets", "serviceaccounts"], &["create", "delete", "get", "update"]),
                rule(&["*"], &["*"], &["list", "watch"]),
            ],
        ),
        cluster_role(
            "system:coredns",
            &[rule(&[""], &["endpoints", "services", "pods", "namespaces"], &["list", "watch"])],
        ),
        cluster_binding("cluster-admin", "cluster-admin", &[subject("Group", "system:masters")]),
        cluster_binding("system:basic-user", "system:basic-user", &[subject("Group", "system:authenticated")]),
        cluster_binding("system:discovery", "system:discovery", &[subject("Group", "system:authenticated")]),
        cluster_binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &[subject("Group", "system:authenticated"), subject("Group", "system:unauthenticated")],
        ),
        cluster_binding("system:node-proxier", "system:node-proxier", &[subject("User", "system:kube-proxy")]),
        cluster_binding("system:kube-scheduler", "system:kube-scheduler", &[subject("User", "system:kube-scheduler")]),
        cluster_binding(
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            &[subject("User", "system:kube-controller-manager")],
        ),
        cluster_binding("system:coredns", "system:coredns", &[subject("ServiceAccount", "kube-system/coredns")]),
        role("kube-public", "system:controller:bootstrap-signer", &[rule(&[""], &["configmaps"], READ)]),
        binding(
            "kube-public",
            "system:controller:bootstrap-signer",
            "Role",
            "system:controller:bootstrap-signer",
            &[subject("ServiceAccount", "kube-system/bootstrap-signer")],
        ),
        role("kube-system", "extension-apiserver-authentication-reader", &[rule(&[""], &["configmaps"], READ)]),
        role("kube-system", "system::leader-locking-kube-scheduler", &[rule(&[""], &["configmaps"], &["watch"])]),
    ];
    for controller in controllers {
        let name = format!("system:controller:{controller}-controller");
        let account = format!("kube-system/{controller}-controller");
        drafts.push(cluster_role(
            &name,
            &[
                rule(&[""], &["pods"], READ),
                rule(&["apps"], workloads, READ),
                rule(&[""], &["events"], &["create", "patch", "update"]),
            ],
        ));
        drafts.push(cluster_binding(&name, &name, &[subject("ServiceAccount", &account)]));
    }
    let seed = cluster.seed;
    let mut objects: Vec<Object> = drafts.into_iter().map(|draft| bootstrap(draft).build(seed)).collect();
    if matches!(cluster.home, Home::Eks { .. }) {
        objects.push(
            cluster_role(
                "eks:node-bootstrapper",
                &[rule(&["certificates.k8s.io"], &["certificatesigningrequests/selfnodeserver"], &["create"])],
            )
            .managed_by("eks")
            .build(seed),
        );
        objects.push(
            cluster_binding(
                "eks:node-bootstrapper",
                "eks:node-bootstrapper",
                &[subject("Group", "system:bootstrappers")],
            )
            .managed_by("eks")
            .build(seed),
        );
    }
    objects.push(cluster_role("rampart-reader", &reader_rules(cluster)).applied().build(seed));
    objects.push(
        cluster_binding("rampart-reader", "rampart-reader", &[subject("Group", "rampart-readers")])
            .applied()
            .build(seed),
    );
    objects
}

/// The rules that give an outside reader what it may read: everything served but secrets and config maps.
fn reader_rules(cluster: &Cluster) -> Vec<Value> {
    let mut rules = Vec::new();
    let served: Vec<_> = kinds::ALL.iter().filter(|key| cluster.serves(**key)).collect();
    let mut groups: Vec<&str> = served.iter().map(|key| key.group).collect();
    groups.dedup();
    for group in groups {
        let resources: Vec<&str> = served
            .iter()
            .filter(|key| key.group == group && !["secrets", "configmaps"].contains(&key.plural))
            .map(|key| key.plural)
            .collect();
        rules.push(rule(&[group], &resources, READ));
    }
    rules.push(
        json!({ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["aws-auth"], "verbs": ["get"] }),
    );
    rules
}
