//! Runs the examples of a control: every one gets the verdict and the evidence that it states, and the remediation patch
//! makes what violates healthy.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rampart_content::{Control, Example, ExampleNeighbour};
use rampart_domain::{Cloud, Family, Kind, ManagedBy, Status, Verdict, outline, patch, strip_nulls};
use serde_json::{Map, Value, json};

use crate::{
    Check, Completeness, Engine, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, Selection,
};

/// When every example is judged: noon on 2026-06-01, in seconds of Unix time.
const NOW: i64 = 1_780_315_200;

/// Runs one example of a control: verdict, evidence and patch.
///
/// # Errors
/// What differs from what the example states, in words.
pub fn run(engine: &Engine, control: &Control, example: &Example) -> Result<(), String> {
    verdict(engine, control, example)?;
    patch(engine, control, example)
}

/// Whether the example gets the verdict and the evidence that it states.
pub fn verdict(engine: &Engine, control: &Control, example: &Example) -> Result<(), String> {
    let mut object = example.object.clone();
    strip_nulls(&mut object);
    let check = check_of(engine, control, example)?;
    let verdict = with_input(control, example, &object, |input| engine.judge(&check, input))?;
    if verdict.status() != example.status {
        return Err(format!("wanted {}, got {verdict:?}", example.status));
    }
    let (Some(wanted), Verdict::Unhealthy(evidence)) = (&example.evidence, &verdict) else { return Ok(()) };
    let found: Vec<_> = evidence.facts.iter().map(|fact| fact.pointer.clone()).collect();
    if found == *wanted { Ok(()) } else { Err(format!("wanted evidence {wanted:?}, got {found:?}")) }
}

/// Whether the control's patch, laid over what violates in an unhealthy example, heals it.
pub fn patch(engine: &Engine, control: &Control, example: &Example) -> Result<(), String> {
    let variant = control.variant(kind_of(control, example)?);
    let patch = variant.and_then(|variant| variant.remediation.patch.as_ref());
    let (Some(patch), Status::Unhealthy) = (patch, example.status) else { return Ok(()) };
    let mut object = example.object.clone();
    strip_nulls(&mut object);
    let check = check_of(engine, control, example)?;
    let pointers = with_input(control, example, &object, |input| engine.violating(&check, input))?;
    if pointers.is_empty() {
        return Err("nothing to patch".into());
    }
    for pointer in &pointers {
        let element = object.pointer_mut(pointer).ok_or_else(|| format!("no element at {pointer}"))?;
        patch::merge(element, patch);
    }
    match with_input(control, example, &object, |input| engine.judge(&check, input))? {
        Verdict::Healthy | Verdict::NotApplicable(_) => Ok(()),
        verdict => Err(format!("patched at {pointers:?}, still {verdict:?}")),
    }
}

struct ExampleNeighbours<'a> {
    of: &'a BTreeMap<String, ExampleNeighbour>,
    /// Instead of the objects of those of which only the outline is looked at.
    outlines: BTreeMap<&'a str, Vec<Value>>,
}

impl<'a> ExampleNeighbours<'a> {
    fn new(control: &'a Control, kind: Kind, of: &'a BTreeMap<String, ExampleNeighbour>) -> Self {
        let declared = control.variant(kind).into_iter().flat_map(|variant| &variant.neighbours);
        let outlined = declared.filter(|(_, neighbour)| neighbour.outline).filter_map(|(label, neighbour)| {
            let Some(ExampleNeighbour::Objects(objects)) = of.get(label) else { return None };
            let kinds: Vec<Kind> = neighbour.kinds.iter().flat_map(|selector| selector.kinds()).collect();
            Some((label.as_str(), objects.iter().filter_map(|object| outlined(&kinds, object)).collect()))
        });
        Self { of, outlines: outlined.collect() }
    }
}

/// The outline of an object of one of some kinds; a controller of another kind has its template where most have it.
fn outlined(kinds: &[Kind], object: &Value) -> Option<Value> {
    let word = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    let known = kinds.iter().find(|kind| kind.as_str().strip_prefix("k8s.") == Some(&*word));
    outline(known.copied().unwrap_or(Kind::K8sDeployment), object)
}

impl Neighbours for ExampleNeighbours<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let objects = match self.of.get(query.label) {
            None => &[][..],
            Some(ExampleNeighbour::Objects(objects)) => self.outlines.get(query.label).unwrap_or(objects),
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

fn kind_of(control: &Control, example: &Example) -> Result<Kind, String> {
    control.example_kind(example).ok_or_else(|| "the control names no kind".to_owned())
}

/// Judges `object` in the place of the example's own.
///
/// # Errors
/// The example states a word that the domain does not have.
pub fn with_input<T>(
    control: &Control,
    example: &Example,
    object: &Value,
    judge: impl FnOnce(&Input<'_>) -> T,
) -> Result<T, String> {
    let text = |name: &str| example.resource.get(name).and_then(Value::as_str);
    let labels = example.resource.get("labels").or_else(|| object.pointer("/metadata/labels"));
    let labels = labels.or_else(|| object.get("tags")).filter(|labels| labels.is_object()).cloned();
    let labels = labels.unwrap_or_else(|| json!({}));
    let kind = kind_of(control, example)?;
    let home = match kind.family() {
        Family::Azure => Cloud::Azure,
        Family::Gcp => Cloud::Gcp,
        Family::Aws | Family::Kubernetes | Family::Derived => Cloud::Aws,
    };
    let cloud: Cloud = text("cloud").map_or(Ok(home), str::parse).map_err(|error| error.to_string())?;
    let manager = text("managed_by").map_or(Ok(ManagedBy::Customer), str::parse);
    let input = Input {
        facts: Facts {
            kind,
            name: text("name").unwrap_or_else(|| object_name(object)),
            namespace: text("namespace").or_else(|| object.pointer("/metadata/namespace")?.as_str()),
            cloud,
            account: Some(text("account").unwrap_or("123456789012")),
            region: Some(text("region").unwrap_or("eu-west-1")),
            labels: &labels,
            managed_by: manager.map_err(|error| error.to_string())?,
            active: example.resource.get("active").and_then(Value::as_bool).unwrap_or(true),
            native_id: text("native_id").unwrap_or("example"),
        },
        config: object,
        live: None,
        neighbours: &ExampleNeighbours::new(control, kind, &example.neighbours),
        now: DateTime::<Utc>::from_timestamp(NOW, 0).unwrap_or_default(),
    };
    Ok(judge(&input))
}

/// The control with the parameters of an example.
///
/// # Errors
/// The engine does not have the control, or the example's parameters are none of the control's.
pub fn check_of(engine: &Engine, control: &Control, example: &Example) -> Result<Check, String> {
    let params: Map<String, Value> = example.params.clone().into_iter().collect();
    let selection = Selection { control_id: control.id.clone(), params: Value::Object(params), severity: None };
    let checks = engine.checks(&[selection]).map_err(|error| error.to_string())?;
    checks.checks().first().cloned().ok_or_else(|| format!("no control `{}`", control.id))
}
