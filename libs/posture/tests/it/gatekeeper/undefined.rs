//! What Gatekeeper's engine takes for undefined where others fail: heads that look into nothing, operators between values
//! that do not go together, and what is no collection.

use rampart_posture::policy::Inventory;
use rampart_posture::policy::gatekeeper::Mode;

use super::messages;
use super::rego::{check, decide, holds, pod};

/// A policy that always finds `y`, and more where `rest` does.
fn beside(rest: &str, expected: &[&str]) {
    check(&format!("{rest}\nviolation[{{\"msg\": \"y\"}}] {{ true }}"), expected);
}

const USES: &str = "violation[{\"msg\": m}] { found[m] }";

#[test]
fn a_head_that_looks_into_nothing_has_no_member() {
    for nothing in
        ["input.review.object.spec.volumes[_]", "input.parameters.no[_].name", "input.parameters.list[_].x[_]"]
    {
        beside(&format!("found[{nothing}]\n{USES}"), &["y"]);
        beside(&format!("found[{nothing}] {{ true }}\n{USES}"), &["y"]);
        beside(&format!("violation[{{\"msg\": {nothing}}}] {{ input.review }}"), &["y"]);
        beside(&format!("found[\"k\"] = {nothing} {{ true }}\nviolation[{{\"msg\": m}}] {{ m := found.k }}"), &["y"]);
        beside(&format!("found(_) = {nothing} {{ true }}\nviolation[{{\"msg\": m}}] {{ m := found(1) }}"), &["y"]);
        holds(&format!("count({{x.y[_] | x := {nothing}}}) == 0; count([{nothing} | true]) == 0"), true);
        check(
            &format!(
                "import future.keywords\nfound contains {nothing}\nfound contains {nothing} if {{ true }}\nfound contains {nothing} if input.review\nviolation contains {{\"msg\": m}} if {{ some m in found }}\nviolation contains {{\"msg\": \"y\"}} if true"
            ),
            &["y"],
        );
    }
}

#[test]
fn a_head_that_looks_into_something_has_its_members() {
    beside(&format!("found[input.parameters.list[_]]\n{USES}"), &["a", "b", "y"]);
    beside(
        &format!(
            "found[sprintf(\"%v of %v\", [input.parameters.list[i], kind])] {{\n  kind := input.review.object.kind # said\n  i > 0 }}\n{USES}"
        ),
        &["b of Pod", "y"],
    );
    holds(
        "{[x, c.image] | c := input.review.object.spec.containers[_]; x := 1} == {[1, \"x/a\"], [1, \"y/b:1\"]}",
        true,
    );
    holds("[input.parameters.list[i] | i > 0] == [\"b\"]", true);
    holds("{input.parameters.list[i]: input.parameters.list[i] | i == 0} == {\"a\": \"a\"}", true);
}

#[test]
fn operators_between_values_that_do_not_go_together_are_undefined() {
    for wrong in [
        "input.review.object.kind - 1",
        "input.review.object.kind * 2",
        "input.parameters.no + 1",
        "1 / input.parameters.list",
        "1 - {1}",
        "input.parameters.list - {\"a\"}",
        "{\"a\"} | input.parameters.list",
        "input.parameters.list & {\"a\"}",
        "1.5 % 1",
        "1 % 0",
        "1 / 0",
        "input.review.object.kind % 2",
        "2 * (input.review.object.kind - 1) + 3",
    ] {
        beside(&format!("violation[{{\"msg\": \"m\"}}] {{ ({wrong}) != 7 }}"), &["y"]);
        beside(&format!("found {{ x := {wrong}; x }}\nviolation[{{\"msg\": \"m\"}}] {{ not found }}"), &["m", "y"]);
        holds(&format!("count([x | x := {wrong}]) == 0"), true);
    }
}

#[test]
fn what_is_undefined_for_one_is_found_for_the_next() {
    holds("x := [\"a\", {1}, 2][_]; x - 1 == 1", true);
    holds("x := [\"a\", 2][_]; count([y | y := x * 2]) == 1", true);
    holds("some y; x := [null, 3, [1]][_]; x[y] == 1", true);
    beside(
        "import future.keywords\nviolation[{\"msg\": \"m\"}] { some x in [null, 3, [1]]; some y in x; y == 1 }",
        &["m", "y"],
    );
    beside("less(x) = y { y := x - 1 }\nviolation[{\"msg\": \"m\"}] { less([\"a\", 2][_]) == 1 }", &["m", "y"]);
}

