use std::sync::Arc;

use serde_json::Value;

use super::constraint::Constraint;
use super::judge::{Engine, Judge};
use super::schema::Schema;
use super::{check_depth, document, error};
use crate::policy::LoadError;

/// The only target that there is.
const TARGET: &str = "admission.k8s.gatekeeper.sh";

/// A constraint template: the policy, without what it is applied to.
#[derive(Debug)]
pub struct Template {
    kind: String,
    schema: Schema,
    judges: Vec<(Engine, Arc<Judge>)>,
}

impl Template {
    /// Reads and compiles a `ConstraintTemplate` of `templates.gatekeeper.sh`, versions v1, v1beta1 and v1alpha1.
    pub fn parse(template: &Value) -> Result<Self, LoadError> {
        let document = document(template);
        let fail = |field: &str, message: String| error(&document, field, message);
        check_depth(template).map_err(|message| fail("", message))?;
        let version = template["apiVersion"].as_str().unwrap_or_default();
        let versions = ["v1", "v1beta1", "v1alpha1"].map(|version| format!("templates.gatekeeper.sh/{version}"));
        if !versions.iter().any(|known| known == version) || template["kind"] != "ConstraintTemplate" {
            return Err(fail("apiVersion", "is not a constraint template that is known here".to_owned()));
        }
        let names = &template["spec"]["crd"]["spec"]["names"];
        let kind = names["kind"].as_str().filter(|kind| !kind.is_empty());
        let kind = kind.ok_or_else(|| fail("spec.crd.spec.names.kind", "is missing".to_owned()))?;
        let name = template["metadata"]["name"].as_str().unwrap_or_default();
        if name != kind.to_lowercase() {
            let message = format!("is `{name}`, not the kind in lower case, `{}`", kind.to_lowercase());
            return Err(fail("metadata.name", message));
        }
        let field = "spec.crd.spec.validation.openAPIV3Schema";
        let schema = Schema::parse(&template["spec"]["crd"]["spec"]["validation"]["openAPIV3Schema"]);
        let schema = schema.map_err(|(inner, message)| fail(&format!("{field}{inner}"), message))?;
        let target = match template["spec"]["targets"].as_array().map(Vec::as_slice) {
            Some([target]) => target,
            Some(targets) if targets.len() > 1 => {
                return Err(fail("spec.targets", "holds more than one target".to_owned()));
            }
            _ => return Err(fail("spec.targets", "holds no target".to_owned())),
        };
        if target["target"] != TARGET {
            return Err(fail("spec.targets[0].target", format!("is not `{TARGET}`")));
        }
        let judges = judges(&document, target)?;
        Ok(Self { kind: kind.to_owned(), schema, judges })
    }

    /// The kind of its constraints.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Why its Rego is left to the reference engine alone; `None` where both are used.
    pub fn slow(&self) -> Option<&str> {
        self.judges.iter().find_map(|(_, judge)| judge.slow())
    }

    /// Reads a constraint of this template, judged by the engine that Gatekeeper prefers.
    pub fn constraint(&self, constraint: &Value) -> Result<Constraint, LoadError> {
        self.constraint_with(constraint, Engine::Preferred)
    }

    /// Reads a constraint of this template.
    pub fn constraint_with(&self, constraint: &Value, engine: Engine) -> Result<Constraint, LoadError> {
        let found = match engine {
            Engine::Preferred => self.judges.iter().max_by_key(|(engine, _)| *engine),
            wanted => self.judges.iter().find(|(engine, _)| *engine == wanted),
        };
        let Some((_, judge)) = found else {
            let message = format!("template `{}` has no code for the engine asked for", self.kind);
            return Err(error(&document(constraint), "kind", message));
        };
        Constraint::parse(&self.kind, &self.schema, Arc::clone(judge), constraint)
    }
}

/// The compiled forms of a target's code. The fields `rego` and `libs` are the older way to write code of the engine Rego,
/// and win over it.
fn judges(document: &str, target: &Value) -> Result<Vec<(Engine, Arc<Judge>)>, LoadError> {
    let mut judges = Vec::new();
    let mut unsupported = Vec::new();
    if target["rego"].as_str().is_some_and(|rego| !rego.is_empty()) {
        judges.push((Engine::Rego, Arc::new(Judge::rego(document, "spec.targets[0]", target)?)));
    }
    for (index, code) in target["code"].as_array().into_iter().flatten().enumerate() {
        let name = code["engine"].as_str().unwrap_or_default();
        let Some(engine) = Engine::of_name(name) else {
            unsupported.push(name);
            continue;
        };
        if judges.iter().any(|(known, _)| *known == engine) {
            continue;
        }
        let field = format!("spec.targets[0].code[{index}].source");
        judges.push((engine, Arc::new(Judge::compile(document, &field, engine, &code["source"])?)));
    }
    if judges.is_empty() {
        let message = match unsupported.as_slice() {
            [] => "holds no code".to_owned(),
            names => format!("holds only code that is not run here, for {}", names.join(", ")),
        };
        return Err(error(document, "spec.targets[0]", message));
    }
    Ok(judges)
}
