//! Sources of constraint templates, written as those of Gatekeeper's library are.

use rampart_posture::policy::validation::{Dialect, Place, Validation};
use rampart_posture::policy::{Decision, Inventory, Operation, Review};
use serde_json::{Value, json};

use super::{Asked, document, messages};

const PLACE: Place<'_> = Place { document: "ConstraintTemplate/t", field: "spec.targets[0].code[0].source" };

#[track_caller]
fn compiled(source: &str) -> Validation {
    Validation::compile(&document(source), Dialect::Gatekeeper, PLACE).expect("a source that can run")
}

fn evaluate(validation: &Validation, object: &Value, params: &Value, asked: Asked<'_>) -> Decision {
    let inventory = Inventory::default();
    let Asked { operation, old_object, namespace, user } = asked;
    validation.evaluate(&Review { object, old_object, operation, namespace, user, inventory: &inventory }, params)
}

#[track_caller]
fn check(validation: &Validation, object: &Value, params: &Value, expected: &[&str]) {
    assert_eq!(messages(evaluate(validation, object, params, Asked::default())), expected);
}

fn pod(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "n"}, "spec": spec})
}

/// The containers of every sort, and those whose image is exempt.
const CONTAINERS: &str = r#"
variables:
- name: containers
  expression: 'has(variables.anyObject.spec.containers) ? variables.anyObject.spec.containers : []'
- name: initContainers
  expression: 'has(variables.anyObject.spec.initContainers) ? variables.anyObject.spec.initContainers : []'
- name: exemptPrefixes
  expression: |
    !has(variables.params.exemptImages) ? [] :
      variables.params.exemptImages.filter(i, i.endsWith("*")).map(i, string(i).replace("*", ""))
- name: exemptNames
  expression: |
    !has(variables.params.exemptImages) ? [] : variables.params.exemptImages.filter(i, !i.endsWith("*"))
- name: exempt
  expression: |
    (variables.containers + variables.initContainers).filter(c, c.image in variables.exemptNames ||
      variables.exemptPrefixes.exists(p, string(c.image).startsWith(p))).map(c, c.image)
"#;

#[test]
fn privileged_containers() {
    let source = format!(
        r#"{CONTAINERS}
- name: privileged
  expression: |
    (variables.containers + variables.initContainers).filter(c, !(c.image in variables.exempt) &&
      has(c.securityContext) && has(c.securityContext.privileged) && c.securityContext.privileged == true)
    .map(c, "Privileged container is not allowed: " + c.name)
validations:
- expression: '(has(request.operation) && request.operation == "UPDATE") || size(variables.privileged) == 0'
  messageExpression: 'variables.privileged.join(", ")'
"#
    );
    let privileged = json!({"privileged": true});
    let object = pod(&json!({
        "containers": [
            {"name": "a", "image": "safe/a:1", "securityContext": privileged},
            {"name": "b", "image": "b", "securityContext": privileged},
            {"name": "c", "image": "c", "securityContext": {"privileged": null}},
        ],
        "initContainers": [{"name": "d", "image": "d", "securityContext": privileged}],
    }));
    let template = compiled(&source);
    let not_allowed = |names: &[&str]| {
        names.iter().map(|name| format!("Privileged container is not allowed: {name}")).collect::<Vec<_>>().join(", ")
    };
    check(&template, &object, &json!(null), &[&not_allowed(&["a", "b", "d"])]);
    check(&template, &object, &json!({}), &[&not_allowed(&["a", "b", "d"])]);
    check(&template, &object, &json!({"exemptImages": ["safe/*", "d"]}), &[&not_allowed(&["b"])]);
    check(&template, &object, &json!({"exemptImages": ["*"]}), &["Passed"]);
    check(&template, &pod(&json!({})), &json!(null), &["Passed"]);
    // Containers cannot change: an update is not looked at.
    let update = Asked { operation: Some(Operation::Update), ..Asked::default() };
    assert_eq!(evaluate(&template, &object, &json!(null), update), Decision::Passed);
    // What goes is the object.
    let delete = Asked { operation: Some(Operation::Delete), ..Asked::default() };
    assert_eq!(messages(evaluate(&template, &object, &json!(null), delete)), [not_allowed(&["a", "b", "d"])]);
}

