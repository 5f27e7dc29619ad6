use rampart_domain::Resource;
use serde_json::Value;

pub(crate) fn aws(bytes: &[u8]) {
    read(bytes, rampart_connector_aws::resources_of_anything);
}

pub(crate) fn azure(bytes: &[u8]) {
    read(bytes, rampart_connector_azure::resources_of_anything);
}

pub(crate) fn gcp(bytes: &[u8]) {
    read(bytes, rampart_connector_gcp::resources_of_anything);
}

pub(crate) fn kube(bytes: &[u8]) {
    read(bytes, rampart_connector_kube::resources_of_anything);
}

/// Whatever an API answers: what becomes of it has an id, holds no field that is null, and is the same when it is read again.
fn read(bytes: &[u8], resources: fn(&Value) -> Vec<Resource>) {
    let Ok(object) = serde_json::from_slice::<Value>(bytes) else { return };
    let found = resources(&object);
    for resource in &found {
        assert!(!resource.native_id.as_str().is_empty(), "no id: {resource:?}");
        assert!(!has_null_field(&resource.config), "a null was kept: {}", resource.config);
    }
    assert_eq!(resources(&object), found, "another reading gives something else");
}

/// Whether a field is null. In a list a null is an item of its own, whose place counts.
fn has_null_field(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_null_field),
        Value::Object(fields) => fields.values().any(|field| field.is_null() || has_null_field(field)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
