//! Every example of every content file gets the verdict and the evidence that it states, and every remediation patch
//! makes its violating examples healthy. Reads the files from the source tree, so that an edit needs no rebuild.

use rampart_content::{Control, Example};
use rampart_posture::{Engine, examples};

use crate::sources::sources;

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
    for_each_example(examples::verdict);
}

#[test]
fn remediation_patches_heal() {
    for_each_example(examples::patch);
}
