use rampart_domain::{Kind, ManagedBy, NativeId, Resource};
use serde_json::Value;

use super::{Place, drop_fields, secret, text};

/// Churn: changes without a change of configuration.
const CHURN: &[&str] = &["lastConnectivityTime", "managedIdentityCertificateExpirationTime"];

/// A cluster connected through Arc. One whose agent is silent still runs, as far as anybody knows.
pub(crate) fn connected_cluster(place: &Place, mut listed: Value) -> Option<Resource> {
    if let Some(properties) = listed.get_mut("properties") {
        drop_fields(properties, CHURN);
    }
    let resource = place.object(Kind::AzureArcCluster, listed)?;
    Some(Resource { cluster: Some(resource.native_id.clone()), ..resource })
}

/// An extension of a connected cluster.
pub(crate) fn extension(place: &Place, cluster: &Resource, mut listed: Value) -> Option<Resource> {
    secret::strip(&mut listed);
    if let Some(properties) = listed.get_mut("properties") {
        drop_fields(properties, &["statuses"]);
    }
    let resource = place.object(Kind::AzureArcExtension, listed)?;
    let failed = text(&resource.config["properties"], "provisioningState") == Some("Failed");
    let cluster_id: Option<NativeId> = Some(cluster.native_id.clone());
    let region = resource.region.clone().or_else(|| cluster.region.clone());
    Some(Resource { cluster: cluster_id, region, managed_by: ManagedBy::Addon, active: !failed, ..resource })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn heartbeats_and_protected_settings_are_not_configuration() {
        let place = Place::new("s");
        let id = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Kubernetes/connectedClusters/edge";
        let listed = json!({"id": id, "name": "edge", "location": "West US", "properties": {"connectivityStatus": "Offline",
            "lastConnectivityTime": "2026-01-01T00:00:00Z", "distribution": "k3s"}});
        let edge = connected_cluster(&place, listed).unwrap();
        assert_eq!(edge.config["properties"], json!({"connectivityStatus": "Offline", "distribution": "k3s"}));
        assert!(edge.active, "an agent that is silent says nothing about the cluster");
        let listed = json!({"id": format!("{id}/providers/Microsoft.KubernetesConfiguration/extensions/defender"),
            "name": "defender", "properties": {"configurationProtectedSettings": {"key": "hush"}, "autoUpgradeMinorVersion": true}});
        let extension = extension(&place, &edge, listed).unwrap();
        assert_eq!(extension.config["properties"], json!({"autoUpgradeMinorVersion": true}));
        assert_eq!((extension.cluster, extension.region.as_deref()), (Some(edge.native_id), Some("westus")));
    }
}
