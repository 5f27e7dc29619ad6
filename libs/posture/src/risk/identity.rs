use serde_json::Value;

/// What a role lets its holder do that reaches the whole cluster; `None` for nothing of the kind. `rules` is the list of a
/// cluster role, bound cluster-wide.
pub fn powers(rules: &Value) -> Option<&'static str> {
    let rules: Vec<Rule<'_>> = rules.as_array().into_iter().flatten().map(Rule::of).collect();
    if rules.iter().any(Rule::is_everything) {
        Some("may do everything")
    } else if rules.iter().any(Rule::raises) {
        Some("may raise its own rights")
    } else if rules.iter().any(Rule::reads_secrets) {
        Some("may read every secret")
    } else if rules.iter().any(Rule::enters_pods) {
        Some("may run commands in every pod")
    } else {
        None
    }
}

struct Rule<'a> {
    groups: Vec<&'a str>,
    resources: Vec<&'a str>,
    verbs: Vec<&'a str>,
    /// It is about single objects, by name.
    named: bool,
}

impl<'a> Rule<'a> {
    fn of(rule: &'a Value) -> Self {
        let words = |field: &str| {
            let list = rule.get(field).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).collect::<Vec<_>>()
        };
        Self {
            groups: words("apiGroups"),
            resources: words("resources"),
            verbs: words("verbs"),
            named: !words("resourceNames").is_empty(),
        }
    }

    fn allows(&self, group: &str, resources: &[&str], verbs: &[&str]) -> bool {
        let has = |list: &[&str], wanted: &[&str]| list.iter().any(|it| *it == "*" || wanted.contains(it));
        !self.named && has(&self.groups, &[group]) && has(&self.resources, resources) && has(&self.verbs, verbs)
    }

    fn is_everything(&self) -> bool {
        [&self.groups, &self.resources, &self.verbs].iter().all(|list| list.contains(&"*")) && !self.named
    }

    fn raises(&self) -> bool {
        self.allows("rbac.authorization.k8s.io", &["clusterroles", "roles"], &["escalate", "bind"])
            || self.allows("", &["users", "groups", "serviceaccounts"], &["impersonate"])
    }

    fn reads_secrets(&self) -> bool {
        self.allows("", &["secrets"], &["get", "list", "watch"])
    }

    fn enters_pods(&self) -> bool {
        self.allows("", &["pods/exec", "*/exec", "pods/attach", "*/attach"], &["create", "get"])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::powers;

    #[track_caller]
    fn check(rule: Value, expected: Option<&str>) {
        let text = rule.to_string();
        assert_eq!(powers(&Value::Array(vec![rule])), expected, "{text}");
    }

    #[test]
    fn what_reaches_the_whole_cluster_is_told() {
        let rule = |group: &str, resource: &str, verb: &str| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
        check(rule("*", "*", "*"), Some("may do everything"));
        check(rule("", "secrets", "list"), Some("may read every secret"));
        check(rule("*", "*", "get"), Some("may read every secret"));
        check(rule("", "secrets", "create"), None);
        check(rule("apps", "secrets", "get"), None);
        check(rule("rbac.authorization.k8s.io", "clusterroles", "escalate"), Some("may raise its own rights"));
        check(rule("", "serviceaccounts", "impersonate"), Some("may raise its own rights"));
        check(rule("", "pods/exec", "create"), Some("may run commands in every pod"));
        check(rule("", "*/attach", "get"), Some("may run commands in every pod"));
        check(rule("", "pods/*", "create"), None);
        check(rule("", "pods", "get"), None);
        check(json!({"nonResourceURLs": ["*"], "verbs": ["*"]}), None);
        check(Value::Null, None);
    }

    #[test]
    fn names_limit_what_a_rule_reaches() {
        check(json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["one"], "verbs": ["get"]}), None);
    }
}
