use crate::Cloud;
use crate::text_enum::text_enum;

text_enum! {
    /// What sort of thing a resource is.
    pub enum Kind as "kind" {
        /// An AWS account: identity, partition, regions.
        AwsAccount = "aws.account",
        /// An IAM role: trust, inline and attached policies, boundary, instance profiles.
        AwsIamRole = "aws.iam.role",
        /// An EKS cluster as `DescribeCluster` returns it.
        AwsEksCluster = "aws.eks.cluster",
        /// A managed node group.
        AwsEksNodegroup = "aws.eks.nodegroup",
        /// A Fargate profile.
        AwsEksFargateProfile = "aws.eks.fargate_profile",
        /// An EKS add-on.
        AwsEksAddon = "aws.eks.addon",
        /// An access entry with its associated access policies.
        AwsEksAccessEntry = "aws.eks.access_entry",
        /// An OIDC identity provider of a cluster.
        AwsEksIdentityProviderConfig = "aws.eks.identity_provider_config",
        /// An association of a service account with an IAM role.
        AwsEksPodIdentityAssociation = "aws.eks.pod_identity_association",
        /// The registry of an account and region: scanning configuration.
        AwsEcrRegistry = "aws.ecr.registry",
        /// A repository with policy, lifecycle, encryption and mutability.
        AwsEcrRepository = "aws.ecr.repository",
        /// An image in a repository: digest, tags, push and pull times.
        AwsEcrImage = "aws.ecr.image",
        /// The log group that the control plane of an EKS cluster writes to.
        AwsLogsLogGroup = "aws.logs.log_group",
        /// An organisation of AWS accounts.
        AwsOrganization = "aws.organization",
        /// An Azure tenant or management group with what lies below it.
        AzureManagementGroup = "azure.management_group",
        /// An Azure subscription.
        AzureSubscription = "azure.subscription",
        /// An AKS managed cluster as ARM returns it.
        AzureAksCluster = "azure.aks.cluster",
        /// An agent pool of an AKS cluster.
        AzureAksAgentPool = "azure.aks.agent_pool",
        /// A maintenance configuration of an AKS cluster.
        AzureAksMaintenanceConfiguration = "azure.aks.maintenance_configuration",
        /// A trusted-access role binding of an AKS cluster.
        AzureAksTrustedAccessRoleBinding = "azure.aks.trusted_access_role_binding",
        /// An Azure container registry with its policies and network rules.
        AzureAcrRegistry = "azure.acr.registry",
        /// A geo-replication of a registry.
        AzureAcrReplication = "azure.acr.replication",
        /// A webhook of a registry.
        AzureAcrWebhook = "azure.acr.webhook",
        /// A repository-scoped token of a registry.
        AzureAcrToken = "azure.acr.token",
        /// A scope map of a registry.
        AzureAcrScopeMap = "azure.acr.scope_map",
        /// A repository of a registry, read from its data plane.
        AzureAcrRepository = "azure.acr.repository",
        /// An image in a repository: digest, tags, push time.
        AzureAcrImage = "azure.acr.image",
        /// A cluster connected through Azure Arc.
        AzureArcCluster = "azure.arc.cluster",
        /// An extension of a cluster connected through Azure Arc.
        AzureArcExtension = "azure.arc.extension",
        /// A plan of Microsoft Defender for Cloud in a subscription, paid or free.
        AzureSecurityPlan = "azure.security.plan",
        /// An assignment of an Azure role that applies in a subscription, or somewhere below it.
        AzureRoleAssignment = "azure.role_assignment",
        /// A diagnostic setting of an AKS cluster: which of its logs are sent where.
        AzureDiagnosticSetting = "azure.diagnostic_setting",
        /// A Google Cloud organisation or folder.
        GcpFolder = "gcp.folder",
        /// A Google Cloud project.
        GcpProject = "gcp.project",
        /// A GKE cluster as the container API returns it.
        GcpGkeCluster = "gcp.gke.cluster",
        /// A node pool of a GKE cluster.
        GcpGkeNodePool = "gcp.gke.node_pool",
        /// A repository of Artifact Registry with its IAM policy.
        GcpArtifactRegistryRepository = "gcp.artifactregistry.repository",
        /// An image in a repository of Artifact Registry.
        GcpArtifactRegistryImage = "gcp.artifactregistry.image",
        /// The IAM policy of a Google Cloud project.
        GcpIamPolicy = "gcp.iam_policy",
        /// An API that is enabled in a Google Cloud project.
        GcpService = "gcp.service",
        /// A subnetwork of a VPC network.
        GcpComputeSubnetwork = "gcp.compute.subnetwork",
        /// A firewall rule of a VPC network.
        GcpComputeFirewall = "gcp.compute.firewall",
        /// The Kubernetes API server of a cluster: version and identity.
        K8sCluster = "k8s.cluster",
        /// A node.
        K8sNode = "k8s.node",
        /// A namespace.
        K8sNamespace = "k8s.namespace",
        /// A pod (its template is judged on its owner).
        K8sPod = "k8s.pod",
        /// A deployment.
        K8sDeployment = "k8s.deployment",
        /// A daemon set.
        K8sDaemonSet = "k8s.daemonset",
        /// A stateful set.
        K8sStatefulSet = "k8s.statefulset",
        /// A replica set.
        K8sReplicaSet = "k8s.replicaset",
        /// A replication controller.
        K8sReplicationController = "k8s.replicationcontroller",
        /// A job.
        K8sJob = "k8s.job",
        /// A cron job.
        K8sCronJob = "k8s.cronjob",
        /// A controller whose own kind is not read, known from its pods' owner references.
        K8sWorkload = "k8s.workload",
        /// A component that kubelets run from static manifests, rolled up per node pool.
        K8sStaticPod = "k8s.staticpod",
        /// A service.
        K8sService = "k8s.service",
        /// Addresses behind a service.
        K8sEndpointSlice = "k8s.endpointslice",
        /// An ingress.
        K8sIngress = "k8s.ingress",
        /// A Gateway API class.
        K8sGatewayClass = "k8s.gatewayclass",
        /// A Gateway API gateway.
        K8sGateway = "k8s.gateway",
        /// A Gateway API HTTP route.
        K8sHttpRoute = "k8s.httproute",
        /// A Gateway API gRPC route.
        K8sGrpcRoute = "k8s.grpcroute",
        /// A Gateway API TLS route.
        K8sTlsRoute = "k8s.tlsroute",
        /// A Gateway API TCP route.
        K8sTcpRoute = "k8s.tcproute",
        /// A network policy.
        K8sNetworkPolicy = "k8s.networkpolicy",
        /// A Cilium network policy.
        K8sCiliumNetworkPolicy = "k8s.ciliumnetworkpolicy",
        /// A cluster-wide Cilium network policy.
        K8sCiliumClusterwideNetworkPolicy = "k8s.ciliumclusterwidenetworkpolicy",
        /// A Calico network policy.
        K8sCalicoNetworkPolicy = "k8s.caliconetworkpolicy",
        /// A global Calico network policy.
        K8sCalicoGlobalNetworkPolicy = "k8s.calicoglobalnetworkpolicy",
        /// An admin network policy.
        K8sAdminNetworkPolicy = "k8s.adminnetworkpolicy",
        /// The baseline admin network policy.
        K8sBaselineAdminNetworkPolicy = "k8s.baselineadminnetworkpolicy",
        /// A service account.
        K8sServiceAccount = "k8s.serviceaccount",
        /// A role.
        K8sRole = "k8s.role",
        /// A cluster role.
        K8sClusterRole = "k8s.clusterrole",
        /// A role binding.
        K8sRoleBinding = "k8s.rolebinding",
        /// A cluster role binding.
        K8sClusterRoleBinding = "k8s.clusterrolebinding",
        /// Validating admission webhooks.
        K8sValidatingWebhookConfiguration = "k8s.validatingwebhookconfiguration",
        /// Mutating admission webhooks.
        K8sMutatingWebhookConfiguration = "k8s.mutatingwebhookconfiguration",
        /// An admission policy in CEL.
        K8sValidatingAdmissionPolicy = "k8s.validatingadmissionpolicy",
        /// The binding of an admission policy.
        K8sValidatingAdmissionPolicyBinding = "k8s.validatingadmissionpolicybinding",
        /// A constraint template of Gatekeeper.
        K8sConstraintTemplate = "k8s.constrainttemplate",
        /// A constraint of Gatekeeper, of whichever kind its template made.
        K8sConstraint = "k8s.constraint",
        /// A resource quota.
        K8sResourceQuota = "k8s.resourcequota",
        /// A limit range.
        K8sLimitRange = "k8s.limitrange",
        /// The name of a custom resource definition.
        K8sCustomResourceDefinition = "k8s.customresourcedefinition",
        /// A storage class.
        K8sStorageClass = "k8s.storageclass",
        /// A persistent volume.
        K8sPersistentVolume = "k8s.persistentvolume",
        /// A config map (by default only the EKS identity map).
        K8sConfigMap = "k8s.configmap",
        /// The name of a secret (opt-in).
        K8sSecret = "k8s.secret",
        /// A container image that runs somewhere, by digest.
        RunningImage = "image.running",
    }
}

