//! Suites in the format of Gatekeeper's `gator verify`.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A file of tests. Paths in it are relative to it.
#[derive(Debug, Deserialize)]
pub(super) struct Suite {
    #[serde(default)]
    pub(super) tests: Vec<Test>,
    #[serde(default)]
    pub(super) skip: bool,
}

/// A template with a constraint, and objects to try them on.
#[derive(Debug, Deserialize)]
pub(super) struct Test {
    #[serde(default, deserialize_with = "name")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) template: String,
    #[serde(default)]
    pub(super) constraint: String,
    /// File with expansion templates, which are not applied.
    #[serde(default)]
    pub(super) expansion: String,
    #[serde(default)]
    pub(super) cases: Vec<Case>,
    /// Whether the constraint is to be refused.
    #[serde(default)]
    pub(super) invalid: bool,
    #[serde(default)]
    pub(super) skip: bool,
}

/// One object with what is to be said of it.
#[derive(Debug, Deserialize)]
pub(super) struct Case {
    #[serde(default, deserialize_with = "name")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) object: String,
    /// Files with other objects.
    #[serde(default)]
    pub(super) inventory: Vec<String>,
    #[serde(default)]
    pub(super) assertions: Vec<Assertion>,
    #[serde(default)]
    pub(super) skip: bool,
}

/// What holds of the violations whose message matches.
#[derive(Debug, Deserialize)]
pub(super) struct Assertion {
    /// `yes` (at least one), `no` (none) or how many exactly; `yes` when absent.
    #[serde(default)]
    violations: Option<Value>,
    /// Regular expression, as RE2 reads it.
    #[serde(default)]
    message: Option<String>,
}

/// A name, which YAML may have taken for a number or a boolean.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(name) => Ok(name),
        Value::Null => Ok(String::new()),
        value @ (Value::Bool(_) | Value::Number(_)) => Ok(value.to_string()),
        other => Err(de::Error::custom(format!("a name is a text, not {other}"))),
    }
}

impl Assertion {
    /// Tries the assertion on the messages of all violations.
    ///
    /// # Errors
    /// What was wanted and what was found.
    pub(super) fn check(&self, messages: &[String]) -> Result<(), String> {
        let pattern = self.message.as_deref().map(rampart_posture::policy::pattern).transpose();
        let pattern = pattern.map_err(|error| format!("the message is no regular expression: {error}"))?;
        let matching = |message: &&String| pattern.as_ref().is_none_or(|pattern| pattern.is_match(message));
        let found = messages.iter().filter(matching).count();
        let wanted = match &self.violations {
            None | Some(Value::Bool(true)) => Wanted::Some,
            Some(Value::Bool(false)) => Wanted::None,
            Some(Value::String(word)) if word == "yes" => Wanted::Some,
            Some(Value::String(word)) if word == "no" => Wanted::None,
            Some(other) => match other.as_u64().and_then(|count| usize::try_from(count).ok()) {
                Some(count) => Wanted::Exactly(count),
                None => return Err(format!("violations is `yes`, `no` or a number, not {other}")),
            },
        };
        let holds = match wanted {
            Wanted::Some => found > 0,
            Wanted::None => found == 0,
            Wanted::Exactly(count) => found == count,
        };
        if holds {
            return Ok(());
        }
        let wanted = match wanted {
            Wanted::Some => "at least one violation".to_owned(),
            Wanted::None => "no violation".to_owned(),
            Wanted::Exactly(1) => "exactly 1 violation".to_owned(),
            Wanted::Exactly(count) => format!("exactly {count} violations"),
        };
        let like = self.message.as_ref().map(|message| format!(" like `{message}`")).unwrap_or_default();
        Err(format!("wanted {wanted}{like}, got {found} of {messages:?}"))
    }
}

enum Wanted {
    Some,
    None,
    Exactly(usize),
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Assertion, Case};

    #[track_caller]
    fn check(assertion: Value, messages: &[&str], holds: bool) {
        let assertion: Assertion = serde_json::from_value(assertion).unwrap();
        let messages: Vec<_> = messages.iter().map(|message| (*message).to_owned()).collect();
        let outcome = assertion.check(&messages);
        assert_eq!(outcome.is_ok(), holds, "{outcome:?}");
    }

    #[test]
    fn assertions_count_what_matches() {
        check(json!({}), &["a"], true);
        check(json!({}), &[], false);
        check(json!({"violations": "no"}), &[], true);
        check(json!({"violations": false}), &["a"], false);
        check(json!({"violations": true}), &["a"], true);
        check(json!({"violations": 2}), &["a", "b"], true);
        check(json!({"violations": 1}), &["a", "b"], false);
        check(json!({"violations": 1, "message": "^b"}), &["a", "b"], true);
        check(json!({"violations": "no", "message": "c"}), &["a", "b"], true);
        check(json!({"message": "("}), &["("], false);
        check(json!({"message": "labels: {\"a\"}$"}), &["labels: {\"a\"}"], true);
        check(json!({"violations": -1}), &[], false);
        check(json!({"violations": "maybe"}), &[], false);
    }

    #[test]
    fn names_may_look_like_something_else() {
        let named = |name: Value| serde_json::from_value::<Case>(json!({"name": name})).map(|case| case.name);
        assert_eq!(named(json!(1.22)).unwrap(), "1.22");
        assert_eq!(named(json!(false)).unwrap(), "false");
        assert_eq!(named(Value::Null).unwrap(), "");
        assert!(named(json!(["a"])).is_err());
    }
}
