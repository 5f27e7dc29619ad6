//! Changes of a JSON document as text: the operations of RFC 6902 and the merge patches of RFC 7386.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Levels that a patched document may have, as many as the text of one may have to be read again.
const MAX_DEPTH: usize = 127;
/// Values that the operations of one patch may copy: copies of copies grow beyond any patch's own size.
const MAX_COPIED: usize = 100_000;

/// One operation of a JSON patch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum Operation {
    /// Puts a value in a place: a member of an object, or before an element of an array (`-` is behind the last one).
    Add {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes away what is in a place.
    Remove {
        /// Where.
        path: String,
    },
    /// Puts a value in the place of another.
    Replace {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
    /// Takes a value away and adds it elsewhere.
    Move {
        /// Where it is.
        from: String,
        /// Where it is to be.
        path: String,
    },
    /// Adds a value that is elsewhere.
    Copy {
        /// Where it is.
        from: String,
        /// Where it is to be as well.
        path: String,
    },
    /// Fails unless a place holds this value.
    Test {
        /// Where.
        path: String,
        /// What.
        value: Value,
    },
}

impl Operation {
    /// The JSON pointers of the operation that are none, by the name of their field.
    pub fn malformed(&self) -> impl Iterator<Item = &'static str> {
        let (path, from) = match self {
            Self::Add { path, .. } | Self::Remove { path } | Self::Replace { path, .. } | Self::Test { path, .. } => {
                (path, None)
            }
            Self::Move { from, path } | Self::Copy { from, path } => (path, Some(from)),
        };
        let from = from.filter(|from| !is_pointer(from)).map(|_| "from");
        let path = Some(path).filter(|path| !is_pointer(path)).map(|_| "path");
        from.into_iter().chain(path)
    }
}

/// Whether a text is a JSON pointer (RFC 6901).
pub fn is_pointer(text: &str) -> bool {
    let escapes = || text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.is_empty() || (text.starts_with('/') && escapes())
}

/// An operation that cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("operation {index}: {message}")]
pub struct PatchError {
    /// Which operation, from 0.
    pub index: usize,
    /// Why.
    pub message: String,
}

/// Applies operations in their order. When one fails, those before it have been applied.
pub fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), PatchError> {
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        one(document, operation, &mut copied).map_err(|message| PatchError { index, message })?;
    }
    Ok(())
}

fn one(document: &mut Value, operation: &Operation, copied: &mut usize) -> Result<(), String> {
    match operation {
        Operation::Add { path, value } => add(document, path, value.clone()),
        Operation::Remove { path } => remove(document, path).map(drop),
        Operation::Replace { path, value } => {
            fits(path, value)?;
            *document.pointer_mut(path).ok_or_else(|| nothing_at(path))? = value.clone();
            Ok(())
        }
        Operation::Move { from, path } => {
            if path.strip_prefix(from.as_str()).is_some_and(|below| below.starts_with('/')) {
                return Err(format!("`{from}` cannot move into itself"));
            }
            let value = remove(document, from)?;
            add(document, path, value)
        }
        Operation::Copy { from, path } => {
            let value = document.pointer(from).ok_or_else(|| nothing_at(from))?;
            *copied += measure(value).0;
            if *copied > MAX_COPIED {
                return Err("the patch copies too much".to_owned());
            }
            let value = value.clone();
            add(document, path, value)
        }
        Operation::Test { path, value } => {
            let found = document.pointer(path).ok_or_else(|| nothing_at(path))?;
            if equal(found, value) { Ok(()) } else { Err(format!("`{path}` holds another value")) }
        }
    }
}

fn nothing_at(path: &str) -> String {
    format!("there is nothing at `{path}`")
}

fn fits(path: &str, value: &Value) -> Result<(), String> {
    let depth = path.matches('/').count() + measure(value).1;
    if depth > MAX_DEPTH { Err(format!("`{path}` would lie too deep")) } else { Ok(()) }
}

/// Parent and last step of a pointer; `None` for the whole document.
fn parted(path: &str) -> Option<(&str, String)> {
    let (parent, last) = path.rsplit_once('/')?;
    Some((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    fits(path, &value)?;
    let Some((parent, last)) = parted(path) else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.insert(last, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if last == "-" { Some(items.len()) } else { index(&last) };
            let at = at.filter(|at| *at <= items.len());
            items.insert(at.ok_or_else(|| format!("`{path}` is no place in the list"))?, value);
            Ok(())
        }
        Some(_) => Err(format!("`{parent}` is neither an object nor a list")),
        None => Err(nothing_at(parent)),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let Some((parent, last)) = parted(path) else { return Ok(document.take()) };
    let removed = match document.pointer_mut(parent) {
        Some(Value::Object(map)) => map.remove(&last),
        Some(Value::Array(items)) => index(&last).filter(|at| *at < items.len()).map(|at| items.remove(at)),
        _ => None,
    };
    removed.ok_or_else(|| nothing_at(path))
}

/// A place in an array: digits without leading zeros.
fn index(text: &str) -> Option<usize> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

/// How many values there are and how many levels they have.
fn measure(value: &Value) -> (usize, usize) {
    let parts: &mut dyn Iterator<Item = &Value> = match value {
        Value::Object(map) => &mut map.values(),
        Value::Array(items) => &mut items.iter(),
        _ => return (1, 1),
    };
    let (count, depth) = parts.map(measure).fold((0, 0), |(count, depth), part| (count + part.0, depth.max(part.1)));
    (count + 1, depth + 1)
}

/// Equality as RFC 6902 has it: numbers by their value.
fn equal(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(a), Value::Number(b)) => a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64()),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        _ => one == two,
    }
}

