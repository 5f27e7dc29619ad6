use proptest::prelude::*;
use rampart_domain::{Cloud, Kind, ManagedBy};
use serde_json::{Value, json};

use super::{ErrorKind, EvalError, Names, Program, Reads, Run, Variable, Variables, compile};
use crate::input::Facts;
use crate::oracle::{describe, describe_cel, environment, now, of_json, reference};

struct Plain;

impl Names for Plain {
    fn variable(&self, name: &str) -> Option<(Variable, Reads)> {
        let variable = match name {
            "object" => Variable::Object,
            "params" => Variable::Params,
            "now" => Variable::Now,
            _ => return None,
        };
        Some((variable, Reads::default()))
    }

    fn neighbour(&self, _: &str) -> Option<u16> {
        None
    }

    fn parameter(&self, _: &str) -> bool {
        true
    }
}

fn run(program: &Program, object: &Value, steps: u32) -> Result<String, EvalError> {
    let empty = json!({});
    let facts = Facts {
        kind: Kind::K8sPod,
        name: "web",
        namespace: None,
        cloud: Cloud::Aws,
        account: None,
        region: None,
        labels: &empty,
        managed_by: ManagedBy::Customer,
        active: true,
        native_id: "id",
    };
    let variables = Variables {
        object,
        pod: None,
        template: &empty,
        facts: &facts,
        params: &empty,
        now: now(),
        neighbours: &[],
        lets: &[],
        it: None,
    };
    Run::new(variables, steps).value(program).map(|value| describe(&value))
}

/// Both evaluators give the same value, or both fail.
fn agree(source: &str, object: &Value) -> Result<(), String> {
    let program = compile(source, &Plain).unwrap_or_else(|error| panic!("{source}: {error}"));
    let ours = run(&program, object, 1_000_000).ok();
    let variables = [
        ("object".to_owned(), of_json(object)),
        ("params".to_owned(), of_json(&json!({}))),
        ("now".to_owned(), cel::Value::Timestamp(now().fixed_offset())),
    ];
    let theirs = reference(&environment(), source, &variables).map(|value| describe_cel(&value));
    if ours == theirs { Ok(()) } else { Err(format!("`{source}`: {ours:?}, reference {theirs:?}, with {object}")) }
}

/// The value of an expression of a control, or `None` for an error.
pub(super) fn of_control(source: &str, object: &Value) -> Option<String> {
    let program = compile(source, &Plain).unwrap_or_else(|error| panic!("{source}: {error}"));
    run(&program, object, 100_000).ok()
}

pub(super) fn objects() -> Vec<Value> {
    vec![
        json!({}),
        json!({"a": 1, "b": "text", "c": [1, 2, 3], "d": {"e": {"f": true}}, "n": 1.5, "big": 18_446_744_073_709_551_615_u64}),
        json!({"a": -7, "b": "Grüße", "c": ["x", "y", "x"], "d": {"e": 1}, "t": "2026-01-02T03:04:05Z"}),
        json!({"a": "1", "b": "", "c": [], "d": {}, "list": [{"k": 1}, {"k": 2}, {}]}),
        json!({"a": true, "b": "10.0.0.0/8", "c": {"x": 1}, "d": [[1], [2, 3]], "list": [{"k": "v"}]}),
    ]
}

