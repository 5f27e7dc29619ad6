use serde_json::Value;
use uuid::Uuid;

use super::Condition;
use crate::Kind;

/// How deep conditions may be nested.
const DEPTH: usize = 8;
/// Conditions in all.
const CONDITIONS: usize = 500;
/// Characters of a text.
const LENGTH: usize = 1000;

/// Something in a condition that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer to it.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

impl Condition {
    /// Reads a condition that lies at `pointer`, and says of everything that does not fit where it is.
    pub fn read(value: &Value, pointer: &str) -> Result<Self, Vec<Misfit>> {
        let mut reader = Reader::default();
        let condition = reader.condition(value, pointer, 0);
        if reader.misfits.is_empty() {
            let many = condition.places().is_none();
            reader.check(!many, pointer, "has too many combinations of places; make several exemptions");
        }
        if reader.misfits.is_empty() { Ok(condition) } else { Err(reader.misfits) }
    }
}

#[derive(Default)]
struct Reader {
    misfits: Vec<Misfit>,
    conditions: usize,
}

impl Reader {
    fn check(&mut self, fits: bool, pointer: &str, message: &str) {
        if !fits {
            self.misfits.push(Misfit { pointer: pointer.to_owned(), message: message.to_owned() });
        }
    }

    fn condition(&mut self, value: &Value, pointer: &str, depth: usize) -> Condition {
        let mut condition = Condition::default();
        self.conditions += 1;
        if depth > DEPTH || self.conditions > CONDITIONS {
            self.check(false, pointer, "is too much: at most 8 levels and 500 conditions in all");
            return condition;
        }
        let Value::Object(fields) = value else {
            self.check(false, pointer, "must be an object");
            return condition;
        };
        for (key, value) in fields {
            let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            match key.as_str() {
                "account" => condition.account = self.text(value, &at),
                "cluster" => condition.cluster = self.id(value, &at),
                "namespace" => condition.namespace = self.text(value, &at),
                "labels" => condition.labels = self.selector(value, &at),
                "resource" => condition.resource = self.id(value, &at),
                "kind" => condition.kind = self.kind(value, &at),
                "name" => condition.name = self.text(value, &at),
                "element" => condition.element = self.text(value, &at),
                "any_of" => condition.any_of = self.list(value, &at, depth),
                "all_of" => condition.all_of = self.list(value, &at, depth),
                _ => self.check(false, &at, "is not a part of a condition"),
            }
        }
        condition
    }

    fn list(&mut self, value: &Value, pointer: &str, depth: usize) -> Vec<Condition> {
        let parts = value.as_array().filter(|parts| !parts.is_empty());
        self.check(parts.is_some(), pointer, "must be a list of at least one condition");
        let parts = parts.into_iter().flatten().enumerate();
        parts.map(|(index, part)| self.condition(part, &format!("{pointer}/{index}"), depth + 1)).collect()
    }

    fn text(&mut self, value: &Value, pointer: &str) -> Option<String> {
        let text = value.as_str().filter(|text| (1..=LENGTH).contains(&text.len()));
        self.check(text.is_some(), pointer, "must be a text of 1 to 1000 characters");
        text.map(str::to_owned)
    }

    fn id(&mut self, value: &Value, pointer: &str) -> Option<Uuid> {
        let id = value.as_str().and_then(|text| text.parse().ok());
        self.check(id.is_some(), pointer, "must be an id");
        id
    }

    fn kind(&mut self, value: &Value, pointer: &str) -> Option<Kind> {
        let kind = value.as_str().and_then(|text| text.parse().ok());
        self.check(kind.is_some(), pointer, "is not a kind");
        kind
    }

