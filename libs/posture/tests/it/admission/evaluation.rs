//! What a policy says of an object that it looks at.

use rampart_posture::policy::{Decision, Operation, Violation};
use serde_json::json;

use super::{Asked, deployment, messages, on_deployments, policy, refused, review};

#[track_caller]
fn check(fields: &str, replicas: u32, expected: &[&str]) {
    let policy = policy(&on_deployments(fields));
    assert_eq!(messages(review(&*policy, &deployment(replicas), Asked::default())), expected, "{fields}");
}

#[test]
fn every_validation_that_does_not_hold_is_a_violation() {
    let fields = "
  variables:
  - name: replicas
    expression: object.spec.?replicas.orValue(1)
  - name: tooMany
    expression: variables.replicas > 5
  validations:
  - expression: '!variables.tooMany'
    messageExpression: \"'at most 5 replicas, not ' + string(variables.replicas)\"
  - expression: variables.replicas % 2 == 0
    message: an even number
  - expression: >-
      object.metadata.name != 'web'
";
    check(
        fields,
        7,
        &["at most 5 replicas, not 7", "an even number", "failed expression: object.metadata.name != 'web'"],
    );
    check(fields, 2, &["failed expression: object.metadata.name != 'web'"]);
}

#[test]
fn a_message_falls_back_to_the_next_best() {
    let message = |expression: &str| {
        let text = format!(
            "
  validations:
  - expression: 'false'
    message: ' the fixed text '
    messageExpression: {expression:?}
"
        );
        messages(review(&*policy(&on_deployments(&text)), &deployment(1), Asked::default()))
    };
    assert_eq!(message("' made '"), ["made"]);
    assert_eq!(message("'' + ' '"), ["the fixed text"]);
    assert_eq!(message("object.nothing"), ["the fixed text"]);
    assert_eq!(message("['a', 'b'].join('\\n')"), ["the fixed text"]);
    assert_eq!(message("lists.range(6000).map(i, 'x').join()"), ["the fixed text"]);
    assert_eq!(message("oldObject.metadata.name"), ["the fixed text"]);
}

#[test]
fn an_expression_that_fails_violates_unless_failures_are_ignored() {
    let fields = |policy: &str| {
        format!(
            "
  failurePolicy: {policy}
  validations:
  - expression: object.spec.paused == false
"
        )
    };
    let fails = policy(&on_deployments(&fields("Fail")));
    let expected = "expression 'object.spec.paused == false' resulted in error: \
                    no such key at 1:12 (`.paused == false`)";
    assert_eq!(messages(review(&*fails, &deployment(1), Asked::default())), [expected]);
    let ignores = policy(&on_deployments(&fields("Ignore")));
    assert_eq!(review(&*ignores, &deployment(1), Asked::default()), Decision::Unknown(expected.to_owned()));
    let error = refused(&on_deployments(&fields("Perhaps")));
    assert_eq!(error.to_string(), "ValidatingAdmissionPolicy/p: spec.failurePolicy: is neither `Fail` nor `Ignore`");
}

#[test]
fn a_violation_outweighs_what_could_not_be_decided() {
    let fields = "
  failurePolicy: Ignore
  validations:
  - expression: object.spec.paused
  - expression: request.userInfo.username == 'admin'
  - expression: object.spec.replicas < 3
    message: too many
";
    check(fields, 3, &["too many"]);
}

#[test]
fn conditions_decide_whether_it_looks_at_the_object() {
    let fields = |failure: &str, condition: &str| {
        on_deployments(&format!(
            "
  failurePolicy: {failure}
  matchConditions:
  - name: fails
    expression: {condition:?}
  - name: is-large
    expression: object.spec.replicas > 2
  validations:
  - expression: 'false'
    message: too large
"
        ))
    };
    let decide = |failure: &str, condition: &str, replicas: u32| {
        review(&*policy(&fields(failure, condition)), &deployment(replicas), Asked::default())
    };
    assert_eq!(messages(decide("Fail", "true", 3)), ["too large"]);
    assert_eq!(decide("Fail", "true", 2), Decision::NotMatched);
    // One that does not hold outweighs one that fails.
    assert_eq!(decide("Fail", "object.nothing", 2), Decision::NotMatched);
    let error = "condition `fails`: expression 'object.nothing' resulted in error: no such key at 1:7 (`.nothing`)";
    assert_eq!(messages(decide("Fail", "object.nothing", 3)), [error]);
    assert_eq!(decide("Ignore", "object.nothing", 3), Decision::Unknown(error.to_owned()));
    let refused = refused(&fields("Fail", "variables.x"));
    assert_eq!(refused.field, "spec.matchConditions[0].expression");
    assert!(refused.message.contains("cannot be named here"), "{refused}");
}

