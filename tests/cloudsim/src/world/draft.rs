use serde_json::{Map, Value, json};

use super::kinds::KindKey;
use super::seed::Seed;

/// Stands for the time of the read in objects that change by themselves.
pub(crate) const CHURN_TIME: &str = "@churn-time@";
/// Stands for the resource version of the read in objects that change by themselves.
pub(crate) const CHURN_VERSION: &str = "@churn-version@";

/// One object of a cluster.
pub(crate) type Object = (KindKey, Value);

/// An owner reference with `controller: true`.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// An object before the API server filled in its metadata.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    key: KindKey,
    namespace: Option<String>,
    name: String,
    labels: Value,
    annotations: Map<String, Value>,
    owner: Option<Owner>,
    manager: &'static str,
    body: Value,
    applied: bool,
    churns: bool,
}

/// Uid of the object of this kind, namespace and name.
pub(crate) fn uid(seed: Seed, key: KindKey, namespace: Option<&str>, name: &str) -> String {
    identity(seed, key, namespace, name).child("uid").uuid()
}

pub(crate) fn identity(seed: Seed, key: KindKey, namespace: Option<&str>, name: &str) -> Seed {
    seed.child(key.group).child(key.plural).child(namespace.unwrap_or_default()).child(name)
}

impl Draft {
    /// `body` holds everything beside `apiVersion`, `kind` and `metadata`.
    pub(crate) fn new(key: KindKey, namespace: Option<&str>, name: impl Into<String>, body: Value) -> Self {
        Self {
            key,
            namespace: namespace.map(ToOwned::to_owned),
            name: name.into(),
            labels: Value::Null,
            annotations: Map::new(),
            owner: None,
            manager: "kube-controller-manager",
            body,
            applied: false,
            churns: false,
        }
    }

    pub(crate) fn labels(mut self, labels: Value) -> Self {
        self.labels = labels;
        self
    }

    pub(crate) fn annotation(mut self, name: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(name.to_owned(), Value::String(value.into()));
        self
    }

