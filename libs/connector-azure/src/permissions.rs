use rampart_connector::Permission;
use rampart_domain::Kind;

/// Every kind that a subscription yields.
pub(crate) const KINDS: [Kind; 17] = [
    Kind::AzureSubscription,
    Kind::AzureAksCluster,
    Kind::AzureAksAgentPool,
    Kind::AzureAksMaintenanceConfiguration,
    Kind::AzureAksTrustedAccessRoleBinding,
    Kind::AzureAcrRegistry,
    Kind::AzureAcrReplication,
    Kind::AzureAcrWebhook,
    Kind::AzureAcrToken,
    Kind::AzureAcrScopeMap,
    Kind::AzureAcrRepository,
    Kind::AzureAcrImage,
    Kind::AzureArcCluster,
    Kind::AzureArcExtension,
    Kind::AzureSecurityPlan,
    Kind::AzureRoleAssignment,
    Kind::AzureDiagnosticSetting,
];

/// Kinds that are listed through clusters, and the cluster itself.
const AKS_KINDS: &[Kind] = &[
    Kind::AzureAksCluster,
    Kind::AzureAksAgentPool,
    Kind::AzureAksMaintenanceConfiguration,
    Kind::AzureAksTrustedAccessRoleBinding,
    Kind::AzureDiagnosticSetting,
];
/// Kinds that are listed through registries, and the registry itself.
const ACR_KINDS: &[Kind] = KINDS.split_at(5).1.split_at(7).0;

pub(crate) const SUBSCRIPTION: &str = "Microsoft.Resources/subscriptions/read";
pub(crate) const CLUSTERS: &str = "Microsoft.ContainerService/managedClusters/read";
pub(crate) const AGENT_POOLS: &str = "Microsoft.ContainerService/managedClusters/agentPools/read";
pub(crate) const MAINTENANCE: &str = "Microsoft.ContainerService/managedClusters/maintenanceConfigurations/read";
pub(crate) const TRUSTED_ACCESS: &str = "Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings/read";
pub(crate) const USER_CREDENTIAL: &str = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action";
pub(crate) const REGISTRIES: &str = "Microsoft.ContainerRegistry/registries/read";
pub(crate) const REPLICATIONS: &str = "Microsoft.ContainerRegistry/registries/replications/read";
pub(crate) const WEBHOOKS: &str = "Microsoft.ContainerRegistry/registries/webhooks/read";
pub(crate) const TOKENS: &str = "Microsoft.ContainerRegistry/registries/tokens/read";
pub(crate) const SCOPE_MAPS: &str = "Microsoft.ContainerRegistry/registries/scopeMaps/read";
/// A data action. Registries that do not look at data actions take `registries/pull/read` for both.
pub(crate) const CATALOG: &str = "Microsoft.ContainerRegistry/registries/catalog/read";
/// A data action, like the one before.
pub(crate) const METADATA: &str = "Microsoft.ContainerRegistry/registries/repositories/metadata/read";
pub(crate) const CONNECTED_CLUSTERS: &str = "Microsoft.Kubernetes/connectedClusters/read";
pub(crate) const EXTENSIONS: &str = "Microsoft.KubernetesConfiguration/extensions/read";
pub(crate) const SECURITY_PLANS: &str = "Microsoft.Security/pricings/read";
pub(crate) const ROLE_ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments/read";
pub(crate) const DIAGNOSTIC_SETTINGS: &str = "Microsoft.Insights/diagnosticSettings/read";

/// Every action of a scan with the kinds that are lost without it.
const ACTIONS: &[(&str, &[Kind])] = &[
    (SUBSCRIPTION, &[Kind::AzureSubscription]),
    (CLUSTERS, AKS_KINDS),
    (AGENT_POOLS, &[Kind::AzureAksAgentPool]),
    (MAINTENANCE, &[Kind::AzureAksMaintenanceConfiguration]),
    (TRUSTED_ACCESS, &[Kind::AzureAksTrustedAccessRoleBinding]),
    // Opens the way to the cluster's own API: everything inside hangs on it.
    (USER_CREDENTIAL, &[Kind::K8sCluster]),
    (REGISTRIES, ACR_KINDS),
    (REPLICATIONS, &[Kind::AzureAcrReplication]),
    (WEBHOOKS, &[Kind::AzureAcrWebhook]),
    (TOKENS, &[Kind::AzureAcrToken]),
    (SCOPE_MAPS, &[Kind::AzureAcrScopeMap]),
    (CATALOG, &[Kind::AzureAcrRepository, Kind::AzureAcrImage]),
    (METADATA, &[Kind::AzureAcrRepository, Kind::AzureAcrImage]),
    (CONNECTED_CLUSTERS, &[Kind::AzureArcCluster, Kind::AzureArcExtension]),
    (EXTENSIONS, &[Kind::AzureArcExtension]),
    (SECURITY_PLANS, &[Kind::AzureSecurityPlan]),
    (ROLE_ASSIGNMENTS, &[Kind::AzureRoleAssignment]),
    (DIAGNOSTIC_SETTINGS, &[Kind::AzureDiagnosticSetting]),
];

/// The actions that a scan uses, by the names that roles are made of.
pub fn permissions() -> Vec<Permission> {
    ACTIONS.iter().map(|(name, kinds)| Permission { name: (*name).to_owned(), kinds: kinds.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use rampart_domain::Family;

    use super::*;

    #[test]
    fn every_azure_kind_is_read_and_hangs_on_an_action() {
        let of_azure = |kind: &&Kind| kind.family() == Family::Azure && **kind != Kind::AzureManagementGroup;
        let known: Vec<_> = Kind::ALL.iter().filter(of_azure).copied().collect();
        assert_eq!(known, KINDS, "management groups are read with the organisation");
        for kind in KINDS {
            assert!(ACTIONS.iter().any(|(_, kinds)| kinds.contains(&kind)), "{kind}");
        }
        let of_aks = |kind: &Kind| kind.as_str().starts_with("azure.aks.") || *kind == Kind::AzureDiagnosticSetting;
        let through_clusters: Vec<_> = KINDS.into_iter().filter(of_aks).collect();
        assert_eq!(AKS_KINDS, through_clusters, "what lies in a cluster is lost with the list of clusters");
        assert_eq!((ACR_KINDS.len(), ACR_KINDS.first()), (7, Some(&Kind::AzureAcrRegistry)));
    }
}
