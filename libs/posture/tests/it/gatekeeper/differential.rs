//! Both engines say the same of objects that miss any one field, or have something else in its place.

use std::path::Path;

use rampart_posture::policy::Inventory;
use rampart_posture::policy::gatekeeper::{Mode, Template};
use serde_json::{Value, json};

use super::{judge, yaml};

#[test]
fn engines_agree_on_damaged_objects() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/gatekeeper/policies");
    let (mut judged, mut slow) = (0, Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let policy = yaml(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        let template = Template::parse(&policy["template"]).unwrap();
        slow.extend(template.slow().map(str::to_owned));
        let fast = template.constraint(&policy["constraint"]).unwrap();
        let reference = fast.clone().with_mode(Mode::Reference);
        for case in policy["cases"].as_array().unwrap() {
            let inventory = Inventory::new(case["inventory"].as_array().cloned().unwrap_or_default());
            for object in damaged(&case["object"]) {
                let whole = object["kind"] != "AdmissionReview" || object["request"]["object"].is_object();
                if !whole {
                    continue;
                }
                judged += 1;
                let (fast, reference) = (judge(&fast, &object, &inventory), judge(&reference, &object, &inventory));
                assert_eq!(fast, reference, "{object}");
            }
        }
    }
    assert!(judged > 1_000 && slow.len() <= 6, "{judged}, {slow:?}");
}

/// The object without each of its fields, and with other values in their places.
fn damaged(object: &Value) -> Vec<Value> {
    let mut all = vec![object.clone()];
    for path in paths(object) {
        if matches!(path.as_str(), "/kind" | "/request" | "/request/operation" | "/request/oldObject") {
            continue;
        }
        let (parent, name) = path.rsplit_once('/').unwrap();
        for other in [None, Some(json!(null)), Some(json!("")), Some(json!(7)), Some(json!([])), Some(json!({"a": 1}))]
        {
            let mut copy = object.clone();
            match (copy.pointer_mut(parent), other) {
                (Some(Value::Object(fields)), None) => drop(fields.remove(&name.replace("~1", "/"))),
                (Some(Value::Array(items)), None) => drop(items.remove(name.parse().unwrap())),
                (_, Some(other)) => *copy.pointer_mut(&path).unwrap() = other,
                (_, None) => {}
            }
            all.push(copy);
        }
    }
    all
}

fn paths(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).collect(),
        _ => Vec::new(),
    };
    let below = |(name, child): (String, &Value)| {
        let inner = paths(child).into_iter().map(|path| format!("/{name}{path}")).collect::<Vec<_>>();
        std::iter::once(format!("/{name}")).chain(inner).collect::<Vec<_>>()
    };
    children.into_iter().flat_map(below).collect()
}
