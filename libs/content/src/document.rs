use std::collections::BTreeMap;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Options, Spanned};

/// Nesting of a document.
const MAX_DEPTH: usize = 64;
/// Stack to read on: the reader recurses with some kilobytes per level.
const STACK: usize = 32 << 20;
/// Values in a source, all documents together.
const MAX_NODES: usize = 100_000;

/// A problem with a place in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProblem {
    /// JSON pointer of the field inside its document; empty when the whole document is meant.
    pub pointer: String,
    /// Line in the source, from 1.
    pub line: usize,
    /// Column in the line, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// The documents of a YAML or JSON text, with the places of all their values.
#[derive(Debug)]
pub struct Documents<'t> {
    text: &'t str,
    documents: Vec<Located>,
}

#[derive(Debug)]
struct Located {
    value: Value,
    places: BTreeMap<String, (usize, usize)>,
}

/// How documents are read: nothing that unfolds, and not too much.
pub(crate) fn options(nodes: usize) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: nodes, max_aliases: 0, max_anchors: 0 },
        emit_comments: false,
    }
}

/// What the reader says, with its place.
pub(crate) fn unreadable(error: &serde_saphyr::Error) -> SourceProblem {
    let place = error.location().map(|at| (at.line() as usize, at.column() as usize));
    let (line, column) = place.filter(|(line, _)| *line > 0).unwrap_or((1, 1));
    let message = error.without_snippet().to_string();
    let message = message.lines().next().unwrap_or_default().to_owned();
    SourceProblem { pointer: String::new(), line, column, message }
}

/// Runs a reader where no nesting that it takes overflows the stack.
pub(crate) fn on_deep_stack<T: Send>(
    read: impl FnOnce() -> Result<T, SourceProblem> + Send,
) -> Result<T, SourceProblem> {
    let failed =
        |message: &str| SourceProblem { pointer: String::new(), line: 1, column: 1, message: message.to_owned() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
        thread.map_err(|_| failed("there is no thread to read on"))?.join().map_err(|_| failed("the reader failed"))?
    })
}

impl<'t> Documents<'t> {
    /// Reads every document that is not empty.
    pub fn read(text: &'t str) -> Result<Self, SourceProblem> {
        let documents = on_deep_stack(|| {
            let read = serde_saphyr::from_multiple_with_options::<Spanned<Node>>(text, options(MAX_NODES));
            let documents = read.map_err(|error| unreadable(&error))?;
            Ok(documents.into_iter().map(Located::of).collect())
        })?;
        Ok(Self { text, documents })
    }

    /// The documents.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.documents.iter().map(|document| &document.value)
    }

    /// A problem with the field `pointer` of a document, or with `within`: line and column of the field's text, from 1.
    pub fn problem(
        &self,
        document: usize,
        pointer: &str,
        within: Option<(usize, usize)>,
        message: impl Into<String>,
    ) -> SourceProblem {
        let (line, column) = self.place(document, pointer, within);
        SourceProblem { pointer: pointer.to_owned(), line, column, message: message.into() }
    }

    /// Where a field stands; where what is around it stands when it is missing.
    fn place(&self, document: usize, pointer: &str, within: Option<(usize, usize)>) -> (usize, usize) {
        let Some(document) = self.documents.get(document) else { return (1, 1) };
        let mut known = pointer;
        loop {
            if let Some(place) = document.places.get(known) {
                let within = within.filter(|_| known == pointer);
                return within.map_or(*place, |within| inside(self.text, *place, within));
            }
            let Some((around, _)) = known.rsplit_once('/') else { return (1, 1) };
            known = around;
        }
    }
}

/// A line and column of a text, where the text begins at `place` of the source.
fn inside(source: &str, place: (usize, usize), (line, column): (usize, usize)) -> (usize, usize) {
    let (begin, from) = place;
    let above = source.lines().nth(begin.wrapping_sub(2)).unwrap_or_default();
    let header = above.split(" #").next().unwrap_or_default().trim_end().trim_end_matches(['-', '+']);
    let header = header.trim_end_matches(|c: char| c.is_ascii_digit());
    if header.ends_with('|') {
        return (begin + line - 1, from + column - 1);
    }
    if line > 1 {
        return place;
    }
    // A text that goes over several lines is one line, each break a blank.
    let mut lines = (begin..).zip(source.lines().skip(begin - 1));
    let Some((_, first)) = lines.next() else { return place };
    let first = skip(first, from - 1);
    let mut left = column + usize::from(first.starts_with(['\'', '"'])) - 1;
    let (mut number, mut indent, mut text) = (begin, from - 1, first.trim_end());
    while left > text.chars().count() {
        let Some((below, next)) = lines.next() else { return place };
        left -= text.chars().count() + 1;
        (number, indent, text) = (below, next.chars().take_while(|c| c.is_whitespace()).count(), next.trim());
    }
    (number, indent + left + 1)
}

