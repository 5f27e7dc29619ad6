//! Who manages an object. Names, namespaces and labels are anybody's to choose, so none of them decides alone.

use rampart_domain::{Kind, ManagedBy};
use serde_json::{Map, Value};

use super::image::repository;
use super::meta::Meta;

/// Labels that add-on managers set on what they install.
const ADDON_LABELS: &[&str] = &[
    "eks.amazonaws.com/component",
    "addonmanager.kubernetes.io/mode",
    "components.gke.io/component-name",
    "kubernetes.azure.com/managedby",
    "kubernetes.io/cluster-service",
];
/// Field managers under which clouds apply their components.
const CLOUD_MANAGERS: &[&str] =
    &["eks", "eks-internal", "kube-addon-manager", "addon-manager", "gke-addon-manager", "aks-operator"];
/// The field manager of the EKS add-on API.
const EKS_ADDON_MANAGER: &str = "eks";
/// Registries from which only a cloud or a distribution publishes, as prefixes of repositories.
const PLATFORM_REGISTRIES: &[&str] = &[
    "public.ecr.aws/eks-distro/",
    "public.ecr.aws/eks/",
    "mcr.microsoft.com/oss/kubernetes/",
    "mcr.microsoft.com/oss/v2/kubernetes/",
    "mcr.microsoft.com/aks/",
    "gke.gcr.io/",
    "us.gcr.io/gke-release/",
    "eu.gcr.io/gke-release/",
    "asia.gcr.io/gke-release/",
];
/// Accounts of the ECR registries that serve EKS's own images, per partition and opt-in region.
const EKS_REGISTRY_ACCOUNTS: &[&str] = &[
    "602401143452",
    "877085696533",
    "800184023465",
    "918309763551",
    "961992271922",
    "590381155156",
    "558608220178",
    "455263428931",
    "900612956339",
    "296578399912",
    "491585149902",
    "066635153087",
    "759879836304",
    "013241004608",
    "151742754352",
    "761377655185",
    "121268973566",
    "750698823318",
    "730335286997",
    "712504895213",
];
/// Registries from which anybody may install; they speak for the distribution in its own namespace only.
const UPSTREAM_REGISTRIES: &[&str] = &["registry.k8s.io/", "k8s.gcr.io/"];
/// The namespace of the distribution's components.
const SYSTEM_NAMESPACE: &str = "kube-system";
/// Namespaces that the API server creates and recreates itself.
const RESERVED_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];
/// Service accounts of components that clouds and distributions install in the system namespace.
const SYSTEM_ACCOUNTS: &[&str] = &[
    "aws-node",
    "kube-proxy",
    "coredns",
    "kube-dns",
    "kube-dns-autoscaler",
    "ebs-csi-controller-sa",
    "ebs-csi-node-sa",
    "efs-csi-controller-sa",
    "efs-csi-node-sa",
    "eks-pod-identity-agent",
    "metrics-server",
    "vpc-resource-controller",
    "cloud-node-manager",
    "csi-azuredisk-node-sa",
    "csi-azurefile-node-sa",
    "azure-cns",
    "azure-ip-masq-agent",
    "konnectivity-agent",
    "coredns-autoscaler",
    "netd",
    "fluentbit-gke",
    "gke-metrics-agent",
    "pdcsi-node-sa",
    "event-exporter-sa",
    "metadata-proxy",
    "ip-masq-agent",
    "antrea",
    "local-path-provisioner-service-account",
];
/// Components of a control plane that kubelets start from files.
const CONTROL_PLANE: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kube-proxy"];
/// Name prefixes of RBAC objects and others that clouds install.
const CLOUD_PREFIXES: &[&str] = &["eks:", "aws-node", "vpc-resource-controller", "aks-", "gce:", "gke-", "system:"];
/// Roles that the API server creates beside those named `system:`.
const USER_ROLES: &[&str] = &["cluster-admin", "admin", "edit", "view"];
/// Groups of kinds whose controllers run what a customer wrote, unlike operators that run what they themselves made.
const WORKLOAD_GROUPS: &[&str] = &[
    "argoproj.io",
    "apps.kruise.io",
    "tekton.dev",
    "apps.openshift.io",
    "flagger.app",
    "serving.knative.dev",
    "batch.volcano.sh",
];
/// Groups of Kubernetes itself.
const BUILT_IN_GROUPS: &[&str] = &["", "apps", "batch"];

