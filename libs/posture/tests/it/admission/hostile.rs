//! Sources and objects that mean harm.

use rampart_posture::policy::Decision;
use rampart_posture::policy::admission::{Unbound, load};
use serde_json::{Value, json};

use super::{Asked, deployment, document, messages, on_deployments, policy, review};

fn with_expression(expression: &str) -> Value {
    let mut policy = document(&on_deployments("  validations: []"));
    policy["spec"]["validations"] = json!([{"expression": expression}]);
    policy
}

#[test]
fn long_and_deep_sources_are_refused() {
    for expression in [
        vec!["1"; 5_000].join("+"),
        format!("{}true{}", "(".repeat(4_000), ")".repeat(4_000)),
        format!("{}1{} == 1", "[".repeat(4_000), "]".repeat(4_000)),
        format!("object{}", ".a".repeat(5_000)),
        format!("{} true", "true ?".repeat(2_000)),
        "x".repeat(100_000),
    ] {
        let (policies, errors) = load(&[with_expression(&expression)], Unbound::Judged);
        assert_eq!((policies.len(), errors.len()), (0, 1), "{}", &expression[..20]);
        assert!(errors[0].position.is_some(), "{}", errors[0]);
    }
}

#[test]
fn long_chains_of_variables_run_on_an_ordinary_stack() {
    let above = |n: u32| match n {
        0 => "object.kind".to_owned(),
        _ => format!("[[variables.v{}]][0][0]", n - 1),
    };
    let chained: Value = (0..500).map(|n| json!({"name": format!("v{n}"), "expression": above(n)})).collect();
    let mut document = with_expression("variables.v499 == 'Deployment'");
    document["spec"]["variables"] = chained;
    let (policies, errors) = load(&[document], Unbound::Judged);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(review(&*policies[0], &deployment(1), Asked::default()), Decision::Passed);
}

#[test]
fn the_deepest_expressions_run_on_an_ordinary_stack() {
    for (open, close) in [
        ("[1].all(i, v, ", ")"),
        ("[1].map(x, x).exists(x, ", ")"),
        ("cel.bind(x, 1, ", ")"),
        ("math.greatest([1, 2]) == 2 && !(", ")"),
        ("[1].transformMap(i, v, v).all(i, v, ", ")"),
        ("lists.range(1).sortBy(x, 1).exists(x, ", ")"),
        ("optional.of(1).optMap(x, ", ").hasValue()"),
    ] {
        let nested = |depth: usize| with_expression(&format!("{}1 == 1{}", open.repeat(depth), close.repeat(depth)));
        let policies = (1..100).step_by(3).map(|depth| load(&[nested(depth)], Unbound::Judged).0);
        let deepest = policies.take_while(|policies| !policies.is_empty()).last().unwrap();
        assert_ne!(review(&*deepest[0], &deployment(1), Asked::default()), Decision::NotMatched, "{open}");
    }
}

#[test]
fn long_conjunctions_are_not_deep() {
    let conjunction = vec!["object.kind != 'x'"; 400].join(" && ");
    let (policies, errors) = load(&[with_expression(&conjunction)], Unbound::Judged);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(review(&*policies[0], &deployment(1), Asked::default()), Decision::Passed);
}

#[test]
fn evaluations_end_by_their_budget() {
    let mut object = deployment(1);
    object["spec"]["many"] = (0..200).map(|n| json!({"name": n.to_string()})).collect();
    for expression in [
        "object.spec.many.all(a, object.spec.many.all(b, object.spec.many.all(c, object.spec.many.all(d, a != 1))))",
        "object.spec.many.map(a, object.spec.many.map(b, object.spec.many.map(c, object.spec.many))).size() > 0",
        "cel.bind(a, object.spec.many, a.all(b, a.all(c, a.all(d, a + a != a || a.all(e, e.name == ''))))) || true",
        "'x'.replace('', 'xxxxxxxxxxxxxxxx').replace('', 'xxxxxxxxxxxxxxxx').replace('', 'xxxxxxxxxxxxxxxx').replace('', 'xxxxxxxxxxxxxxxx').replace('', 'xxxxxxxxxxxxxxxx').size() > 0",
    ] {
        let (policies, errors) = load(&[with_expression(expression)], Unbound::Judged);
        assert!(errors.is_empty(), "{errors:?}");
        let decision = review(&*policies[0], &object, Asked::default());
        assert!(
            matches!(&decision, Decision::Unknown(reason) if reason.contains("budget")),
            "{expression}: {decision:?}"
        );
    }
}

#[test]
fn objects_that_are_none_are_no_fault() {
    let policy = policy(&on_deployments("  validations: [{expression: object.spec.replicas > 0}]"));
    for object in [json!(null), json!([]), json!("x"), json!({}), json!({"kind": 1, "apiVersion": [], "metadata": 7})] {
        assert_eq!(review(&*policy, &object, Asked::default()), Decision::NotMatched, "{object}");
    }
    let bare = json!({"apiVersion": "apps/v1", "kind": "Deployment"});
    assert!(messages(review(&*policy, &bare, Asked::default()))[0].contains("no such key"));
}

#[test]
fn documents_that_are_none_are_let_be_or_refused() {
    let api = "admissionregistration.k8s.io/v1";
    let kind = "ValidatingAdmissionPolicy";
    let others = [json!(null), json!([1]), json!({"kind": kind}), json!({"apiVersion": "v1", "kind": "Pod"})];
    let (policies, errors) = load(&others, Unbound::Judged);
    assert_eq!((policies.len(), errors.len()), (0, 0));
    let broken = [
        json!({"apiVersion": api, "kind": kind}),
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a"}}),
        json!({"apiVersion": api, "kind": kind, "metadata": {"name": "b"}, "spec": {"matchConstraints": 1, "validations": {}}}),
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": []}),
    ];
    let (policies, errors) = load(&broken, Unbound::Judged);
    assert_eq!((policies.len(), errors.len()), (0, 4), "{errors:?}");
}
