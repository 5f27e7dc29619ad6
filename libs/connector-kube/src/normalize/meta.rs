use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The controlling owner that an object names. The reference holds no namespace: owners live beside what they own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnerRef {
    /// API group without the version; empty for the core group.
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

impl OwnerRef {
    /// The owner reference with `controller: true`; other owners only keep an object from being collected.
    pub(crate) fn controller(metadata: &Map<String, Value>) -> Option<Self> {
        let references = metadata.get("ownerReferences")?.as_array()?;
        let of = |reference: &Value, field: &str| reference.get(field).and_then(Value::as_str).map(str::to_owned);
        let reference = references.iter().find(|it| it.get("controller").and_then(Value::as_bool) == Some(true))?;
        let api_version = of(reference, "apiVersion").unwrap_or_default();
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
        Some(Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: of(reference, "kind")?,
            name: of(reference, "name")?,
            uid: of(reference, "uid").unwrap_or_default(),
        })
    }

    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Whether this is `kind` of `group`.
    pub(crate) fn is(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kind == kind
    }

    /// Whether objects of this kind are listed, so that the owner is in the inventory by itself.
    pub(crate) fn is_listed(&self) -> bool {
        self.is_indexed()
            || matches!(
                (self.group.as_str(), self.kind.as_str()),
                ("apps", "Deployment" | "DaemonSet" | "StatefulSet") | ("batch", "CronJob")
            )
    }

    /// Whether objects of this kind are in the owner index, so that the owner's own owner is known.
    pub(crate) fn is_indexed(&self) -> bool {
        self.is("apps", "ReplicaSet") || self.is("batch", "Job") || self.is("", "ReplicationController")
    }
}

/// What is needed of an object's metadata before the rest of it is stripped.
#[derive(Debug)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) namespace: Option<String>,
    pub(crate) uid: Option<String>,
    /// `resourceVersion`, where it is a number: then it rises with every change of the object.
    pub(crate) version: Option<i64>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) controller: Option<OwnerRef>,
    /// Who applied fields, from `managedFields`; sorted, without repeats.
    pub(crate) field_managers: Vec<String>,
}

impl Meta {
    /// Reads the metadata of `object` and takes `managedFields` out of it. `None` when there is no name.
    pub(crate) fn take(object: &mut Map<String, Value>) -> Option<Self> {
        let metadata = object.get_mut("metadata")?.as_object_mut()?;
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).filter(|it| !it.is_empty());
        let name = text("name")?.to_owned();
        let (namespace, uid) = (text("namespace").map(str::to_owned), text("uid").map(str::to_owned));
        let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
        let labels = labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let version = text("resourceVersion").and_then(|version| version.parse().ok());
        let controller = OwnerRef::controller(metadata);
        let managed_fields = metadata.remove("managedFields");
        let entries = managed_fields.as_ref().and_then(Value::as_array).into_iter().flatten();
        let mut field_managers: Vec<String> =
            entries.filter_map(|entry| Some(entry.get("manager")?.as_str()?.to_owned())).collect();
        field_managers.sort_unstable();
        field_managers.dedup();
        Some(Self { name, namespace, uid, version, labels, controller, field_managers })
    }
}
