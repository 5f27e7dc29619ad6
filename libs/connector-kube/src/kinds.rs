//! What is read from a cluster, from which API, and what it needs.

use rampart_connector::Permission;
use rampart_domain::{Cloud, Kind};

use crate::Options;
use crate::client::Accept;

/// A group and version that may serve a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    /// Empty for the core group.
    pub(crate) group: &'static str,
    pub(crate) version: &'static str,
}

impl Source {
    /// Path of the list over all namespaces.
    pub(crate) fn path(&self, plural: &str) -> String {
        match self.group {
            "" => format!("/api/{}/{plural}", self.version),
            group => format!("/apis/{group}/{}/{plural}", self.version),
        }
    }
}

/// One kind that is listed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// Kind in Kubernetes' own spelling; empty where each object says its own.
    pub(crate) name: &'static str,
    pub(crate) plural: &'static str,
    /// Where it may be served, best first.
    pub(crate) sources: &'static [Source],
    /// What has to be installed for it to exist; `None` for what every cluster has.
    pub(crate) feature: Option<&'static str>,
    pub(crate) accept: Accept,
}

const fn at(group: &'static str, version: &'static str) -> Source {
    Source { group, version }
}

const CORE: &[Source] = &[at("", "v1")];
const APPS: &[Source] = &[at("apps", "v1")];
const BATCH: &[Source] = &[at("batch", "v1"), at("batch", "v1beta1")];
const NETWORKING: &[Source] = &[at("networking.k8s.io", "v1")];
const DISCOVERY: &[Source] = &[at("discovery.k8s.io", "v1"), at("discovery.k8s.io", "v1beta1")];
const RBAC: &[Source] = &[at("rbac.authorization.k8s.io", "v1")];
const ADMISSION: &[Source] = &[at("admissionregistration.k8s.io", "v1")];
const ADMISSION_POLICY: &[Source] =
    &[at("admissionregistration.k8s.io", "v1"), at("admissionregistration.k8s.io", "v1beta1")];
const TEMPLATES: &[Source] = &[at("templates.gatekeeper.sh", "v1"), at("templates.gatekeeper.sh", "v1beta1")];
const OF_TEMPLATES: &[Source] = &[at("constraints.gatekeeper.sh", "v1beta1")];
const STORAGE: &[Source] = &[at("storage.k8s.io", "v1")];
const EXTENSIONS: &[Source] = &[at("apiextensions.k8s.io", "v1")];
const GATEWAY: &[Source] = &[
    at("gateway.networking.k8s.io", "v1"),
    at("gateway.networking.k8s.io", "v1beta1"),
    at("gateway.networking.k8s.io", "v1alpha3"),
    at("gateway.networking.k8s.io", "v1alpha2"),
];
const CILIUM: &[Source] = &[at("cilium.io", "v2")];
const CALICO: &[Source] = &[at("crd.projectcalico.org", "v1"), at("projectcalico.org", "v3")];
const ADMIN_POLICY: &[Source] = &[at("policy.networking.k8s.io", "v1alpha1")];

const fn entry(kind: Kind, name: &'static str, plural: &'static str, sources: &'static [Source]) -> Entry {
    Entry { kind, name, plural, sources, feature: None, accept: Accept::Full }
}

const fn optional(
    kind: Kind,
    name: &'static str,
    plural: &'static str,
    sources: &'static [Source],
    feature: &'static str,
) -> Entry {
    Entry { kind, name, plural, sources, feature: Some(feature), accept: Accept::Full }
}

const fn names_only(kind: Kind, name: &'static str, plural: &'static str, sources: &'static [Source]) -> Entry {
    Entry { kind, name, plural, sources, feature: None, accept: Accept::Metadata }
}

const GATEWAY_API: &str = "the Gateway API";
const CALICO_POLICY: &str = "Calico";
const ADMIN_NETWORK_POLICY: &str = "AdminNetworkPolicy";
const CILIUM_POLICY: &str = "Cilium";
const VAP: &str = "ValidatingAdmissionPolicy";
const GATEKEEPER: &str = "Gatekeeper";

