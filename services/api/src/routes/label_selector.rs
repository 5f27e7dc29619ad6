use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::FieldErrors;

/// Most requirements of one selector.
const MOST: usize = 50;

/// A Kubernetes label selector; all that it asks must hold. It is asked about the labels of a resource over those of its
/// namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LabelSelector {
    /// Labels with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(example = json!({"team": "payments"}))]
    match_labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    match_expressions: Vec<Requirement>,
}

/// What a label selector asks of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LabelRequirement)]
pub(crate) struct Requirement {
    /// The label.
    key: String,
    operator: Operator,
    /// For `In` and `NotIn` at least one, for the others none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    values: Vec<String>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LabelOperator)]
pub(crate) enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl LabelSelector {
    /// Notes what Kubernetes would refuse, and a selector that selects everything: leave that out.
    pub(crate) fn check(&self, errors: &mut FieldErrors, field: &str) {
        let count = self.match_labels.len() + self.match_expressions.len();
        errors.check((1..=MOST).contains(&count), field, "must ask for 1 to 50 labels; leave it out for everything");
        for key in self.match_labels.keys() {
            errors.check(!key.is_empty(), &format!("{field}/matchLabels"), "a label must have a name");
        }
        for (index, requirement) in self.match_expressions.iter().enumerate() {
            let at = |part: &str| format!("{field}/matchExpressions/{index}/{part}");
            errors.check(!requirement.key.is_empty(), &at("key"), "must name a label");
            let wants_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
            let fits = requirement.values.is_empty() != wants_values;
            let message = if wants_values { "must have a value" } else { "must be left out with this operator" };
            errors.check(fits, &at("values"), message);
        }
    }

    /// As Kubernetes writes it, for the store.
    pub(crate) fn to_json(&self) -> Value {
        json!(self)
    }

    /// From the store.
    pub(crate) fn of(stored: Value) -> Self {
        serde_json::from_value(stored).unwrap_or_default()
    }
}
