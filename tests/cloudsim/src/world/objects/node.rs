use serde_json::{Value, json};

use crate::world::draft::{CHURN_TIME, Draft, Object, timestamp};
use crate::world::kinds;
use crate::world::plan::{Cluster, Home};

/// Name of the `index`th node.
pub(crate) fn name(cluster: &Cluster, index: u64) -> String {
    let (high, low) = (index / 250, index % 250 + 2);
    match &cluster.home {
        Home::Eks { region, .. } => format!("ip-10-0-{high}-{low}.{region}.compute.internal"),
        Home::Aks { .. } => format!("aks-user-{}-vmss{index:06}", cluster.seed.child("pool").below(100_000_000)),
        Home::Gke { .. } => format!("gke-{}-default-pool-{:04x}", cluster.name, index),
        Home::OnPremises if index == 0 => format!("{}-control-plane-1", cluster.name),
        Home::OnPremises => format!("{}-worker-{index}", cluster.name),
    }
}

/// A node and the lease by which its kubelet says that it lives.
pub(crate) fn objects(cluster: &Cluster, index: u64) -> [Object; 2] {
    let name = name(cluster, index);
    let seed = cluster.seed.child("node").nth(index);
    let address = format!("10.0.{}.{}", index / 250, index % 250 + 2);
    let capacity = json!({ "cpu": "8", "memory": "32386504Ki", "pods": "58", "ephemeral-storage": "104845292Ki",
        "hugepages-1Gi": "0", "hugepages-2Mi": "0" });
    let conditions = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ]
    .map(|(kind, status, reason, message)| {
        json!({ "type": kind, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": CHURN_TIME, "lastTransitionTime": "2026-08-01T06:00:00Z" })
    });
    let images: Vec<Value> = (0..12)
        .map(|i| {
            let digest = seed.child("image").nth(i).hex(64);
            json!({ "names": [format!("{}/base/layer-{i}@sha256:{digest}", cluster.registry), format!("{}/base/layer-{i}:v{i}", cluster.registry)],
                    "sizeBytes": seed.nth(i).below(400_000_000) + 1_000_000 })
        })
        .collect();
    let eks = matches!(cluster.home, Home::Eks { .. });
    let control_plane = cluster.home == Home::OnPremises && index == 0;
    let mut spec =
        json!({ "podCIDR": format!("10.{}.0.0/24", index % 200), "podCIDRs": [format!("10.{}.0.0/24", index % 200)] });
    if control_plane {
        spec["taints"] = json!([{ "key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule" }]);
    }
    let region = match &cluster.home {
        Home::Eks { region, .. } | Home::Aks { region, .. } | Home::Gke { location: region, .. } => region.as_str(),
        Home::OnPremises => "dc1",
    };
    if eks {
        spec["providerID"] = format!("aws:///{region}a/i-{}", seed.hex(17)).into();
    } else if let Home::Aks { id, .. } = &cluster.home {
        spec["providerID"] = format!("azure://{id}/virtualMachineScaleSets/aks-user/virtualMachines/{index}").into();
    }
    if let Some((project, location)) = cluster.gke_place() {
        spec["providerID"] = format!("gce://{project}/{location}-b/{name}").into();
    }
    let body = json!({
        "spec": spec,
        "status": {
            "addresses": [{ "type": "InternalIP", "address": address }, { "type": "Hostname", "address": name }],
            "allocatable": capacity, "capacity": capacity, "conditions": conditions, "images": images,
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
            "nodeInfo": {
                "architecture": "amd64", "operatingSystem": "linux", "bootID": seed.child("boot").uuid(),
                "machineID": seed.child("machine").hex(32), "systemUUID": seed.child("system").uuid(),
                "containerRuntimeVersion": "containerd://2.1.4", "kernelVersion": "6.12.46-66.121.amzn2023.x86_64",
                "kubeProxyVersion": "", "kubeletVersion": cluster.git_version(),
                "osImage": if eks { "Amazon Linux 2023.8.20250915" } else { "Debian GNU/Linux 12 (bookworm)" },
            },
        },
    });
    let mut labels = json!({
        "beta.kubernetes.io/arch": "amd64", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
        "kubernetes.io/hostname": name, "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": format!("{region}{}", ["a", "b", "c"][(index % 3) as usize]),
    });
    if eks {
        labels["eks.amazonaws.com/nodegroup"] = "workers".into();
        labels["node.kubernetes.io/instance-type"] = "m6i.2xlarge".into();
    } else if matches!(cluster.home, Home::Aks { .. }) {
        labels["kubernetes.azure.com/agentpool"] = "user".into();
    } else if control_plane {
        labels["node-role.kubernetes.io/control-plane"] = "".into();
    } else {
        labels["node-role.kubernetes.io/worker"] = "".into();
    }
    let node = Draft::new(kinds::NODE, None, name.clone(), body)
        .labels(labels)
        .annotation("node.alpha.kubernetes.io/ttl", "0")
        .annotation("volumes.kubernetes.io/controller-managed-attach-detach", "true")
        .churning();
    let lease = json!({ "spec": { "holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": CHURN_TIME } });
    let lease = Draft::new(kinds::LEASE, Some("kube-node-lease"), name, lease)
        .annotation("node.example/registered", timestamp(seed.below(1_000_000)))
        .churning();
    [node.build(cluster.seed), lease.build(cluster.seed)]
}
