//! The kinds that simulated clusters serve.

/// An API of the Kubernetes type system that a simulated cluster serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindKey {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version within the group.
    pub version: &'static str,
    /// Name in paths: `pods`.
    pub plural: &'static str,
    /// Name in objects: `Pod`.
    pub kind: &'static str,
    /// Whether its objects live in namespaces.
    pub scope: Scoped,
    /// What must be installed for the API to exist.
    pub feature: Feature,
}

/// Where objects of a kind live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scoped {
    /// In namespaces.
    Namespaced,
    /// In the cluster.
    Cluster,
}

/// Software that brings custom resource definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    /// Part of Kubernetes itself.
    Builtin,
    /// Gateway API, standard and experimental channels.
    Gateway,
    /// Cilium.
    Cilium,
    /// Calico.
    Calico,
    /// Admin network policies.
    AdminNetworkPolicy,
    /// Argo Rollouts.
    ArgoRollouts,
    /// cert-manager.
    CertManager,
    /// The Prometheus operator.
    Prometheus,
    /// Gatekeeper, with one constraint template.
    Gatekeeper,
}

impl KindKey {
    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether objects live in namespaces.
    pub fn namespaced(&self) -> bool {
        self.scope == Scoped::Namespaced
    }
}

macro_rules! kinds {
    ($($name:ident = $group:literal $version:literal $plural:literal $kind:literal $scope:ident $feature:ident;)*) => {
        $(
            #[doc = concat!("`", $plural, "` of `", $group, "/", $version, "`.")]
            pub const $name: KindKey = KindKey {
                group: $group,
                version: $version,
                plural: $plural,
                kind: $kind,
                scope: Scoped::$scope,
                feature: Feature::$feature,
            };
        )*
        /// Every kind that simulated clusters serve.
        pub const ALL: &[KindKey] = &[$($name),*];
    };
}

