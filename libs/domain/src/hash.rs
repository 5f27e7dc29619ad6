use std::fmt;

use serde_json::Value;

/// Fingerprint of a resource's configuration: equal hashes mean that nothing worth storing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigHash(pub [u8; 16]);

impl fmt::Display for ConfigHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Hashes JSON independently of the order of object keys.
pub fn hash_json(value: &Value) -> ConfigHash {
    // One long input: the hash takes many short ones far more slowly.
    let mut bytes = Vec::with_capacity(8 << 10);
    feed(&mut bytes, value);
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(&bytes).as_bytes()[..16]);
    ConfigHash(out)
}

/// JSON text with sorted keys and no white space: the form whose bytes may be signed or compared.
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.keys().collect();
            keys.sort_unstable();
            let fields: Vec<_> =
                keys.into_iter().map(|k| format!("{}:{}", Value::from(k.as_str()), canonical_json(&map[k]))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical_json).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// Walks the value and writes a tagged, length-prefixed form, so that no two values share a byte stream.
fn feed(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => tag(out, b'n', &[]),
        Value::Bool(flag) => tag(out, b'b', &[u8::from(*flag)]),
        Value::Number(number) => tag(out, b'd', number.to_string().as_bytes()),
        Value::String(text) => tag(out, b's', text.as_bytes()),
        Value::Array(items) => {
            tag(out, b'a', &(items.len() as u64).to_le_bytes());
            for item in items {
                feed(out, item);
            }
        }
        Value::Object(map) => {
            tag(out, b'o', &(map.len() as u64).to_le_bytes());
            // serde_json's map is sorted unless `preserve_order` is on; sort so that the hash never depends on it.
            let sorted = map.keys().is_sorted();
            if sorted {
                for (key, item) in map {
                    field(out, key, item);
                }
            } else {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, item) in entries {
                    field(out, key, item);
                }
            }
        }
    }
}

fn field(out: &mut Vec<u8>, key: &str, item: &Value) {
    tag(out, b'k', key.as_bytes());
    feed(out, item);
}

fn tag(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{canonical_json, hash_json};

    #[test]
    fn order_of_keys_does_not_matter_and_nesting_does() {
        assert_eq!(hash_json(&json!({"a": 1, "b": [true]})), hash_json(&json!({"b": [true], "a": 1})));
        assert_ne!(hash_json(&json!({"a": {"b": 1}})), hash_json(&json!({"a": {}, "b": 1})));
        assert_ne!(hash_json(&json!(["ab", "c"])), hash_json(&json!(["a", "bc"])));
        let stored = hash_json(&json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "ports": [80, null]}]}}));
        assert_eq!(stored.to_string(), "32723dfc7a11ca484c354255a8993ee2", "what is stored stays comparable");
        assert_eq!(canonical_json(&json!({"b": "x\"", "a": [1, null]})), r#"{"a":[1,null],"b":"x\""}"#);
    }
}
