//! What a constraint looks at, as Gatekeeper matches it.

use super::{judge, yaml};
use rampart_posture::policy::gatekeeper::{Action, Constraint, Template};
use rampart_posture::policy::{Decision, Inventory, Policy, Review};
use serde_json::{Value, json};

fn template() -> Template {
    let document = yaml(
        r#"
apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata: {name: always}
spec:
  crd: {spec: {names: {kind: Always}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package always
      violation[{"msg": "seen"}] { true }
"#,
    );
    Template::parse(&document).unwrap()
}

fn constraint(spec: &Value) -> Constraint {
    let document = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Always", "metadata": {"name": "one"}, "spec": spec,
    });
    template().constraint(&document).unwrap()
}

fn namespaces() -> Inventory {
    Inventory::new(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"tier": "gold"}}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "plain"}}),
    ])
}

/// Whether `spec.match` of `matching` takes each of the objects.
fn check(matching: &str, cases: &[(&str, bool)]) {
    let constraint = constraint(&json!({"match": yaml(matching)}));
    let inventory = namespaces();
    for (object, expected) in cases {
        let decision = judge(&constraint, &yaml(object), &inventory);
        let found = match decision {
            Decision::Violated(_) => true,
            Decision::NotMatched => false,
            other => panic!("{matching}: {object}: {other:?}"),
        };
        assert_eq!(found, *expected, "{matching}: {object}");
    }
}

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web-1, namespace: kube-system, labels: {app: web}}}";
const GENERATED: &str = "{apiVersion: v1, kind: Pod, metadata: {generateName: web-, namespace: prod}}";
const DEPLOYMENT: &str = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: prod}}";
const ROLE: &str = "{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: admin}}";
const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: kube-public, labels: {tier: gold}}}";

#[test]
fn nothing_said_matches_everything() {
    for matching in ["{}", "null", "{kinds: []}", "{namespaces: []}", "{scope: '*'}", "{scope: cluster}", "{name: ''}"]
    {
        check(matching, &[(POD, true), (DEPLOYMENT, true), (ROLE, true), (NAMESPACE, true)]);
    }
}

#[test]
fn kinds_and_groups_take_stars() {
    check("{kinds: [{apiGroups: [''], kinds: [Pod]}]}", &[(POD, true), (DEPLOYMENT, false), (ROLE, false)]);
    check("{kinds: [{apiGroups: ['*'], kinds: [Deployment]}]}", &[(POD, false), (DEPLOYMENT, true)]);
    check("{kinds: [{apiGroups: [apps], kinds: ['*']}]}", &[(POD, false), (DEPLOYMENT, true)]);
    check("{kinds: [{kinds: [Pod]}, {apiGroups: [apps]}]}", &[(POD, true), (DEPLOYMENT, true), (ROLE, false)]);
    check("{kinds: [{apiGroups: [extensions], kinds: [Deployment]}]}", &[(DEPLOYMENT, false)]);
}

#[test]
fn namespaces_take_stars_at_either_end() {
    let only = |pattern: &str| format!("{{namespaces: ['{pattern}']}}");
    let without = |pattern: &str| format!("{{excludedNamespaces: ['{pattern}']}}");
    for pattern in ["kube-system", "kube-*", "*-system", "*e-sys*", "*"] {
        check(&only(pattern), &[(POD, true), (ROLE, true)]);
        check(&without(pattern), &[(POD, false), (ROLE, true)]);
    }
    for pattern in ["kube", "system", "kube-sys", "prod*", "*prod", "ku*em"] {
        check(&only(pattern), &[(POD, false), (ROLE, true)]);
        check(&without(pattern), &[(POD, true), (ROLE, true)]);
    }
    // A namespace is in itself.
    check("{namespaces: [kube-public]}", &[(NAMESPACE, true), (POD, false)]);
    check("{excludedNamespaces: ['kube-*']}", &[(NAMESPACE, false), (DEPLOYMENT, true)]);
}

#[test]
fn scope_says_where_an_object_lives() {
    check("{scope: Cluster}", &[(POD, false), (ROLE, true), (NAMESPACE, true)]);
    check("{scope: Namespaced}", &[(POD, true), (ROLE, false), (NAMESPACE, false)]);
}

#[test]
fn names_match_generated_names_by_their_beginning() {
    check("{name: web-1}", &[(POD, true), (GENERATED, false), (DEPLOYMENT, false)]);
    check("{name: 'web*'}", &[(POD, true), (GENERATED, true), (DEPLOYMENT, true), (ROLE, false)]);
    check("{name: '*eb*'}", &[(POD, true), (GENERATED, true), (DEPLOYMENT, true)]);
    check("{name: '*web-'}", &[(POD, false), (GENERATED, false), (DEPLOYMENT, false)]);
}

