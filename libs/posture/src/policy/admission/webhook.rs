//! Webhooks of admission: what they answer cannot be known, only whether they are asked.

use serde_json::{Value, json};

use super::matching::{Matched, Matching};
use crate::policy::Review;
use crate::policy::validation::Target;

/// One webhook of a configuration.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of the configuration by itself")]
pub struct Webhook {
    /// Its configuration.
    pub configuration: String,
    /// Its name in there.
    pub name: String,
    /// Whether it may change what it is asked about.
    pub is_mutating: bool,
    /// Whether requests are refused when it does not answer.
    pub fails_closed: bool,
    /// `None` when its rules cannot be read.
    matching: Option<Matching>,
    has_rules: bool,
    has_conditions: bool,
}

/// Whether a webhook is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It may be: its conditions, or the labels of the namespace, are not evaluated or known.
    Perhaps,
}

impl Webhook {
    /// The webhooks of a `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration`.
    pub fn of(configuration: &Value) -> Vec<Self> {
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let is_mutating = configuration["kind"] == "MutatingWebhookConfiguration";
        let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
        let of = |webhook: &Value| {
            let filled = |field: &str| webhook[field].as_array().is_some_and(|list| !list.is_empty());
            let matching = Matching::parse(&json!({
                "resourceRules": webhook["rules"],
                "namespaceSelector": webhook["namespaceSelector"],
                "objectSelector": webhook["objectSelector"],
                "matchPolicy": webhook["matchPolicy"],
            }));
            Self {
                configuration: text(&configuration["metadata"], "name"),
                name: text(webhook, "name"),
                is_mutating,
                fails_closed: webhook["failurePolicy"] != "Ignore",
                matching: matching.ok(),
                has_rules: filled("rules"),
                has_conditions: filled("matchConditions"),
            }
        };
        webhooks.map(of).collect()
    }

    /// Whether it is asked about what `review` describes.
    pub fn asked(&self, review: &Review<'_>) -> Asked {
        let Some(matching) = &self.matching else { return Asked::Perhaps };
        if !self.has_rules {
            return Asked::No;
        }
        match matching.matches(&Target::of(review), review) {
            Matched::No => Asked::No,
            Matched::Yes if !self.has_conditions => Asked::Yes,
            Matched::Yes | Matched::Unknown(_) => Asked::Perhaps,
        }
    }
}