text_enum! {
    /// The API a kind is read from.
    pub enum Family as "kind family" {
        /// AWS service APIs.
        Aws = "aws",
        /// Azure Resource Manager and the data planes behind it.
        Azure = "azure",
        /// Google Cloud APIs.
        Gcp = "gcp",
        /// The Kubernetes API.
        Kubernetes = "kubernetes",
        /// Derived from other resources.
        Derived = "derived",
    }
}

impl Kind {
    /// The API that this kind comes from.
    pub fn family(self) -> Family {
        match self.as_str().split_once('.') {
            Some(("aws", _)) => Family::Aws,
            Some(("azure", _)) => Family::Azure,
            Some(("gcp", _)) => Family::Gcp,
            Some(("k8s", _)) => Family::Kubernetes,
            _ => Family::Derived,
        }
    }

    /// Clusters as the cloud that runs them tells of them.
    pub const fn is_cloud_cluster(self) -> bool {
        matches!(self, Self::AwsEksCluster | Self::AzureAksCluster | Self::AzureArcCluster | Self::GcpGkeCluster)
    }

    /// The account itself, in the words of its cloud.
    pub const fn account_of(cloud: Cloud) -> Option<Self> {
        match cloud {
            Cloud::Aws => Some(Self::AwsAccount),
            Cloud::Azure => Some(Self::AzureSubscription),
            Cloud::Gcp => Some(Self::GcpProject),
            Cloud::OnPremises => None,
        }
    }

    /// Kinds that come and go by the minute: they keep current state only, never history.
    pub const fn is_short_lived(self) -> bool {
        matches!(self, Self::K8sPod | Self::K8sReplicaSet | Self::K8sEndpointSlice | Self::K8sJob)
    }

    /// Kinds whose pod template is judged (when no other workload owns them).
    pub const fn is_workload(self) -> bool {
        matches!(
            self,
            Self::K8sPod
                | Self::K8sDeployment
                | Self::K8sDaemonSet
                | Self::K8sStatefulSet
                | Self::K8sReplicaSet
                | Self::K8sReplicationController
                | Self::K8sJob
                | Self::K8sCronJob
                | Self::K8sWorkload
                | Self::K8sStaticPod
        )
    }

    /// JSON pointer of the pod spec inside a workload's configuration.
    pub const fn pod_spec_pointer(self) -> Option<&'static str> {
        match self {
            Self::K8sPod => Some("/spec"),
            Self::K8sCronJob => Some("/spec/jobTemplate/spec/template/spec"),
            kind if kind.is_workload() => Some("/spec/template/spec"),
            _ => None,
        }
    }
}
