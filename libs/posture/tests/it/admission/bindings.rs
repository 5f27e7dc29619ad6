//! Bindings, parameters, and what cannot be loaded.

use rampart_posture::policy::Decision;
use rampart_posture::policy::admission::{Unbound, load};
use serde_json::json;

use super::{Asked, deployment, documents, messages, on_deployments, policy, refused, review};

const POLICY: &str = "
  paramKind: {apiVersion: rules.example.com/v1, kind: ReplicaLimit}
  validations:
  - expression: params != null && object.spec.replicas <= params.max
    messageExpression: \"'at most ' + string(params.max)\"
";

fn binding(name: &str, more: &str) -> String {
    format!(
        "---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: p
  validationActions: [Deny]
{more}
"
    )
}

fn limit(name: &str, namespace: Option<&str>, max: u32) -> String {
    let namespace = namespace.map(|namespace| format!(", namespace: {namespace}")).unwrap_or_default();
    format!(
        "---
apiVersion: rules.example.com/v1
kind: ReplicaLimit
metadata: {{name: {name}, labels: {{for: limits}}{namespace}}}
max: {max}
"
    )
}

#[track_caller]
fn decided(reference: &str, limits: &[String], replicas: u32) -> Vec<String> {
    let yaml =
        format!("{}\n{}{}", on_deployments(POLICY), binding("b", &format!("  paramRef: {reference}")), limits.concat());
    messages(review(&*policy(&yaml), &deployment(replicas), Asked::default()))
}

#[test]
fn parameters_are_found_by_name_and_by_selector() {
    let limits = [limit("small", None, 2), limit("large", None, 9)];
    assert_eq!(decided("{name: small, parameterNotFoundAction: Deny}", &limits, 3), ["at most 2"]);
    assert_eq!(decided("{name: large, parameterNotFoundAction: Deny}", &limits, 3), ["Passed"]);
    let all = "{selector: {matchLabels: {for: limits}}, parameterNotFoundAction: Deny}";
    assert_eq!(decided(all, &limits, 3), ["at most 2"]);
    assert_eq!(decided(all, &limits, 10), ["at most 2", "at most 9"]);
    assert_eq!(decided("{selector: {}, parameterNotFoundAction: Deny}", &limits, 1), ["Passed"]);
}

#[test]
fn parameters_of_a_namespace_are_for_its_objects() {
    let limits = [limit("limit", Some("shop"), 2), limit("limit", Some("bank"), 9)];
    assert_eq!(decided("{name: limit, parameterNotFoundAction: Deny}", &limits, 3), ["at most 2"]);
    let of_bank = "{name: limit, namespace: bank, parameterNotFoundAction: Deny}";
    assert_eq!(decided(of_bank, &limits, 3), ["Passed"]);
}

#[test]
fn parameters_that_are_not_there() {
    let none = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    assert_eq!(decided("{name: other, parameterNotFoundAction: Deny}", &[limit("x", None, 1)], 3), [none]);
    assert_eq!(decided("{name: other, parameterNotFoundAction: Allow}", &[limit("x", None, 1)], 3), ["Passed"]);
    let ignoring = format!(
        "{}\n{}",
        on_deployments(&format!("{POLICY}  failurePolicy: Ignore\n")),
        binding("b", "  paramRef: {name: x, parameterNotFoundAction: Deny}")
    );
    let decision = review(&*policy(&ignoring), &deployment(3), Asked::default());
    assert_eq!(decision, Decision::Unknown(none.to_owned()));
    // A binding that gives none leaves them null.
    let bare = format!("{}\n{}", on_deployments(POLICY), binding("b", ""));
    let decision = review(&*policy(&bare), &deployment(3), Asked::default());
    assert_eq!(messages(decision), ["failed expression: params != null && object.spec.replicas <= params.max"]);
}

#[test]
fn each_binding_is_a_policy_of_its_own() {
    let plain = on_deployments("  validations: [{expression: object.spec.replicas < 3, message: many}]");
    let in_prod = "  matchResources: {namespaceSelector: {matchLabels: {env: prod}}}";
    let mut documents = documents(&format!("{plain}\n{}{}", binding("everywhere", ""), binding("prod", in_prod)));
    documents.rotate_left(1);
    let (policies, errors) = load(&documents, Unbound::Judged);
    assert!(errors.is_empty(), "{errors:?}");
    let ids: Vec<_> = policies.iter().map(|policy| policy.id()).collect();
    assert_eq!(ids, ["p/everywhere", "p/prod"]);
    let (prod, test) = (json!({"metadata": {"labels": {"env": "prod"}}}), json!({"metadata": {"labels": {}}}));
    let asked = |namespace| Asked { namespace: Some(namespace), ..Asked::default() };
    assert_eq!(messages(review(&*policies[1], &deployment(3), asked(&prod))), ["many"]);
    assert_eq!(review(&*policies[1], &deployment(3), asked(&test)), Decision::NotMatched);
    assert_eq!(messages(review(&*policies[0], &deployment(3), asked(&test))), ["many"]);
    // Whether it is matched or not, nothing is wrong with this one.
    assert_eq!(review(&*policies[1], &deployment(2), Asked::default()), Decision::Passed);
    assert!(matches!(review(&*policies[1], &deployment(3), Asked::default()), Decision::Unknown(_)));
}