    pub(crate) fn owned_by(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    pub(crate) fn managed_by(mut self, manager: &'static str) -> Self {
        self.manager = manager;
        self
    }

    /// Applied by `kubectl apply`: carries the last applied configuration.
    pub(crate) fn applied(mut self) -> Self {
        self.applied = true;
        self.manager = "kubectl-client-side-apply";
        self
    }

    /// Changes its resource version and managed fields without any human doing so.
    pub(crate) fn churning(mut self) -> Self {
        self.churns = true;
        self
    }

    /// The reference that objects owned by this one carry.
    pub(crate) fn as_owner(&self, seed: Seed) -> Owner {
        Owner {
            api_version: self.key.api_version(),
            kind: self.key.kind.to_owned(),
            name: self.name.clone(),
            uid: uid(seed, self.key, self.namespace.as_deref(), &self.name),
        }
    }

    /// The object as the API server would return it.
    pub(crate) fn build(mut self, seed: Seed) -> Object {
        if self.applied {
            let text = self.last_applied();
            self.annotations.insert("kubectl.kubernetes.io/last-applied-configuration".to_owned(), text.into());
        }
        let identity = identity(seed, self.key, self.namespace.as_deref(), &self.name);
        let created = timestamp(identity.child("created").below(400 * 86_400));
        let mut metadata = Map::new();
        metadata.insert("name".to_owned(), self.name.into());
        if let Some(namespace) = self.namespace {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
        metadata.insert("uid".to_owned(), identity.child("uid").uuid().into());
        let version = identity.child("version").below(90_000_000) + 1_000;
        metadata.insert(
            "resourceVersion".to_owned(),
            if self.churns { CHURN_VERSION.to_owned() } else { version.to_string() }.into(),
        );
        metadata.insert("creationTimestamp".to_owned(), created.clone().into());
        if self.body.get("spec").is_some() && !self.key.group.is_empty() {
            metadata.insert("generation".to_owned(), (identity.child("generation").below(30) + 1).into());
        }
        if self.labels.is_object() {
            metadata.insert("labels".to_owned(), self.labels);
        }
        if !self.annotations.is_empty() {
            metadata.insert("annotations".to_owned(), Value::Object(self.annotations));
        }
        if let Some(owner) = self.owner {
            metadata.insert(
                "ownerReferences".to_owned(),
                json!([{ "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
                         "controller": true, "blockOwnerDeletion": true }]),
            );
        }
        let mut object = Map::new();
        object.insert("apiVersion".to_owned(), self.key.api_version().into());
        object.insert("kind".to_owned(), self.key.kind.into());
        if let Value::Object(body) = self.body {
            object.extend(body);
        }
        let managed = managed_fields(&self.key, self.manager, &metadata, &object, &created, self.churns);
        metadata.insert("managedFields".to_owned(), managed);
        object.insert("metadata".to_owned(), Value::Object(metadata));
        (self.key, Value::Object(object))
    }

    fn last_applied(&self) -> String {
        let mut object = self.body.clone();
        if let Value::Object(fields) = &mut object {
            fields.remove("status");
            fields.insert("apiVersion".to_owned(), self.key.api_version().into());
            fields.insert("kind".to_owned(), self.key.kind.into());
            fields.insert(
                "metadata".to_owned(),
                json!({ "annotations": {}, "labels": self.labels, "name": self.name, "namespace": self.namespace }),
            );
        }
        format!("{object}\n")
    }
}

/// Seconds before the world's reference day as an RFC 3339 time.
pub(crate) fn timestamp(seconds_ago: u64) -> String {
    /// 2026-10-01T00:00:00Z: a fixed day keeps worlds of one seed equal whenever they are made.
    const REFERENCE: i64 = 1_790_812_800;
    chrono::DateTime::from_timestamp(REFERENCE - seconds_ago as i64, 0)
        .expect("within the range of chrono")
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn managed_fields(
    key: &KindKey,
    manager: &str,
    metadata: &Map<String, Value>,
    object: &Map<String, Value>,
    created: &str,
    churns: bool,
) -> Value {
    let mut spec = Map::new();
    let mut status = Map::new();
    for (name, value) in object {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "status" => drop(status.insert("f:status".to_owned(), field_set(value))),
            _ => drop(spec.insert(format!("f:{name}"), field_set(value))),
        }
    }
    let described: Map<String, Value> = ["labels", "annotations", "ownerReferences"]
        .into_iter()
        .filter_map(|name| metadata.get(name).map(|value| (format!("f:{name}"), field_set(value))))
        .collect();
    spec.insert("f:metadata".to_owned(), Value::Object(described));
    let mut entries = vec![json!({
        "apiVersion": key.api_version(), "fieldsType": "FieldsV1", "fieldsV1": spec, "manager": manager,
        "operation": "Update", "time": created,
    })];
    if !status.is_empty() {
        let manager = if key.plural == "pods" || key.plural == "nodes" { "kubelet" } else { "kube-controller-manager" };
        let time = if churns { CHURN_TIME } else { created };
        entries.push(json!({
            "apiVersion": key.api_version(), "fieldsType": "FieldsV1", "fieldsV1": status, "manager": manager,
            "operation": "Update", "subresource": "status", "time": time,
        }));
    } else if churns {
        entries[0]["time"] = CHURN_TIME.into();
    }
    Value::Array(entries)
}

/// The set of fields of a value in the notation of server-side apply.
fn field_set(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (format!("f:{name}"), field_set(value))).collect())
        }
        Value::Array(items) if items.iter().all(|item| item.get("name").is_some() || item.get("type").is_some()) => {
            let keyed = items.iter().map(|item| {
                let by = if item.get("name").is_some() { "name" } else { "type" };
                let mut set = field_set(item);
                set["."] = json!({});
                (format!("k:{}", json!({ by: item[by] })), set)
            });
            Value::Object(keyed.chain([(".".to_owned(), json!({}))]).collect())
        }
        _ => json!({}),
    }
}