pub(super) const CORPUS: &[&str] = &[
    "object.a",
    "object.d.e.f",
    "object['a']",
    "object.?a",
    "object.?zz",
    "object.?d.?e.?f",
    "object.?d.e.f",
    "object.?zz.e",
    "object.?zz.orValue(1)",
    "object.?a.hasValue()",
    "object.?a.or(object.?b)",
    "object.?a.value()",
    "object[?'a']",
    "object.c[?1]",
    "object.c[0]",
    "object.c[-1]",
    "object.c[1.0]",
    "object.c[?9].orValue(0)",
    "has(object.a)",
    "has(object.d.e)",
    "has(object.zz.e)",
    "has(object.?d.e)",
    "has(object.?zz.e)",
    "has(object.b.x)",
    "object.a == 1",
    "object.a == 1.0",
    "object.a == 1u",
    "object.a != 'x'",
    "object.a < 2",
    "object.a < 1.5",
    "object.n >= 1",
    "object.big > 1",
    "object.big == 18446744073709551615u",
    "object.a == null",
    "null == null",
    "object == object",
    "object.c == [1, 2, 3]",
    "object.c == [1.0, 2u, 3]",
    "object.d == {'e': {'f': true}}",
    "{'a': 1} == {'a': 1.0}",
    "'x' in object.c",
    "2 in object.c",
    "2.0 in object.c",
    "'e' in object.d",
    "1 in {1: 'x'}",
    "'x' in object.b",
    "1u in [1]",
    "object.a + 1",
    "object.a - 1",
    "object.a * 3",
    "object.a / 2",
    "object.a % 2",
    "object.a / 0",
    "object.a % 0",
    "1.5 + object.n",
    "1.0 / 0.0",
    "9223372036854775807 + 1",
    "-9223372036854775808 - 1",
    "-(object.a)",
    "-object.n",
    "object.b + '!'",
    "object.c + [4]",
    "object.b + 1",
    "1u - 2u",
    "5u % 3u",
    "7u / 2u",
    "true && object.a",
    "false && object.zz",
    "object.zz && false",
    "object.zz || true",
    "true || object.zz",
    "object.zz || false",
    "object.zz && true",
    "false || false || object.a == 1",
    "1 == 1 && 2 == 2 && 3 == 3",
    "!(object.a == 1)",
    "!object.b",
    "object.a == 1 ? 'one' : 'other'",
    "object.a ? 1 : 2",
    "object.c.all(x, x > 0)",
    "object.c.exists(x, x == 'x')",
    "object.c.exists_one(x, x == 'y')",
    "object.c.exists(x, x > 2)",
    "object.c.map(x, [x])",
    "object.c.map(x, x == 2, x * 10)",
    "object.c.filter(x, x != 2)",
    "object.d.all(k, k == 'e')",
    "object.d.exists(k, object.d[k] == 1)",
    "object.b.all(x, true)",
    "object.list.exists(i, i.k == 2)",
    "object.list.all(i, has(i.k))",
    "object.list.exists(i, i.k == 'nope')",
    "object.list.map(i, i.?k.orValue(0))",
    "object.c.all(x, object.c.exists(y, x == y))",
    "[[1, 2], [3]].all(x, x.exists(y, y > 0))",
    "[1, 2].exists(x, [x].exists(x, x == 2))",
    "[].all(x, x)",
    "[].exists(x, x)",
    "[1].all(x, 1 / 0 == x)",
    "[0, 1].exists(x, 1 / x == 1)",
    "[0, 1].all(x, 1 / x == 1)",
    "[0, 2].all(x, 1 / x == 1)",
    "[1, 0].exists_one(x, 1 / x == 1)",
    "object.?a.optMap(x, x + 1)",
    "object.?zz.optMap(x, x + 1)",
    "object.?d.optFlatMap(d, d.?e)",
    "size(object.b)",
    "object.b.size()",
    "object.c.size()",
    "size(object.d)",
    "size(object.a)",
    "object.b.startsWith('te')",
    "object.b.endsWith('xt')",
    "object.b.contains('ü')",
    "object.b.matches('^[a-z]+$')",
    "matches(object.b, 'G')",
    "object.b.matches(object.b)",
    "object.b.lowerAscii()",
    "object.b.upperAscii()",
    "object.b.split('')",
    "object.b.split('e')",
    "object.b.split('e', 2)",
    "object.b.split('', 2)",
    "object.b.split('e', 0)",
    "object.b.replace('e', 'E')",
    "object.b.replace('', '-')",
    "object.b.replace('e', 'E', 1)",
    "object.b.replace('e', 'E', -1)",
    "object.b.substring(2)",
    "object.b.substring(1, 3)",
    "object.b.substring(3, 1)",
    "object.b.substring(0, 0)",
    "object.b.substring(99)",
    "' x '.trim()",
    "object.b.indexOf('e')",
    "object.b.lastIndexOf('e')",
    "object.b.indexOf('')",
    "object.b.lastIndexOf('')",
    "object.b.charAt(0)",
    "object.b.charAt(4)",
    "object.b.charAt(99)",
    "object.c.join(',')",
    "object.c.join()",
    "['a', 'b'].join('-')",
    "string(object.a)",
    "string(object.n)",
    "string(object.b)",
    "string(object.big)",
    "string(1.0)",
    "string(true)",
    "string(object.c)",
    "int(object.a)",
    "int('12')",
    "int('x')",
    "int(1.9)",
    "int(-1.9)",
    "int(1e30)",
    "int(5u)",
    "int(object.big)",
    "uint(3)",
    "uint(-3)",
    "uint('7')",
    "double('1.5')",
    "double(2)",
    "double(object.a)",
    "bool('true')",
    "bool('T')",
    "bool('yes')",
    "dyn(object.a)",
    "type(object.a) == int",
    "type(object.b) == type('')",
    "type(object.c) == list",
    "type(object.d) == map",
    "type(null) == null_type",
    "type(object.n) == double",
    "timestamp(object.t)",
    "timestamp('2026-01-02T03:04:05.5Z') < now",
    "now - timestamp('2026-05-01T00:00:00Z') > duration('24h')",
    "timestamp('nope')",
    "duration('1h30m')",
    "duration('1.5s') + duration('500ms')",
    "duration('-1m')",
    "duration('x')",
    "now + duration('1s')",
    "string(duration('90m'))",
    "string(now)",
    "string(timestamp('2026-01-02T03:04:05.5Z'))",
    "int(now)",
    "duration('1h') == duration('60m')",
    "[1, 1.0, 2, 'a', 'a'].distinct()",
    "[3, 1, 2].sort()",
    "['b', 'a'].sort()",
    "[1, 'a'].sort()",
    "[?object.?a, ?object.?zz, 1]",
    "{'x': 1, ?'y': object.?zz, ?'z': object.?a}",
    "{'x': object.a, 'y': [object.b]}",
    "{1: 'a', 'b': 2}[1]",
    "{object.b: 1}",
    "{object.n: 1}",
    "{true: 1}[true]",
    "optional.of(1)",
    "optional.none()",
    "optional.none() == optional.none()",
    "optional.of(1) == optional.of(1.0)",
    "optional.ofNonZeroValue(object.a)",
    "optional.ofNonZeroValue('')",
    "optional.ofNonZeroValue([])",
    "'a' < 'b'",
    "'a' < 1",
    "false < true",
    "[1] < [2]",
    "1 < 1u",
    "2.5 > 2",
    "null < null",
    "object.a in [1, '1', true]",
    "\"\"\"multi\nline\"\"\"",
    "r'\\d'",
    "'\\u00fc'",
    "0x10",
    "1e3",
];

