use serde_json::{Value, json};

use super::AksCluster;
use crate::world::aws::Care;
use crate::world::plan::{Access, Cluster, Home};

/// What Azure Resource Manager says of a managed cluster; `None` for clusters that live elsewhere.
pub(crate) fn cluster(cluster: &Cluster) -> Option<AksCluster> {
    let Home::Aks { id, region, entra, stopped, .. } = &cluster.home else { return None };
    let seed = cluster.seed.child("aks");
    let good = |setting: &str| match cluster.care {
        Care::Sound => true,
        Care::Weak => false,
        Care::Mixed => seed.child(setting).chance(50),
    };
    let private = cluster.access == Access::Unreachable;
    let mut properties = json!({
        "provisioningState": "Succeeded", "powerState": { "code": if *stopped { "Stopped" } else { "Running" } },
        "kubernetesVersion": cluster.version, "currentKubernetesVersion": format!("{}.4", cluster.version),
        "dnsPrefix": cluster.name, "fqdn": format!("{}.hcp.{region}.azmk8s.io", cluster.name),
        "azurePortalFQDN": format!("{}.portal.hcp.{region}.azmk8s.io", cluster.name),
        "enableRBAC": true, "disableLocalAccounts": *entra && good("local"), "maxAgentPools": 100,
        "nodeResourceGroup": format!("MC_{}_{region}", cluster.name),
        "servicePrincipalProfile": { "clientId": "msi" },
        "apiServerAccessProfile": { "enablePrivateCluster": private,
            "authorizedIPRanges": if good("ranges") && !private { json!(["192.0.2.0/24"]) } else { json!([]) } },
        "autoUpgradeProfile": { "upgradeChannel": if good("upgrade") { "stable" } else { "none" } },
        "networkProfile": { "networkPlugin": "azure", "networkPolicy": if good("policy") { json!("azure") } else { json!(null) },
            "serviceCidr": "10.0.0.0/16", "dnsServiceIP": "10.0.0.10", "outboundType": "loadBalancer", "loadBalancerSku": "Standard" },
        "addonProfiles": {
            "azurepolicy": { "enabled": good("azurepolicy") },
            "omsagent": { "enabled": good("monitoring"), "config": { "logAnalyticsWorkspaceResourceID":
                "/subscriptions/x/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/logs" } },
        },
        "identityProfile": { "kubeletidentity": { "clientId": seed.child("kubelet").uuid(), "objectId": kubelet(cluster) } },
    });
    if *entra {
        properties["aadProfile"] = json!({ "managed": true, "enableAzureRBAC": good("rbac"),
            "adminGroupObjectIDs": [seed.child("admins").uuid()], "tenantID": seed.child("directory").uuid() });
    }
    let system = pool(cluster, id, "system", "System", 3);
    let user = pool(cluster, id, "user", "User", cluster.nodes);
    let profile = |pool: &Value| {
        let mut profile = pool["properties"].clone();
        profile["name"] = pool["name"].clone();
        profile
    };
    properties["agentPoolProfiles"] = json!([profile(&system), profile(&user)]);
    let cluster_value = json!({
        // The list tells the group and the type in a case of their own.
        "id": id.replace("/resourceGroups/", "/resourcegroups/"), "name": cluster.name, "location": region,
        "type": "Microsoft.ContainerService/ManagedClusters", "tags": { "team": "platform" },
        "sku": { "name": "Basic", "tier": if good("sla") { "Paid" } else { "Free" } },
        "identity": { "type": "SystemAssigned", "principalId": seed.child("principal").uuid(), "tenantId": seed.child("directory").uuid() },
        "properties": properties,
    });
    let window = json!({ "id": format!("{id}/maintenanceConfigurations/default"), "name": "default",
        "type": "Microsoft.ContainerService/managedClusters/maintenanceConfigurations",
        "properties": { "timeInWeek": [{ "day": "Sunday", "hourSlots": [1, 2] }], "notAllowedTime": [] } });
    let binding = json!({ "id": format!("{id}/trustedAccessRoleBindings/backup"), "name": "backup",
        "type": "Microsoft.ContainerService/managedClusters/trustedAccessRoleBindings",
        "properties": { "provisioningState": "Succeeded", "roles": ["Microsoft.DataProtection/backupVaults/backup-operator"],
            "sourceResourceId": "/subscriptions/x/resourceGroups/b/providers/Microsoft.DataProtection/BackupVaults/vault" } });
    // Settings tell their cluster's id in lower case.
    let id = format!("{}/providers/microsoft.insights/diagnosticSettings/audit", id.to_lowercase());
    let log = |category: &str, enabled: bool| {
        let kept = json!({ "enabled": false, "days": 0 });
        json!({ "category": category, "categoryGroup": null, "enabled": enabled, "retentionPolicy": kept })
    };
    let audit = json!({ "id": id, "name": "audit", "type": "Microsoft.Insights/diagnosticSettings",
        "location": null, "kind": null, "tags": null, "identity": null,
        "properties": { "workspaceId":
                "/subscriptions/x/resourceGroups/logs/providers/Microsoft.OperationalInsights/workspaces/logs",
            "storageAccountId": null, "eventHubAuthorizationRuleId": null, "eventHubName": null,
            "logs": [log("kube-apiserver", true), log("kube-audit", true), log("kube-audit-admin", false),
                log("guard", true)],
            "metrics": [{ "category": "AllMetrics", "enabled": false,
                "retentionPolicy": { "enabled": false, "days": 0 } }] } });
    Some(AksCluster {
        cluster: cluster_value,
        agent_pools: vec![system, user],
        maintenance: if good("window") { vec![window] } else { Vec::new() },
        trusted_access: if good("backup") { vec![binding] } else { Vec::new() },
        diagnostics: if cluster.care == Care::Sound { vec![audit] } else { Vec::new() },
    })
}

/// The identity by which a cluster's nodes pull images.
pub(super) fn kubelet(cluster: &Cluster) -> String {
    cluster.seed.child("aks").child("object").uuid()
}

fn pool(cluster: &Cluster, id: &str, name: &str, mode: &str, count: u64) -> Value {
    json!({ "id": format!("{id}/agentPools/{name}"), "name": name,
        "type": "Microsoft.ContainerService/managedClusters/agentPools",
        "properties": { "count": count, "vmSize": "Standard_D4s_v5", "osDiskSizeGB": 128, "osDiskType": "Managed",
            "maxPods": 110, "type": "VirtualMachineScaleSets", "mode": mode, "orchestratorVersion": cluster.version,
            "enableNodePublicIP": cluster.care == Care::Weak, "enableEncryptionAtHost": cluster.care == Care::Sound,
            "osType": "Linux", "osSKU": "Ubuntu", "enableFIPS": false, "provisioningState": "Succeeded",
            "powerState": { "code": "Running" } } })
}
