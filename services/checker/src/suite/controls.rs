//! Runs the examples of control files.

use std::collections::BTreeMap;
use std::path::Path;

use rampart_content::Catalogue;
use rampart_posture::{Engine, examples};
use serde_json::Value;

use super::{Line, Outcome};

/// Whether a document is a control.
pub(super) fn is_control(document: &Value) -> bool {
    let has = |field: &str| document.get(field).is_some();
    has("id") && has("examples") && (has("violation") || has("variants"))
}

/// Runs the examples of one control.
///
/// # Errors
/// Why the control cannot be used.
pub(super) fn run(file: &Path, text: &str, document: &Value, groups: &str) -> Result<Vec<Line>, String> {
    let id = document.get("id").and_then(Value::as_str).ok_or("the control's id is no text")?;
    let path = format!("controls/{}.yaml", id.replace('.', "/"));
    let files = BTreeMap::from([(path, text.to_owned()), ("groups.yaml".to_owned(), groups.to_owned())]);
    let catalogue = Catalogue::of_files(&files).map_err(|error| error.to_string())?;
    let engine = Engine::compile(&catalogue).map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for control in catalogue.controls() {
        for example in &control.examples {
            let outcome = match examples::run(&engine, control, example) {
                Ok(()) => Outcome::Passed,
                Err(reason) => Outcome::Failed(reason),
            };
            lines.push(Line { name: format!("{}: {id} / {}", file.display(), example.name), outcome });
        }
    }
    Ok(lines)
}
