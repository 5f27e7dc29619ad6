//! What loads, what is refused, and how that is said.

use super::{judge, messages, yaml};
use rampart_posture::policy::gatekeeper::{Engine, Template, load};
use rampart_posture::policy::{Decision, Inventory, LoadError};
use serde_json::{Value, json};

fn template(rego: &str, libraries: &[&str], schema: &Value) -> Value {
    json!({
        "apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate", "metadata": {"name": "house"},
        "spec": {
            "crd": {"spec": {"names": {"kind": "House"}, "validation": {"openAPIV3Schema": schema}}},
            "targets": [{"target": "admission.k8s.gatekeeper.sh", "rego": rego, "libs": libraries}],
        },
    })
}

fn constraint(parameters: &Value) -> Value {
    let mut document = json!({
        "apiVersion": "constraints.gatekeeper.sh/v1beta1", "kind": "House", "metadata": {"name": "one"}, "spec": {},
    });
    if !parameters.is_null() {
        document["spec"]["parameters"] = parameters.clone();
    }
    document
}

fn refused(rego: &str, libraries: &[&str]) -> LoadError {
    Template::parse(&template(rego, libraries, &json!({"type": "object"}))).unwrap_err()
}

const PLAIN: &str = "package house\nviolation[{\"msg\": msg}] { msg := sprintf(\"%v\", [input.parameters]) }\n";

/// The parameters that the policy sees, or where they do not fit.
fn parameters(schema: &str, given: &str) -> Result<Value, String> {
    let template = Template::parse(&template(PLAIN, &[], &yaml(schema))).unwrap();
    let constraint = template.constraint(&constraint(&yaml(given))).map_err(|error| error.field)?;
    Ok(constraint.parameters().clone())
}

#[test]
fn defaults_are_filled_in() {
    let schema = "{type: object, properties: {a: {type: integer, default: 3}, b: {type: object, properties: {c: {type: string, default: x}}},
        d: {type: array, items: {type: object, properties: {e: {type: boolean, default: true}}}}}}";
    assert_eq!(parameters(schema, "{}").unwrap(), json!({"a": 3}));
    assert_eq!(parameters(schema, "{a: null, b: {}}").unwrap(), json!({"a": 3, "b": {"c": "x"}}));
    assert_eq!(
        parameters(schema, "{a: 0, d: [{}, {e: false}]}").unwrap(),
        json!({"a": 0, "d": [{"e": true}, {"e": false}]})
    );
    // Without parameters there is nothing to fill, unless they have a default themselves.
    assert_eq!(parameters(schema, "null").unwrap(), json!({}));
    assert_eq!(parameters("{default: {}, properties: {a: {default: 1}}}", "null").unwrap(), json!({"a": 1}));
}

#[test]
fn parameters_must_fit_the_schema() {
    let cases = [
        ("{type: object, properties: {a: {type: integer}}}", "{a: x}", "spec.parameters.a"),
        ("{type: object, properties: {a: {type: integer}}}", "[]", "spec.parameters"),
        ("{type: object, required: [a]}", "{}", "spec.parameters.a"),
        ("{properties: {a: {type: string, enum: [x, y]}}}", "{a: z}", "spec.parameters.a"),
        (
            "{properties: {a: {type: array, items: {type: string, pattern: '^b'}}}}",
            "{a: [b, c]}",
            "spec.parameters.a[1]",
        ),
        ("{properties: {a: {type: number, minimum: 1}}}", "{a: 0.5}", "spec.parameters.a"),
        ("{additionalProperties: {type: boolean}}", "{a: 1}", "spec.parameters.a"),
        ("{properties: {a: {x-kubernetes-int-or-string: true}}}", "{a: []}", "spec.parameters.a"),
        ("{properties: {a: {anyOf: [{type: string}, {type: integer}]}}}", "{a: true}", "spec.parameters.a"),
    ];
    for (schema, given, field) in cases {
        assert_eq!(parameters(schema, given).unwrap_err(), field, "{schema}: {given}");
    }
    assert!(parameters("{properties: {a: {type: integer, nullable: true}}}", "{a: null, other: 1}").is_ok());
    assert!(parameters("{properties: {a: {x-kubernetes-int-or-string: true}}}", "{a: 5}").is_ok());
}

#[test]
fn errors_are_told_where_they_are() {
    let error = refused("package house\n\nviolation[{\"msg\": msg}] {\n  msg := nowhere(1)\n}\n", &[]);
    assert_eq!((error.field.as_str(), error.position), ("spec.targets[0].rego", Some((4, 10))));
    assert_eq!(
        error.to_string(),
        "ConstraintTemplate/house: spec.targets[0].rego at 4:10: `nowhere` is not a known function"
    );

    let library = "package lib.a\n\nf(x) {\n  x ==\n}\n";
    let error = refused("package house\nviolation[{\"msg\": \"m\"}] { true }", &["package lib.b\ng(1)", library]);
    assert_eq!(error.field, "spec.targets[0].libs[1]");
    assert!(matches!(error.position, Some((3..=5, _))), "{error}");

    // Behind what the rewriter changed, columns are still those of the source.
    let error = refused(
        "package house\nviolation[{\"msg\": \"m\"}] { not f(input.a.b, input.c.d); x := }\nf(a, b) { a == b }",
        &[],
    );
    assert!(matches!(error.position, Some((2, 26..=62))), "{error}");
}

