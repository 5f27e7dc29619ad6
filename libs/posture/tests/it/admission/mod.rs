//! Admission policies from their documents to their decisions.

mod bindings;
mod evaluation;
mod export;
mod gatekeeper;
mod hostile;
mod matching;
mod webhooks;

use rampart_posture::policy::admission::{Unbound, load};
use rampart_posture::policy::{Decision, Inventory, LoadError, Operation, Policy, Review};
use serde_json::Value;

/// Documents in YAML, between lines of `---`.
fn documents(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("\n---\n").filter(|document| !document.trim().is_empty());
    documents.map(|document| serde_saphyr::from_str(document).expect("valid YAML")).collect()
}

fn document(yaml: &str) -> Value {
    serde_saphyr::from_str(yaml).expect("valid YAML")
}

#[track_caller]
fn loaded(yaml: &str) -> Vec<Box<dyn Policy>> {
    let (policies, errors) = load(&documents(yaml), Unbound::Judged);
    assert!(errors.is_empty(), "{errors:?}");
    policies
}

/// The one policy of the documents.
#[track_caller]
fn policy(yaml: &str) -> Box<dyn Policy> {
    let mut policies = loaded(yaml);
    assert_eq!(policies.len(), 1);
    policies.remove(0)
}

/// The error that the documents cannot be loaded for.
#[track_caller]
fn refused(yaml: &str) -> LoadError {
    let (policies, mut errors) = load(&documents(yaml), Unbound::Idle);
    assert_eq!((policies.len(), errors.len()), (0, 1), "{errors:?}");
    errors.remove(0)
}

/// What is known of a request.
#[derive(Default, Clone, Copy)]
struct Asked<'a> {
    operation: Option<Operation>,
    old_object: Option<&'a Value>,
    namespace: Option<&'a Value>,
    user: Option<&'a Value>,
}

fn review(policy: &dyn Policy, object: &Value, asked: Asked<'_>) -> Decision {
    let inventory = Inventory::default();
    let Asked { operation, old_object, namespace, user } = asked;
    policy.review(&Review { object, old_object, operation, namespace, user, inventory: &inventory })
}

/// What a policy has against an object as it stands.
fn messages(decision: Decision) -> Vec<String> {
    match decision {
        Decision::Violated(violations) => violations.into_iter().map(|violation| violation.message).collect(),
        other => vec![format!("{other:?}")],
    }
}

/// A policy on deployments with these fields of its `spec`, each line indented by two.
fn on_deployments(fields: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: p}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [apps], apiVersions: [v1], operations: ['*'], resources: [deployments]}}
{fields}"
    )
}

fn deployment(replicas: u32) -> Value {
    serde_json::json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}},
    })
}
