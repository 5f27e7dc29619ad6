use rampart_content::Control;
use serde_json::{Value, json};

use super::served::Served;
use super::{Action, Exported};

/// The documents of a policy that says this.
pub(super) fn documents(
    control: &Control,
    kinds: &[Served],
    conditions: Option<String>,
    variables: Vec<(String, String)>,
    validations: Vec<Value>,
    actions: &[Action],
) -> Exported {
    let name = format!("rampart-{}", control.id.replace(['.', '_'], "-"));
    let metadata = |name: &str| {
        json!({
            "name": name,
            "annotations": {
                "rampart.dev/control": control.id,
                "rampart.dev/control-version": control.version.to_string(),
                "rampart.dev/severity": control.severity.to_string(),
                "rampart.dev/title": control.title,
            },
        })
    };
    let mut rules: Vec<Value> = Vec::new();
    for served in kinds {
        let same = rules
            .iter_mut()
            .find(|rule| rule["apiGroups"][0] == served.group && rule["apiVersions"][0] == served.version);
        match same.and_then(|rule| rule["resources"].as_array_mut()) {
            Some(resources) => resources.extend(served.resources.iter().map(|resource| json!(resource))),
            None => rules.push(json!({
                "apiGroups": [served.group], "apiVersions": [served.version],
                "operations": ["CREATE", "UPDATE"], "resources": served.resources,
            })),
        }
    }
    let mut spec = json!({"failurePolicy": "Ignore", "matchConstraints": {"resourceRules": rules}});
    if let Some(expression) = conditions {
        spec["matchConditions"] = json!([{"name": "has-pod-template", "expression": expression}]);
    }
    if !variables.is_empty() {
        let variable = |(name, expression): (String, String)| json!({"name": name, "expression": expression});
        spec["variables"] = variables.into_iter().map(variable).collect();
    }
    spec["validations"] = Value::Array(validations);
    let actions: Vec<&str> = actions.iter().map(|action| action.as_str()).collect();
    let api_version = format!("{}/v1", super::super::load::GROUP);
    Exported {
        policy: json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata(&name), "spec": spec,
        }),
        binding: json!({
            "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": metadata(&name), "spec": {"policyName": name, "validationActions": actions},
        }),
    }
}