kinds! {
    POD = "" "v1" "pods" "Pod" Namespaced Builtin;
    NODE = "" "v1" "nodes" "Node" Cluster Builtin;
    NAMESPACE = "" "v1" "namespaces" "Namespace" Cluster Builtin;
    SERVICE = "" "v1" "services" "Service" Namespaced Builtin;
    SERVICE_ACCOUNT = "" "v1" "serviceaccounts" "ServiceAccount" Namespaced Builtin;
    REPLICATION_CONTROLLER = "" "v1" "replicationcontrollers" "ReplicationController" Namespaced Builtin;
    RESOURCE_QUOTA = "" "v1" "resourcequotas" "ResourceQuota" Namespaced Builtin;
    LIMIT_RANGE = "" "v1" "limitranges" "LimitRange" Namespaced Builtin;
    PERSISTENT_VOLUME = "" "v1" "persistentvolumes" "PersistentVolume" Cluster Builtin;
    PERSISTENT_VOLUME_CLAIM = "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim" Namespaced Builtin;
    CONFIG_MAP = "" "v1" "configmaps" "ConfigMap" Namespaced Builtin;
    SECRET = "" "v1" "secrets" "Secret" Namespaced Builtin;
    DEPLOYMENT = "apps" "v1" "deployments" "Deployment" Namespaced Builtin;
    DAEMON_SET = "apps" "v1" "daemonsets" "DaemonSet" Namespaced Builtin;
    STATEFUL_SET = "apps" "v1" "statefulsets" "StatefulSet" Namespaced Builtin;
    REPLICA_SET = "apps" "v1" "replicasets" "ReplicaSet" Namespaced Builtin;
    JOB = "batch" "v1" "jobs" "Job" Namespaced Builtin;
    CRON_JOB = "batch" "v1" "cronjobs" "CronJob" Namespaced Builtin;
    LEASE = "coordination.k8s.io" "v1" "leases" "Lease" Namespaced Builtin;
    ENDPOINT_SLICE = "discovery.k8s.io" "v1" "endpointslices" "EndpointSlice" Namespaced Builtin;
    NETWORK_POLICY = "networking.k8s.io" "v1" "networkpolicies" "NetworkPolicy" Namespaced Builtin;
    INGRESS = "networking.k8s.io" "v1" "ingresses" "Ingress" Namespaced Builtin;
    INGRESS_CLASS = "networking.k8s.io" "v1" "ingressclasses" "IngressClass" Cluster Builtin;
    ROLE = "rbac.authorization.k8s.io" "v1" "roles" "Role" Namespaced Builtin;
    CLUSTER_ROLE = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" Cluster Builtin;
    ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" Namespaced Builtin;
    CLUSTER_ROLE_BINDING = "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" Cluster Builtin;
    STORAGE_CLASS = "storage.k8s.io" "v1" "storageclasses" "StorageClass" Cluster Builtin;
    VALIDATING_WEBHOOK = "admissionregistration.k8s.io" "v1" "validatingwebhookconfigurations" "ValidatingWebhookConfiguration" Cluster Builtin;
    MUTATING_WEBHOOK = "admissionregistration.k8s.io" "v1" "mutatingwebhookconfigurations" "MutatingWebhookConfiguration" Cluster Builtin;
    ADMISSION_POLICY = "admissionregistration.k8s.io" "v1" "validatingadmissionpolicies" "ValidatingAdmissionPolicy" Cluster Builtin;
    ADMISSION_BINDING = "admissionregistration.k8s.io" "v1" "validatingadmissionpolicybindings" "ValidatingAdmissionPolicyBinding" Cluster Builtin;
    CUSTOM_RESOURCE_DEFINITION = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" Cluster Builtin;
    GATEWAY_CLASS = "gateway.networking.k8s.io" "v1" "gatewayclasses" "GatewayClass" Cluster Gateway;
    GATEWAY = "gateway.networking.k8s.io" "v1" "gateways" "Gateway" Namespaced Gateway;
    HTTP_ROUTE = "gateway.networking.k8s.io" "v1" "httproutes" "HTTPRoute" Namespaced Gateway;
    GRPC_ROUTE = "gateway.networking.k8s.io" "v1" "grpcroutes" "GRPCRoute" Namespaced Gateway;
    TLS_ROUTE = "gateway.networking.k8s.io" "v1alpha2" "tlsroutes" "TLSRoute" Namespaced Gateway;
    TCP_ROUTE = "gateway.networking.k8s.io" "v1alpha2" "tcproutes" "TCPRoute" Namespaced Gateway;
    CILIUM_POLICY = "cilium.io" "v2" "ciliumnetworkpolicies" "CiliumNetworkPolicy" Namespaced Cilium;
    CILIUM_CLUSTER_POLICY = "cilium.io" "v2" "ciliumclusterwidenetworkpolicies" "CiliumClusterwideNetworkPolicy" Cluster Cilium;
    CALICO_POLICY = "crd.projectcalico.org" "v1" "networkpolicies" "NetworkPolicy" Namespaced Calico;
    CALICO_GLOBAL_POLICY = "crd.projectcalico.org" "v1" "globalnetworkpolicies" "GlobalNetworkPolicy" Cluster Calico;
    ADMIN_POLICY = "policy.networking.k8s.io" "v1alpha1" "adminnetworkpolicies" "AdminNetworkPolicy" Cluster AdminNetworkPolicy;
    BASELINE_ADMIN_POLICY = "policy.networking.k8s.io" "v1alpha1" "baselineadminnetworkpolicies" "BaselineAdminNetworkPolicy" Cluster AdminNetworkPolicy;
    ROLLOUT = "argoproj.io" "v1alpha1" "rollouts" "Rollout" Namespaced ArgoRollouts;
    CERTIFICATE = "cert-manager.io" "v1" "certificates" "Certificate" Namespaced CertManager;
    CONSTRAINT_TEMPLATE = "templates.gatekeeper.sh" "v1" "constrainttemplates" "ConstraintTemplate" Cluster Gatekeeper;
    PRIVILEGED_CONTAINER = "constraints.gatekeeper.sh" "v1beta1" "k8spspprivilegedcontainer" "K8sPSPPrivilegedContainer" Cluster Gatekeeper;
    PROMETHEUS = "monitoring.coreos.com" "v1" "prometheuses" "Prometheus" Namespaced Prometheus;
}
