use std::fmt::Write;
use std::rc::Rc;

use serde_json::Value;

use crate::cel::Text;

/// Where a pattern starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Root {
    Object,
    Pod,
    Element,
}

/// A JSON pointer in which `*` stands for every item of an array or member of an object.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) root: Root,
    segments: Vec<Segment>,
}

#[derive(Debug, Clone)]
enum Segment {
    Key(String),
    Every,
}

impl Pattern {
    /// Reads a pattern; without a leading `/` or `{pod}` it starts at `relative`.
    pub(crate) fn parse(text: &str, relative: Root) -> Result<Self, &'static str> {
        let (root, rest) = match (text.strip_prefix("{pod}"), text.strip_prefix('/')) {
            (Some(rest), _) if rest.is_empty() || rest.starts_with('/') => (Root::Pod, rest.trim_start_matches('/')),
            (None, Some(rest)) => (Root::Object, rest),
            (None, None) => (relative, text),
            _ => return Err("`{pod}` is followed by `/`"),
        };
        if rest.contains(['{', '}']) {
            return Err("only `{pod}` at the start is known");
        }
        let segments = rest.split('/').filter(|_| !rest.is_empty()).map(|segment| match segment {
            "" => Err("has an empty segment"),
            "*" => Ok(Segment::Every),
            key => Ok(Segment::Key(key.replace("~1", "/").replace("~0", "~"))),
        });
        Ok(Self { root, segments: segments.collect::<Result<_, _>>()? })
    }

    /// Every item of the member `key`.
    pub(crate) fn every(root: Root, key: &str) -> Self {
        Self { root, segments: vec![Segment::Key(key.to_owned()), Segment::Every] }
    }

    /// Whether one `*` at least is in it.
    pub(crate) fn is_wild(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Every))
    }

    pub(crate) fn is_root(&self) -> bool {
        self.segments.is_empty()
    }

    /// The last key: what the elements are called.
    pub(crate) fn last_key(&self) -> &str {
        let keys = self.segments.iter().rev().filter_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Every => None,
        });
        keys.into_iter().next().unwrap_or_default()
    }

    /// Visits every value that the pattern leads to, with the index or key that the last `*` stands for.
    pub(crate) fn visit<'a>(&self, value: &'a Value, visit: &mut dyn FnMut(&'a Value, Option<Step<'a>>)) {
        walk(&self.segments, value, None, visit);
    }

    /// Pointers of what [`visit`](Self::visit) visits, in the same order, below `base`.
    pub(crate) fn pointers(&self, value: &Value, base: &str) -> Vec<String> {
        let mut found = Vec::new();
        spell(&self.segments, value, &mut base.to_owned(), &mut found);
        found
    }

    /// The pointer of a pattern without `*` below `base`, and the value there.
    pub(crate) fn resolve<'a>(&self, value: &'a Value, base: &str) -> (String, Option<&'a Value>) {
        let mut pointer = base.to_owned();
        let mut found = Some(value);
        for segment in &self.segments {
            let Segment::Key(key) = segment else { continue };
            push(&mut pointer, key);
            found = found.and_then(|value| child(value, key));
        }
        (pointer, found)
    }
}

/// What a `*` stands for.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    Index(usize),
    Key(&'a str),
}

impl<'a> Step<'a> {
    pub(crate) fn text(self) -> Text<'a> {
        match self {
            Self::Index(index) => Text::Owned(Rc::from(index.to_string())),
            Self::Key(key) => Text::Borrowed(key),
        }
    }
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(key),
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        _ => None,
    }
}

fn walk<'a>(
    segments: &[Segment],
    value: &'a Value,
    step: Option<Step<'a>>,
    visit: &mut dyn FnMut(&'a Value, Option<Step<'a>>),
) {
    match (segments.split_first(), value) {
        (None, _) => visit(value, step),
        (Some((Segment::Key(key), rest)), _) => {
            if let Some(value) = child(value, key) {
                walk(rest, value, step, visit);
            }
        }
        (Some((Segment::Every, rest)), Value::Array(items)) => {
            items.iter().enumerate().for_each(|(index, item)| walk(rest, item, Some(Step::Index(index)), visit));
        }
        (Some((Segment::Every, rest)), Value::Object(map)) => {
            map.iter().for_each(|(key, item)| walk(rest, item, Some(Step::Key(key)), visit));
        }
        (Some((Segment::Every, _)), _) => {}
    }
}

fn spell(segments: &[Segment], value: &Value, pointer: &mut String, found: &mut Vec<String>) {
    let Some((segment, rest)) = segments.split_first() else {
        found.push(pointer.clone());
        return;
    };
    let length = pointer.len();
    let mut descend = |key: &str, item: &Value| {
        push(pointer, key);
        spell(rest, item, pointer, found);
        pointer.truncate(length);
    };
    match (segment, value) {
        (Segment::Key(key), _) => {
            if let Some(item) = child(value, key) {
                descend(key, item);
            }
        }
        (Segment::Every, Value::Array(items)) => {
            items.iter().enumerate().for_each(|(index, item)| descend(&index.to_string(), item));
        }
        (Segment::Every, Value::Object(map)) => map.iter().for_each(|(key, item)| descend(key, item)),
        (Segment::Every, _) => {}
    }
}

/// Appends a segment, escaped as RFC 6901 wants.
pub(crate) fn push(pointer: &mut String, key: &str) {
    // Writing to a string cannot fail.
    let _ = write!(pointer, "/{}", key.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Pattern, Root};

    #[test]
    fn pointers_are_absolute_and_escaped() {
        let value = json!({"a": [{"x/y": 1}, {}], "b": {"m~n": {"c": 2}}});
        let at = |text: &str| Pattern::parse(text, Root::Object).unwrap().pointers(&value, "/base");
        assert_eq!(at("a/*"), ["/base/a/0", "/base/a/1"]);
        assert_eq!(at("/a/*/x~1y"), ["/base/a/0/x~1y"]);
        assert_eq!(at("b/*/c"), ["/base/b/m~0n/c"]);
        assert_eq!(at("missing/*"), Vec::<String>::new());
        let (pointer, found) = Pattern::parse("a/1/z", Root::Object).unwrap().resolve(&value, "");
        assert_eq!((pointer.as_str(), found), ("/a/1/z", None), "an absent field keeps its pointer");
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for text in ["{pods}/x", "{pod}x", "a//b", "a/{pod}"] {
            assert!(Pattern::parse(text, Root::Element).is_err(), "{text}");
        }
    }
}
