//! Checks answers of Azure Resource Manager against Microsoft's own documents, cut down to what is served here.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../models/azure.json")).expect("the document beside this source is JSON")
});

/// Fields that the documents are too old to know. Everything else that is answered is in them.
const NEWER: &[&str] = &[
    "acr/RegistryProperties.anonymousPullEnabled",
    "acr/RegistryProperties.privateEndpointConnections",
    "acr/RegistryProperties.publicNetworkAccess",
    "acr/Policies.azureADAuthenticationAsArmPolicy",
    "acr/Policies.softDeletePolicy",
    "aks/ManagedClusterProperties.currentKubernetesVersion",
];

/// What is wrong with an answer; empty when it has the shape of the schema, such as `aks/ManagedClusterListResult`.
pub fn check(schema: &str, answer: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    match SCHEMAS.get(schema) {
        Some(found) => walk(found, schema, answer, schema, &mut problems),
        None => problems.push(format!("{schema} is in no document")),
    }
    problems
}

fn walk(schema: &Value, name: &str, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(target) = schema["$ref"].as_str() {
        return walk(SCHEMAS.get(target).unwrap_or(&Value::Null), target, value, at, problems);
    }
    let fits = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    // Null stands for absent, as it does in Azure's own answers.
    if value.is_null() {
        return;
    }
    if !fits {
        problems.push(format!("{at}: {value} is not a {} ({name})", schema["type"]));
        return;
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        problems.push(format!("{at}: {value} is not one of {}", schema["enum"]));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&schema["items"], name, item, &format!("{at}[{index}]"), problems);
    }
    if let Some(fields) = value.as_object() {
        object(schema, name, fields, at, problems);
    }
}

fn object(schema: &Value, name: &str, fields: &Map<String, Value>, at: &str, problems: &mut Vec<String>) {
    let mut known = Vec::new();
    let mut required = Vec::new();
    members(schema, &mut known, &mut required);
    for missing in required.iter().filter(|field| !fields.contains_key(**field)) {
        problems.push(format!("{at}: {missing} is missing ({name})"));
    }
    for (field, value) in fields {
        let at = format!("{at}.{field}");
        match known.iter().find(|(known, _)| *known == field) {
            Some((_, schema)) => walk(schema, name, value, &at, problems),
            None if schema["additionalProperties"].is_object() => {
                walk(&schema["additionalProperties"], name, value, &at, problems);
            }
            None if known.is_empty() || NEWER.contains(&format!("{name}.{field}").as_str()) => {}
            None => problems.push(format!("{at} is not in the document ({name})")),
        }
    }
}

/// Fields of a schema and of those that it is made of.
fn members<'a>(schema: &'a Value, known: &mut Vec<(&'a str, &'a Value)>, required: &mut Vec<&'a str>) {
    if let Some(target) = schema["$ref"].as_str().and_then(|target| SCHEMAS.get(target)) {
        members(target, known, required);
    }
    known.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, schema)| (name.as_str(), schema)));
    required.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
    for part in schema["allOf"].as_array().into_iter().flatten() {
        members(part, known, required);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_found() {
        let check = |properties: Value| {
            let cluster = json!({ "id": "/x", "name": "a", "location": "westeurope", "properties": properties });
            check("aks/ManagedClusterListResult", &json!({ "value": [cluster] })).len()
        };
        assert_eq!(check(json!({ "kubernetesVersion": "1.33", "currentKubernetesVersion": "1.33.4" })), 0);
        assert_eq!(check(json!({ "kubernetesVersion": 1.33 })), 1, "another type");
        assert_eq!(check(json!({ "invented": true })), 1, "no such field");
        assert_eq!(check(json!({ "apiServerAccessProfile": { "authorizedIPRanges": [1] } })), 1, "an item");
        assert_eq!(super::check("aks/Nothing", &json!({})).len(), 1);
        let nowhere = json!({ "value": [{ "name": "a" }] });
        assert_eq!(
            super::check("aks/ManagedClusterListResult", &nowhere).len(),
            1,
            "a tracked resource has a location"
        );
    }
}
