//! Rego as Gatekeeper's engine runs it: what both engines say, by the same small policies.

use std::time::{Duration, Instant};

use super::{judge, messages};
use rampart_posture::policy::gatekeeper::{Mode, Template};
use rampart_posture::policy::{Decision, Inventory};
use serde_json::{Value, json};

fn template(rego: &str) -> Value {
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": "house"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "House"}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": format!("package house\n{rego}")}],
        },
    })
}

pub(super) fn decide(rego: &str, mode: Mode, object: &Value, inventory: &Inventory) -> Decision {
    let constraint = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "House", "metadata": {"name": "one"},
        "spec": {"parameters": {"list": ["a", "b"], "no": false}},
    });
    let template = Template::parse(&template(rego)).unwrap_or_else(|error| panic!("{rego}: {error}"));
    judge(&template.constraint(&constraint).unwrap().with_mode(mode), object, inventory)
}

pub(super) fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "prod", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "one", "image": "x/a"}, {"name": "two", "image": "y/b:1"}]},
    })
}

/// What both engines find in the pod.
pub(super) fn check(rego: &str, expected: &[&str]) {
    for mode in [Mode::Fast, Mode::Reference] {
        let decision = decide(rego, mode, &pod(), &Inventory::default());
        assert_eq!(messages(&decision), expected, "{rego} ({mode:?})");
    }
}

/// Whether a body holds, by both engines.
pub(super) fn holds(body: &str, expected: bool) {
    let expected: &[&str] = if expected { &["m"] } else { &[] };
    check(
        &format!("violation[{{\"msg\": \"m\"}}] {{ {body} }}\nyes(_) {{ true }}\nname = input.parameters.nothing"),
        expected,
    );
}

#[test]
fn what_is_undefined_fails_wherever_it_stands() {
    for body in [
        "x := input.parameters.nothing",
        "x := lower(input.parameters.nothing)",
        "x := [input.parameters.nothing]",
        "x := {\"a\": input.parameters.nothing}",
        "x := {v | y := input.parameters.nothing; v := 1}; count(x) == 1",
        "yes(input.parameters.nothing)",
        "input.parameters.nothing != 1",
        "count({\"a\": v | v := input.parameters.nothing}) == 1",
        "some x; input.parameters.nothing[x]",
    ] {
        holds(body, false);
    }
}

#[test]
fn queries_within_queries_may_fail() {
    for body in [
        "count({v | v := input.parameters.nothing; v == 1}) == 0",
        "count([1 | false]) == 0",
        "count({v | v := input.parameters.list[_]; v == \"z\"}) == 0",
        "count({v: 1 | v := input.parameters.list[_]; v == \"z\"}) == 0",
        "count({v | list := input.parameters.list; list == 3; v := list[_]}) == 0",
    ] {
        holds(body, true);
    }
}

#[test]
fn negations_look_up_their_operands_first() {
    holds("not input.parameters.nothing", true);
    holds("not input.parameters.nothing == 3", true);
    holds("not input.parameters.no", true);
    holds("not name", true);
    holds("not yes(input.parameters.nothing)", false);
    holds("not yes(name)", false);
    holds("not startswith(input.parameters.nothing, \"a\")", false);
    holds("not startswith(lower(input.parameters.nothing), \"a\")", false);
    holds("not input.parameters.nothing > 3", false);
    holds("not count(input.parameters.nothing) == 3", false);
    holds("not input.parameters.list[input.parameters.nothing]", false);
    holds("not yes([input.parameters.nothing])", false);
    holds("not yes({v | v := input.parameters.nothing}[1])", false);
    holds("x := input.parameters.list; not startswith(x[0], \"b\"); not endswith(concat(\"\", x), \"a\")", true);
    holds("not yes({x | x := input.parameters.nothing})", false);
    holds("count({x | x := input.parameters.list[_]; not startswith(x, input.parameters.nothing)}) == 0", true);
}

#[test]
fn statements_end_where_they_end() {
    check("violation[{\"msg\": \"m\"}] {\n  input.review.object\n  (1 + 1) == 2\n}", &["m"]);
    check("violation[{\"msg\": \"m\"}] { x := 1; x == 1; }", &["m"]);
    check("violation[{\"msg\": m}] {\n  m := input.parameters.list[0] } {\n  # the other\n  m := \"z\" }", &["a", "z"]);
    check(
        "f(x) = y {\n  x == 1\n  y := \"one\"\n} {\n  x == 2\n  y := \"two\"\n}\nviolation[{\"msg\": m}] { m := f(2) }",
        &["two"],
    );
}

