//! Checks answers against the models that the AWS SDKs are generated from.

use std::sync::LazyLock;

use serde_json::{Map, Value};

/// A service whose model is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    /// Amazon EKS.
    Eks,
    /// Amazon ECR.
    Ecr,
    /// AWS Identity and Access Management.
    Iam,
    /// Amazon CloudWatch Logs.
    Logs,
}

static EKS: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/eks.json")));
static ECR: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/ecr.json")));
static IAM: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/iam.json")));
static LOGS: LazyLock<Value> = LazyLock::new(|| parse(include_str!("../models/logs.json")));

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("the models beside this source are JSON")
}

impl Model {
    fn value(self) -> &'static Value {
        match self {
            Self::Eks => &EKS,
            Self::Ecr => &ECR,
            Self::Iam => &IAM,
            Self::Logs => &LOGS,
        }
    }

    /// Names of the operations in the model.
    pub fn operations(self) -> Vec<&'static str> {
        self.value()["operations"].as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }

    /// What is wrong with an answer of an operation; empty when it has the shape of the model.
    pub fn check_output(self, operation: &str, answer: &Value) -> Vec<String> {
        self.check(operation, "output", answer)
    }

    /// What is wrong with the members of a request.
    pub fn check_input(self, operation: &str, request: &Value) -> Vec<String> {
        self.check(operation, "input", request)
    }

    fn check(self, operation: &str, end: &str, value: &Value) -> Vec<String> {
        let model = self.value();
        let Some(shape) = model["operations"][operation][end]["shape"].as_str() else {
            return vec![format!("{operation} has no {end}")];
        };
        let mut problems = Vec::new();
        walk(&model["shapes"], shape, value, operation, &mut problems);
        problems
    }
}

/// Compares a value with a shape.
fn walk(shapes: &Value, name: &str, value: &Value, at: &str, problems: &mut Vec<String>) {
    let shape = &shapes[name];
    let kind = shape["type"].as_str().unwrap_or_default();
    let fits = match kind {
        "structure" | "map" => value.is_object(),
        "list" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" | "long" => value.is_i64() || value.is_u64(),
        "timestamp" | "double" | "float" => value.is_number(),
        _ => false,
    };
    if !fits {
        problems.push(format!("{at}: {value} is not a {kind} ({name})"));
        return;
    }
    match kind {
        "structure" => structure(shapes, shape, value, at, problems),
        "map" => {
            let target = shape["value"]["shape"].as_str().unwrap_or_default();
            for (key, value) in value.as_object().into_iter().flatten() {
                walk(shapes, target, value, &format!("{at}.{key}"), problems);
            }
        }
        "list" => {
            let target = shape["member"]["shape"].as_str().unwrap_or_default();
            for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                walk(shapes, target, value, &format!("{at}[{index}]"), problems);
            }
        }
        "string" if shape["enum"].as_array().is_some_and(|allowed| !allowed.contains(value)) => {
            problems.push(format!("{at}: {value} is not one of {name}"));
        }
        _ => {}
    }
}

fn structure(shapes: &Value, shape: &Value, value: &Value, at: &str, problems: &mut Vec<String>) {
    let fields = value.as_object().into_iter().flatten();
    for (field, value) in fields {
        let members = shape["members"].as_object().into_iter().flatten();
        let member =
            members.into_iter().find(|(name, member)| member["locationName"].as_str().unwrap_or(name) == field);
        match member {
            Some((_, member)) => {
                walk(shapes, member["shape"].as_str().unwrap_or_default(), value, &format!("{at}.{field}"), problems);
            }
            None => problems.push(format!("{at}.{field}: no such member")),
        }
    }
    for required in shape["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let wire = shape["members"][required]["locationName"].as_str().unwrap_or(required);
        if value.get(wire).is_none() {
            problems.push(format!("{at}.{wire}: required"));
        }
    }
}
