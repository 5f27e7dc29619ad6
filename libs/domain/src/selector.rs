use serde_json::{Map, Value};

/// Whether a Kubernetes label selector (`matchLabels` and `matchExpressions`) selects an object with these labels.
///
/// All requirements must hold. The empty selector selects everything, an absent one (`null`) nothing. What the API
/// server would refuse (an unknown operator, `In` without values, a field of the wrong type) selects nothing.
pub fn selects(selector: &Value, labels: &Map<String, Value>) -> bool {
    let Value::Object(selector) = selector else { return false };
    let pairs = match selector.get("matchLabels") {
        None | Some(Value::Null) => true,
        Some(Value::Object(pairs)) => selects_pairs(pairs, labels),
        Some(_) => false,
    };
    pairs
        && match selector.get("matchExpressions") {
            None | Some(Value::Null) => true,
            Some(Value::Array(requirements)) => requirements.iter().all(|requirement| holds(requirement, labels)),
            Some(_) => false,
        }
}

/// Whether all `pairs` are among the labels: the form that services and replication controllers use. No pairs select
/// everything here; a service without a selector selects nothing, which is for its reader to know.
pub fn selects_pairs(pairs: &Map<String, Value>, labels: &Map<String, Value>) -> bool {
    pairs.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a pattern, in which each `*` stands for any text, stands for the whole of `text`.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        // The earliest place leaves the most for what follows.
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

fn holds(requirement: &Value, labels: &Map<String, Value>) -> bool {
    let Some(key) = requirement.get("key").and_then(Value::as_str) else { return false };
    let label = labels.get(key);
    let values = requirement.get("values").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    match requirement.get("operator").and_then(Value::as_str) {
        Some("In") => label.is_some_and(|label| values.contains(label)),
        Some("NotIn") => !values.is_empty() && label.is_none_or(|label| !values.contains(label)),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{glob_matches, selects};

    #[track_caller]
    fn check(selector: &Value, labels: &Value, expected: bool) {
        let labels = labels.as_object().cloned().unwrap();
        assert_eq!(selects(selector, &labels), expected, "{selector} on {labels:?}");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("shop", "shop", true),
            ("shop", "shop-eu", false),
            ("shop*", "shop", true),
            ("shop*", "shop-eu", true),
            ("*-prod", "shop-prod", true),
            ("*-prod", "shop-prod-2", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "acb", false),
            ("ab*ba", "aba", false),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn empty_selects_all_and_null_none() {
        check(&json!({}), &json!({}), true);
        check(&json!({}), &json!({"app": "web"}), true);
        check(&json!({"matchLabels": null, "matchExpressions": []}), &json!({"app": "web"}), true);
        check(&Value::Null, &json!({"app": "web"}), false);
    }

    #[test]
    fn labels_and_expressions_are_joined_by_and() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}],
        });
        check(&selector, &json!({"app": "web", "tier": "back", "other": "x"}), true);
        check(&selector, &json!({"app": "web"}), false);
        check(&selector, &json!({"app": "db", "tier": "back"}), false);
    }

    #[test]
    fn absent_labels_satisfy_negative_operators() {
        let not_in = json!({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]});
        check(&not_in, &json!({}), true);
        check(&not_in, &json!({"env": "dev"}), true);
        check(&not_in, &json!({"env": "prod"}), false);
        check(&json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), &json!({}), true);
        check(&json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), &json!({"env": ""}), false);
        check(&json!({"matchExpressions": [{"key": "env", "operator": "Exists"}]}), &json!({"env": ""}), true);
    }

    #[test]
    fn what_the_api_server_refuses_selects_nothing() {
        check(
            &json!({"matchExpressions": [{"key": "env", "operator": "Gt", "values": ["1"]}]}),
            &json!({"env": "2"}),
            false,
        );
        check(
            &json!({"matchExpressions": [{"key": "env", "operator": "In", "values": []}]}),
            &json!({"env": "2"}),
            false,
        );
        check(&json!({"matchExpressions": [{"key": "env", "operator": "NotIn"}]}), &json!({}), false);
        check(&json!({"matchExpressions": [{"operator": "Exists"}]}), &json!({"env": "2"}), false);
        check(&json!({"matchLabels": "app=web"}), &json!({"app": "web"}), false);
    }
}
