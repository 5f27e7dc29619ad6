use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::Value;

use super::rego;

/// The other objects that referential policies look at: whole Kubernetes objects, with `apiVersion` and `kind`.
#[derive(Debug, Default)]
pub struct Inventory {
    objects: Vec<Value>,
    namespaces: OnceLock<HashMap<String, usize>>,
    rego: OnceLock<regorus::Value>,
}

impl Inventory {
    /// An inventory of `objects`.
    pub fn new(objects: Vec<Value>) -> Self {
        Self { objects, ..Self::default() }
    }

    /// The objects.
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// The namespace of this name.
    pub(super) fn namespace(&self, name: &str) -> Option<&Value> {
        let index = self.namespaces.get_or_init(|| {
            let objects = self.objects.iter().enumerate();
            let namespaces =
                objects.filter(|(_, object)| object["kind"] == "Namespace" && object["apiVersion"] == "v1");
            namespaces.filter_map(|(index, object)| Some((text(object, "name")?.to_owned(), index))).collect()
        });
        index.get(name).map(|index| &self.objects[*index])
    }

    /// The document `data.inventory` of Rego, made once: `namespace.<namespace>.<apiVersion>.<kind>.<name>` and
    /// `cluster.<apiVersion>.<kind>.<name>`. Objects without these, or nested too deep, are left out.
    pub(super) fn rego(&self) -> regorus::Value {
        self.rego.get_or_init(|| self.as_rego()).clone()
    }

    fn as_rego(&self) -> regorus::Value {
        let mut document = regorus::Value::new_object();
        for object in &self.objects {
            let (Some(version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str()) else {
                continue;
            };
            let (Some(name), Ok(value)) = (text(object, "name"), rego::convert(object)) else { continue };
            let path = match text(object, "namespace").filter(|namespace| !namespace.is_empty()) {
                Some(namespace) => vec!["namespace", namespace, version, kind],
                None => vec!["cluster", version, kind],
            };
            insert(&mut document, &path, name, value);
        }
        document
    }
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object["metadata"][field].as_str()
}

fn insert(document: &mut regorus::Value, path: &[&str], name: &str, value: regorus::Value) {
    let mut at = document;
    for part in path {
        let Ok(fields) = at.as_object_mut() else { return };
        at = fields.get_or_insert_with((*part).into(), regorus::Value::new_object);
    }
    if let Ok(fields) = at.as_object_mut() {
        fields.insert(name.into(), value);
    }
}