/// Applies a merge patch: objects are merged, null takes a member away, anything else replaces.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(map) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge(map.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Operation, apply, is_pointer, merge};

    fn patched(mut document: Value, patch: Value) -> Result<Value, String> {
        let operations: Vec<Operation> = serde_json::from_value(patch).map_err(|error| error.to_string())?;
        apply(&mut document, &operations).map(|()| document).map_err(|error| error.to_string())
    }

    /// The examples of RFC 6902, appendix A.
    #[test]
    fn operations_do_what_the_standard_says() {
        let check = |document: Value, patch: Value, expected: Value| {
            assert_eq!(patched(document, patch.clone()), Ok(expected), "{patch}");
        };
        check(
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux"}]),
            json!({"baz": "qux", "foo": "bar"}),
        );
        check(
            json!({"foo": ["bar", "baz"]}),
            json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
            json!({"foo": ["bar", "qux", "baz"]}),
        );
        check(
            json!({"foo": ["bar"]}),
            json!([{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}]),
            json!({"foo": ["bar", ["abc", "def"]]}),
        );
        check(json!({"baz": "qux", "foo": 1}), json!([{"op": "remove", "path": "/baz"}]), json!({"foo": 1}));
        check(json!({"foo": [1, 2, 3]}), json!([{"op": "remove", "path": "/foo/1"}]), json!({"foo": [1, 3]}));
        check(json!({"baz": "qux"}), json!([{"op": "replace", "path": "/baz", "value": "boo"}]), json!({"baz": "boo"}));
        check(
            json!({"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}}),
            json!([{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}]),
            json!({"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}}),
        );
        check(
            json!({"foo": ["all", "grass", "cows", "eat"]}),
            json!([{"op": "move", "from": "/foo/1", "path": "/foo/3"}]),
            json!({"foo": ["all", "cows", "eat", "grass"]}),
        );
        check(
            json!({"/": 9, "~1": 10}),
            json!([{"op": "test", "path": "/~01", "value": 10.0}, {"op": "copy", "from": "/~1", "path": "/a"}]),
            json!({"/": 9, "~1": 10, "a": 9}),
        );
        check(json!({"a": 1}), json!([{"op": "replace", "path": "", "value": [1]}]), json!([1]));
    }

    #[test]
    fn what_cannot_be_done_is_said_with_its_place() {
        let check = |patch: Value, part: &str| {
            let error = patched(json!({"foo": "bar", "list": [1]}), patch.clone()).unwrap_err();
            assert!(error.contains(part), "{patch}: {error}");
        };
        check(json!([{"op": "add", "path": "/baz/bat", "value": "qux"}]), "operation 0: there is nothing at `/baz`");
        check(json!([{"op": "add", "path": "/foo/bat", "value": 1}]), "`/foo` is neither");
        check(json!([{"op": "add", "path": "/list/2", "value": 1}]), "no place in the list");
        check(json!([{"op": "add", "path": "/list/01", "value": 1}]), "no place in the list");
        check(json!([{"op": "remove", "path": "/list/-"}]), "nothing at `/list/-`");
        check(json!([{"op": "remove", "path": "/foo"}, {"op": "replace", "path": "/foo", "value": 1}]), "operation 1");
        check(json!([{"op": "test", "path": "/foo", "value": 10}]), "another value");
        check(json!([{"op": "move", "from": "/list", "path": "/list/0"}]), "into itself");
        check(json!([{"op": "add", "path": "/foo"}]), "missing field `value`");
        check(json!([{"op": "remove", "path": "/foo", "value": 1}]), "unknown field `value`");
        check(json!([{"op": "erase", "path": "/foo"}]), "unknown variant `erase`");
        assert!(
            is_pointer("") && is_pointer("/a~0b/~1") && !is_pointer("a") && !is_pointer("/~") && !is_pointer("/~2")
        );
    }

    #[test]
    fn a_patch_cannot_grow_without_bounds() {
        let double = json!({"op": "copy", "from": "/list", "path": "/list/-"});
        let error = patched(json!({"list": [1, 2]}), Value::Array(vec![double; 40])).unwrap_err();
        assert!(error.contains("copies too much") || error.contains("too deep"), "{error}");
        let deepen = json!({"op": "copy", "from": "", "path": "/a"});
        let error = patched(json!({"b": 1}), Value::Array(vec![deepen; 200])).unwrap_err();
        assert!(error.contains("too deep") || error.contains("copies too much"), "{error}");
        let far = "/a".repeat(126);
        let mut deep = json!({});
        for _ in 0..125 {
            deep = json!({ "a": deep });
        }
        let copy = json!([{"op": "copy", "from": "", "path": far}]);
        assert!(patched(deep, copy).unwrap_err().contains("too deep"));
    }

    #[test]
    fn merging_adds_replaces_and_takes_away() {
        let mut target = json!({"a": {"b": 1, "c": [1]}, "d": 1});
        merge(&mut target, &json!({"a": {"b": null, "c": [2], "e": {"f": null}}, "d": {"g": 1}}));
        assert_eq!(target, json!({"a": {"c": [2], "e": {}}, "d": {"g": 1}}));
    }
}
