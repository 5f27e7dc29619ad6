use serde_json::{Value, json};

use super::Care;
use crate::world::plan::{Access, Cluster};

/// An item of `clusters.list`, without endpoint and certificate authority.
pub(crate) fn cluster(cluster: &Cluster, care: Care) -> Option<Value> {
    let (project, location) = cluster.gke_place()?;
    let seed = cluster.seed;
    let good = |setting: &str| match care {
        Care::Sound => true,
        Care::Weak => false,
        Care::Mixed => seed.child(setting).chance(50),
    };
    let private = cluster.access == Access::Unreachable;
    let version = cluster.git_version().trim_start_matches('v').to_owned();
    let cidrs = if good("cidrs") { "198.51.100.0/24" } else { "0.0.0.0/0" };
    let blocks = json!([{ "displayName": "office", "cidrBlock": cidrs }]);
    let networks = json!({ "enabled": true, "cidrBlocks": blocks, "gcpPublicCidrsAccessEnabled": false });
    let ip = json!({ "enabled": true, "enablePublicEndpoint": !private, "authorizedNetworksConfig": networks });
    let mut described = json!({
        "name": cluster.name, "id": seed.child("id").hex(64), "location": location, "locations": [format!("{location}-b")],
        "selfLink": format!("https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{}", cluster.name),
        "status": "RUNNING", "createTime": "2025-02-03T04:05:06+00:00", "etag": seed.child("etag").hex(8),
        "currentMasterVersion": version, "currentNodeVersion": version, "currentNodeCount": cluster.nodes,
        "initialClusterVersion": version, "network": "default", "subnetwork": "default",
        "masterAuthorizedNetworksConfig": networks,
        "controlPlaneEndpointsConfig": { "ipEndpointsConfig": ip,
            "dnsEndpointConfig": { "endpoint": format!("gke-{}.{location}.gke.goog", seed.child("dns").hex(12)),
                "allowExternalTraffic": false } },
        "releaseChannel": if good("channel") { json!({ "channel": "REGULAR" }) } else { json!({}) },
        "legacyAbac": if good("abac") { json!({}) } else { json!({ "enabled": true }) },
        "networkPolicy": if good("policy") { json!({ "enabled": true, "provider": "CALICO" }) } else { json!({}) },
        "shieldedNodes": if good("shielded") { json!({ "enabled": true }) } else { json!({}) },
        "binaryAuthorization": if good("binary") { json!({ "evaluationMode": "PROJECT_SINGLETON_POLICY_ENFORCE" }) } else { json!({}) },
        "securityPostureConfig": { "mode": "BASIC", "vulnerabilityMode": "VULNERABILITY_DISABLED" },
        "loggingConfig": { "componentConfig": { "enableComponents": ["SYSTEM_COMPONENTS", "WORKLOADS"] } },
        "resourceLabels": { "environment": if cluster.name.contains("prod") { "production" } else { "other" } },
        "autopilot": {}, "nodePools": node_pools(cluster, &version, good("node")),
    });
    if private {
        described["privateClusterConfig"] = json!({ "enablePrivateNodes": true, "enablePrivateEndpoint": true });
    }
    if good("identity") {
        described["workloadIdentityConfig"] = json!({ "workloadPool": format!("{project}.svc.id.goog") });
    }
    described["databaseEncryption"] = if good("kms") {
        json!({ "state": "ENCRYPTED", "keyName": format!("projects/{project}/locations/{location}/keyRings/gke/cryptoKeys/etcd") })
    } else {
        json!({ "state": "DECRYPTED" })
    };
    Some(described)
}

fn node_pools(cluster: &Cluster, version: &str, good: bool) -> Value {
    let pool = |name: &str, spot: bool| {
        let mut config = json!({
            "machineType": "e2-standard-4", "diskSizeGb": 100, "diskType": "pd-balanced", "imageType": "COS_CONTAINERD",
            "serviceAccount": if good { "nodes@shop.iam.gserviceaccount.com" } else { "default" },
            "oauthScopes": ["https://www.googleapis.com/auth/cloud-platform"],
            "metadata": { "disable-legacy-endpoints": "true" }, "labels": { "pool": name },
            "shieldedInstanceConfig": { "enableIntegrityMonitoring": true },
            "workloadMetadataConfig": { "mode": if good { "GKE_METADATA" } else { "GCE_METADATA" } },
        });
        if spot {
            config["spot"] = true.into();
        }
        json!({
            "name": name, "status": "RUNNING", "version": version, "initialNodeCount": cluster.nodes, "config": config,
            "etag": cluster.seed.child("pool").child(name).hex(8), "locations": [format!("{}-b", cluster.region().unwrap_or("x"))],
            "management": if good { json!({ "autoUpgrade": true, "autoRepair": true }) } else { json!({ "autoRepair": true }) },
            "autoscaling": {}, "maxPodsConstraint": { "maxPodsPerNode": "110" },
        })
    };
    json!([pool("default-pool", false), pool("spot", true)])
}