#[test]
fn a_policy_without_a_binding_is_judged_when_asked_for() {
    let documents = documents(&on_deployments("  validations: [{expression: 'false'}]"));
    assert!(load(&documents, Unbound::Idle).0.is_empty());
    let (policies, _) = load(&documents, Unbound::Judged);
    assert_eq!(policies[0].id(), "p");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
    assert_eq!(load(&[list], Unbound::Judged).0.len(), 1);
}

#[test]
fn one_refused_document_does_not_keep_others_from_loading() {
    let broken = on_deployments("  validations: [{expression: object.}]").replace("name: p", "name: broken");
    let fine = on_deployments("  validations: [{expression: 'true'}]");
    let (policies, errors) = load(&documents(&format!("{broken}\n---\n{fine}")), Unbound::Judged);
    assert_eq!((policies.len(), errors.len()), (1, 1));
    assert_eq!(errors[0].document, "ValidatingAdmissionPolicy/broken");
    assert_eq!(errors[0].field, "spec.validations[0].expression");
    assert!(errors[0].position.is_some());
}

#[test]
fn what_cannot_be_used_is_refused_where_it_is_written() {
    let of = |fields: &str| refused(&on_deployments(fields)).to_string();
    let expression = "
  validations:
  - expression: |-
      object.spec.replicas < 3 &&
        objct.kind == 'x'
";
    assert_eq!(
        of(expression),
        "ValidatingAdmissionPolicy/p: spec.validations[0].expression at 2:3: `objct` is not declared"
    );
    let variables = "
  variables:
  - {name: a, expression: variables.b}
  - {name: b, expression: '1'}
  validations: [{expression: 'true'}]
";
    assert_eq!(
        of(variables),
        "ValidatingAdmissionPolicy/p: spec.variables[0].expression at 1:10: no variable `b` is declared above"
    );
    assert!(of("  validations: [{expression: params.x}]").contains("`params` is not declared"));
    assert!(of("  validations: [{expression: request.uid == ''}]").contains("`request` has no field `uid`"));
    assert!(
        of("  validations: [{expression: 'true', messageExpression: authorizer.path('/x').reason()}]")
            .contains("not declared")
    );
    assert!(of("  validations: [{expression: image('x').registry() == ''}]").contains("unknown method `registry`"));
    assert!(of("  validations: [{expression: object.spec.replicas + 1}]").contains("expression: gives no bool"));
    assert!(of("  validations: [{expression: \"true ? 'a' : 'b'\"}]").contains("expression: gives no bool"));
    assert!(of("  validations: []").contains("states nothing"));
    assert!(of("  validations: [{message: x}]").contains("validations[0].expression: is required"));
    assert!(
        of("  validations: [{expression: 'true'}]\n  variables: [{name: a-b, expression: '1'}]")
            .contains("no identifier")
    );
    assert!(of("  auditAnnotations: [{key: a/b, valueExpression: \"'x'\"}]").contains("no name of an annotation"));
    assert!(of("  validations: [{expression: 'true'}]\n  matchConditions: [{name: a, expression: 'true'}, {name: a, expression: 'true'}]").contains("given twice"));
    let bound = |more: &str, replaced: (&str, &str)| {
        let plain = on_deployments("  validations: [{expression: 'true'}]");
        refused(&format!("{plain}\n{}", binding("b", more).replace(replaced.0, replaced.1))).to_string()
    };
    assert!(bound("", ("policyName: p", "policyName: q")).contains("there is no policy `q`"));
    assert!(bound("", ("[Deny]", "[Deny, Warn]")).contains("both `Deny` and `Warn`"));
    assert!(bound("", ("[Deny]", "[]")).contains("spec.validationActions: is required"));
    assert!(bound("  paramRef: {}", ("", "")).contains("spec.paramRef.name"));
    assert!(bound("  matchResources: {matchPolicy: Loose}", ("", "")).contains("spec.matchResources.matchPolicy"));
    let no_rules =
        on_deployments("  validations: [{expression: 'true'}]").replace("operations: ['*']", "operations: [READ]");
    assert!(refused(&no_rules).to_string().contains("spec.matchConstraints.resourceRules[0].operations: `READ`"));
}
