//! Checks answers against Google's discovery documents.
//!
//! Those of GKE and Artifact Registry are cut down by `models/google/trim.py`; the others have no revision: they are
//! written by hand, with the fields that a project's policy, APIs and networks have in the public reference.

use std::sync::LazyLock;

use serde_json::Value;

/// A service whose discovery document is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// Google Kubernetes Engine.
    Container,
    /// Artifact Registry.
    ArtifactRegistry,
    /// Resource Manager: IAM policies.
    ResourceManager,
    /// Service Usage.
    ServiceUsage,
    /// Compute Engine: subnetworks and firewall rules.
    Compute,
}

static CONTAINER: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/google/container.json")));
static ARTIFACT_REGISTRY: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../models/google/artifactregistry.json")));
static RESOURCE_MANAGER: LazyLock<Value> =
    LazyLock::new(|| parse(include_str!("../models/google/cloudresourcemanager.json")));
static SERVICE_USAGE: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/google/serviceusage.json")));
static COMPUTE: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/google/compute.json")));

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the documents beside this source are JSON")
}

impl Schema {
    /// What is wrong with an answer of a type; empty when it has the shape of the document.
    pub fn check(self, of_type: &str, answer: &Value) -> Vec<String> {
        let document: &Value = match self {
            Self::Container => &CONTAINER,
            Self::ArtifactRegistry => &ARTIFACT_REGISTRY,
            Self::ResourceManager => &RESOURCE_MANAGER,
            Self::ServiceUsage => &SERVICE_USAGE,
            Self::Compute => &COMPUTE,
        };
        let schemas = &document["schemas"];
        let mut problems = Vec::new();
        match schemas.get(of_type) {
            Some(schema) => walk((schemas, self), schema, answer, of_type, &mut problems),
            None => problems.push(format!("there is no type {of_type}")),
        }
        problems
    }
}

/// Booleans that the API tells apart from unset ones, so that its JSON writes them out whatever they are. The discovery
/// documents do not say it of a field.
const OPTIONAL: [&str; 3] = [".gcpPublicCidrsAccessEnabled", ".allowExternalTraffic", ".enablePublicEndpoint"];

/// Compares a value with a schema. No field is required: Google's JSON leaves defaults out.
fn walk(of: (&Value, Schema), schema: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        return walk(of, &of.0[name], value, at, problems);
    }
    let of_type = schema["type"].as_str().unwrap_or_default();
    let fits = match of_type {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "any" => true,
        _ => false,
    };
    if !fits {
        problems.push(format!("{at}: {value} is not of type {of_type}"));
        return;
    }
    // Compute Engine is older than the JSON of the others and writes them out.
    let is_written = at.ends_with(']') || OPTIONAL.iter().any(|field| at.ends_with(field));
    if of.1 != Schema::Compute && is_default(value) && !is_written {
        problems.push(format!("{at}: Google's JSON leaves the default {value} out"));
    }
    if schema["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) {
        problems.push(format!("{at}: {value} is not one of its words"));
    }
    for (field, value) in value.as_object().into_iter().flatten() {
        let member = schema["properties"].get(field).or_else(|| schema.get("additionalProperties"));
        match member {
            Some(member) => walk(of, member, value, &format!("{at}.{field}"), problems),
            None => problems.push(format!("{at}.{field}: no such field")),
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        walk(of, &schema["items"], value, &format!("{at}[{index}]"), problems);
    }
}

/// What proto3's JSON never writes.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Null => true,
        Value::Object(_) => false,
    }
}
