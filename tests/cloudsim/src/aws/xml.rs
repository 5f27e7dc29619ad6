//! From JSON to the XML of the query protocol.

use chrono::DateTime;
use serde_json::Value;

/// The members of an object as elements. Lists hold `member` elements; epoch seconds in members that end in `Date` become
/// dates.
pub(crate) fn members(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    fields.map(|(name, value)| element(name, &content(name, value))).collect::<Vec<_>>().concat()
}

fn content(name: &str, value: &Value) -> String {
    match value {
        Value::Object(_) => members(value),
        Value::Array(items) => {
            items.iter().map(|item| element("member", &content(name, item))).collect::<Vec<_>>().concat()
        }
        Value::String(text) => escaped(text),
        Value::Number(seconds) if name.ends_with("Date") => {
            let date = DateTime::from_timestamp(seconds.as_f64().unwrap_or_default() as i64, 0);
            date.unwrap_or_default().format("%Y-%m-%dT%H:%M:%SZ").to_string()
        }
        other => other.to_string(),
    }
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_lists_and_dates_have_their_form() {
        for (object, expected) in [
            (json!({ "CreateDate": 86_400.25 }), "<CreateDate>1970-01-02T00:00:00Z</CreateDate>"),
            (json!({ "Count": 3 }), "<Count>3</Count>"),
            (json!({ "IsDefault": true }), "<IsDefault>true</IsDefault>"),
            (json!({ "None": [] }), "<None></None>"),
            (
                json!({ "List": [{ "Name": "a&b" }, "c"] }),
                "<List><member><Name>a&amp;b</Name></member><member>c</member></List>",
            ),
        ] {
            assert_eq!(members(&object), expected);
        }
    }
}