    /// A selector that the API server would refuse would silently select nothing.
    fn selector(&mut self, value: &Value, pointer: &str) -> Option<Value> {
        let Value::Object(fields) = value else {
            self.check(false, pointer, "must be a label selector");
            return None;
        };
        self.check(!fields.is_empty(), pointer, "selects everything: leave it out");
        for (key, value) in fields {
            let at = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            match key.as_str() {
                "matchLabels" => {
                    let fits = value.as_object().is_some_and(|pairs| pairs.values().all(Value::is_string));
                    self.check(fits, &at, "must be an object of texts");
                }
                "matchExpressions" => {
                    let requirements = value.as_array();
                    self.check(requirements.is_some(), &at, "must be a list");
                    for (index, requirement) in requirements.into_iter().flatten().enumerate() {
                        self.requirement(requirement, &format!("{at}/{index}"));
                    }
                }
                _ => self.check(false, &at, "is not a part of a label selector"),
            }
        }
        Some(value.clone())
    }

    fn requirement(&mut self, requirement: &Value, pointer: &str) {
        let Value::Object(fields) = requirement else {
            return self.check(false, pointer, "must be an object");
        };
        for key in fields.keys() {
            let known = matches!(key.as_str(), "key" | "operator" | "values");
            self.check(known, &format!("{pointer}/{key}"), "is not a part of a requirement");
        }
        self.check(fields.get("key").is_some_and(Value::is_string), &format!("{pointer}/key"), "must be a text");
        let values = fields.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let wants_values = match fields.get("operator").and_then(Value::as_str) {
            Some("In" | "NotIn") => true,
            Some("Exists" | "DoesNotExist") => false,
            _ => {
                let at = format!("{pointer}/operator");
                return self.check(false, &at, "must be In, NotIn, Exists or DoesNotExist");
            }
        };
        let fits = values.is_empty() != wants_values && values.iter().all(Value::is_string);
        self.check(fits, &format!("{pointer}/values"), "must be texts for In and NotIn, and left out otherwise");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Condition;

    #[track_caller]
    fn check(condition: &Value, expected: &[&str]) {
        let misfits = Condition::read(condition, "/where").expect_err("it does not fit");
        let pointers: Vec<&str> = misfits.iter().map(|misfit| misfit.pointer.as_str()).collect();
        assert_eq!(pointers, expected, "{misfits:?}");
    }

    #[test]
    fn what_does_not_fit_is_named_by_its_place() {
        check(&json!([]), &["/where"]);
        check(&json!({"colour": "red"}), &["/where/colour"]);
        check(
            &json!({"any_of": [{"account": 7}, {"all_of": [{"kind": "pod"}, {"a/b": 1}]}]}),
            &["/where/any_of/0/account", "/where/any_of/1/all_of/0/kind", "/where/any_of/1/all_of/1/a~1b"],
        );
        check(&json!({"any_of": []}), &["/where/any_of"]);
        check(&json!({"cluster": "prod", "resource": "web"}), &["/where/cluster", "/where/resource"]);
        check(&json!({"namespace": ""}), &["/where/namespace"]);
    }

    #[test]
    fn a_selector_that_would_select_nothing_or_everything_is_refused() {
        check(&json!({"labels": {}}), &["/where/labels"]);
        check(&json!({"labels": {"app": "web"}}), &["/where/labels/app"]);
        check(&json!({"labels": {"matchLabels": {"app": 1}}}), &["/where/labels/matchLabels"]);
        let requirement = json!({"key": "app", "operator": "Gt", "values": ["1"]});
        check(&json!({"labels": {"matchExpressions": [requirement]}}), &["/where/labels/matchExpressions/0/operator"]);
        let requirement = json!({"key": "app", "operator": "In"});
        check(&json!({"labels": {"matchExpressions": [requirement]}}), &["/where/labels/matchExpressions/0/values"]);
    }

    #[test]
    fn conditions_are_bounded() {
        let mut deep = json!({"account": "1"});
        for _ in 0..20 {
            deep = json!({"all_of": [deep]});
        }
        assert!(Condition::read(&deep, "").is_err());
        let wide: Vec<Value> = (0..600).map(|account| json!({"account": account.to_string()})).collect();
        assert!(Condition::read(&json!({"any_of": wide}), "").is_err());
        let many: Vec<Value> = (0..30).map(|number| json!({"namespace": format!("{number}*")})).collect();
        let product = json!({"all_of": [{"any_of": many}, {"any_of": many}, {"any_of": many}]});
        assert!(Condition::read(&product, "").is_err(), "27,000 places");
    }
}