#[test]
fn messages_print_as_in_go() {
    let message =
        |call: &str, expected: &str| check(&format!("violation[{{\"msg\": m}}] {{ m := {call} }}"), &[expected]);
    message("sprintf(\"%v %v\", [\"a\"])", "a %!v(MISSING)");
    message("sprintf(\"%v\", [\"a\", 1])", "a%!(EXTRA int=1)");
    message("sprintf(\"%d of %5.1f %q %s\", [3, 2.5, \"x\", {\"k\": {1, 2}}])", "3 of   2.5 \"x\" {\"k\": {1, 2}}");
    message("sprintf(\"%d\", [\"a\"])", "%!d(string=a)");
    message("sprintf(\"%v %v %v\", [null, true, set()])", "null true set()");
    message("sprintf(input.parameters.list[0], [])", "a");
}

#[test]
fn a_body_whose_value_is_undefined_is_passed_over() {
    let rego = |rest: &str| {
        format!(
            "f(p) = p.nothing {{ true }} else = p.list[0] {{ p.list }} else = \"c\" {rest}\nviolation[{{\"msg\": m}}] {{ m := f(input.parameters) }}"
        )
    };
    check(&rego("{ true }"), &["a"]);
    check(&rego(""), &["a"]);
    check(
        "f(p) := p.nothing if { p.list } else := \"c\" if { p.list }\nviolation contains {\"msg\": m} if { m := f(input.parameters) }",
        &["c"],
    );
}

#[test]
fn walks_go_everywhere() {
    holds("walk(input.review.object, [path, value]); value == \"y/b:1\"; path[2] == 1", true);
    holds("[path, value] := walk(input.review.object); value == \"y/b:1\"; path[2] == 1", true);
    holds("some value; [_, value] = walk(input.review.object); value == \"y/b:1\"", true);
    holds("count([v | [p, v] := walk(input.review.object); p[0] == \"metadata\"]) == 5", true);
    holds("pair := walk(input.review.object); pair[1] == \"web\"", true);
    holds("walk(input.review.object, [_, \"absent\"])", false);
}

#[test]
fn printing_says_nothing() {
    holds("print(\"seen\", input.parameters.nothing); x := 1; print(x)", true);
}

#[test]
fn older_functions_are_known() {
    holds("any([false, true])", true);
    holds("all([true, false])", false);
    holds("all([])", true);
    holds("any({startswith(input.review.object.kind, \"P\")})", true);
    holds("re_match(\"^P\", input.review.object.kind); not re_match(\"^Q\", input.review.object.kind)", true);
    holds("set_diff({1, 2}, {2}) == {1}", true);
    holds("cast_set([1, 1]) == {1}; cast_array({1}) == [1]", true);
    holds("net.cidr_intersects(\"10.0.0.0/8\", \"10.1.0.0/16\")", true);
    // A policy's own function of that name wins.
    check("any(x) { x == 1 }\nviolation[{\"msg\": \"m\"}] { any(1) }", &["m"]);
}

#[test]
fn members_without_a_message_are_no_violations() {
    check(
        "violation[\"text\"] { true }\nviolation[{\"text\": \"x\"}] { true }\nviolation[{\"msg\": \"m\"}] { true }",
        &["m"],
    );
    check(
        "violation[{\"msg\": \"m\", \"details\": {\"b\": 1}}] { true }\nviolation[{\"msg\": \"n\"}] { true }",
        &["n", "m"],
    );
    let wrong = decide("violation[{\"msg\": 1}] { true }", Mode::Fast, &pod(), &Inventory::default());
    assert!(matches!(wrong, Decision::Unknown(_)), "{wrong:?}");
    let Decision::Violated(found) = decide(
        "violation[{\"msg\": \"m\", \"details\": {\"names\": {\"b\", \"a\"}}}] { true }",
        Mode::Fast,
        &pod(),
        &Inventory::default(),
    ) else {
        panic!("it violates")
    };
    assert_eq!(found[0].details, Some(json!({"names": ["a", "b"]})));
}

#[test]
fn contradictions_are_violations() {
    let rego = "f(x) = 1 { x == \"Pod\" }\nf(x) = 2 { x == \"Pod\" }\nviolation[{\"msg\": \"m\"}] { f(input.review.object.kind) > 5 }";
    for mode in [Mode::Fast, Mode::Reference] {
        let found = messages(&decide(rego, mode, &pod(), &Inventory::default()));
        assert!(found.len() == 1 && found[0].starts_with("eval_conflict_error: "), "{found:?}");
    }
}

#[test]
fn the_request_is_shown_as_gatekeeper_shows_it() {
    let message = |value: &str, expected: &str| {
        check(&format!("violation[{{\"msg\": m}}] {{ m := sprintf(\"%v\", [{value}]) }}"), &[expected]);
    };
    message("input.review.kind", "{\"group\": \"\", \"kind\": \"Pod\", \"version\": \"v1\"}");
    message("[input.review.name, input.review.namespace, input.review.operation]", "[\"web\", \"prod\", \"\"]");
    message("[input.review.oldObject, input.review.userInfo, input.review.uid]", "[null, {}, \"\"]");
    message("object.get(input.review, \"namespaceObject\", \"none\")", "none");
    message("input.parameters.list", "[\"a\", \"b\"]");
}

