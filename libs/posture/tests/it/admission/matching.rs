//! Which objects a policy looks at.

use rampart_posture::policy::{Decision, Operation};
use serde_json::{Value, json};

use super::{Asked, policy, review};

/// A policy that has something against everything that it looks at.
fn looks_at(constraints: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: p}}
spec:
  matchConstraints: {constraints}
  validations: [{{expression: 'false'}}]
"
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    Yes,
    No,
    Unknown,
}

fn looks(constraints: &str, object: &Value, asked: Asked<'_>) -> Looks {
    match review(&*policy(&looks_at(constraints)), object, asked) {
        Decision::Violated(_) => Looks::Yes,
        Decision::NotMatched => Looks::No,
        Decision::Unknown(_) => Looks::Unknown,
        Decision::Passed => panic!("nothing passes"),
    }
}

/// A rule on these resources, and more fields of it.
fn rule(groups: &str, resources: &str, more: &str) -> String {
    format!(
        "{{resourceRules: [{{apiGroups: [{groups}], apiVersions: ['*'], operations: ['*'], resources: [{resources}]{more}}}]}}"
    )
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": "x", "labels": {"app": "web"}});
    if let Some(namespace) = namespace {
        metadata["namespace"] = json!(namespace);
    }
    json!({"apiVersion": api_version, "kind": kind, "metadata": metadata})
}

#[track_caller]
fn check(constraints: &str, object: &Value, expected: Looks) {
    assert_eq!(looks(constraints, object, Asked::default()), expected, "{constraints}: {object}");
}

#[test]
fn groups_and_resources() {
    let pod = object("v1", "Pod", Some("a"));
    check(&rule("''", "pods", ""), &pod, Looks::Yes);
    check(&rule("'*'", "'*'", ""), &pod, Looks::Yes);
    check(&rule("'*'", "'*/*'", ""), &pod, Looks::Yes);
    check(&rule("''", "'pods/*'", ""), &pod, Looks::Yes);
    check(&rule("''", "pods/exec", ""), &pod, Looks::No);
    check(&rule("apps", "pods", ""), &pod, Looks::No);
    check(&rule("''", "services", ""), &pod, Looks::No);
    check(
        &rule("networking.k8s.io", "networkpolicies", ""),
        &object("networking.k8s.io/v1", "NetworkPolicy", Some("a")),
        Looks::Yes,
    );
    check(&rule("example.com", "widgets", ""), &object("example.com/v1", "Widget", Some("a")), Looks::Yes);
    // Policies are not for policies.
    let group = "admissionregistration.k8s.io/v1";
    check(&rule("'*'", "'*'", ""), &object(group, "ValidatingAdmissionPolicyBinding", None), Looks::No);
    check(&rule("'*'", "'*'", ""), &object(group, "ValidatingWebhookConfiguration", None), Looks::Yes);
    let exec = object("v1", "PodExecOptions", Some("a"));
    check(&rule("''", "pods/exec", ""), &exec, Looks::Yes);
    check(&rule("''", "'*/exec'", ""), &exec, Looks::Yes);
    check(&rule("''", "'*'", ""), &exec, Looks::No);
    check(&rule("''", "pods", ""), &exec, Looks::No);
}

#[test]
fn versions() {
    let versioned = |version: &str, policy: &str| {
        format!(
            "{{matchPolicy: {policy}, resourceRules: [{{apiGroups: ['*'], apiVersions: [{version}], operations: ['*'], resources: ['*']}}]}}"
        )
    };
    let scaler = object("autoscaling/v2", "HorizontalPodAutoscaler", Some("a"));
    check(&versioned("v1", "Equivalent"), &scaler, Looks::Yes);
    check(&versioned("v1", "Exact"), &scaler, Looks::No);
    check(&versioned("v2", "Exact"), &scaler, Looks::Yes);
    let deployment = object("apps/v1", "Deployment", Some("a"));
    check(&versioned("v1beta1", "Equivalent"), &deployment, Looks::No);
    check(&versioned("v1alpha1", "Equivalent"), &object("example.com/v1", "Widget", Some("a")), Looks::Yes);
}