#[test]
fn what_only_a_request_knows_is_unknown_without_one() {
    let decide = |expression: &str, asked: Asked<'_>| {
        let policy = policy(&on_deployments(&format!("  validations:\n  - expression: {expression:?}")));
        review(&*policy, &deployment(3), asked)
    };
    let is_unknown = |expression: &str, asked| matches!(decide(expression, asked), Decision::Unknown(_));
    let audit = Asked::default();
    for expression in [
        "oldObject == null",
        "has(oldObject.spec)",
        "request.userInfo.username != 'x'",
        "has(request.userInfo.groups)",
        "request['userInfo'].username == 'x'",
        "request.?userInfo.?username.orValue('none') == 'none'",
        "request.options == null",
        "namespaceObject.metadata.name == 'shop'",
        "authorizer.group('apps').resource('deployments').check('create').allowed()",
        "object.spec.replicas > 5 || oldObject.spec.replicas > 5",
    ] {
        assert!(is_unknown(expression, audit), "{expression}: {:?}", decide(expression, audit));
    }
    for expression in [
        "object.spec.replicas == 3 || oldObject.spec.replicas == 3",
        "request.operation == 'CREATE'",
        "request.kind.kind == 'Deployment' && request.kind.group == 'apps' && request.kind.version == 'v1'",
        "request.resource.resource == 'deployments' && request.name == 'web' && request.namespace == 'shop'",
        "!has(request.subResource) && !request.dryRun",
    ] {
        assert_eq!(decide(expression, audit), Decision::Passed, "{expression}");
    }
    let (before, user) = (deployment(2), json!({"username": "amy", "groups": ["dev"]}));
    let namespace = json!({"metadata": {"name": "shop", "labels": {"env": "prod"}}});
    let update = Asked {
        operation: Some(Operation::Update),
        old_object: Some(&before),
        namespace: Some(&namespace),
        user: Some(&user),
    };
    let known = "oldObject.spec.replicas < object.spec.replicas && request.operation == 'UPDATE' && \
                 request.userInfo.username == 'amy' && 'dev' in request.userInfo.groups && \
                 namespaceObject.metadata.labels.env == 'prod'";
    assert_eq!(decide(known, update), Decision::Passed);
    assert!(is_unknown("oldObject != null", Asked { old_object: None, ..update }));
    let create = Asked { operation: Some(Operation::Create), ..audit };
    assert_eq!(decide("oldObject == null && !has(oldObject.spec)", create), Decision::Passed);
    let delete = Asked { operation: Some(Operation::Delete), ..audit };
    assert_eq!(decide("object == null && oldObject.spec.replicas == 3", delete), Decision::Passed);
}

#[test]
fn a_field_that_is_null_is_absent() {
    let mut object = deployment(1);
    object["spec"]["replicas"] = json!(null);
    let policy = policy(&on_deployments("  validations:\n  - expression: '!has(object.spec.replicas)'"));
    assert_eq!(review(&*policy, &object, Asked::default()), Decision::Passed);
}

#[test]
fn reason_and_annotations_are_in_the_details() {
    let fields = "
  validations:
  - expression: object.spec.replicas < 5
    message: many
    reason: Forbidden
  - expression: object.spec.replicas < 4
    message: some
  auditAnnotations:
  - key: replicas
    valueExpression: \"'asks for ' + string(object.spec.replicas)\"
  - key: nothing
    valueExpression: 'null'
  - key: unknown
    valueExpression: request.userInfo.username
";
    let violation = |message: &str, reason: &str| Violation {
        message: message.to_owned(),
        details: Some(json!({
            "reason": reason,
            "auditAnnotations": {"replicas": "asks for 5"},
            "validationActions": ["Deny"],
        })),
    };
    let decision = review(&*policy(&on_deployments(fields)), &deployment(5), Asked::default());
    assert_eq!(decision, Decision::Violated(vec![violation("many", "Forbidden"), violation("some", "Invalid")]));
    let only = |value: &str| {
        let fields = format!("  auditAnnotations:\n  - key: k\n    valueExpression: {value}");
        messages(review(&*policy(&on_deployments(&fields)), &deployment(5), Asked::default()))
    };
    assert_eq!(only("object.spec.replicas"), ["annotation `k`: is neither a text nor null"]);
    assert!(only("object.nothing")[0].contains("no such key"));
    assert_eq!(only("object.kind"), ["Passed"]);
}

#[test]
fn variables_are_lazy_and_computed_once() {
    let doubled: Vec<_> = (1..60)
        .map(|n| format!("  - name: v{n}\n    expression: variables.v{} + variables.v{}", n - 1, n - 1))
        .collect();
    let fields = format!(
        "
  variables:
  - name: broken
    expression: object.nothing
  - name: endless
    expression: lists.range(9223372036854775807).size()
  - name: v0
    expression: '1'
{}
  validations:
  - expression: variables.v59 == 576460752303423488
  - expression: object.kind == 'Deployment' || variables.broken || variables.endless > 0
  - expression: has(variables.v1)
",
        doubled.join("\n")
    );
    check(&fields, 1, &["Passed"]);
    let broken = "
  variables:
  - name: broken
    expression: object.nothing
  - name: above
    expression: variables.broken
  validations:
  - expression: variables.above
";
    let expected = "expression 'variables.above' resulted in error: variables.broken: no such key at 1:7 (`.nothing`)";
    check(broken, 1, &[expected]);
}

#[test]
fn quantities_of_containers_are_compared() {
    let fields = "
  validations:
  - expression: >-
      object.spec.template.spec.containers.all(c, c.?resources.?limits.?memory.optMap(m,
      quantity(m).compareTo(quantity('1Gi')) <= 0).orValue(false))
    message: at most 1Gi
";
    let decide = |memory: serde_json::Value| {
        let mut object = deployment(1);
        object["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": memory}});
        messages(review(&*policy(&on_deployments(fields)), &object, Asked::default()))
    };
    assert_eq!(decide(json!("1024Mi")), ["Passed"]);
    assert_eq!(decide(json!("1.1Gi")), ["at most 1Gi"]);
    assert_eq!(decide(json!(null)), ["at most 1Gi"]);
    assert!(decide(json!("lots"))[0].contains("conversion failed"));
}