#[test]
fn label_selectors() {
    check("{labelSelector: {matchLabels: {app: web}}}", &[(POD, true), (DEPLOYMENT, false)]);
    let expression = |inner: &str| format!("{{labelSelector: {{matchExpressions: [{inner}]}}}}");
    check(&expression("{key: app, operator: In, values: [db, web]}"), &[(POD, true), (DEPLOYMENT, false)]);
    check(&expression("{key: app, operator: NotIn, values: [web]}"), &[(POD, false), (DEPLOYMENT, true)]);
    check(&expression("{key: app, operator: Exists}"), &[(POD, true), (DEPLOYMENT, false)]);
    check(&expression("{key: app, operator: DoesNotExist}"), &[(POD, false), (DEPLOYMENT, true)]);
}

#[test]
fn namespace_selectors_look_at_the_namespace() {
    let gold = "{namespaceSelector: {matchLabels: {tier: gold}}}";
    let plain = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: plain}}";
    check(gold, &[(DEPLOYMENT, true), (plain, false), (ROLE, true), (NAMESPACE, true)]);
    check("{namespaceSelector: {matchLabels: {tier: lead}}}", &[(DEPLOYMENT, false), (ROLE, true), (NAMESPACE, false)]);

    let constraint = constraint(&json!({"match": yaml(gold)}));
    let unknown = judge(&constraint, &yaml(POD), &namespaces());
    assert!(matches!(unknown, Decision::Unknown(why) if why.contains("kube-system")));
    // Told by the caller, it is known.
    let (object, namespace) = (yaml(POD), json!({"metadata": {"name": "kube-system", "labels": {"tier": "gold"}}}));
    let inventory = Inventory::default();
    let namespace = Some(&namespace);
    let review =
        Review { object: &object, old_object: None, operation: None, namespace, user: None, inventory: &inventory };
    assert!(matches!(constraint.review(&review), Decision::Violated(_)));
}

#[test]
fn either_object_of_an_update_can_match() {
    let constraint = constraint(&json!({"match": {"labelSelector": {"matchLabels": {"app": "web"}}}}));
    let (old, new) = (yaml(POD), json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1"}}));
    let inventory = Inventory::default();
    let mut review = Review {
        object: &new,
        old_object: Some(&old),
        operation: None,
        namespace: None,
        user: None,
        inventory: &inventory,
    };
    assert!(matches!(constraint.review(&review), Decision::Violated(_)));
    review.old_object = None;
    assert_eq!(constraint.review(&review), Decision::NotMatched);
}

#[test]
fn only_what_is_generated_by_templates_is_left_out() {
    check("{source: Original}", &[(POD, true)]);
    check("{source: All}", &[(POD, true)]);
    check("{source: Generated}", &[(POD, false)]);
}

#[test]
fn what_cannot_be_matched_is_refused() {
    let refused = |matching: &str, field: &str| {
        let document = json!({
            "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "Always", "metadata": {"name": "one"},
            "spec": {"match": yaml(matching)},
        });
        let error = template().constraint(&document).unwrap_err();
        assert_eq!((error.document.as_str(), error.field.as_str()), ("Always/one", field), "{error}");
    };
    refused(
        "{labelSelector: {matchExpressions: [{key: a, operator: Like}]}}",
        "spec.match.labelSelector.matchExpressions[0]",
    );
    refused(
        "{namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}",
        "spec.match.namespaceSelector.matchExpressions[0]",
    );
    refused("{labelSelector: {matchLabels: {a: 1}}}", "spec.match.labelSelector.matchLabels");
    refused("{namespaces: prod}", "spec.match.namespaces");
    refused("{kinds: [Pod]}", "spec.match.kinds[0]");
    refused("{source: Some}", "spec.match.source");
    refused("[]", "spec.match");
}

#[test]
fn enforcement_is_told() {
    let spec = yaml(
        "{enforcementAction: scoped, scopedEnforcementActions: [{action: deny, enforcementPoints: [{name: validation.gatekeeper.sh}]},
          {action: warn, enforcementPoints: [{name: '*'}]}]}",
    );
    let scoped = constraint(&spec);
    assert_eq!(scoped.enforcement().at("validation.gatekeeper.sh"), [&Action::Deny, &Action::Warn]);
    assert_eq!(scoped.enforcement().at("audit.gatekeeper.sh"), [&Action::Warn]);
    assert_eq!(constraint(&json!({})).enforcement().at("audit.gatekeeper.sh"), [&Action::Deny]);
    let dry = constraint(&json!({"enforcementAction": "dryrun"}));
    assert_eq!((dry.id(), dry.enforcement().action.as_str()), ("Always/one", "dryrun"));
}