/// What owners roll up through and pods run on. Read before pods.
pub(crate) const FIRST: &[Entry] = &[
    entry(Kind::K8sNode, "Node", "nodes", CORE),
    entry(Kind::K8sReplicaSet, "ReplicaSet", "replicasets", APPS),
    entry(Kind::K8sJob, "Job", "jobs", BATCH),
    entry(Kind::K8sReplicationController, "ReplicationController", "replicationcontrollers", CORE),
];

pub(crate) const PODS: Entry = entry(Kind::K8sPod, "Pod", "pods", CORE);

/// Everything else that is listed in every scan.
pub(crate) const REST: &[Entry] = &[
    entry(Kind::K8sNamespace, "Namespace", "namespaces", CORE),
    entry(Kind::K8sDeployment, "Deployment", "deployments", APPS),
    entry(Kind::K8sDaemonSet, "DaemonSet", "daemonsets", APPS),
    entry(Kind::K8sStatefulSet, "StatefulSet", "statefulsets", APPS),
    entry(Kind::K8sCronJob, "CronJob", "cronjobs", BATCH),
    entry(Kind::K8sService, "Service", "services", CORE),
    entry(Kind::K8sEndpointSlice, "EndpointSlice", "endpointslices", DISCOVERY),
    entry(Kind::K8sIngress, "Ingress", "ingresses", NETWORKING),
    optional(Kind::K8sGatewayClass, "GatewayClass", "gatewayclasses", GATEWAY, GATEWAY_API),
    optional(Kind::K8sGateway, "Gateway", "gateways", GATEWAY, GATEWAY_API),
    optional(Kind::K8sHttpRoute, "HTTPRoute", "httproutes", GATEWAY, GATEWAY_API),
    optional(Kind::K8sGrpcRoute, "GRPCRoute", "grpcroutes", GATEWAY, GATEWAY_API),
    optional(Kind::K8sTlsRoute, "TLSRoute", "tlsroutes", GATEWAY, GATEWAY_API),
    optional(Kind::K8sTcpRoute, "TCPRoute", "tcproutes", GATEWAY, GATEWAY_API),
    entry(Kind::K8sNetworkPolicy, "NetworkPolicy", "networkpolicies", NETWORKING),
    optional(Kind::K8sCiliumNetworkPolicy, "CiliumNetworkPolicy", "ciliumnetworkpolicies", CILIUM, CILIUM_POLICY),
    optional(
        Kind::K8sCiliumClusterwideNetworkPolicy,
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
        CILIUM,
        CILIUM_POLICY,
    ),
    optional(Kind::K8sCalicoNetworkPolicy, "NetworkPolicy", "networkpolicies", CALICO, CALICO_POLICY),
    optional(Kind::K8sCalicoGlobalNetworkPolicy, "GlobalNetworkPolicy", "globalnetworkpolicies", CALICO, CALICO_POLICY),
    optional(
        Kind::K8sAdminNetworkPolicy,
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
        ADMIN_POLICY,
        ADMIN_NETWORK_POLICY,
    ),
    optional(
        Kind::K8sBaselineAdminNetworkPolicy,
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
        ADMIN_POLICY,
        ADMIN_NETWORK_POLICY,
    ),
    entry(Kind::K8sServiceAccount, "ServiceAccount", "serviceaccounts", CORE),
    entry(Kind::K8sRole, "Role", "roles", RBAC),
    entry(Kind::K8sClusterRole, "ClusterRole", "clusterroles", RBAC),
    entry(Kind::K8sRoleBinding, "RoleBinding", "rolebindings", RBAC),
    entry(Kind::K8sClusterRoleBinding, "ClusterRoleBinding", "clusterrolebindings", RBAC),
    entry(
        Kind::K8sValidatingWebhookConfiguration,
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        ADMISSION,
    ),
    entry(
        Kind::K8sMutatingWebhookConfiguration,
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        ADMISSION,
    ),
    optional(
        Kind::K8sValidatingAdmissionPolicy,
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        ADMISSION_POLICY,
        VAP,
    ),
    optional(
        Kind::K8sValidatingAdmissionPolicyBinding,
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        ADMISSION_POLICY,
        VAP,
    ),
    optional(Kind::K8sConstraintTemplate, "ConstraintTemplate", "constrainttemplates", TEMPLATES, GATEKEEPER),
    entry(Kind::K8sResourceQuota, "ResourceQuota", "resourcequotas", CORE),
    entry(Kind::K8sLimitRange, "LimitRange", "limitranges", CORE),
    names_only(Kind::K8sCustomResourceDefinition, "CustomResourceDefinition", "customresourcedefinitions", EXTENSIONS),
    entry(Kind::K8sStorageClass, "StorageClass", "storageclasses", STORAGE),
    entry(Kind::K8sPersistentVolume, "PersistentVolume", "persistentvolumes", CORE),
];

