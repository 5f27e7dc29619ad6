use rampart_domain::Factor;
use serde_json::{Map, Value};

use super::Circumstance;

/// Labels and tags that name an environment, the most telling first. Compared without regard to case.
pub const ENVIRONMENT_KEYS: &[&str] = &[
    "app.kubernetes.io/environment",
    "environment",
    "env",
    "app.kubernetes.io/env",
    "kubernetes.io/environment",
    "stage",
    "app.kubernetes.io/stage",
    "deployment-environment",
    "deployment.environment",
    "tags.datadoghq.com/env",
    "tier",
];

/// What production is called. Compared without regard to case, and up to the first `-`, `_`, `.` or digit (`prod-eu`).
pub const PRODUCTION_VALUES: &[&str] = &["production", "prod", "prd", "live"];

/// What anything else is called, compared in the same way. Other values (`frontend` as a tier) say nothing.
pub const NON_PRODUCTION_VALUES: &[&str] = &[
    "nonproduction",
    "nonprod",
    "non",
    "dev",
    "devel",
    "development",
    "test",
    "testing",
    "tst",
    "qa",
    "uat",
    "int",
    "integration",
    "stage",
    "staging",
    "stg",
    "sandbox",
    "sbx",
    "demo",
    "preprod",
    "preproduction",
    "pre",
    "preview",
    "ci",
    "local",
    "lab",
    "poc",
];

/// What labels say of the environment: the first of [`ENVIRONMENT_KEYS`] whose value is known. `whose` names their holder.
pub fn environment(labels: &Map<String, Value>, whose: &str) -> Option<Circumstance> {
    ENVIRONMENT_KEYS.iter().find_map(|key| {
        let (name, value) = labels.iter().find(|(name, _)| name.eq_ignore_ascii_case(key))?;
        let value = value.as_str()?;
        let factor = factor(&value.to_ascii_lowercase())?;
        Some(Circumstance::new(factor, format!("{whose} has the label {name}={value}")))
    })
}

fn factor(value: &str) -> Option<Factor> {
    let end = value.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(value.len());
    let word = &value[..end];
    if PRODUCTION_VALUES.contains(&word) {
        Some(Factor::Production)
    } else if NON_PRODUCTION_VALUES.contains(&word) {
        Some(Factor::NonProduction)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::Factor;
    use serde_json::{Value, json};

    use super::environment;

    #[track_caller]
    fn check(labels: &Value, expected: Option<Factor>) {
        let found = environment(labels.as_object().unwrap(), "namespace shop");
        assert_eq!(found.map(|found| found.factor), expected, "{labels}");
    }

    #[test]
    fn the_usual_words_are_known() {
        check(&json!({"env": "prod"}), Some(Factor::Production));
        check(&json!({"Environment": "Production"}), Some(Factor::Production));
        check(&json!({"env": "prod-eu-1"}), Some(Factor::Production));
        check(&json!({"env": "prd2"}), Some(Factor::Production));
        check(&json!({"env": "non-prod"}), Some(Factor::NonProduction));
        check(&json!({"stage": "pre-production"}), Some(Factor::NonProduction));
        check(&json!({"env": "uat3"}), Some(Factor::NonProduction));
        check(&json!({"env": "products"}), None);
        check(&json!({"env": ""}), None);
        check(&json!({"app": "prod"}), None);
    }

    #[test]
    fn a_key_that_says_nothing_leaves_the_word_to_the_next() {
        check(&json!({"environment": "blue", "tier": "prod"}), Some(Factor::Production));
        check(&json!({"tier": "frontend", "env": "dev"}), Some(Factor::NonProduction));
        check(&json!({"env": "dev", "environment": "prod"}), Some(Factor::Production));
        check(&json!({"tier": "frontend"}), None);
    }

    #[test]
    fn the_holder_is_named() {
        let found = environment(json!({"env": "prod"}).as_object().unwrap(), "namespace shop").unwrap();
        assert_eq!(found.because, "namespace shop has the label env=prod");
    }
}