#[test]
fn ranges_of_users() {
    let source = format!(
        r#"{CONTAINERS}
- name: podUser
  expression: |
    variables.anyObject.kind == "Pod" && has(variables.anyObject.spec.securityContext) &&
      has(variables.anyObject.spec.securityContext.runAsUser) ? variables.anyObject.spec.securityContext.runAsUser : null
- name: ranges
  expression: |
    "[" + variables.params.runAsUser.ranges.map(r, "{{max: " + string(r.max) + ", min: " + string(r.min) + "}}").join(", ") + "]"
- name: wrong
  expression: |
    has(variables.params.runAsUser) && variables.params.runAsUser.rule == "MustRunAs" ?
      (variables.containers + variables.initContainers).filter(c, !(c.image in variables.exempt)).filter(c,
        has(c.securityContext) && has(c.securityContext.runAsUser) ?
          !variables.params.runAsUser.ranges.exists(r, c.securityContext.runAsUser >= r.min && c.securityContext.runAsUser <= r.max) :
          variables.podUser == null || !variables.params.runAsUser.ranges.exists(r, variables.podUser >= r.min && variables.podUser <= r.max))
      .map(c, "Container " + c.name + " runs as a disallowed user. Allowed: " + variables.ranges) : []
validations:
- expression: size(variables.wrong) == 0
  messageExpression: variables.wrong.join(", ")
"#
    );
    let template = compiled(&source);
    let params =
        json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 100, "max": 200}, {"min": 500, "max": 500}]}});
    let message = |name: &str| {
        format!("Container {name} runs as a disallowed user. Allowed: [{{max: 200, min: 100}}, {{max: 500, min: 500}}]")
    };
    let with = |pod_user: Value, user: Value| {
        pod(&json!({
            "securityContext": {"runAsUser": pod_user},
            "containers": [{"name": "a", "image": "a", "securityContext": {"runAsUser": user}}],
        }))
    };
    check(&template, &with(json!(150), json!(null)), &params, &["Passed"]);
    check(&template, &with(json!(1), json!(500)), &params, &["Passed"]);
    check(&template, &with(json!(150), json!(0)), &params, &[&message("a")]);
    check(&template, &with(json!(null), json!(null)), &params, &[&message("a")]);
    check(&template, &with(json!(null), json!(0)), &json!({"runAsUser": {"rule": "RunAsAny"}}), &["Passed"]);
}

#[test]
fn profiles_by_container_and_annotation() {
    let source = format!(
        r#"{CONTAINERS}
- name: translated
  expression: |
    {{
      "Unconfined": "unconfined",
      "RuntimeDefault": "runtime/default",
    }}
- name: profiles
  expression: |
    variables.containers.map(c, {{
      "container": c.name,
      "profile": has(c.securityContext) && has(c.securityContext.seccompProfile) ?
        ((c.securityContext.seccompProfile.type in variables.translated) ?
          variables.translated[c.securityContext.seccompProfile.type] :
          "localhost/" + c.securityContext.seccompProfile.localhostProfile) :
        has(variables.anyObject.metadata.annotations) && ("seccomp.example/" + c.name) in variables.anyObject.metadata.annotations ?
          variables.anyObject.metadata.annotations["seccomp.example/" + c.name] : dyn("not configured"),
      "found": dyn("container"),
    }})
- name: bad
  expression: |
    variables.profiles.filter(p, !(p.profile in variables.params.allowed)).map(p,
      "profile '" + p.profile + "' of '" + p.container + "' found at " + p.found)
validations:
- expression: 'has(variables.translated) && size(variables.bad) == 0'
  messageExpression: |
    variables.bad.join("\n")
"#
    );
    let template = compiled(&source);
    let with = |profile: Value, annotation: Option<&str>| {
        let mut object = pod(&json!({
            "containers": [{"name": "a", "image": "a", "securityContext": {"seccompProfile": profile}}],
        }));
        if let Some(annotation) = annotation {
            object["metadata"]["annotations"] = json!({"seccomp.example/a": annotation});
        }
        object
    };
    let params = json!({"allowed": ["runtime/default", "localhost/x"]});
    check(&template, &with(json!({"type": "RuntimeDefault"}), None), &params, &["Passed"]);
    check(&template, &with(json!({"type": "Localhost", "localhostProfile": "x"}), None), &params, &["Passed"]);
    let bad = "profile 'unconfined' of 'a' found at container";
    check(&template, &with(json!({"type": "Unconfined"}), None), &params, &[bad]);
    check(&template, &with(json!(null), Some("unconfined")), &params, &[bad]);
    check(&template, &with(json!(null), Some("runtime/default")), &params, &["Passed"]);
    // A message of several lines is none.
    let two = pod(&json!({"containers": [{"name": "a", "image": "a"}, {"name": "b", "image": "b"}]}));
    let fallback = "failed expression: has(variables.translated) && size(variables.bad) == 0";
    check(&template, &two, &params, &[fallback]);
}