#[test]
fn operators_bind_as_they_are_read() {
    for right in [
        "1 + 2 * 3 == 7",
        "8 - 3 - 2 == 3",
        "8-3 -2 == 3",
        "(1 + 2) * 3 - 4 / 2 == 7",
        "7 % 4 * 2 == 6",
        "1e-1 + 1 == 1.1",
        "{1} | {2} & {3} == {1}",
        "{1, 2} | {3} - {1} == {1, 2, 3}",
        "count({x | x := {1, 2}[_] - 1} | {9}) == 3",
        "x := [1, 2, 3][1 + 1]; x - -1 == 4",
        "{\"k\": 2 - 1} == {\"k\": 1}",
        "count({\"a\"} - {\"b\"}) + 1 == 2; startswith(concat(\"/\", {\"a\"} | {\"b\"}), \"a/b\")",
        "x := {\n  1,\n  2} -\n  {2}\n  x == {1}",
    ] {
        holds(right, true);
    }
}

#[test]
fn what_is_no_collection_has_nothing_in_it() {
    for nothing in
        ["null", "\"text\"", "3", "input.parameters.no", "input.review.object.kind", "input.parameters.nothing"]
    {
        check(
            &format!(
                "import future.keywords\nviolation contains {{\"msg\": \"m\"}} if {{ some v in {nothing}; v }}\nviolation contains {{\"msg\": \"k\"}} if {{ some k, v in {nothing}; k; v }}\nviolation contains {{\"msg\": \"y\"}} if {{ count([v | some v in {nothing}]) == 0 }}"
            ),
            &["y"],
        );
    }
    check(
        "import future.keywords\nviolation contains {\"msg\": m} if { some m in {\"a\", \"b\"} - {\"b\"} }\nviolation contains {\"msg\": m} if { some 1, m in input.parameters.list; every x in {1} | {2} { x - 1 < 2 } }",
        &["a", "b"],
    );
}

#[test]
fn numbers_print_as_in_go() {
    check("violation[{\"msg\": m}] { m := sprintf(\"%d\", [1.5]) }", &["%!d(float64=1.5)"]);
    check("violation[{\"msg\": m}] { m := sprintf(\"%v\", [1000000000000000000000]) }", &["1000000000000000000000"]);
    holds("sprintf(\"%v %g %v\", [1234567.5, 0.5, 123456.5]) == \"1.2345675e+06 0.5 123456.5\"", true);
}

#[test]
fn documents_are_written_as_in_go() {
    check(
        "violation[{\"msg\": m}] { m := json.marshal({\"a\": [\"<x>&\", 1, null]}) }",
        &[r#"{"a":["\u003cx\u003e\u0026",1,null]}"#],
    );
}

#[test]
fn a_key_with_two_values_is_a_contradiction() {
    let rego = "violation[{\"msg\": m}] { o := {\"k\": v | v := input.parameters.list[_]}; m := sprintf(\"%v\", [o]) }";
    for mode in [Mode::Fast, Mode::Reference] {
        let found = messages(&decide(rego, mode, &pod(), &Inventory::default()));
        assert_eq!(found, ["eval_conflict_error: object keys must be unique"], "{mode:?}");
    }
}

#[test]
fn a_function_may_be_named_contains() {
    let function = "contains(list, item) { list[_] == item }";
    check(&format!("{function}\nviolation[{{\"msg\": \"m\"}}] {{ contains([\"a\"], \"a\") }}"), &["m"]);
    check(&format!("violation[{{\"msg\": \"m\"}}] {{ contains([\"a\"], \"a\") }}\n\n{function}"), &["m"]);
}

#[test]
fn globs_cross_delimiters_with_two_stars() {
    holds("glob.match(\"*.svc**\", [], \"a.svc.cluster.local\")", true);
    holds("glob.match(\"*.svc*\", [], \"a.svc.cluster.local\")", false);
    holds("glob.match(\"*\", null, \"a.b/c\")", true);
    holds("not glob.match(\"a?c\", [\"b\"], \"abc\")", true);
}
