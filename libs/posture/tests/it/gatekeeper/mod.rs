//! Gatekeeper templates and constraints: loading, matching, Rego, and whole policies.
mod both;
mod dialects;
mod differential;
mod loading;
mod matching;
mod policies;
mod rego;
mod undefined;

use rampart_posture::policy::{Decision, Inventory, Policy, Review, review_request};
use serde_json::Value;

/// A document from YAML.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// Judges an object, or the request of an `AdmissionReview`.
fn judge(policy: &dyn Policy, object: &Value, inventory: &Inventory) -> Decision {
    if object["kind"] == "AdmissionReview" {
        return review_request(policy, object, inventory).unwrap();
    }
    policy.review(&review(object, inventory))
}

/// An object as it stands.
fn review<'a>(object: &'a Value, inventory: &'a Inventory) -> Review<'a> {
    Review { object, old_object: None, operation: None, namespace: None, user: None, inventory }
}

/// The messages of a decision, in order; anything but passed and violated fails.
fn messages(decision: &Decision) -> Vec<String> {
    match decision {
        Decision::Passed => Vec::new(),
        Decision::Violated(violations) => violations.iter().map(|violation| violation.message.clone()).collect(),
        other => panic!("{other:?}"),
    }
}