#[test]
fn operations_names_and_scope() {
    let pod = object("v1", "Pod", Some("a"));
    let with = |operation| Asked { operation, ..Asked::default() };
    let on = |operations: &str| {
        format!(
            "{{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [{operations}], resources: [pods]}}]}}"
        )
    };
    // An object that is audited counts as one that is created.
    assert_eq!(looks(&on("CREATE"), &pod, with(None)), Looks::Yes);
    assert_eq!(looks(&on("UPDATE, DELETE"), &pod, with(None)), Looks::No);
    assert_eq!(looks(&on("UPDATE, DELETE"), &pod, with(Some(Operation::Delete))), Looks::Yes);
    assert_eq!(looks(&on("'*'"), &pod, with(Some(Operation::Connect))), Looks::Yes);
    check(&rule("''", "pods", ", resourceNames: [x]"), &pod, Looks::Yes);
    check(&rule("''", "pods", ", resourceNames: [z]"), &pod, Looks::No);
    let (namespace, node) = (object("v1", "Namespace", None), object("v1", "Node", None));
    for (scope, of_pod, of_namespace, of_node) in [
        ("'*'", Looks::Yes, Looks::Yes, Looks::Yes),
        ("Namespaced", Looks::Yes, Looks::No, Looks::No),
        ("Cluster", Looks::No, Looks::Yes, Looks::Yes),
    ] {
        let rule = rule("''", "'*'", &format!(", scope: {scope}"));
        check(&rule, &pod, of_pod);
        check(&rule, &namespace, of_namespace);
        check(&rule, &node, of_node);
    }
}

#[test]
fn selectors_and_exclusions() {
    let with = |selectors: &str| format!("{{{selectors}, {}", &rule("'*'", "'*'", "")[1..]);
    let pod = object("v1", "Pod", Some("a"));
    check(&with("objectSelector: {matchLabels: {app: web}}"), &pod, Looks::Yes);
    check(&with("objectSelector: {matchLabels: {app: db}}"), &pod, Looks::No);
    check(&with("objectSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}"), &pod, Looks::Yes);
    let before = json!({"metadata": {"labels": {"app": "db"}}});
    let update = Asked { operation: Some(Operation::Update), old_object: Some(&before), ..Asked::default() };
    assert_eq!(looks(&with("objectSelector: {matchLabels: {app: db}}"), &pod, update), Looks::Yes);
    let excluded = "excludeResourceRules: [{apiGroups: [''], apiVersions: [v1], operations: ['*'], resources: [pods], resourceNames: [x]}]";
    check(&with(excluded), &pod, Looks::No);
    check(&with(excluded), &object("v1", "Service", Some("a")), Looks::Yes);

    let production = with("namespaceSelector: {matchLabels: {env: prod}}");
    let namespace = json!({"metadata": {"name": "a", "labels": {"env": "prod"}}});
    let known = Asked { namespace: Some(&namespace), ..Asked::default() };
    assert_eq!(looks(&production, &pod, known), Looks::Yes);
    check(&production, &pod, Looks::Unknown);
    // The name alone is enough where the selector asks for no more.
    check(&with("namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: a}}"), &pod, Looks::Yes);
    let others =
        "namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [a]}]}";
    check(&with(others), &pod, Looks::No);
    // What lives in no namespace is matched; a namespace by its own labels.
    check(&production, &object("v1", "Node", None), Looks::Yes);
    check(&production, &object("v1", "Namespace", None), Looks::No);
    check(&with("namespaceSelector: {matchLabels: {app: web}}"), &object("v1", "Namespace", None), Looks::Yes);
    // Another kind may live in a namespace that its file does not name.
    check(&production, &object("example.com/v1", "Widget", None), Looks::Unknown);
}
