//! Every object of a built-in kind is what the Kubernetes API's own types say: it decodes, and nothing is lost on the way.

use cloudsim::world::{KindKey, Preset, World, WorldSpec, kinds};
use k8s_openapi::api::admissionregistration::v1 as admission;
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core};
use k8s_openapi::api::{
    discovery::v1 as discovery, networking::v1 as networking, rbac::v1 as rbac, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The object after a round trip through its type.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let typed: T = serde_json::from_value(object.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(typed).map_err(|error| error.to_string())
}

fn typed(key: KindKey, object: &Value) -> Option<Result<Value, String>> {
    let result = match key {
        kinds::POD => through::<core::Pod>(object),
        kinds::NODE => through::<core::Node>(object),
        kinds::NAMESPACE => through::<core::Namespace>(object),
        kinds::SERVICE => through::<core::Service>(object),
        kinds::SERVICE_ACCOUNT => through::<core::ServiceAccount>(object),
        kinds::RESOURCE_QUOTA => through::<core::ResourceQuota>(object),
        kinds::LIMIT_RANGE => through::<core::LimitRange>(object),
        kinds::PERSISTENT_VOLUME => through::<core::PersistentVolume>(object),
        kinds::CONFIG_MAP => through::<core::ConfigMap>(object),
        kinds::DEPLOYMENT => through::<apps::Deployment>(object),
        kinds::DAEMON_SET => through::<apps::DaemonSet>(object),
        kinds::STATEFUL_SET => through::<apps::StatefulSet>(object),
        kinds::REPLICA_SET => through::<apps::ReplicaSet>(object),
        kinds::JOB => through::<batch::Job>(object),
        kinds::CRON_JOB => through::<batch::CronJob>(object),
        kinds::LEASE => through::<coordination::Lease>(object),
        kinds::ENDPOINT_SLICE => through::<discovery::EndpointSlice>(object),
        kinds::NETWORK_POLICY => through::<networking::NetworkPolicy>(object),
        kinds::INGRESS => through::<networking::Ingress>(object),
        kinds::ROLE => through::<rbac::Role>(object),
        kinds::CLUSTER_ROLE => through::<rbac::ClusterRole>(object),
        kinds::ROLE_BINDING => through::<rbac::RoleBinding>(object),
        kinds::CLUSTER_ROLE_BINDING => through::<rbac::ClusterRoleBinding>(object),
        kinds::STORAGE_CLASS => through::<storage::StorageClass>(object),
        kinds::VALIDATING_WEBHOOK => through::<admission::ValidatingWebhookConfiguration>(object),
        kinds::MUTATING_WEBHOOK => through::<admission::MutatingWebhookConfiguration>(object),
        kinds::ADMISSION_POLICY => through::<admission::ValidatingAdmissionPolicy>(object),
        kinds::ADMISSION_BINDING => through::<admission::ValidatingAdmissionPolicyBinding>(object),
        kinds::CUSTOM_RESOURCE_DEFINITION => through::<extensions::CustomResourceDefinition>(object),
        _ => return None,
    };
    Some(result)
}

/// Pointers of members that the type does not know. Nulls, empty lists and maps may go.
fn lost(before: &Value, after: Option<&Value>, at: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Null, _) => {}
        (Value::Object(fields), after) if !fields.is_empty() => {
            for (name, value) in fields {
                lost(value, after.and_then(|after| after.get(name)), &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(items), after) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                lost(value, after.and_then(|after| after.get(index)), &format!("{at}/{index}"), found);
            }
        }
        (Value::Object(_) | Value::Array(_), _) | (_, Some(_)) => {}
        (_, None) => found.push(at.to_owned()),
    }
}

fn check(world: &World, kept: usize) {
    for cluster in world.clusters() {
        for (key, object) in world.kube_objects(cluster).take(kept) {
            let Some(result) = typed(key, &object) else { continue };
            let name = format!("{} {}", key.kind, object["metadata"]["name"]);
            let after = result.unwrap_or_else(|error| panic!("{name}: {error}"));
            let mut found = Vec::new();
            lost(&object, Some(&after), "", &mut found);
            assert_eq!(found, [] as [String; 0], "{name} in {}", cluster.name);
        }
    }
}

#[test]
fn demo_objects_have_the_types_of_the_api() {
    check(&World::new(WorldSpec { seed: 42, preset: Preset::Demo }), usize::MAX);
}

#[test]
fn changed_objects_still_have_them() {
    let mut world = World::new(WorldSpec { seed: 42, preset: Preset::Demo });
    world.mutate(1.0, 3);
    check(&world, usize::MAX);
}

#[test]
fn large_worlds_are_made_of_the_same() {
    check(&World::new(WorldSpec { seed: 42, preset: Preset::Resources100k }), 300);
}
