//! Gatekeeper: constraint templates and constraints as they are, judged as Gatekeeper judges them.
//!
//! ```text
//! ConstraintTemplate ──Template::parse──> Template
//! Template + constraint ──constraint──> Constraint: Policy
//! documents in any order ──load──> policies, errors
//! ```
//!
//! Objects are matched by `spec.match`, defaults of the schema are filled into the parameters, and the template's code sees
//! what Gatekeeper shows it: the admission request, the parameters and the inventory.

mod constraint;
mod enforcement;
mod judge;
mod matching;
mod schema;
mod selector;
mod subject;
mod template;

use std::collections::HashMap;

pub use constraint::Constraint;
pub use enforcement::{Action, Enforcement};
pub use judge::Engine;
use serde_json::Value;
pub use template::Template;

pub use super::rego::Mode;
use super::{LoadError, Policy};

/// Documents nested deeper than this are refused.
const MAX_DEPTH: usize = 100;

/// Reads templates and constraints, in any order. Documents of other groups are left out. What cannot be loaded is told,
/// and does not keep the rest from loading.
pub fn load(documents: &[Value]) -> (Vec<Box<dyn Policy>>, Vec<LoadError>) {
    let (constraints, errors) = constraints(documents);
    (constraints.into_iter().map(|constraint| Box::new(constraint) as Box<dyn Policy>).collect(), errors)
}

/// As [`load`], with the constraints as they are.
pub fn constraints(documents: &[Value]) -> (Vec<Constraint>, Vec<LoadError>) {
    let of_group = |group: &'static str| documents.iter().filter(move |document| is_of_group(document, group));
    let mut errors = Vec::new();
    let mut templates: HashMap<String, Option<Template>> = HashMap::new();
    for template in of_group("templates.gatekeeper.sh") {
        let kind = template["spec"]["crd"]["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
        if templates.contains_key(&kind) {
            errors.push(error(
                &document(template),
                "spec.crd.spec.names.kind",
                format!("`{kind}` has a template already"),
            ));
            continue;
        }
        match Template::parse(template) {
            Ok(parsed) => templates.insert(kind, Some(parsed)),
            Err(error) => {
                errors.push(error);
                templates.insert(kind, None)
            }
        };
    }
    let mut constraints = Vec::new();
    for constraint in of_group("constraints.gatekeeper.sh") {
        let kind = constraint["kind"].as_str().unwrap_or_default();
        let loaded = match templates.get(kind) {
            Some(Some(template)) => template.constraint(constraint),
            Some(None) => {
                Err(error(&document(constraint), "kind", format!("the template of `{kind}` cannot be loaded")))
            }
            None => Err(error(&document(constraint), "kind", format!("`{kind}` has no template"))),
        };
        match loaded {
            Ok(constraint) => constraints.push(constraint),
            Err(error) => errors.push(error),
        }
    }
    (constraints, errors)
}

fn is_of_group(document: &Value, group: &str) -> bool {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').is_some_and(|(own, _)| own == group)
}

/// Kind and name of a document.
fn document(document: &Value) -> String {
    let name = document["metadata"]["name"].as_str().unwrap_or_default();
    format!("{}/{name}", document["kind"].as_str().unwrap_or_default())
}

fn error(document: &str, field: &str, message: String) -> LoadError {
    error_at(document, field, None, message)
}

fn error_at(document: &str, field: &str, position: Option<(usize, usize)>, message: String) -> LoadError {
    LoadError { document: document.to_owned(), field: field.to_owned(), position, message }
}

/// Fails on documents that are nested too deep to be walked.
fn check_depth(document: &Value) -> Result<(), String> {
    let mut open = vec![(document, 0)];
    while let Some((value, depth)) = open.pop() {
        if depth > MAX_DEPTH {
            return Err(format!("the document is nested more than {MAX_DEPTH} deep"));
        }
        match value {
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => open.extend(fields.values().map(|item| (item, depth + 1))),
            _ => {}
        }
    }
    Ok(())
}
