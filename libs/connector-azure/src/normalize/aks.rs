use rampart_domain::{Kind, NativeId, Resource};
use serde_json::Value;

use super::{Place, is_passing, secret, text};

/// A managed cluster. A stopped one is not active: nothing runs, and it comes back as it was.
pub(crate) fn cluster(place: &Place, mut listed: Value) -> Option<Resource> {
    secret::strip(&mut listed);
    let resource = place.object(Kind::AzureAksCluster, listed)?;
    let properties = &resource.config["properties"];
    let active = !is_passing(properties) && !is_stopped(properties);
    Some(Resource { cluster: Some(resource.native_id.clone()), active, ..resource })
}

/// An agent pool. One at zero runs nothing; one that does not tell its size counts as running.
pub(crate) fn agent_pool(place: &Place, cluster: &Resource, listed: Value) -> Option<Resource> {
    let resource = child(place, Kind::AzureAksAgentPool, cluster, listed)?;
    let properties = &resource.config["properties"];
    let active = !is_passing(properties) && !is_stopped(properties) && properties["count"].as_u64() != Some(0);
    Some(Resource { active, ..resource })
}

/// A maintenance configuration.
pub(crate) fn maintenance_configuration(place: &Place, cluster: &Resource, listed: Value) -> Option<Resource> {
    child(place, Kind::AzureAksMaintenanceConfiguration, cluster, listed)
}

/// A trusted-access role binding.
pub(crate) fn trusted_access_role_binding(place: &Place, cluster: &Resource, listed: Value) -> Option<Resource> {
    child(place, Kind::AzureAksTrustedAccessRoleBinding, cluster, listed)
}

/// A diagnostic setting: which logs are sent where.
pub(crate) fn diagnostic_setting(place: &Place, cluster: &Resource, listed: Value) -> Option<Resource> {
    child(place, Kind::AzureDiagnosticSetting, cluster, listed)
}

/// Whether a cluster or pool was stopped by its owner.
pub(crate) fn is_stopped(properties: &Value) -> bool {
    text(&properties["powerState"], "code") == Some("Stopped")
}

/// Some children are listed with an id that names no child: the cluster's and the name make one.
fn child(place: &Place, kind: Kind, cluster: &Resource, listed: Value) -> Option<Resource> {
    let mut resource = place.object(kind, listed)?;
    if resource.native_id == cluster.native_id {
        let name = resource.name.to_ascii_lowercase();
        resource.native_id = NativeId::new(format!("{}/{kind}/{name}", cluster.native_id));
    }
    let region = resource.region.clone().or_else(|| cluster.region.clone());
    Some(Resource { cluster: Some(cluster.native_id.clone()), region, ..resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: &str = "/subscriptions/s/resourcegroups/RG/providers/Microsoft.ContainerService/managedClusters/Prod";

    fn prod(properties: &Value) -> Resource {
        let listed = json!({"id": ID, "name": "Prod", "location": "westeurope", "properties": properties});
        cluster(&Place::new("s"), listed).unwrap()
    }

    #[test]
    fn a_cluster_is_active_when_it_could_answer() {
        let active = |properties| prod(&properties).active;
        assert!(active(json!({"provisioningState": "Succeeded", "powerState": {"code": "Running"}})));
        assert!(active(json!({"provisioningState": "Failed"})), "a failed change leaves a cluster that runs");
        assert!(!active(json!({"provisioningState": "Succeeded", "powerState": {"code": "Stopped"}})));
        assert!(!active(json!({"provisioningState": "Creating"})) && !active(json!({"provisioningState": "Deleting"})));
    }

    #[test]
    fn pools_belong_to_their_cluster_and_its_region() {
        let prod = prod(&json!({}));
        let listed = json!({"id": format!("{ID}/agentPools/User"), "name": "User", "properties": {"count": 0}});
        let pool = agent_pool(&Place::new("s"), &prod, listed).unwrap();
        assert_eq!((pool.cluster, pool.region.as_deref()), (Some(prod.native_id.clone()), Some("westeurope")));
        assert!(!pool.active && pool.native_id.as_str().ends_with("/managedclusters/prod/agentpools/user"));
        let sloppy = maintenance_configuration(&Place::new("s"), &prod, json!({"id": ID, "name": "Default"})).unwrap();
        assert_ne!(sloppy.native_id, prod.native_id, "a child never overwrites its cluster");
    }

    #[test]
    fn a_diagnostic_setting_belongs_to_its_cluster_and_keeps_its_logs() {
        let prod = prod(&json!({}));
        let logs = json!([{"category": "kube-audit", "enabled": true, "retentionPolicy": {"days": 0}}]);
        let id = format!("{}/providers/microsoft.insights/diagnosticSettings/Audit", ID.to_lowercase());
        let listed = json!({"id": id, "name": "Audit", "location": null,
            "properties": {"workspaceId": "/subscriptions/s/w", "storageAccountId": null, "logs": logs}});
        let setting = diagnostic_setting(&Place::new("s"), &prod, listed).unwrap();
        assert_eq!((setting.cluster, setting.region.as_deref()), (Some(prod.native_id), Some("westeurope")));
        assert_eq!((setting.native_id.as_str(), setting.name.as_str()), (id.to_lowercase().as_str(), "Audit"));
        assert_eq!(setting.config["properties"], json!({"workspaceId": "/subscriptions/s/w", "logs": logs}));
    }
}
