use serde_json::{Value, json};

use super::{Care, Seed};

const API: &str = "https://www.googleapis.com/compute/v1";
/// What an automatic network gives to the regions in use.
const RANGES: [(&str, &str); 2] = [("europe-west1", "10.132.0"), ("us-east4", "10.150.0")];

/// The default network's subnetworks in the regions among `locations`; of a weak project all but the first keep no flow
/// logs.
pub(crate) fn subnetworks(seed: Seed, project: &str, locations: &[&str], care: Care) -> Vec<Value> {
    let used = RANGES.iter().filter(|(region, _)| locations.contains(region));
    used.enumerate()
        .map(|(index, (region, range))| {
            let seed = seed.child("subnetwork").child(project).child(region);
            let logs = index == 0 || care != Care::Weak;
            let log_config = if logs {
                json!({ "enable": true, "aggregationInterval": "INTERVAL_5_SEC", "flowSampling": 0.5,
                    "metadata": "INCLUDE_ALL_METADATA" })
            } else {
                json!({ "enable": false })
            };
            json!({
                "kind": "compute#subnetwork", "id": id(seed), "creationTimestamp": "2024-03-01T01:02:03.456-08:00",
                "name": "default", "network": format!("{API}/projects/{project}/global/networks/default"),
                "ipCidrRange": format!("{range}.0/20"), "gatewayAddress": format!("{range}.1"),
                "region": format!("{API}/projects/{project}/regions/{region}"),
                "selfLink": format!("{API}/projects/{project}/regions/{region}/subnetworks/default"),
                "privateIpGoogleAccess": logs, "enableFlowLogs": logs, "logConfig": log_config,
                "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS", "purpose": "PRIVATE", "stackType": "IPV4_ONLY",
                "fingerprint": format!("{}=", seed.child("fingerprint").hex(11)),
                "secondaryIpRanges": [{ "rangeName": "pods", "ipCidrRange": format!("10.{}.0.0/14", 64 + 4 * index) },
                    { "rangeName": "services", "ipCidrRange": format!("10.{}.0.0/20", 128 + index) }],
            })
        })
        .collect()
}

/// The default network's firewall rules: SSH, from anywhere in a weak project and from Google's proxy in others; traffic
/// inside; and what GKE lets through to the nodes of a cluster.
pub(crate) fn firewalls(seed: Seed, project: &str, care: Care) -> Vec<Value> {
    let ssh = if care == Care::Weak { "0.0.0.0/0" } else { "35.235.240.0/20" };
    let rule = |name: &str, priority: u32, source: &str, allowed: Value| {
        json!({
            "kind": "compute#firewall", "id": id(seed.child("firewall").child(project).child(name)),
            "creationTimestamp": "2024-03-01T01:02:03.456-08:00", "name": name, "description": "",
            "network": format!("{API}/projects/{project}/global/networks/default"), "priority": priority,
            "direction": "INGRESS", "sourceRanges": [source], "allowed": allowed, "disabled": false,
            "logConfig": { "enable": false }, "selfLink": format!("{API}/projects/{project}/global/firewalls/{name}"),
        })
    };
    let any = json!([{ "IPProtocol": "tcp", "ports": ["0-65535"] }, { "IPProtocol": "udp", "ports": ["0-65535"] },
        { "IPProtocol": "icmp" }]);
    let suffix = seed.child("firewall").child(project).hex(8);
    let mut nodes = rule(&format!("gke-checkout-prod-{suffix}-vms"), 999, "10.128.0.0/9", any.clone());
    nodes["targetTags"] = json!([format!("gke-checkout-prod-{suffix}-node")]);
    vec![
        rule("default-allow-ssh", 65_534, ssh, json!([{ "IPProtocol": "tcp", "ports": ["22"] }])),
        rule("default-allow-internal", 65_534, "10.128.0.0/9", any),
        nodes,
    ]
}

/// Ids are large numbers, written as text.
fn id(seed: Seed) -> String {
    (1_000_000_000_000_000_000 + seed.below(8_000_000_000_000_000_000)).to_string()
}
