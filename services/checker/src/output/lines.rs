//! Where in a document a JSON pointer leads.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use crate::document::options;

/// A document as a tree of lines.
#[derive(Debug)]
pub(crate) struct Lines {
    root: Node,
}

#[derive(Debug)]
struct Node {
    line: usize,
    below: Below,
}

#[derive(Debug)]
enum Below {
    Nothing,
    Items(Vec<Node>),
    Members(HashMap<String, Node>),
}

impl Lines {
    /// The lines of a document's text; `None` when it cannot be read so.
    pub(crate) fn of(text: &str) -> Option<Self> {
        serde_saphyr::from_str_with_options(text, options(true)).ok().map(|root| Self { root })
    }

    /// The line, from 1, on which what the pointer leads to begins; of what is absent, that of what should hold it.
    pub(crate) fn line(&self, pointer: &str) -> usize {
        let mut node = &self.root;
        for segment in pointer.split('/').skip(1) {
            let key = segment.replace("~1", "/").replace("~0", "~");
            let below = match &node.below {
                Below::Nothing => None,
                Below::Items(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
                Below::Members(members) => members.get(&key),
            };
            match below {
                Some(below) => node = below,
                None => break,
            }
        }
        node.line
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Below>::deserialize(deserializer)?;
        Ok(Self { line: usize::try_from(referenced.line()).unwrap_or(0).max(1), below: value })
    }
}

impl<'de> Deserialize<'de> for Below {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Shape)
    }
}

struct Shape;

impl<'de> Visitor<'de> for Shape {
    type Value = Below;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_str<E>(self, _: &str) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_unit<E>(self) -> Result<Below, E> {
        Ok(Below::Nothing)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Below, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Below::Items(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Below, A::Error> {
        let mut nodes = HashMap::new();
        while let Some((key, node)) = members.next_entry::<String, Node>()? {
            nodes.insert(key, node);
        }
        // What is left cannot be read twice; nothing is left.
        let _: Option<(IgnoredAny, IgnoredAny)> = members.next_entry()?;
        Ok(Below::Members(nodes))
    }
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn pointers_lead_to_lines() {
        let lines = Lines::of("---\n# x\nspec:\n  a: 1\n  b:\n  - name: x\n    c~d/e: yes\n  - name: y\n").unwrap();
        let check = |pointer: &str, line: usize| assert_eq!(lines.line(pointer), line, "{pointer}");
        check("/spec/a", 4);
        check("/spec/b/0/c~0d~1e", 7);
        check("/spec/b/1", 8);
        check("/spec/b/1/absent/deeper", 8);
        check("/metadata", 3);
        assert_eq!(Lines::of("{\"a\": {\n\"b\": 1}}").unwrap().line("/a/b"), 2);
    }
}
