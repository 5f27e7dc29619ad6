//! Every example of every content file gets the verdict and the evidence that it states, and every remediation patch
//! makes its violating examples healthy. Reads the files from the source tree, so that an edit needs no rebuild.

mod example;

use example::{check_of, sources, with_input};
use rampart_content::{Control, Example};
use rampart_domain::{Status, Verdict, strip_nulls};
use rampart_posture::Engine;
use serde_json::{Value, json};

/// Runs `check` on every example and reports all failures together.
fn for_each_example(check: impl Fn(&Engine, &Control, &Example) -> Result<(), String>) {
    let catalogue = sources();
    let engine = Engine::compile(&catalogue).unwrap_or_else(|error| panic!("{error}"));
    let mut failures = Vec::new();
    let mut count = 0;
    for control in catalogue.controls() {
        for example in &control.examples {
            count += 1;
            if let Err(failure) = check(&engine, control, example) {
                failures.push(format!("{}: example `{}`: {failure}", control.file(), example.name));
            }
        }
    }
    assert!(count > 0, "no examples were found");
    assert!(failures.is_empty(), "{} of {count} examples failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn examples_get_the_verdict_and_evidence_that_they_state() {
    for_each_example(|engine, control, example| {
        let mut object = example.object.clone();
        strip_nulls(&mut object);
        let check = check_of(engine, control, example);
        let verdict = with_input(control, example, &object, |input| engine.judge(&check, input));
        if verdict.status() != example.status {
            return Err(format!("wanted {}, got {verdict:?}", example.status));
        }
        let (Some(wanted), Verdict::Unhealthy(evidence)) = (&example.evidence, &verdict) else { return Ok(()) };
        let found: Vec<_> = evidence.facts.iter().map(|fact| fact.pointer.clone()).collect();
        if found == *wanted { Ok(()) } else { Err(format!("wanted evidence {wanted:?}, got {found:?}")) }
    });
}

#[test]
fn remediation_patches_heal() {
    for_each_example(|engine, control, example| {
        let kind = control.example_kind(example).expect("every control names kinds");
        let patch = control.variant(kind).and_then(|variant| variant.remediation.patch.as_ref());
        let (Some(patch), Status::Unhealthy) = (patch, example.status) else { return Ok(()) };
        let mut object = example.object.clone();
        strip_nulls(&mut object);
        let check = check_of(engine, control, example);
        let pointers = with_input(control, example, &object, |input| engine.violating(&check, input));
        if pointers.is_empty() {
            return Err("nothing to patch".into());
        }
        for pointer in &pointers {
            merge_patch(object.pointer_mut(pointer).expect("the engine names elements that exist"), patch);
        }
        match with_input(control, example, &object, |input| engine.judge(&check, input)) {
            Verdict::Healthy | Verdict::NotApplicable(_) => Ok(()),
            verdict => Err(format!("patched at {pointers:?}, still {verdict:?}")),
        }
    });
}

/// RFC 7386.
fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let map = target.as_object_mut().expect("just made one");
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_patch(map.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}
