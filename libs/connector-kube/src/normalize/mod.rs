//! From the API's objects to resources: pure functions, one object in, one resource out.
//!
//! ```text
//! object ─▶ meta (name, labels, controller, field managers) ─▶ managed_by
//!        └▶ strip churn ─▶ redact literals ─▶ Resource
//! pods   ─▶ roll-up: owner index ─▶ workloads nobody lists, static pods, running images
//! ```

mod image;
mod managed;
mod meta;
mod pods;
mod redact;
pub(crate) mod rollup;
mod secrets;
mod strip;

use rampart_domain::{Cloud, Kind, ManagedBy, NativeId, Resource, is_active, strip_nulls};
use serde_json::{Value, json};

pub(crate) use meta::{Meta, OwnerRef};
pub(crate) use pods::{Owners, Pods};
pub(crate) use redact::Redactor;

use crate::kinds::Entry;

/// What every resource of a cluster has in common.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Uid of the kube-system namespace: the cluster's identity.
    pub(crate) uid: String,
    pub(crate) native_id: NativeId,
    pub(crate) name: String,
    pub(crate) cloud: Cloud,
    pub(crate) account: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) redactor: Redactor,
}

impl Cluster {
    pub(crate) fn id(&self, group: &str, kind: &str, namespace: Option<&str>, name: &str) -> NativeId {
        NativeId::kubernetes(&self.uid, group, kind, namespace.unwrap_or_default(), name)
    }

    /// The native id of what an owner reference in `namespace` points at.
    fn owner_id(&self, owner: &OwnerRef, namespace: Option<&str>) -> NativeId {
        let namespace = if owner.kind == "Node" { None } else { namespace };
        self.id(&owner.group, &owner.kind, namespace, &owner.name)
    }

    /// A resource of this cluster with nothing but its identity.
    fn resource(&self, kind: Kind, native_id: NativeId, name: String, config: Value) -> Resource {
        Resource {
            native_id,
            kind,
            name,
            cloud: self.cloud,
            account: self.account.clone(),
            region: self.region.clone(),
            cluster: Some(self.native_id.clone()),
            namespace: None,
            labels: std::collections::BTreeMap::new(),
            managed_by: ManagedBy::Customer,
            owner: None,
            active: true,
            uid: None,
            version: None,
            partial: false,
            config,
        }
    }

    /// The API server itself: what `/version` answered, and the groups that it serves.
    pub(crate) fn api_server(&self, version: Value, mut groups: Vec<String>) -> Resource {
        groups.sort_unstable();
        let mut config = json!({"kubeSystemUid": self.uid, "apiGroups": groups});
        config["version"] = version;
        strip_nulls(&mut config);
        let mut resource = self.resource(Kind::K8sCluster, self.native_id.clone(), self.name.clone(), config);
        resource.uid = Some(self.uid.clone());
        resource
    }
}

/// The objects of one page of a list, as resources. What has no name is no object and is left out.
pub(crate) fn page(
    cluster: &Cluster,
    entry: &Entry,
    group: &str,
    api_version: &str,
    items: impl Iterator<Item = Value>,
) -> impl Iterator<Item = Resource> {
    items.filter_map(move |item| object(cluster, entry, group, api_version, item))
}

/// One object as a resource.
pub(crate) fn object(
    cluster: &Cluster,
    entry: &Entry,
    group: &str,
    api_version: &str,
    item: Value,
) -> Option<Resource> {
    let Value::Object(mut object) = item else { return None };
    let kind = match (entry.name, object.get("kind").and_then(Value::as_str)) {
        ("", own) => own.unwrap_or_default().to_owned(),
        (name, _) => name.to_owned(),
    };
    let meta = Meta::take(&mut object)?;
    let managed_by = managed::managed_by(entry.kind, &meta, &object);
    let active = is_active(entry.kind, &object);
    let owner = meta.controller.as_ref().map(|owner| cluster.owner_id(owner, meta.namespace.as_deref()));

    strip::churn(entry.kind, &mut object);
    let (namespace, name, labels, uid, version) = (meta.namespace, meta.name, meta.labels, meta.uid, meta.version);
    object.insert("apiVersion".to_owned(), api_version.into());
    let native_id = cluster.id(group, &kind, namespace.as_deref(), &name);
    object.insert("kind".to_owned(), kind.into());
    let mut config = Value::Object(object);
    redact(&cluster.redactor, entry.kind, &mut config);
    strip_nulls(&mut config);

    let mut resource = cluster.resource(entry.kind, native_id, name, config);
    resource.namespace = namespace;
    resource.labels = labels;
    resource.managed_by = managed_by;
    resource.owner = owner;
    resource.active = active;
    resource.uid = uid;
    resource.version = version;
    Some(resource)
}

fn redact(redactor: &Redactor, kind: Kind, config: &mut Value) {
    if let Some(pointer) = kind.pod_spec_pointer() {
        if let Some(spec) = config.pointer_mut(pointer) {
            redactor.pod_spec(spec);
        }
    } else if kind == Kind::K8sPersistentVolume
        && let Some(spec) = config.get_mut("spec")
    {
        redactor.volume(spec);
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
