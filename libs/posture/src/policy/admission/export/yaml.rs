use serde_json::Value;

use super::Exported;

impl Exported {
    /// Both documents as YAML, to be applied to a cluster.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        for (index, document) in [&self.policy, &self.binding].into_iter().enumerate() {
            if index > 0 {
                text.push_str("---\n");
            }
            block(document, 0, &mut text);
        }
        text
    }
}

/// A map or list, a line for each entry.
fn block(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                text.push_str(&" ".repeat(indent));
                text.push_str(&scalar(key));
                text.push(':');
                entry(value, indent + 2, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                let mut inner = String::new();
                entry(item, indent + 2, &mut inner);
                text.push_str(&" ".repeat(indent));
                text.push('-');
                // The first line of what an item holds stands beside its dash.
                match inner.strip_prefix('\n') {
                    Some(below) => text.extend([" ", below.trim_start()]),
                    None => text.push_str(&inner),
                }
            }
        }
        _ => {}
    }
}

/// What follows a colon or dash.
fn entry(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => text.push('\n'),
        Value::Array(items) if !items.is_empty() => text.push('\n'),
        Value::String(plain) => return text.extend([" ", &scalar(plain), "\n"]),
        other => return text.extend([" ", &other.to_string(), "\n"]),
    }
    block(value, indent, text);
}

/// A text without quotes where nothing else could be meant.
fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let meant = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(word)
        && !meant.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
