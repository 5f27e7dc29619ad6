//! Every function of the libraries by example. The values are those that Kubernetes documents for its own.

mod amounts;
mod language;
mod net;
mod text;

use serde_json::{Value, json};

use crate::cel::tests::{CORPUS, objects, of_control};
use crate::cel::{Admission, EvalError, Missing, Names, Program, Reads, Run, Slot, Val, Variable, Vocabulary, compile};
use crate::oracle::describe;

struct Policy;

impl Names for Policy {
    fn variable(&self, name: &str) -> Option<(Variable, Reads)> {
        let slot = match name {
            "object" => Slot::Object,
            "oldObject" => Slot::OldObject,
            "authorizer" => Slot::Authorizer,
            _ => return None,
        };
        Some((Variable::Admission(slot), Reads::default()))
    }

    fn neighbour(&self, _: &str) -> Option<u16> {
        None
    }

    fn parameter(&self, _: &str) -> bool {
        false
    }

    fn vocabulary(&self) -> Vocabulary {
        Vocabulary::Policy
    }
}

fn run(program: &Program, object: &Value, steps: u32) -> Result<String, EvalError> {
    let admission = Admission {
        object: Val::of(object),
        old_object: Val::Missing(Missing::OldObject),
        request: Val::Null,
        params: Val::Null,
        namespace: Val::Null,
        any_object: Val::Null,
        parameters: Val::Null,
        lets: &[],
    };
    Run::new(admission, steps).value(program).map(|value| describe(&value))
}

#[track_caller]
fn value(source: &str, object: &Value) -> Result<String, &'static str> {
    let program = compile(source, &Policy).unwrap_or_else(|error| panic!("{source}: {error}"));
    run(&program, object, 100_000).map_err(|error| error.kind.as_str())
}

/// Every line is `expression => value`, where `!` stands for a failure.
#[track_caller]
fn check(lines: &str) {
    let mut wrong = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (source, expected) = line.split_once(" => ").unwrap_or((line, "true"));
        let found = value(source.trim(), &json!({}));
        let holds = match &found {
            Ok(found) => found == expected.trim(),
            Err(_) => expected.trim() == "!",
        };
        if !holds {
            wrong.push(format!("{source}: {found:?}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn policies_and_controls_run_alike() {
    // What `has` says of a value without fields is below; the malformed times are refused when they are loaded.
    let differs = |source: &str| source.contains("has(") || source == "duration('x')" || source == "timestamp('nope')";
    let shared = |source: &&&str| !source.contains("now") && !differs(source);
    let mut compared = 0;
    for source in CORPUS.iter().filter(shared) {
        for object in objects() {
            assert_eq!(value(source, &object).ok(), of_control(source, &object), "{source} with {object}");
            compared += 1;
        }
    }
    assert!(compared > 800, "only {compared} comparisons");
}

#[test]
fn a_field_of_a_value_without_fields_is_absent() {
    let object = json!({"text": "x", "list": [1]});
    for (source, expected) in [
        ("has(object.text.field)", Ok("false")),
        ("has(object.nothing)", Ok("false")),
        ("has(object.list.field)", Err("no matching overload")),
        ("has(object.text.field.below)", Err("no matching overload")),
        ("object.?text.?field.orValue('none')", Ok("\"none\"")),
    ] {
        assert_eq!(value(source, &object), expected.map(str::to_owned), "{source}");
    }
}

#[test]
fn what_is_not_known_decides_nothing() {
    let unknown = Err("the object before the change is not known");
    for (source, expected) in [
        ("oldObject.spec == object.spec", unknown),
        ("has(oldObject.spec)", unknown),
        ("oldObject.?spec.orValue(1)", unknown),
        ("false && oldObject.x", Ok("false")),
        ("oldObject.x || true", Ok("true")),
        ("object.nope || oldObject.x", unknown),
        ("[1].exists(x, oldObject.x)", unknown),
        ("authorizer.group('').resource('pods').check('get').allowed()", Err("there is no authorizer to ask")),
        ("authorizer.requestResource.check('get').allowed()", Err("there is no authorizer to ask")),
        ("authorizer.serviceAccount('a', 'b').path('/x').check('get').reason()", Err("there is no authorizer to ask")),
    ] {
        assert_eq!(value(source, &json!({})), expected.map(str::to_owned), "{source}");
    }
}

#[track_caller]
fn refused(source: &str, line: usize, column: usize, message: &str) {
    let error = compile(source, &Policy).map(|_| ()).unwrap_err();
    assert_eq!((error.line, error.column), (line, column), "{error}");
    assert!(error.message.contains(message), "{error}");
}

#[test]
fn what_there_is_not_is_refused_with_its_position() {
    refused("true &&\n  math.cube(2)", 2, 12, "unknown function `math.cube`");
    refused("sets.contains([1])", 1, 14, "with 1 arguments");
    refused("'a'.find('(')", 1, 9, "invalid regular expression");
    refused("cel.bind(x.y, 1, x)", 1, 11, "simple name");
    refused("[1].all(i, v.x, true)", 1, 8, "simple names");
    refused("neighbours.x", 1, 1, "`neighbours` is not declared");
    refused("selects", 1, 1, "not declared");
    refused("quantity('1').mul(2)", 1, 18, "unknown method `mul`");
    refused("params.x", 1, 1, "`params` is not declared");
    refused("duration('1d') > duration('1h')", 1, 9, "`1d` is no duration");
    refused("timestamp('yesterday')", 1, 10, "`yesterday` is no timestamp");
}

#[test]
fn size_depth_and_steps_are_bounded() {
    let sum = |terms: usize| vec!["1"; terms].join("+");
    refused(&sum(20_000), 1, 1, "longer than 16384 bytes");
    assert!(compile(&sum(8_000), &Policy).unwrap_err().message.contains("nested deeper"));
    assert!(compile(&format!("{}1{}", "(".repeat(8_000), ")".repeat(8_000)), &Policy).is_err());
    assert!(compile(&"[".repeat(16_000), &Policy).is_err());
    let object = json!({"c": (0..100).collect::<Vec<_>>()});
    for source in [
        "object.c.all(a, object.c.all(b, object.c.all(c, object.c.all(d, a + b + c + d >= 0))))",
        "object.c.transformMap(i, a, object.c.transformMap(j, b, object.c.transformList(k, c, a))).size() >= 0",
        "lists.range(9223372036854775807).size() > 0",
        "object.c.map(a, object.c.map(b, object.c + object.c)).flatten(9).size() > 0",
        "object.c.map(a, '%s'.format([object.c]).findAll('[0-9]')).size() > 0",
    ] {
        let program = compile(source, &Policy).unwrap();
        assert_eq!(run(&program, &object, 10_000).unwrap_err().kind.as_str(), "step budget exhausted", "{source}");
    }
}