#[test]
fn the_inventory_is_looked_up_by_its_path() {
    let inventory = Inventory::new(vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": {"tier": "gold"}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a", "namespace": "prod"}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "a", "namespace": "test"}}),
        json!({"kind": "Ingress", "metadata": {"name": "without a version"}}),
    ]);
    let rego = r#"
violation[{"msg": m}] { other := data.inventory.namespace[ns][version]["Ingress"][name]; m := sprintf("%v %v %v %v", [ns, version, name, other.metadata.namespace]) }
violation[{"msg": m}] { data.inventory.cluster["v1"].Namespace[m] }
violation[{"msg": m}] { m := data["inventory"].cluster.v1.Namespace.prod.metadata.labels.tier }
violation[{"msg": m}] { m := input.review.namespaceObject.metadata.name; not data.inventory.cluster.v1.Node }
"#;
    for mode in [Mode::Fast, Mode::Reference] {
        let found = messages(&decide(rego, mode, &pod(), &inventory));
        let expected = ["gold", "prod", "prod networking.k8s.io/v1 a prod", "test networking.k8s.io/v1 a test"];
        assert_eq!(found, expected, "{mode:?}");
    }
}

/// Both engines stop in time, whatever the policy asks for.
fn stops(rego: &str) {
    for mode in [Mode::Fast, Mode::Reference] {
        let start = Instant::now();
        let decision = decide(rego, mode, &pod(), &Inventory::default());
        assert!(matches!(&decision, Decision::Unknown(why) if why.contains("too long")), "{decision:?}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }
}

#[test]
fn work_without_end_is_stopped() {
    stops("violation[{\"msg\": \"m\"}] { a := numbers.range(1, 100000); a[i] + a[j] + a[k] == 0 }");
    let digits: Vec<String> = ('a'..='l').map(|name| format!("x[{name}]")).collect();
    let sum: Vec<String> = ('a'..='l').map(String::from).collect();
    stops(&format!(
        "violation[{{\"msg\": \"m\"}}] {{ x := [1, 2, 3, 4, 5, 6, 7, 8]; {}; {} < 0 }}",
        digits.join("; "),
        sum.join(" + ")
    ));
}

/// So many lines, one after the other.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().concat()
}

#[test]
fn sources_beyond_measure_are_refused() {
    let refused = |rego: &str| {
        let start = Instant::now();
        let error = Template::parse(&template(rego)).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        error.message
    };
    let body = |body: &str| format!("violation[{{\"msg\": \"m\"}}] {{ {body} }}");
    assert!(refused(&"# comment\n".repeat(110_000)).contains("larger"));
    for depth in [20, 1_000, 60_000] {
        refused(&body(&format!("x := {}{}", "[".repeat(depth), "]".repeat(depth))));
        refused(&body(&format!("x := {}1{}", "(".repeat(depth), ")".repeat(depth))));
    }
    refused(&body(&format!("x := {}1", "-".repeat(100_000))));
    refused(&body(&format!("x := {}", vec!["1"; 50_000].join(" + "))));
    refused(&body(&"a[_]\n".repeat(20_000)));
    let many = lines(1_000, |index| format!("x{index} := {index}\n"));
    assert!(refused(&body(&many)).contains("variables"));
    let chain = lines(500, |index| format!("f{index}(x) {{ f{}(x) }}\n", index + 1));
    assert!(refused(&format!("{}\n{chain}f500(x) {{ x }}", body("f0(1)"))).contains("chain"));
}

#[test]
fn deep_calls_and_loops_get_the_stack_that_they_need() {
    let all = "a[_]\n".repeat(90);
    let chain = lines(31, |index| format!("f{index}(a) {{ {all}f{}(a) }}\n", index + 1));
    check(&format!("violation[{{\"msg\": \"m\"}}] {{ f0([1]) }}\n{chain}f31(a) {{ a[0] == 1 }}"), &["m"]);
    check(&format!("violation[{{\"msg\": \"m\"}}] {{ a := [1]\n{all}a[0] == 1 }}"), &["m"]);
}

#[test]
fn long_bodies_and_long_chains_of_else_are_judged() {
    let statements = lines(250, |index| format!("x{index} := {index}\n"));
    check(&format!("violation[{{\"msg\": \"m\"}}] {{ {statements} }}"), &["m"]);
    let other = lines(1_000, |index| format!(" else = {index} {{ false }}\n"));
    check(&format!("f(x) {{ x == 2 }}{other}\nviolation[{{\"msg\": \"m\"}}] {{ not f(1) }}"), &["m"]);
}
