use std::collections::BTreeMap;

use rampart_domain::Severity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Control, Framework, Parameter};

/// A set of controls with their settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Initiative {
    /// Stable name; equals the file name.
    pub id: String,
    /// Raised when the set or its settings change.
    pub version: u32,
    /// Name shown to people.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// A framework, whose controls the initiative selects besides those that it names itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// Settings of the whole set, which its lines hand on to controls.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    /// What it selects; a later choice of the same control wins. Once loaded, the controls of the framework are among it.
    #[serde(default)]
    pub controls: Vec<Choice>,
}

impl Initiative {
    /// Adds a line for each control that answers a requirement of `framework` and that no line selects yet.
    pub(crate) fn select<'c>(&mut self, framework: &Framework, controls: impl Iterator<Item = &'c Control>) {
        for control in controls {
            let answers = framework.answered_by(control).next().is_some();
            if answers && !self.controls.iter().any(|choice| choice.selects(&control.id)) {
                self.controls.push(Choice { id: control.id.clone(), params: BTreeMap::default(), severity: None });
            }
        }
    }
}

/// One line of an initiative: a control, or a family of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// A control id, or `prefix.*` for every control below the prefix.
    pub id: String,
    /// Parameters other than the defaults; `$name` stands for the parameter `name` of the initiative.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Severity other than the control's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
}

impl Choice {
    /// Whether this line selects the control `id`.
    pub fn selects(&self, id: &str) -> bool {
        selects_control(&self.id, id)
    }
}

/// Whether `pattern`, the id of a control or `prefix.*`, selects the control `id`.
pub fn selects_control(pattern: &str, id: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => prefix.is_empty() || (prefix.ends_with('.') && id.starts_with(prefix)),
        None => pattern == id,
    }
}

/// The name in a value `$name`, which stands for a parameter of the initiative.
pub fn handed_on(value: &Value) -> Option<&str> {
    value.as_str()?.strip_prefix('$')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Choice;

    #[test]
    fn a_prefix_ends_at_a_dot() {
        let choice = |id: &str| Choice { id: id.into(), params: BTreeMap::default(), severity: None };
        assert!(choice("k8s.pod.*").selects("k8s.pod.privileged"));
        assert!(!choice("k8s.po*").selects("k8s.pod.privileged"), "no half words");
        assert!(!choice("k8s.pod").selects("k8s.pod.privileged"));
        assert!(choice("*").selects("k8s.pod.privileged"));
    }
}
