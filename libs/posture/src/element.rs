use serde_json::Value;

use crate::cel::Text;
use crate::input::Input;
use crate::pointer::{Pattern, Root, push};

/// A set of elements to judge one by one.
#[derive(Debug)]
pub(crate) struct Elements {
    pattern: Pattern,
    level: &'static str,
    /// Word before the name in evidence: `container`, `init container`, `volumes`; `None` for the pod itself.
    label: Option<String>,
}

/// One element.
#[derive(Clone)]
pub(crate) struct Element<'a> {
    pub(crate) value: &'a Value,
    pub(crate) level: &'static str,
    pub(crate) name: Text<'a>,
    pub(crate) origin: Origin<'a>,
}

/// Where an element was found.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The n-th element of the n-th set.
    Template { set: usize, index: usize },
    /// In live pods: their native ids and the pointers inside them.
    Live { pods: &'a [Value] },
}

/// The three lists of containers, and the levels of their members.
pub(crate) const CONTAINER_LISTS: [(&str, &str); 3] =
    [("containers", "container"), ("initContainers", "init_container"), ("ephemeralContainers", "ephemeral_container")];

/// The containers of the pod template.
pub(crate) fn containers() -> Vec<Elements> {
    let sets = CONTAINER_LISTS.into_iter().map(|(list, level)| {
        let pattern = Pattern::every(Root::Pod, list);
        Elements { pattern, level, label: Some(level.replace('_', " ")) }
    });
    sets.collect()
}

/// Reads one entry of `for_each`.
pub(crate) fn parse(text: &str) -> Result<Vec<Elements>, &'static str> {
    if text == "containers" {
        return Ok(containers());
    }
    let pattern = Pattern::parse(text, Root::Object)?;
    if pattern.root == Root::Pod && pattern.is_root() {
        return Ok(vec![Elements { pattern, level: "pod", label: None }]);
    }
    let container = CONTAINER_LISTS.into_iter().find(|(list, _)| text == format!("{{pod}}/{list}/*"));
    let level = container.map_or("element", |(_, level)| level);
    let label = container.map_or_else(|| pattern.last_key().to_owned(), |(_, level)| level.replace('_', " "));
    Ok(vec![Elements { pattern, level, label: Some(label) }])
}

impl Elements {
    pub(crate) fn needs_pod(&self) -> bool {
        self.pattern.root == Root::Pod
    }

    fn base<'a>(&self, input: &Input<'a>, pod: Option<&'a Value>) -> Option<(&'a Value, &'static str)> {
        match self.pattern.root {
            Root::Pod => pod.map(|pod| (pod, input.facts.kind.pod_spec_pointer().unwrap_or_default())),
            Root::Object | Root::Element => Some((input.config, "")),
        }
    }

    /// Appends the elements of this set.
    pub(crate) fn collect<'a>(
        &self,
        set: usize,
        input: &Input<'a>,
        pod: Option<&'a Value>,
        found: &mut Vec<Element<'a>>,
    ) {
        let Some((base, _)) = self.base(input, pod) else { return };
        let mut index = 0;
        self.pattern.visit(base, &mut |value, step| {
            let name = value.get("name").and_then(Value::as_str).map(Text::Borrowed);
            let name = name.or_else(|| step.map(super::pointer::Step::text));
            let name = name.unwrap_or(Text::Borrowed(input.facts.name));
            found.push(Element { value, level: self.level, name, origin: Origin::Template { set, index } });
            index += 1;
        });
    }

    /// Pointer of the `index`-th element of this set.
    pub(crate) fn pointer(&self, index: usize, input: &Input<'_>, pod: Option<&Value>) -> String {
        let base = match self.pattern.root {
            Root::Pod => pod.map(|pod| (pod, input.facts.kind.pod_spec_pointer().unwrap_or_default())),
            Root::Object | Root::Element => Some((input.config, "")),
        };
        base.and_then(|(value, base)| self.pattern.pointers(value, base).into_iter().nth(index)).unwrap_or_default()
    }

    pub(crate) fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }
}

/// Appends the containers that run in live pods without being in the template.
pub(crate) fn collect_live<'a>(live: &'a Value, found: &mut Vec<Element<'a>>) {
    for item in live.as_array().into_iter().flatten() {
        let text = |key: &str| item.get(key).and_then(Value::as_str);
        let (Some(name), Some(value), Some(pods)) =
            (text("name"), item.get("container"), item.get("pods").and_then(Value::as_array))
        else {
            continue;
        };
        let level = CONTAINER_LISTS.into_iter().map(|(_, level)| level).find(|level| text("level") == Some(level));
        let level = level.unwrap_or("container");
        found.push(Element { value, level, name: Text::Borrowed(name), origin: Origin::Live { pods } });
    }
}

/// Name of an element in evidence, such as `init container setup`.
pub(crate) fn label(element: &Element<'_>, sets: &[Elements]) -> Option<String> {
    let word = match element.origin {
        Origin::Template { set, .. } => sets[set].label()?.to_owned(),
        Origin::Live { .. } => element.level.replace('_', " "),
    };
    Some(format!("{word} {}", element.name.as_str()))
}

/// Pointer of a container inside a pod's configuration.
pub(crate) fn pod_pointer(list: &str, index: usize) -> String {
    let mut pointer = "/spec".to_owned();
    push(&mut pointer, list);
    push(&mut pointer, &index.to_string());
    pointer
}
