use rampart_domain::{Evidence, Fact};
use serde_json::Value;

use crate::element::{Element, Origin, label};
use crate::engine::CompiledVariant;
use crate::input::Input;
use crate::pointer::{Pattern, Root};

/// The fields that decided, for one violating element or for the object.
///
/// An absent field of the element itself is kept: its absence decided. Fields around the element are kept when present,
/// or when nothing else is.
pub(crate) fn facts(
    variant: &CompiledVariant,
    input: &Input<'_>,
    pod: Option<&Value>,
    element: Option<&Element<'_>>,
) -> Vec<Fact> {
    let mut facts = collect(variant, input, pod, element, Absent::Dropped);
    if facts.is_empty() {
        facts = collect(variant, input, pod, element, Absent::Kept);
    }
    // Two pointers may lead to one field: that of the pod, when the pod itself is the element.
    let mut kept: Vec<Fact> = Vec::with_capacity(facts.len());
    for fact in facts {
        if !kept.iter().any(|known| known.pointer == fact.pointer && known.resource == fact.resource) {
            kept.push(fact);
        }
    }
    kept
}

fn collect(
    variant: &CompiledVariant,
    input: &Input<'_>,
    pod: Option<&Value>,
    element: Option<&Element<'_>>,
    around: Absent,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    for pattern in &variant.evidence {
        match (pattern.root, element) {
            (Root::Element, Some(element)) => own(variant, pattern, element, input, pod, &mut facts),
            (Root::Element, None) => point(pattern, input.config, "", Absent::Kept, &mut facts),
            (Root::Object, _) => point(pattern, input.config, "", around, &mut facts),
            (Root::Pod, _) => {
                if let Some(pod) = pod {
                    let base = input.facts.kind.pod_spec_pointer().unwrap_or_default();
                    point(pattern, pod, base, around, &mut facts);
                }
            }
        }
    }
    facts
}

/// Adds the facts of another violating element.
pub(crate) fn merge(evidence: &mut Evidence, more: Evidence) {
    for fact in more.facts {
        if !evidence.facts.contains(&fact) {
            evidence.facts.push(fact);
        }
    }
    for element in more.elements {
        if !evidence.elements.contains(&element) {
            evidence.elements.push(element);
        }
    }
}

/// Name of an element among those that violate; the pod itself has none in facts.
pub(crate) fn name(variant: &CompiledVariant, element: &Element<'_>) -> String {
    label(element, &variant.sets).unwrap_or_else(|| "pod".to_owned())
}

fn own(
    variant: &CompiledVariant,
    pattern: &Pattern,
    element: &Element<'_>,
    input: &Input<'_>,
    pod: Option<&Value>,
    facts: &mut Vec<Fact>,
) {
    let first = facts.len();
    match element.origin {
        Origin::Template { set, index } => {
            let base = variant.sets[set].pointer(index, input, pod);
            point(pattern, element.value, &base, Absent::Kept, facts);
        }
        Origin::Live { pods } => {
            for seen in pods {
                let text = |key: &str| seen.get(key).and_then(Value::as_str);
                let before = facts.len();
                point(pattern, element.value, text("pointer").unwrap_or_default(), Absent::Kept, facts);
                facts[before..].iter_mut().for_each(|fact| fact.resource = text("native_id").map(str::to_owned));
            }
        }
    }
    let label = label(element, &variant.sets);
    facts[first..].iter_mut().for_each(|fact| fact.element.clone_from(&label));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    Kept,
    Dropped,
}

fn point(pattern: &Pattern, value: &Value, base: &str, absent: Absent, facts: &mut Vec<Fact>) {
    let fact = |pointer: String, value: Option<&Value>| Fact {
        pointer,
        element: None,
        value: value.cloned(),
        resource: None,
        observed_at: None,
    };
    if pattern.is_wild() {
        let mut values = Vec::new();
        pattern.visit(value, &mut |value, _| values.push(value));
        let pointers = pattern.pointers(value, base);
        facts.extend(pointers.into_iter().zip(values).map(|(pointer, value)| fact(pointer, Some(value))));
        return;
    }
    let (pointer, found) = pattern.resolve(value, base);
    if found.is_some() || absent == Absent::Kept {
        facts.push(fact(pointer, found));
    }
}