#[test]
fn agrees_with_the_reference_on_the_corpus() {
    let objects = objects();
    let pairs = CORPUS.iter().flat_map(|source| objects.iter().map(move |object| (source, object)));
    let failures: Vec<_> = pairs.filter_map(|(source, object)| agree(source, object).err()).collect();
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

const ATOMS: &[&str] = &[
    "object.a",
    "object.b",
    "object.c",
    "object.d",
    "object.zz",
    "object.?a",
    "object.?zz",
    "object.?d.?e",
    "object.d.e",
    "object.c[0]",
    "1",
    "2u",
    "1.5",
    "'x'",
    "''",
    "true",
    "false",
    "null",
    "[1, 'x']",
    "{'e': 1}",
    "has(object.a)",
    "object.list",
];

// Not any right side: the reference adds the keys of a map to a list, which the language does not define.
const ADDENDS: &[&str] = &["1", "2u", "1.5", "'x'", "object.b", "[1]", "object.zz"];

const OPERATORS: &[&str] = &["&&", "||", "==", "!=", "<", ">=", "-", "*", "/", "%", "in"];

const METHODS: &[&str] = &[
    "size()",
    "startsWith('x')",
    "contains('e')",
    "orValue(1)",
    "hasValue()",
    "?e",
    "e",
    "value()",
    "split('e')",
    "lowerAscii()",
    "trim()",
    "join('-')",
    "matches('^x')",
    "replace('e', 'x')",
    "substring(1)",
    "indexOf('t')",
    "distinct()",
];

const MACROS: &[&str] = &["all", "exists", "exists_one"];

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(ATOMS).prop_map(str::to_owned);
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), prop::sample::select(OPERATORS), inner.clone());
        prop_oneof![
            two.prop_map(|(a, operator, b)| format!("({a}) {operator} ({b})")),
            (inner.clone(), prop::sample::select(ADDENDS)).prop_map(|(a, b)| format!("({a}) + ({b})")),
            (inner.clone(), prop::sample::select(METHODS)).prop_map(|(a, method)| format!("({a}).{method}")),
            (inner.clone(), prop::sample::select(MACROS), inner.clone())
                .prop_map(|(a, name, b)| format!("({a}).{name}(x, x == ({b}))")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("string({a})")),
            inner.prop_map(|a| format!("[{a}]")),
        ]
    })
}

proptest! {
    #[test]
    fn agrees_with_the_reference_on_anything(source in expression(), index in 0..5_usize) {
        prop_assert_eq!(agree(&source, &objects()[index]), Ok(()));
    }
}

