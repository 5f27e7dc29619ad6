//! The connector keeps the promises that every connector makes, over TLS, whichever call breaks in whichever way.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rampart_connector::conformance::{Expected, Fault, Harness, World as Running, run};
use rampart_connector::{Listing, Permission};
use rampart_connector_kube::Options;
use rampart_domain::{Cloud, Family, Kind, Scope};

use crate::world::{UID, estate, start};

struct Kube;

fn options() -> Options {
    Options { list_secret_names: true, list_config_map_names: true, ..Options::new([7; 32]) }
}

#[async_trait]
impl Harness for Kube {
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> Running {
        let mut world = estate();
        world.broken = broken.map(|(permission, fault)| (permission.name.clone(), fault));
        let (_, connector, guard) = start(world, Cloud::Aws, options()).await;
        Running { connector: std::sync::Arc::new(connector), guard: Box::new(guard) }
    }

    fn expected(&self) -> Vec<Expected> {
        let many = BTreeMap::from([
            (Kind::K8sPod, 602),
            (Kind::K8sReplicaSet, 2),
            (Kind::K8sConfigMap, 2),
            (Kind::K8sConstraintTemplate, 2),
            (Kind::RunningImage, 2),
        ]);
        let scope = Scope::Cluster { native_id: format!("k8s://{UID}"), uid: Some(UID.to_owned()) };
        let kinds =
            Kind::ALL.iter().copied().filter(|kind| kind.family() == Family::Kubernetes || *kind == Kind::RunningImage);
        let expected = |kind| {
            let listing = Listing { scope: scope.clone(), kind };
            Expected { listing, resources: many.get(&kind).copied().unwrap_or(1) }
        };
        kinds.map(expected).collect()
    }

    fn applies(&self, permission: &Permission, fault: Fault) -> bool {
        // A 404 on what may not be installed, or on the one config map, says that it is not there: that is an answer.
        let optional = [
            "gateway.networking",
            "cilium",
            "projectcalico",
            "policy.networking",
            "validatingadmission",
            "gatekeeper",
            "aws-auth",
        ];
        fault != Fault::Unsupported || !optional.iter().any(|word| permission.name.contains(word))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_may_fail_in_every_way() {
    if let Err(violations) = run(&Kube).await {
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        panic!("{} violations:\n{}", lines.len(), lines.join("\n"));
    }
}