/// Who manages `object`, whose metadata is in `meta` and whose `managedFields` have been taken out.
///
/// `platform` and `addon` take two independent signals out of label, field manager, image registry, service account (or
/// known name) and owner.
pub(crate) fn managed_by(kind: Kind, meta: &Meta, object: &Map<String, Value>) -> ManagedBy {
    if is_reserved(kind, meta, object) {
        return ManagedBy::Platform;
    }
    let by_api = meta.field_managers.iter().any(|manager| manager == EKS_ADDON_MANAGER);
    let in_system = meta.namespace.as_deref() == Some(SYSTEM_NAMESPACE);
    let spec = kind.pod_spec_pointer().and_then(|pointer| below(object, pointer));
    let signals = [
        ADDON_LABELS.iter().any(|label| meta.labels.contains_key(*label)),
        meta.field_managers.iter().any(|manager| CLOUD_MANAGERS.contains(&manager.as_str())),
        spec.is_some_and(|spec| has_platform_images(spec, in_system)),
        has_known_name(kind, meta, spec, in_system),
        is_static_component(meta, object, in_system),
    ];
    if signals.iter().filter(|signal| **signal).count() >= 2 {
        return if by_api { ManagedBy::Addon } else { ManagedBy::Platform };
    }
    match &meta.controller {
        Some(owner) if is_operator_group(&owner.group) => ManagedBy::Operator,
        _ => ManagedBy::Customer,
    }
}

/// Whether objects controlled by a kind of this API group are made by an operator.
pub(crate) fn is_operator_group(group: &str) -> bool {
    !BUILT_IN_GROUPS.contains(&group) && !WORKLOAD_GROUPS.contains(&group)
}

fn below<'a>(object: &'a Map<String, Value>, pointer: &str) -> Option<&'a Value> {
    let (first, rest) = pointer.strip_prefix('/')?.split_once('/').map_or((&pointer[1..], None), |(a, b)| (a, Some(b)));
    let value = object.get(first)?;
    match rest {
        Some(rest) => value.pointer(&format!("/{rest}")),
        None => Some(value),
    }
}

/// Objects that the API server makes and restores: reserved namespaces and bootstrap RBAC.
fn is_reserved(kind: Kind, meta: &Meta, object: &Map<String, Value>) -> bool {
    match kind {
        Kind::K8sNamespace => RESERVED_NAMESPACES.contains(&meta.name.as_str()),
        Kind::K8sRole | Kind::K8sClusterRole => is_bootstrap(meta, object),
        // Somebody may have put more subjects into a binding that the API server made: then it is theirs.
        Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding => {
            is_bootstrap(meta, object) && has_system_subjects(meta, object)
        }
        _ => false,
    }
}

fn is_bootstrap(meta: &Meta, object: &Map<String, Value>) -> bool {
    let annotation = object
        .get("metadata")
        .and_then(|metadata| metadata.get("annotations")?.get("rbac.authorization.kubernetes.io/autoupdate"));
    meta.labels.get("kubernetes.io/bootstrapping").is_some_and(|value| value == "rbac-defaults")
        && annotation.is_some()
        && (meta.name.starts_with("system:") || USER_ROLES.contains(&meta.name.as_str()))
}

fn has_system_subjects(meta: &Meta, object: &Map<String, Value>) -> bool {
    let subjects = object.get("subjects").and_then(Value::as_array);
    subjects.into_iter().flatten().all(|subject| {
        let field = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
        match (field("kind"), field("name")) {
            (_, "system:anonymous") => false,
            ("Group", "system:unauthenticated") => meta.name == "system:public-info-viewer",
            ("Group", "system:authenticated") => {
                matches!(&*meta.name, "system:basic-user" | "system:discovery" | "system:public-info-viewer")
            }
            ("ServiceAccount", _) => field("namespace") == SYSTEM_NAMESPACE,
            ("User", name) => name.starts_with("system:") && !name.starts_with("system:serviceaccount:"),
            ("Group", name) => name.starts_with("system:") && !name.starts_with("system:serviceaccounts"),
            _ => false,
        }
    })
}

/// Whether every container's image is from a registry of the platform. No container is no signal.
fn has_platform_images(spec: &Value, in_system: bool) -> bool {
    let lists = ["containers", "initContainers"];
    let containers = lists.iter().filter_map(|list| spec.get(list)?.as_array()).flatten();
    let mut images = containers.filter_map(|container| container.get("image")?.as_str()).peekable();
    images.peek().is_some()
        && images
            .all(|image| repository(image).is_some_and(|repository| is_platform_repository(&repository, in_system)))
}

fn is_platform_repository(repository: &str, in_system: bool) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| repository.starts_with(prefix));
    let eks = repository
        .split_once(".dkr.ecr.")
        .is_some_and(|(account, host)| EKS_REGISTRY_ACCOUNTS.contains(&account) && host.contains(".amazonaws.com"));
    eks || begins(PLATFORM_REGISTRIES) || (in_system && begins(UPSTREAM_REGISTRIES))
}

fn has_known_name(kind: Kind, meta: &Meta, spec: Option<&Value>, in_system: bool) -> bool {
    if let Some(spec) = spec {
        let account = spec.get("serviceAccountName").and_then(Value::as_str);
        return in_system && account.is_some_and(|account| SYSTEM_ACCOUNTS.contains(&account));
    }
    match kind {
        Kind::K8sServiceAccount => in_system && SYSTEM_ACCOUNTS.contains(&meta.name.as_str()),
        _ => CLOUD_PREFIXES.iter().any(|prefix| meta.name.starts_with(prefix)),
    }
}

