//! Inputs made from the examples of content files.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, Control, Example, ExampleNeighbour};
use rampart_domain::{Cloud, Family, ManagedBy};
use rampart_posture::{
    Check, Completeness, Engine, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, Selection,
};
use serde_json::{Map, Value, json};

struct ExampleNeighbours<'a> {
    of: &'a BTreeMap<String, ExampleNeighbour>,
}

impl Neighbours for ExampleNeighbours<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let objects = match self.of.get(query.label) {
            None => &[][..],
            Some(ExampleNeighbour::Objects(objects)) => objects,
            Some(ExampleNeighbour::Unread(_)) => {
                let completeness = Completeness::Incomplete { kind: query.kinds[0], state: None, expired: false };
                return NeighbourSet { items: Cow::Borrowed(&[]), completeness };
            }
        };
        let named = |object: &&Value| query.name.is_none_or(|name| object_name(object) == name);
        let items = objects.iter().filter(named).map(|config| NeighbourItem { config, native_id: "neighbour" });
        NeighbourSet { items: items.collect(), completeness: Completeness::Complete }
    }
}

fn object_name(object: &Value) -> &str {
    let names = ["/metadata/name", "/name", "/clusterName", "/repositoryName", "/nodegroupName", "/addonName"];
    names.iter().find_map(|pointer| object.pointer(pointer)?.as_str()).unwrap_or("example")
}

/// Judges `object` in the place of the example's own.
pub(crate) fn with_input<T>(
    control: &Control,
    example: &Example,
    object: &Value,
    judge: impl FnOnce(&Input<'_>) -> T,
) -> T {
    let text = |name: &str| example.resource.get(name).and_then(Value::as_str);
    let labels = example.resource.get("labels").or_else(|| object.pointer("/metadata/labels"));
    let labels = labels.or_else(|| object.get("tags")).filter(|labels| labels.is_object()).cloned();
    let labels = labels.unwrap_or_else(|| json!({}));
    let kind = control.example_kind(example).expect("every control names kinds");
    let cloud = match kind.family() {
        Family::Azure => Cloud::Azure,
        Family::Gcp => Cloud::Gcp,
        Family::Aws | Family::Kubernetes | Family::Derived => Cloud::Aws,
    };
    let word = |name: &str, default: &str| text(name).unwrap_or(default).to_owned();
    let input = Input {
        facts: Facts {
            kind,
            name: text("name").unwrap_or_else(|| object_name(object)),
            namespace: text("namespace").or_else(|| object.pointer("/metadata/namespace")?.as_str()),
            cloud: word("cloud", cloud.as_str()).parse().expect("a word of the domain"),
            account: Some(text("account").unwrap_or("123456789012")),
            region: Some(text("region").unwrap_or("eu-west-1")),
            labels: &labels,
            managed_by: word("managed_by", ManagedBy::Customer.as_str()).parse().expect("a word of the domain"),
            active: example.resource.get("active").and_then(Value::as_bool).unwrap_or(true),
            native_id: text("native_id").unwrap_or("example"),
        },
        config: object,
        live: None,
        neighbours: &ExampleNeighbours { of: &example.neighbours },
        now: "2026-06-01T12:00:00Z".parse::<DateTime<Utc>>().expect("a valid time"),
    };
    judge(&input)
}

pub(crate) fn check_of(engine: &Engine, control: &Control, example: &Example) -> Check {
    let params: Map<String, Value> = example.params.clone().into_iter().collect();
    let selection = Selection { control_id: control.id.clone(), params: Value::Object(params), severity: None };
    let checks = engine.checks(&[selection]).unwrap_or_else(|error| panic!("{}: {error}", control.file()));
    checks.checks()[0].clone()
}

pub(crate) fn sources() -> Catalogue {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../content");
    Catalogue::with_overrides(&root).unwrap_or_else(|error| panic!("{error}"))
}
