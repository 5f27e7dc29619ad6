//! Whole policies: template, constraint, objects, and the exact messages, by both engines.

use std::path::Path;

use super::{judge, messages, yaml};
use rampart_posture::policy::gatekeeper::{Mode, Template};
use rampart_posture::policy::{Decision, Inventory};

#[test]
fn policies_find_what_they_must() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gatekeeper/policies");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 6);
    for file in files {
        let policy = yaml(&std::fs::read_to_string(&file).unwrap());
        let template = Template::parse(&policy["template"]).unwrap();
        for mode in [Mode::Fast, Mode::Reference] {
            let constraint = template.constraint(&policy["constraint"]).unwrap().with_mode(mode);
            for case in policy["cases"].as_array().unwrap() {
                let inventory = Inventory::new(case["inventory"].as_array().cloned().unwrap_or_default());
                let decision = judge(&constraint, &case["object"], &inventory);
                let context = format!("{}: {} ({mode:?}, {:?})", file.display(), case["object"], template.slow());
                if case["not_matched"] == true {
                    assert_eq!(decision, Decision::NotMatched, "{context}");
                    continue;
                }
                let mut wanted: Vec<String> = serde_json::from_value(case["messages"].clone()).unwrap();
                let mut found = messages(&decision);
                wanted.sort();
                found.sort();
                assert_eq!(found, wanted, "{context}");
            }
        }
    }
}