/// A control-plane component that a node's kubelet runs from a file: owned by the node, marked as a mirror.
fn is_static_component(meta: &Meta, object: &Map<String, Value>, in_system: bool) -> bool {
    let mirror = object.get("metadata").and_then(|it| it.get("annotations")?.get("kubernetes.io/config.mirror"));
    in_system
        && mirror.is_some()
        && meta.controller.as_ref().is_some_and(|owner| owner.is("", "Node"))
        && CONTROL_PLANE.iter().any(|component| meta.name.starts_with(component))
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Kind, ManagedBy};
    use serde_json::{Value, json};

    use super::managed_by;
    use crate::normalize::Meta;

    #[track_caller]
    fn check(kind: Kind, object: Value, expected: ManagedBy) {
        let Value::Object(mut object) = object else { panic!("not an object") };
        let meta = Meta::take(&mut object).unwrap();
        assert_eq!(managed_by(kind, &meta, &object), expected, "{}", meta.name);
    }

    fn daemon_set(namespace: &str, account: &str, image: &str, metadata: &Value) -> Value {
        let mut object = json!({
            "metadata": {"name": "aws-node", "namespace": namespace},
            "spec": {"template": {"spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": image}]}}},
        });
        for (key, value) in metadata.as_object().unwrap() {
            object["metadata"][key] = value.clone();
        }
        object
    }

    const EKS: &str = "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.19";

    #[test]
    fn two_signals_make_a_platform_component_and_one_does_not() {
        let kind = Kind::K8sDaemonSet;
        check(kind, daemon_set("kube-system", "aws-node", EKS, &json!({})), ManagedBy::Platform);
        check(kind, daemon_set("kube-system", "mine", EKS, &json!({})), ManagedBy::Customer);
        check(kind, daemon_set("kube-system", "aws-node", "evil/cni:1", &json!({})), ManagedBy::Customer);
        let label = json!({"labels": {"eks.amazonaws.com/component": "coredns"}});
        check(kind, daemon_set("team-a", "mine", "evil/cni:1", &label), ManagedBy::Customer);
        check(kind, daemon_set("team-a", "aws-node", "evil/cni:1", &label), ManagedBy::Customer);
    }

    #[test]
    fn what_the_addon_api_applied_is_an_addon() {
        let applied = json!({"managedFields": [{"manager": "eks", "operation": "Apply"}]});
        check(Kind::K8sDaemonSet, daemon_set("kube-system", "aws-node", EKS, &applied), ManagedBy::Addon);
        check(Kind::K8sDaemonSet, daemon_set("team-a", "mine", "evil/cni:1", &applied), ManagedBy::Customer);
    }

    #[test]
    fn owned_by_a_custom_resource_is_an_operators_unless_it_runs_a_customers_template() {
        let owned = |api: &str, kind: &str| json!({"ownerReferences": [{"apiVersion": api, "kind": kind, "name": "x", "uid": "u", "controller": true}]});
        let with = |metadata: &Value| daemon_set("team-a", "mine", "nginx", metadata);
        check(Kind::K8sStatefulSet, with(&owned("monitoring.coreos.com/v1", "Prometheus")), ManagedBy::Operator);
        check(Kind::K8sReplicaSet, with(&owned("argoproj.io/v1alpha1", "Rollout")), ManagedBy::Customer);
        check(Kind::K8sReplicaSet, with(&owned("apps/v1", "Deployment")), ManagedBy::Customer);
    }

    #[test]
    fn bootstrap_rbac_is_the_platforms_until_somebody_adds_a_subject() {
        let metadata = |name: &str| {
            json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
                   "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
        };
        let binding = |subjects: Value| json!({"metadata": metadata("cluster-admin"), "subjects": subjects});
        let masters = json!({"kind": "Group", "name": "system:masters"});
        check(Kind::K8sClusterRole, json!({"metadata": metadata("system:node")}), ManagedBy::Platform);
        check(Kind::K8sClusterRole, json!({"metadata": metadata("backdoor")}), ManagedBy::Customer);
        check(Kind::K8sClusterRoleBinding, binding(json!([masters])), ManagedBy::Platform);
        let bob = json!({"kind": "User", "name": "bob"});
        check(Kind::K8sClusterRoleBinding, binding(json!([masters, bob])), ManagedBy::Customer);
        let anonymous = json!({"kind": "User", "name": "system:anonymous"});
        check(Kind::K8sClusterRoleBinding, binding(json!([masters, anonymous])), ManagedBy::Customer);
        check(Kind::K8sClusterRole, json!({"metadata": {"name": "system:mine"}}), ManagedBy::Customer);
    }
}
