use rampart_domain::Kind;

/// A kind as the API server serves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) kind: Kind,
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) name: &'static str,
    pub(super) resources: &'static [&'static str],
}

const SERVED: &[(Kind, &str, &str, &str, &[&str])] = &[
    (Kind::K8sPod, "", "v1", "Pod", &["pods", "pods/ephemeralcontainers"]),
    (Kind::K8sReplicationController, "", "v1", "ReplicationController", &["replicationcontrollers"]),
    (Kind::K8sDeployment, "apps", "v1", "Deployment", &["deployments"]),
    (Kind::K8sDaemonSet, "apps", "v1", "DaemonSet", &["daemonsets"]),
    (Kind::K8sStatefulSet, "apps", "v1", "StatefulSet", &["statefulsets"]),
    (Kind::K8sReplicaSet, "apps", "v1", "ReplicaSet", &["replicasets"]),
    (Kind::K8sJob, "batch", "v1", "Job", &["jobs"]),
    (Kind::K8sCronJob, "batch", "v1", "CronJob", &["cronjobs"]),
    (Kind::K8sNode, "", "v1", "Node", &["nodes"]),
    (Kind::K8sNamespace, "", "v1", "Namespace", &["namespaces"]),
    (Kind::K8sService, "", "v1", "Service", &["services"]),
    (Kind::K8sServiceAccount, "", "v1", "ServiceAccount", &["serviceaccounts"]),
    (Kind::K8sConfigMap, "", "v1", "ConfigMap", &["configmaps"]),
    (Kind::K8sPersistentVolume, "", "v1", "PersistentVolume", &["persistentvolumes"]),
    (Kind::K8sResourceQuota, "", "v1", "ResourceQuota", &["resourcequotas"]),
    (Kind::K8sLimitRange, "", "v1", "LimitRange", &["limitranges"]),
    (Kind::K8sIngress, "networking.k8s.io", "v1", "Ingress", &["ingresses"]),
    (Kind::K8sNetworkPolicy, "networking.k8s.io", "v1", "NetworkPolicy", &["networkpolicies"]),
    (Kind::K8sRole, RBAC, "v1", "Role", &["roles"]),
    (Kind::K8sClusterRole, RBAC, "v1", "ClusterRole", &["clusterroles"]),
    (Kind::K8sRoleBinding, RBAC, "v1", "RoleBinding", &["rolebindings"]),
    (Kind::K8sClusterRoleBinding, RBAC, "v1", "ClusterRoleBinding", &["clusterrolebindings"]),
    (Kind::K8sStorageClass, "storage.k8s.io", "v1", "StorageClass", &["storageclasses"]),
    (Kind::K8sGateway, GATEWAY, "v1", "Gateway", &["gateways"]),
    (Kind::K8sHttpRoute, GATEWAY, "v1", "HTTPRoute", &["httproutes"]),
    (Kind::K8sGrpcRoute, GATEWAY, "v1", "GRPCRoute", &["grpcroutes"]),
];
const RBAC: &str = "rbac.authorization.k8s.io";
const GATEWAY: &str = "gateway.networking.k8s.io";

/// How the kind is served; `None` for what no cluster's API has under one name.
pub(super) fn served(kind: Kind) -> Option<Served> {
    let found = SERVED.iter().find(|(known, ..)| *known == kind)?;
    let (kind, group, version, name, resources) = *found;
    Some(Served { kind, group, version, name, resources })
}

/// Whether objects of the kind come as objects of others: mirror pods as pods, and custom resources whose names and
/// groups no list has by the workloads that their controllers make.
pub(super) const fn comes_as_others(kind: Kind) -> bool {
    matches!(kind, Kind::K8sStaticPod | Kind::K8sWorkload)
}
