//! Policies that others wrote: as part of a check, and their suites.

use crate::run::{Files, check};

const TEMPLATE: &str = r#"apiVersion: templates.gatekeeper.sh/v1
kind: ConstraintTemplate
metadata:
  name: acmeowner
  annotations: {metadata.gatekeeper.sh/title: Owner is named, description: Somebody has to answer for an object.}
spec:
  crd:
    spec:
      names: {kind: AcmeOwner}
      validation:
        openAPIV3Schema: {type: object, properties: {label: {type: string}}}
  targets:
  - target: admission.k8s.gatekeeper.sh
    rego: |
      package acmeowner
      violation[{"msg": msg}] {
        not input.review.object.metadata.labels[input.parameters.label]
        msg := sprintf("%v has no label %v", [input.review.object.metadata.name, input.parameters.label])
      }
"#;
const CONSTRAINT: &str = "apiVersion: constraints.gatekeeper.sh/v1beta1\nkind: AcmeOwner\nmetadata: {name: owner}\nspec:\n  \
                          match: {kinds: [{apiGroups: [''], kinds: [Namespace]}]}\n  parameters: {label: owner}\n";
const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: named}\n\
                      spec:\n  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                      resources: [namespaces]}]}\n  validations: [{expression: \"object.metadata.name != 'default'\", message: \
                      not the default one}]\n---\napiVersion: admissionregistration.k8s.io/v1\nkind: \
                      ValidatingAdmissionPolicyBinding\nmetadata: {name: everywhere}\nspec: {policyName: named, \
                      validationActions: [Deny]}\n";
const OWNED: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {owner: a}}\n";
const BARE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n";
const SUITE: &str = "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\ntests:\n- name: owner\n  template: template.yaml\n  \
                     constraint: constraint.yaml\n  cases:\n  - name: owned\n    object: owned.yaml\n    assertions: [{violations: \
                     no}]\n  - name: bare\n    object: bare.yaml\n    assertions:\n    - {violations: 1, message: '^default has no \
                     label owner$'}\n  - name: request\n    object: request.yaml\n    assertions: [{violations: yes}]\n  - name: \
                     later\n    skip: true\n    object: none.yaml\n    assertions: [{}]\n";
const REQUEST: &str = "apiVersion: admission.k8s.io/v1\nkind: AdmissionReview\nrequest:\n  uid: x\n  operation: CREATE\n  kind: \
                       {group: '', version: v1, kind: Namespace}\n  name: default\n  object: {apiVersion: v1, kind: Namespace, \
                       metadata: {name: default}}\n";

fn files(suite: &str) -> Files {
    Files::of(&[
        ("suite/template.yaml", TEMPLATE),
        ("suite/constraint.yaml", CONSTRAINT),
        ("suite/owned.yaml", OWNED),
        ("suite/bare.yaml", BARE),
        ("suite/request.yaml", REQUEST),
        ("suite/suite.yaml", suite),
        ("vap/policy.yaml", POLICY),
    ])
}

#[test]
fn violations_of_policies_are_findings() {
    let files = files(SUITE);
    let args = ["suite/bare.yaml", "suite/owned.yaml", "--policy", "suite", "--policy", "vap", "-o", "json"];
    let ran = check(&files, &args);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let report = ran.json();
    let found: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|it| (&it["control"], &it["severity"])).collect();
    assert_eq!(
        found,
        [(&"gatekeeper/AcmeOwner/owner".into(), &"medium".into()), (&"vap/named/everywhere".into(), &"medium".into())]
    );
    assert_eq!(report["findings"][0]["evidence"]["message"], "default has no label owner");
    let all = check(&files, &[&args[..], &["--all", "--explain"]].concat()).json();
    assert_eq!(all["summary"]["statuses"]["healthy"], 2, "{all}");
    assert_eq!(all["findings"][0]["explanation"]["title"], "Owner is named");
}

#[test]
fn a_policy_that_warns_does_not_fail_the_run() {
    let warning = CONSTRAINT.replace("spec:\n", "spec:\n  enforcementAction: warn\n");
    let files = Files::of(&[("p/template.yaml", TEMPLATE), ("p/c.yaml", &warning), ("ns.yaml", BARE)]);
    let ran = check(&files, &["ns.yaml", "--policy", "p", "-o", "json"]);
    assert_eq!((ran.code, ran.json()["findings"][0]["severity"].as_str()), (0, Some("informational")));
    let broken = Files::of(&[("p/c.yaml", CONSTRAINT), ("ns.yaml", BARE)]);
    let ran = check(&broken, &["ns.yaml", "--policy", "p"]);
    assert_eq!(ran.code, 2, "a constraint without its template");
    assert!(ran.stderr.contains("AcmeOwner"), "{}", ran.stderr);
}

