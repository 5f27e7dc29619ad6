use super::piece::{Piece, Type, binds};
use super::translate::{Told, because, optional_field};
use crate::element::CONTAINER_LISTS;

/// The elements of one entry of `for_each`, as the API server finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) level: &'static str,
    /// Lists from the outermost on, each a text below what the list around it holds; empty for the pod itself.
    lists: Vec<String>,
}

const NAMES: [&str; 3] = ["outer", "middle", "inner"];

/// Reads one entry of `for_each`.
pub(super) fn ranges(entry: &str) -> Told<Vec<Range>> {
    if entry == "containers" {
        let list = |(list, level)| Range { level, lists: vec![below("variables.pod", list)] };
        return Ok(CONTAINER_LISTS.into_iter().map(list).collect());
    }
    if entry == "{pod}" {
        return Ok(vec![Range { level: "pod", lists: Vec::new() }]);
    }
    let (root, rest) = match entry.strip_prefix("{pod}") {
        Some(rest) => ("variables.pod", rest),
        None => ("object", entry),
    };
    let Some(rest) = rest.strip_suffix("/*") else { return because("judges an element that is no item of a list") };
    let parts: Vec<&str> = rest.trim_start_matches('/').split("/*/").collect();
    if parts.len() > NAMES.len() {
        return because("judges lists in lists in lists");
    }
    let owner = |index: usize| if index == 0 { root } else { NAMES[index - 1] };
    let lists = parts.iter().enumerate().map(|(index, path)| below(owner(index), path)).collect();
    let level = CONTAINER_LISTS.into_iter().find(|(list, _)| entry == format!("{{pod}}/{list}/*"));
    Ok(vec![Range { level: level.map_or("element", |(_, level)| level), lists }])
}

/// The list at a path, empty where there is none.
fn below(owner: &str, path: &str) -> String {
    let key = |key: &str| key.replace("~1", "/").replace("~0", "~");
    let path = path.split('/').fold(owner.to_owned(), |text, segment| optional_field(&text, &key(segment)));
    format!("{path}.orValue([])")
}

impl Range {
    /// Text for an element.
    pub(super) fn it(&self) -> &'static str {
        if self.lists.is_empty() { "variables.pod" } else { "it" }
    }

    /// Whether `condition` holds for every element.
    pub(super) fn all(&self, condition: Piece) -> Piece {
        let inner = self.lists.len().saturating_sub(1);
        self.lists.iter().enumerate().rev().fold(condition, |condition, (index, list)| {
            let name = if index == inner { "it" } else { NAMES[index] };
            Piece::member(format!("{list}.all({name}, {})", condition.text), Type::Bool)
        })
    }

    /// What is said of the elements that violate, one after another.
    pub(super) fn said(&self, violation: &Piece, message: &Piece) -> String {
        let Some((list, outer)) = self.lists.split_last() else { return message.as_text() };
        let own = format!("{list}.filter(it, {}).map(it, {})", violation.text, message.as_text());
        let texts = outer.iter().enumerate().rev().fold(own, |texts, (index, list)| {
            let nonempty = "filter(text, text != '')";
            format!("{list}.map({}, {texts}.join('; ')).{nonempty}", NAMES[index])
        });
        format!("{texts}.join('; ')")
    }
}

/// Whatever the policy does not look at, or else the condition.
pub(super) fn unless(not_applicable: Option<&str>, condition: &Piece) -> String {
    match not_applicable {
        Some(name) => format!("variables.{name} || {}", condition.at(binds::AND)),
        None => condition.text.clone(),
    }
}
