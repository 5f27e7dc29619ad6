//! Objects as files state them, made into the resources that a scan of a cluster would make of them.

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource};
use serde_json::{Map, Value};

use crate::kinds::{CONFIG_MAPS, Entry, FIRST, PODS, REST, SECRETS};
use crate::normalize::{Cluster, Redactor, object};

/// Kinds that older clusters served from this group.
const EXTENSIONS: (&str, &[&str]) =
    ("extensions", &["Deployment", "DaemonSet", "ReplicaSet", "Ingress", "NetworkPolicy"]);

/// Makes resources of manifests: the same normalisation as a scan's, for a cluster that need not exist.
#[derive(Debug)]
pub struct Manifests {
    cluster: Cluster,
}

impl Manifests {
    /// Resources whose literal values are hidden under `redaction_key`.
    pub fn new(redaction_key: [u8; 32]) -> Self {
        let cluster = Cluster {
            uid: "manifest".to_owned(),
            native_id: NativeId::new("k8s://manifest"),
            name: "manifest".to_owned(),
            cloud: Cloud::OnPremises,
            account: None,
            region: None,
            redactor: Redactor::new(redaction_key),
        };
        Self { cluster }
    }

    /// The kind under which objects of this API version and kind are read; `None` for what no scan reads.
    pub fn kind(api_version: &str, kind: &str) -> Option<Kind> {
        entry(group(api_version), kind).map(|entry| entry.kind)
    }

    /// The resource that `item` is as an object of `kind` (see [`kind`](Self::kind)), or a workload of a kind that no scan
    /// reads, whose pod template lies where that of a deployment does. `None` when it is no object.
    ///
    /// It is the customer's: a manifest says nothing of who will manage what it makes, and its labels are anybody's to
    /// choose. An object that the API server will name goes by its `generateName`.
    pub fn resource(&self, kind: Kind, mut item: Value) -> Option<Resource> {
        let map = item.as_object_mut()?;
        let text = |field: &str| map.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, name) = (text("apiVersion"), text("kind"));
        named(map);
        let entry = match entry(group(&api_version), &name).filter(|entry| entry.kind == kind) {
            Some(entry) => entry,
            None if kind == Kind::K8sWorkload => &WORKLOAD,
            None => return None,
        };
        let mut resource = object(&self.cluster, entry, group(&api_version), &api_version, item)?;
        resource.managed_by = ManagedBy::Customer;
        Some(resource)
    }
}

/// Stands for every kind that no scan reads.
const WORKLOAD: Entry = Entry { kind: Kind::K8sWorkload, name: "", ..PODS };

fn group(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

fn entry(group: &str, kind: &str) -> Option<&'static Entry> {
    let (extensions, moved) = EXTENSIONS;
    let served = |entry: &&Entry| {
        entry.name == kind
            && (entry.sources.iter().any(|source| source.group == group)
                || (group == extensions && moved.contains(&kind) && !entry.sources[0].group.contains("calico")))
    };
    FIRST.iter().chain([&PODS]).chain(REST).chain([&CONFIG_MAPS, &SECRETS]).find(served)
}

/// Gives an object without a name the beginning of the one that it will get.
fn named(object: &mut Map<String, Value>) {
    let metadata = object.entry("metadata").or_insert_with(|| Map::new().into());
    if !metadata.is_object() {
        *metadata = Map::new().into();
    }
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text("name").is_none() {
        let name = text("generateName").unwrap_or("unnamed").to_owned();
        metadata["name"] = name.into();
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::{Kind, ManagedBy};
    use serde_json::json;

    use super::Manifests;

    #[test]
    fn kinds_are_told_by_their_group() {
        let check = |api, kind, expected| assert_eq!(Manifests::kind(api, kind), expected, "{api} {kind}");
        check("v1", "Pod", Some(Kind::K8sPod));
        check("extensions/v1beta1", "Deployment", Some(Kind::K8sDeployment));
        check("extensions/v1beta1", "NetworkPolicy", Some(Kind::K8sNetworkPolicy));
        check("batch/v2alpha1", "CronJob", Some(Kind::K8sCronJob));
        check("projectcalico.org/v3", "NetworkPolicy", Some(Kind::K8sCalicoNetworkPolicy));
        check("argoproj.io/v1alpha1", "Rollout", None);
        check("example.com/v1", "Pod", None);
    }

    #[test]
    fn a_manifest_is_the_customers_and_its_literals_are_hidden() {
        let manifests = Manifests::new([1; 32]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"generateName": "job-", "namespace": "kube-system",
                         "labels": {"eks.amazonaws.com/component": "coredns"}},
            "spec": {"serviceAccountName": "coredns", "containers": [
                {"name": "c", "image": "registry.k8s.io/coredns:1", "env": [{"name": "A", "value": "secret"}]}]},
        });
        let resource = manifests.resource(Kind::K8sPod, pod).unwrap();
        assert_eq!((resource.name.as_str(), resource.managed_by), ("job-", ManagedBy::Customer));
        let value = resource.config.pointer("/spec/containers/0/env/0/value").unwrap();
        assert!(value.as_str().unwrap().starts_with("hmac:"), "{value}");
    }

    #[test]
    fn a_workload_of_another_kind_keeps_its_kind() {
        let rollout = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"},
                             "spec": {"template": {"spec": {"containers": []}}}});
        let resource = Manifests::new([1; 32]).resource(Kind::K8sWorkload, rollout).unwrap();
        assert_eq!(resource.config["kind"], "Rollout");
        assert_eq!(resource.kind, Kind::K8sWorkload);
    }
}