#[test]
fn what_rego_may_not_do_is_refused() {
    let body = |body: &str| format!("package house\nviolation[{{\"msg\": \"m\"}}] {{ {body} }}\n");
    let cases = [
        (body("http.send({\"url\": \"http://example.com\"})"), "network"),
        (body("external_data({\"provider\": \"p\", \"keys\": []})"), "providers of external data"),
        (body("opa.runtime().env.HOME"), "process"),
        (body("data.other.thing"), "data.inventory"),
        (body("data[input.x]"), "data.inventory"),
        (body("again(3)") + "again(n) { n > 0; again(n - 1) }\n", "recursive"),
        (body("one(3)") + "one(n) { two(n) }\ntwo(n) { one(n) }\n", "recursive"),
        (body("again(3)") + &format!("again(n) = {}again(n - 1) {{ n > 0 }}\n", "1 + ".repeat(25)), "recursive"),
        (body("again(3)") + &format!("again(n) = {}again(n - 1) {{ n > 0 }}\n", "1 + ".repeat(80)), "recursive"),
        ("package house\nimport input.review\nviolation[{\"msg\": \"m\"}] { review }".to_owned(), "imported"),
        ("package house\nallow { true }".to_owned(), "violation"),
        ("violation[{\"msg\": \"m\"}] { true }".to_owned(), "package"),
        ("  # nothing".to_owned(), "empty"),
    ];
    for (rego, word) in cases {
        let error = refused(&rego, &[]);
        assert!(error.message.contains(word) || error.message.contains("expecting"), "{rego}: {error}");
    }
    let error = refused("package house\nviolation[{\"msg\": \"m\"}] { true }", &["package other\nf(1)"]);
    assert_eq!((error.field.as_str(), error.position), ("spec.targets[0].libs[0]", Some((1, 9))));
}

#[test]
fn templates_must_be_whole() {
    let whole = template(PLAIN, &[], &Value::Null);
    let refused = |change: &dyn Fn(&mut Value), field: &str| {
        let mut document = whole.clone();
        change(&mut document);
        assert_eq!(Template::parse(&document).unwrap_err().field, field);
    };
    refused(&|document| document["metadata"]["name"] = json!("other"), "metadata.name");
    refused(&|document| document["apiVersion"] = json!("templates.gatekeeper.sh/v2"), "apiVersion");
    refused(&|document| document["spec"]["crd"] = Value::Null, "spec.crd.spec.names.kind");
    refused(&|document| document["spec"]["targets"] = json!([]), "spec.targets");
    refused(&|document| document["spec"]["targets"][0]["target"] = json!("x"), "spec.targets[0].target");
    refused(&|document| document["spec"]["targets"][0]["rego"] = json!(""), "spec.targets[0]");
    let pattern = json!({"properties": {"a": {"pattern": "("}}});
    refused(
        &|document| document["spec"]["crd"]["spec"]["validation"] = json!({"openAPIV3Schema": pattern}),
        "spec.crd.spec.validation.openAPIV3Schema.properties.a.pattern",
    );
}

/// Whatever is left of a source, it loads or is refused.
#[test]
fn broken_sources_are_refused_in_peace() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gatekeeper/policies");
    let mut tried = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let policy = yaml(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let target = &policy["template"]["spec"]["targets"][0];
        let source = target["rego"].as_str().or_else(|| target["code"][0]["source"]["rego"].as_str()).unwrap();
        let lines: Vec<&str> = source.lines().collect();
        for at in 0..lines.len() {
            let without = [&lines[..at], &lines[at + 1..]].concat().join("\n");
            let cut = lines[..at].join("\n") + &lines[at][..lines[at].len() / 2];
            let squeezed = source.replacen(lines[at], &lines[at].replace(' ', ""), 1);
            for broken in [without, cut, squeezed, lines[at..].join(" ")] {
                tried += 1;
                drop(Template::parse(&template(&broken, &[], &Value::Null)));
            }
        }
    }
    assert!(tried > 1_000, "{tried}");
}

#[test]
fn documents_load_in_any_order() {
    let template = template(PLAIN, &[], &Value::Null);
    let mut orphan = constraint(&Value::Null);
    orphan["kind"] = json!("Orphan");
    let stray = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}});
    let mut broken = template.clone();
    broken["spec"]["crd"]["spec"]["names"]["kind"] = json!("Broken");
    let mut of_broken = constraint(&Value::Null);
    of_broken["kind"] = json!("Broken");
    let (policies, errors) =
        load(&[constraint(&json!({"a": 1})), stray, orphan, of_broken, template.clone(), broken, template]);
    let ids: Vec<&str> = policies.iter().map(|policy| policy.id()).collect();
    assert_eq!(ids, ["House/one"]);
    let documents: Vec<&str> = errors.iter().map(|error| error.document.as_str()).collect();
    assert_eq!(documents, ["ConstraintTemplate/house", "ConstraintTemplate/house", "Orphan/one", "Broken/one"]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let decision = judge(policies[0].as_ref(), &pod, &Inventory::default());
    assert_eq!(messages(&decision), ["{\"a\": 1}"]);
}

#[test]
fn the_engine_can_be_chosen() {
    let template = Template::parse(&template(PLAIN, &[], &Value::Null)).unwrap();
    assert!(template.constraint_with(&constraint(&Value::Null), Engine::Rego).is_ok());
    let error = template.constraint_with(&constraint(&Value::Null), Engine::Cel).unwrap_err();
    assert_eq!(error.field, "kind");
}

#[test]
fn documents_nested_too_deep_are_refused() {
    let mut deep = json!(1);
    for _ in 0..1_000 {
        deep = json!([deep]);
    }
    let template = Template::parse(&template(PLAIN, &[], &Value::Null)).unwrap();
    assert!(template.constraint(&constraint(&deep)).is_err());
    let constraint = template.constraint(&constraint(&Value::Null)).unwrap();
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": deep});
    assert!(matches!(judge(&constraint, &pod, &Inventory::default()), Decision::Unknown(_)));
    std::mem::forget((pod, constraint));
}