#[track_caller]
fn refused(source: &str, line: usize, column: usize, message: &str) {
    let error = compile(source, &Plain).map(|_| ()).unwrap_err();
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn what_cannot_run_is_refused_with_its_position() {
    refused("object.a &&\n  objct.b", 2, 3, "`objct` is not declared");
    refused("true && frobnicate(1)", 1, 19, "unknown function `frobnicate`");
    refused("object.a.starstWith('x')", 1, 20, "unknown method `starstWith`");
    refused("object.b.matches('(')", 1, 17, "invalid regular expression");
    refused("{'a': 1, 'a': 2}", 1, 1, "key `a` is repeated");
    refused("object.all(x.y, true)", 1, 11, "simple name");
    refused("b'bytes'", 1, 1, "bytes");
    refused("1 +* 2", 1, 4, "Syntax error");
    refused("1 +\n 2 ** 3", 2, 5, "Syntax error");
    refused("'Gr\u{fc}\u{df}e' == x", 1, 12, "`x` is not declared");
    refused("has(object)", 1, 4, "field selection");
}

#[test]
fn size_and_depth_are_bounded() {
    let sum = |terms: usize| vec!["1"; terms].join("+");
    refused(&sum(3000), 1, 1, "longer than 4096 bytes");
    let error = compile(&sum(2000), &Plain).map(|_| ()).unwrap_err();
    assert!(error.message.contains("nested deeper"), "{error}");
    assert!(compile(&sum(250), &Plain).is_err(), "refused, and nothing overflows");
    assert!(compile(&sum(50), &Plain).is_ok());
    assert!(compile(&format!("{}1{}", "(".repeat(500), ")".repeat(500)), &Plain).is_err());
}

#[test]
fn the_deepest_expressions_run_on_an_ordinary_stack() {
    let deepest = |open: &str, close: &str| {
        let programs =
            (1..100).map(|depth| compile(&format!("{}1 == 1{}", open.repeat(depth), close.repeat(depth)), &Plain));
        let program = programs.take_while(Result::is_ok).last().unwrap().unwrap();
        run(&program, &json!({}), 1_000_000).unwrap();
    };
    deepest("!(", ")");
    deepest("[1].all(x, ", ")");
    deepest("[", "]");
}

#[test]
fn no_expression_outruns_its_budget_or_absorbs_its_end() {
    let object = json!({"c": (0..100).collect::<Vec<_>>()});
    let nested = "object.c.all(a, object.c.all(b, object.c.all(c, object.c.all(d, a + b + c + d >= 0))))";
    for source in [nested, &format!("{nested} || true"), &format!("[{nested}][?0].hasValue()")] {
        let program = compile(source, &Plain).unwrap();
        let error = run(&program, &object, 10_000).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Budget, "{source}");
    }
}

#[test]
fn or_wants_an_optional() {
    // The reference takes any value here; the language definition wants an optional, and so do we.
    let program = compile("object.?a.or(1)", &Plain).unwrap();
    assert_eq!(run(&program, &json!({"a": 1}), 1000).unwrap_err().kind, ErrorKind::NoSuchOverload);
}

#[test]
fn errors_name_their_place() {
    let source = "object.a == 1 &&\n object.missing.field == 2";
    let program = compile(source, &Plain).unwrap();
    let error = run(&program, &json!({"a": 1}), 1000).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NoSuchKey);
    assert_eq!(error.render(source), "no such key at 2:8 (`.missing.field == 2`)");
}

#[track_caller]
fn check(source: &str, object: &Value, expected: &str) {
    let program = compile(source, &Plain).unwrap_or_else(|error| panic!("{source}: {error}"));
    assert_eq!(run(&program, object, 1000).as_deref(), Ok(expected), "{source}");
}

#[test]
fn functions_of_our_own() {
    let object = json!({"selector": {"matchLabels": {"app": "web"}}, "labels": {"app": "web", "tier": "front"}});
    check("selects(object.selector, object.labels)", &object, "true");
    check("selects({'matchLabels': object.labels}, {'app': 'web'})", &object, "false");
    check("selects({}, object.labels)", &object, "true");
    check("cidrContains('0.0.0.0/0', '10.1.0.0/16')", &object, "true");
    check("cidrContains('10.0.0.0/8', '10.1.2.3')", &object, "true");
    check("cidrContains('10.0.0.0/8', '0.0.0.0/0')", &object, "false");
    check("cidrContains('::/0', '2001:db8::1')", &object, "true");
    check("cidrContains('10.0.0.0/8', '::1')", &object, "false");
    let program = compile("cidrContains('10.0.0.0/33', '10.0.0.1')", &Plain).unwrap();
    assert_eq!(run(&program, &object, 1000).unwrap_err().kind, ErrorKind::Conversion);
}