#[test]
fn several_validations_and_their_failures() {
    let template = compiled(
        r"
validations:
- expression: has(object.metadata.labels) && variables.params.labels.all(l, l.key in object.metadata.labels)
  messageExpression: '''labels wanted: '' + variables.params.labels.map(l, l.key).join('', '')'
- expression: |
    object.spec.volumes.all(v, !has(v.hostPath))
- expression: params.spec.parameters.labels.size() < 3
  message: too many labels
",
    );
    let params = json!({"labels": [{"key": "owner"}, {"key": "team"}, {"key": "tier"}]});
    let error = "expression 'object.spec.volumes.all(v, !has(v.hostPath))' resulted in error: \
                 no such key at 1:12 (`.volumes.all(v, !has(v.hostPath))`)";
    check(&template, &pod(&json!({})), &params, &["labels wanted: owner, team, tier", error, "too many labels"]);
    let ignoring = compiled("failurePolicy: Ignore\nvalidations: [{expression: object.spec.volumes.size() > 0}]");
    assert!(matches!(
        evaluate(&ignoring, &pod(&json!({})), &json!(null), Asked::default()),
        Decision::Unknown(reason) if reason.contains("no such key")
    ));
}

#[test]
fn without_a_request_there_is_no_operation_and_no_user() {
    let template = |expression: &str| compiled(&format!("validations: [{{expression: {expression:?}}}]"));
    let audit = |expression: &str| evaluate(&template(expression), &pod(&json!({})), &json!(null), Asked::default());
    assert_eq!(audit("has(request.operation) && request.operation == '' && oldObject == null"), Decision::Passed);
    assert_eq!(audit("!has(variables.params.x) && object == variables.anyObject"), Decision::Passed);
    assert!(matches!(audit("request.userInfo.username == 'x'"), Decision::Unknown(_)));
}

#[test]
fn a_whole_request_says_the_rest() {
    let source = "validations: [{expression: \"request.subResource == 'ephemeralcontainers' && request.dryRun && \
                  !has(request.options) && request.userInfo.username == 'amy' && request.name == 'q'\"}]";
    let (object, user) = (pod(&json!({})), json!({"username": "amy"}));
    let request = json!({
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "subResource": "ephemeralcontainers",
        "name": "q",
        "operation": "UPDATE",
        "dryRun": true,
    });
    let inventory = Inventory::default();
    let review = Review {
        object: &object,
        old_object: Some(&object),
        operation: Some(Operation::Update),
        namespace: None,
        user: Some(&user),
        inventory: &inventory,
    };
    assert_eq!(compiled(source).evaluate_request(&review, &request, &json!(null)), Decision::Passed);
}

#[test]
fn a_source_that_cannot_run_is_refused_where_it_is_written() {
    let source = document("variables: [{name: a, expression: 'object.x +'}]\nvalidations: [{expression: 'true'}]");
    let error = Validation::compile(&source, Dialect::Gatekeeper, PLACE).unwrap_err();
    assert_eq!(error.document, "ConstraintTemplate/t");
    assert_eq!(error.field, "spec.targets[0].code[0].source.variables[0].expression");
    assert_eq!(error.position.map(|(line, _)| line), Some(1));
    let none = Validation::compile(&json!({}), Dialect::Gatekeeper, PLACE).unwrap_err();
    assert_eq!(none.field, "spec.targets[0].code[0].source.validations");
}