/// Constraints are of as many kinds as there are templates, which are listed one by one: an object says its own.
pub(crate) const CONSTRAINTS: Entry = optional(Kind::K8sConstraint, "", "*", OF_TEMPLATES, GATEKEEPER);
pub(crate) const CONFIG_MAPS: Entry = names_only(Kind::K8sConfigMap, "ConfigMap", "configmaps", CORE);
pub(crate) const SECRETS: Entry = names_only(Kind::K8sSecret, "Secret", "secrets", CORE);

/// Kinds that are made from pods; they end as the pods' listing ends.
pub(crate) const DERIVED: [Kind; 3] = [Kind::K8sWorkload, Kind::K8sStaticPod, Kind::RunningImage];

/// What one permission allows: a verb on a resource, or a path that is no resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// `nonResourceURLs`.
    Path(&'static str),
    /// A verb on a resource, perhaps one object of it.
    Resource {
        verb: &'static str,
        group: &'static str,
        resource: &'static str,
        /// Namespace and name of the one object.
        object: Option<(&'static str, &'static str)>,
    },
}

/// A permission with the access that it stands for.
#[derive(Debug, Clone)]
pub(crate) struct Need {
    pub(crate) permission: Permission,
    pub(crate) access: Access,
}

/// Every call that a scan makes, with the kinds that are lost without it.
pub(crate) fn needs(options: &Options, aws: Aws) -> Vec<Need> {
    let mut kinds: Vec<Kind> = vec![Kind::K8sCluster];
    kinds.extend(entries(options).map(|entry| entry.kind));
    kinds.extend(DERIVED);
    if aws == Aws::Yes && !kinds.contains(&Kind::K8sConfigMap) {
        kinds.push(Kind::K8sConfigMap);
    }
    let mut needs = vec![
        need("get namespaces/kube-system", kinds, object("namespaces", "", "kube-system")),
        need("get /version", vec![Kind::K8sCluster], Access::Path("/version")),
        need("get /apis", vec![Kind::K8sCluster], Access::Path("/apis")),
    ];
    if aws == Aws::Yes {
        let access = object("configmaps", "kube-system", "aws-auth");
        needs.push(need("get configmaps/aws-auth", vec![Kind::K8sConfigMap], access));
    }
    needs.extend(entries(options).map(|entry| on_all("list", entry, lost_with(entry.kind))));
    if options.watch {
        // What is not watched is read by scans: nothing is lost, only late.
        let watched = entries(options).filter(|entry| watched(entry.kind).is_some());
        needs.extend(watched.map(|entry| on_all("watch", entry, Vec::new())));
    }
    needs
}

/// Every permission that a scan of a cluster in this cloud uses, without the names of secrets and config maps.
pub fn permissions(cloud: Cloud) -> Vec<Permission> {
    // The key hides values in what is read; what is read does not depend on it.
    let options = Options::new([0; 32]);
    needs(&options, Aws::of(cloud)).into_iter().map(|need| need.permission).collect()
}

impl Aws {
    pub(crate) fn of(cloud: Cloud) -> Self {
        if cloud == Cloud::Aws { Self::Yes } else { Self::No }
    }
}