#[test]
fn suites_give_a_line_per_case() {
    let ran = files(SUITE).policy_test(&["suite"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}", ran.stdout);
    assert!(lines[0].starts_with("ok    ") && lines[0].ends_with("suite.yaml: owner / owned"));
    assert_eq!(&lines[4..], ["1 skipped", "3 passed, 0 failed"]);
    let wrong = files(&SUITE.replace("violations: 1", "violations: 2")).policy_test(&["suite", "--engine", "rego"]);
    assert_eq!((wrong.code, wrong.stdout.lines().last()), (1, Some("2 passed, 1 failed")));
    assert!(
        wrong.stdout.contains("FAIL  ") && wrong.stdout.contains("wanted exactly 2 violations"),
        "{}",
        wrong.stdout
    );
    let cel = files(SUITE).policy_test(&["suite", "--engine", "cel"]);
    assert_eq!(cel.stdout.lines().last(), Some("0 passed, 0 failed"), "the template has no CEL: {}", cel.stdout);
}

#[test]
fn what_cannot_be_run_fails_or_is_told() {
    let nothing = Files::of(&[("x/a.yaml", OWNED)]).policy_test(&["x"]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (2, "0 passed, 0 failed\n"));
    let missing = files(&SUITE.replace("template.yaml", "gone.yaml")).policy_test(&["suite"]);
    assert_eq!((missing.code, missing.stdout.lines().last()), (1, Some("0 passed, 3 failed")));
    let invalid = "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\ntests:\n- {name: refused, template: template.yaml, \
                   constraint: owned.yaml, invalid: true}\n- {name: taken, template: template.yaml, constraint: \
                   constraint.yaml, invalid: true}\n";
    let ran = files(invalid).policy_test(&["suite"]);
    assert_eq!((ran.code, ran.stdout.lines().last()), (1, Some("1 passed, 1 failed")), "{}", ran.stdout);
}

/// The constraint, acting only as these scoped actions say.
fn scoped(actions: &str) -> String {
    let spec = format!("spec:\n  enforcementAction: scoped\n  scopedEnforcementActions: [{actions}]\n");
    CONSTRAINT.replace("spec:\n", &spec)
}

fn at(action: &str, point: &str) -> String {
    format!("{{action: {action}, enforcementPoints: [{{name: {point}}}]}}")
}

#[test]
fn scoped_actions_count_where_they_are_taken() {
    let bare = "apiVersion: test.gatekeeper.sh/v1alpha1\nkind: Suite\ntests:\n- name: owner\n  template: template.yaml\n  \
                constraint: constraint.yaml\n  cases: [{name: bare, object: bare.yaml, assertions: [{violations: no}]}]\n";
    let suite = |actions: &str| {
        let constraint = scoped(actions);
        let files =
            [("template.yaml", TEMPLATE), ("constraint.yaml", &constraint), ("bare.yaml", BARE), ("s.yaml", bare)];
        Files::of(&files).policy_test(&["."]).code
    };
    assert_eq!(suite(&at("warn", "validation.gatekeeper.sh")), 0);
    assert_eq!(suite(&at("deny", "gator.gatekeeper.sh")), 1);
    assert_eq!(suite(&at("deny", "'*'")), 1);
    let severity = |actions: &str| {
        let constraint = scoped(actions);
        let files = Files::of(&[("p/template.yaml", TEMPLATE), ("p/c.yaml", &constraint), ("ns.yaml", BARE)]);
        let ran = check(&files, &["ns.yaml", "--policy", "p", "-o", "json"]);
        ran.json()["findings"][0]["severity"].as_str().map(str::to_owned)
    };
    assert_eq!(severity(&at("deny", "audit.gatekeeper.sh")).as_deref(), Some("medium"));
    assert_eq!(severity(&at("warn", "validation.gatekeeper.sh")).as_deref(), Some("informational"));
    assert_eq!(severity(&at("deny", "elsewhere.example.com")), None);
}

#[test]
fn expansion_is_told_not_to_be_supported() {
    let expanding = SUITE.replace("  cases:", "  expansion: expansion.yaml\n  cases:");
    let ran = files(&expanding).policy_test(&["suite"]);
    assert_eq!((ran.code, ran.stdout.lines().last()), (1, Some("0 passed, 3 failed")), "{}", ran.stdout);
    assert!(ran.stdout.contains("`expansion: expansion.yaml` is not supported"), "{}", ran.stdout);
}
