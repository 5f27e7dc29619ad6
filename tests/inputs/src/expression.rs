use rampart_posture::custom::{Format, Source};
use serde_json::{Value, json};

use crate::controls::{catalogue, judge};

/// A condition, and behind a zero byte the object that it is asked about: it has an answer, always the same, in its steps.
pub(crate) fn run(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let Some(Ok(condition)) = parts.next().map(std::str::from_utf8) else { return };
    let object = parts.next().and_then(|rest| serde_json::from_slice::<Value>(rest).ok()).unwrap_or_else(|| json!({}));
    // Every JSON document is YAML.
    let text = json!({
        "id": "custom.tried", "version": 1, "title": "Tried", "severity": "low", "group": "best_practices",
        "type": "data_plane", "kinds": ["workload"], "rationale": "Why.", "violation": condition, "message": "'wrong'",
        "remediation": { "text": "Do.", "manual": "by hand" },
        "examples": [
            { "name": "a", "status": "healthy", "object": {} },
            { "name": "b", "status": "unhealthy", "object": {} },
        ],
    });
    let source = Source { format: Format::Control, name: String::new(), text: text.to_string() };
    if let Ok(layer) = source.read(catalogue()) {
        judge(layer, Some(&object));
    }
}