/// A verb on all objects of a kind.
fn on_all(verb: &'static str, entry: &Entry, lost: Vec<Kind>) -> Need {
    let group = entry.sources[0].group;
    let name = if group.is_empty() { entry.plural.to_owned() } else { format!("{}.{group}", entry.plural) };
    let access = Access::Resource { verb, group, resource: entry.plural, object: None };
    need(&format!("{verb} {name}"), lost, access)
}

/// Whether the cluster is on AWS, where identities may be mapped in a config map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aws {
    Yes,
    No,
}

/// How a kind is watched; `None` for kinds that are only read by scans: what is derived, what is one answer, constraints,
/// and names whose listing would grant content.
pub(crate) fn watched(kind: Kind) -> Option<&'static Entry> {
    FIRST.iter().chain([&PODS]).chain(REST).find(|entry| entry.kind == kind)
}

/// Everything that is listed under these options.
pub(crate) fn entries(options: &Options) -> impl Iterator<Item = &'static Entry> {
    let config_maps = options.list_config_map_names.then_some(&CONFIG_MAPS);
    let secrets = options.list_secret_names.then_some(&SECRETS);
    FIRST.iter().chain([&PODS]).chain(REST).chain([&CONSTRAINTS]).chain(config_maps).chain(secrets)
}

/// The kinds that are incomplete when `kind` is not read.
pub(crate) fn lost_with(kind: Kind) -> Vec<Kind> {
    match kind {
        Kind::K8sPod => [&[kind][..], &DERIVED].concat(),
        Kind::K8sConstraintTemplate => vec![kind, Kind::K8sConstraint],
        Kind::K8sNode => vec![kind, Kind::K8sStaticPod, Kind::RunningImage],
        Kind::K8sReplicaSet | Kind::K8sJob | Kind::K8sReplicationController => vec![kind, Kind::K8sWorkload],
        _ => vec![kind],
    }
}

fn need(name: &str, kinds: Vec<Kind>, access: Access) -> Need {
    Need { permission: Permission { name: name.to_owned(), kinds }, access }
}

fn object(resource: &'static str, namespace: &'static str, name: &'static str) -> Access {
    Access::Resource { verb: "get", group: "", resource, object: Some((namespace, name)) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rampart_domain::{Family, Kind};

    use super::{Aws, DERIVED, entries, needs};
    use crate::Options;

    fn everything() -> Options {
        Options { list_secret_names: true, list_config_map_names: true, ..Options::new([7; 32]) }
    }

    #[test]
    fn every_kubernetes_kind_is_read_once() {
        let read: Vec<Kind> = entries(&everything()).map(|entry| entry.kind).chain(DERIVED).collect();
        let distinct: HashSet<Kind> = read.iter().copied().collect();
        assert_eq!(read.len(), distinct.len());
        for kind in Kind::ALL.iter().filter(|kind| kind.family() == Family::Kubernetes) {
            assert!(*kind == Kind::K8sCluster || distinct.contains(kind), "{kind} is not read");
        }
    }

    #[test]
    fn secrets_and_config_maps_are_not_listed_unless_asked_for() {
        let names = |options: &Options, aws| {
            needs(options, aws).into_iter().map(|need| need.permission.name).collect::<HashSet<_>>()
        };
        let modest = names(&Options::new([7; 32]), Aws::Yes);
        assert!(!modest.contains("list secrets") && !modest.contains("list configmaps"));
        assert!(modest.contains("get configmaps/aws-auth") && modest.contains("list deployments.apps"));
        let all = names(&everything(), Aws::No);
        assert!(all.contains("list secrets") && all.contains("list configmaps"));
        assert!(!all.contains("get configmaps/aws-auth"));
        let watching = names(&Options { watch: true, ..everything() }, Aws::No);
        assert!(watching.contains("watch deployments.apps") && watching.is_superset(&all));
        assert!(!watching.contains("watch secrets") && !watching.contains("watch configmaps"));
        assert_eq!(all.len(), needs(&everything(), Aws::No).len(), "names of permissions are distinct");
    }
}