fn skip(text: &str, chars: usize) -> &str {
    text.char_indices().nth(chars).map_or("", |(at, _)| &text[at..])
}

/// The JSON pointer of a path such as `spec.validations[0].expression` or `examples.0.name`.
pub fn pointer_of(path: &str) -> String {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    parts.flat_map(|part| ["/".to_owned(), escape(part)]).collect()
}

fn escape(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

impl Located {
    fn of(root: Spanned<Node>) -> Self {
        let mut places = BTreeMap::new();
        let value = settle(root, String::new(), &mut places);
        Self { value, places }
    }
}

/// The plain value, with the places of everything in it noted.
fn settle(node: Spanned<Node>, pointer: String, places: &mut BTreeMap<String, (usize, usize)>) -> Value {
    let below = |part: &str| format!("{pointer}/{}", escape(part));
    let value = match node.value {
        Node::Plain(value) => value,
        Node::List(items) => {
            let items = items.into_iter().enumerate();
            Value::Array(items.map(|(index, item)| settle(item, below(&index.to_string()), places)).collect())
        }
        Node::Map(entries) => {
            let mut map = Map::new();
            for (key, item) in entries {
                let value = settle(item, below(&key), places);
                map.insert(key, value);
            }
            Value::Object(map)
        }
    };
    places.insert(pointer, (node.referenced.line() as usize, node.referenced.column() as usize));
    value
}

enum Node {
    Plain(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("is no number that JSON can hold"))?;
        Ok(Node::Plain(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Plain(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Plain(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map: Vec<(String, Spanned<Node>)> = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format!("`{key}` is given twice")));
            }
            map.push((key, entries.next_value()?));
        }
        Ok(Node::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::{Documents, pointer_of};

    fn check(text: &str, document: usize, pointer: &str, within: Option<(usize, usize)>, expected: (usize, usize)) {
        let documents = Documents::read(text).unwrap();
        let found = documents.problem(document, pointer, within, "");
        assert_eq!((found.line, found.column), expected, "{pointer} {within:?} in {text:?}");
    }

    #[test]
    fn fields_have_lines_and_columns() {
        let text = "a: 1\nb:\n  - c: xy\n    d: |\n      one\n      two\n---\ne: 'q'\n";
        check(text, 0, "/a", None, (1, 4));
        check(text, 0, "/b/0/c", None, (3, 8));
        check(text, 0, "/b/0/c", Some((1, 2)), (3, 9));
        check(text, 0, "/b/0/d", Some((2, 3)), (6, 9));
        check(text, 1, "/e", Some((1, 1)), (8, 5));
        check("a: >-\n  one\n  two\n", 0, "/a", Some((1, 6)), (3, 4));
        check("a: one\n  two\n", 0, "/a", Some((1, 5)), (2, 3));
        check(text, 0, "/b/0/missing/more", None, (3, 5));
        check("{\"a\": {\"b\": \"text\"}}", 0, "/a/b", Some((1, 3)), (1, 16));
    }

    #[test]
    fn what_is_no_document_is_told_with_its_place() {
        let problem = Documents::read("a: 1\nb: [1, 2\nc: 3\n").unwrap_err();
        assert!(problem.line >= 2 && !problem.message.is_empty(), "{problem:?}");
        assert!(Documents::read("a: 1\na: 2\n").is_err(), "a key that is given twice");
        assert!(Documents::read("a: &x [1]\nb: *x\n").is_err(), "aliases unfold");
        let nested = "[".repeat(200) + &"]".repeat(200);
        assert!(Documents::read(&nested).is_err(), "nested too deep");
    }

    #[test]
    fn paths_become_pointers() {
        assert_eq!(pointer_of("spec.validations[0].expression"), "/spec/validations/0/expression");
        assert_eq!(pointer_of("examples.0.name"), "/examples/0/name");
        assert_eq!(pointer_of(""), "");
    }
}
