//! Policies that others wrote, from the files that hold them.

mod engines;

use std::collections::HashSet;

use rampart_domain::Severity;
use rampart_posture::policy::{Decision, Inventory, LoadError, Policy, RequestError, Review, review_request};
use serde_json::Value;

use crate::EngineChoice;
use crate::object::{Contents, Problem};
use crate::report::Rule;

/// Annotation of a constraint, a template, a policy or a binding that states the severity of a violation.
const SEVERITY: &str = "rampart.dev/severity";
const TITLE: &str = "metadata.gatekeeper.sh/title";
const DESCRIPTION: &str = "description";
/// Annotation of a template with the objects that it looks for.
const NEEDS: &str = "metadata.gatekeeper.sh/requires-sync-data";

/// A policy that is switched on.
pub(crate) struct Loaded {
    /// `gatekeeper/<kind>/<name>` of the constraint, `vap/<policy>/<binding>`.
    pub(crate) control: String,
    /// Medium unless annotated; informational when violations are only to be warned of or recorded.
    pub(crate) severity: Severity,
    pub(crate) rule: Rule,
    pub(crate) policy: Box<dyn Policy>,
}

/// What a folder of policies holds.
#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) loaded: Vec<Loaded>,
    /// What they look at beside the object that is reviewed.
    pub(crate) compared: Compared,
    pub(crate) problems: Vec<Problem>,
}

/// Loads every policy of `files`: constraint templates with their constraints, admission policies with their bindings and
/// parameters. Other objects, such as samples, are passed over.
pub(crate) fn load(files: Vec<Contents>) -> Policies {
    let mut policies = Policies::default();
    let mut documents = Vec::new();
    let folder = files.first().map_or_else(|| "policies".into(), |file| file.file.clone());
    for file in files {
        policies.problems.extend(file.problems);
        documents.extend(file.objects.into_iter().map(|object| object.value));
    }
    policies.compared = compared(&documents);
    for family in [Family::Gatekeeper, Family::Admission] {
        let (found, errors) = engines::load(family, &documents);
        policies.loaded.extend(found.into_iter().map(|found| loaded(family, found, &documents)));
        policies.problems.extend(errors.into_iter().map(|error| Problem {
            file: folder.clone(),
            line: None,
            column: None,
            message: error.to_string(),
        }));
    }
    policies
}

/// Which other objects policies look at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Compared {
    /// None.
    #[default]
    Nothing,
    /// Those of these kinds.
    Kinds(HashSet<String>),
    /// Any.
    Everything,
}

impl Compared {
    /// Whether objects of `kind` are looked at. Namespaces are looked at by what matches a policy.
    pub(crate) fn holds(&self, kind: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Kinds(kinds) => kind == "Namespace" || kinds.contains(kind),
            Self::Everything => true,
        }
    }
}

/// A template that looks at the inventory says by an annotation which kinds have to be in it.
fn compared(documents: &[Value]) -> Compared {
    let templates = documents.iter().filter(|document| family(document) == Some(Family::Gatekeeper));
    let mut kinds = HashSet::new();
    for template in templates.filter(|template| template.to_string().contains("data.inventory")) {
        let annotation = template.pointer("/metadata/annotations").and_then(|annotations| annotations.get(NEEDS));
        // The text is a list of alternatives, in quotes.
        let text = annotation.and_then(Value::as_str).map(|text| text.trim().trim_matches('"'));
        let Some(Ok(alternatives)) = text.map(serde_json::from_str::<Vec<Vec<Value>>>) else {
            return Compared::Everything;
        };
        let named = alternatives.iter().flatten().filter_map(|object| object.get("kinds")?.as_array()).flatten();
        kinds.extend(named.filter_map(Value::as_str).map(str::to_owned));
    }
    if kinds.is_empty() { Compared::Nothing } else { Compared::Kinds(kinds) }
}

/// Whose policies a document belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Constraint templates and constraints.
    Gatekeeper,
    /// Validating admission policies and bindings.
    Admission,
}

pub(crate) fn family(document: &Value) -> Option<Family> {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    let (group, _) = text("apiVersion").split_once('/')?;
    match (group, text("kind")) {
        ("templates.gatekeeper.sh", "ConstraintTemplate") | ("constraints.gatekeeper.sh", _) => {
            Some(Family::Gatekeeper)
        }
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding") => {
            Some(Family::Admission)
        }
        _ => None,
    }
}

/// A policy that is in force, with whether a violation refuses the object, and is not only warned of or recorded.
struct Found {
    policy: Box<dyn Policy>,
    denies: bool,
}

/// A policy with what its documents say of it. Its id is `<kind>/<name>`: of the constraint, or of policy and binding.
fn loaded(family: Family, found: Found, documents: &[Value]) -> Loaded {
    let Found { policy, denies } = found;
    let id = policy.id().to_owned();
    let (first, second) = id.split_once('/').unwrap_or((&id, ""));
    let text = |document: &Value, pointer: &str| document.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let find = |kind: &str, name: &str| {
        documents.iter().find(|document| {
            text(document, "/kind").as_deref() == Some(kind)
                && text(document, "/metadata/name").as_deref() == Some(name)
        })
    };
    let template =
        || documents.iter().find(|document| text(document, "/spec/crd/spec/names/kind").as_deref() == Some(first));
    let (prefix, stated, behind) = match family {
        Family::Gatekeeper => ("gatekeeper", find(first, second), template()),
        Family::Admission => {
            ("vap", find("ValidatingAdmissionPolicyBinding", second), find("ValidatingAdmissionPolicy", first))
        }
    };
    let both = [stated, behind];
    let annotation = |key: &str| {
        let annotations = both.iter().flatten().filter_map(|document| document.pointer("/metadata/annotations"));
        annotations.filter_map(|annotations| annotations.get(key)).find_map(Value::as_str).map(str::to_owned)
    };
    let annotated = annotation(SEVERITY).and_then(|word| word.parse().ok());
    let severity = if denies && stated.is_none_or(refuses) {
        annotated.unwrap_or(Severity::Medium)
    } else {
        Severity::Informational
    };
    let control = format!("{prefix}/{id}");
    let rule = Rule {
        id: control.clone(),
        title: annotation(TITLE).unwrap_or_else(|| id.clone()),
        severity,
        rationale: annotation(DESCRIPTION).unwrap_or_default().trim().to_owned(),
        remediation: None,
        references: rampart_content::References::default(),
    };
    Loaded { control, severity, rule, policy }
}

/// Whether a binding refuses what violates its policy.
fn refuses(document: &Value) -> bool {
    let actions = document.pointer("/spec/validationActions").and_then(Value::as_array);
    actions.is_none_or(|actions| actions.is_empty() || actions.iter().any(|action| action == "Deny"))
}

/// A policy as one engine runs it.
pub(crate) struct Engined {
    /// `rego` or `cel`.
    pub(crate) engine: &'static str,
    pub(crate) policy: Box<dyn Policy>,
    /// Whether violations are told where suites are run.
    pub(crate) enforced: bool,
}

/// A template with a constraint (or an admission policy with a binding), once for each engine that is asked for and that
/// the template has.
pub(crate) fn engines_of(
    template: &Value,
    constraint: &Value,
    choice: EngineChoice,
) -> Result<Vec<Engined>, LoadError> {
    match family(template) {
        Some(Family::Admission) => {
            let (found, errors) = engines::load(Family::Admission, &[template.clone(), constraint.clone()]);
            let engined = |found: Found| Engined { engine: "cel", policy: found.policy, enforced: true };
            match errors.into_iter().next() {
                Some(error) => Err(error),
                None => Ok(found.into_iter().map(engined).collect()),
            }
        }
        _ => engines::each(template, constraint, choice),
    }
}

/// Reviews an object as it stands, or the request of an admission review.
///
/// # Errors
/// The admission review cannot be used.
pub(crate) fn review(policy: &dyn Policy, object: &Value, inventory: &Inventory) -> Result<Decision, RequestError> {
    let text = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let is_review = text(object, "/apiVersion").is_some_and(|version| version.starts_with("admission.k8s.io/"));
    if is_review && text(object, "/kind").as_deref() == Some("AdmissionReview") {
        return review_request(policy, object, inventory);
    }
    let namespace = text(object, "/metadata/namespace");
    let is = |other: &&Value| {
        text(other, "/kind").as_deref() == Some("Namespace") && text(other, "/metadata/name") == namespace
    };
    Ok(policy.review(&Review {
        object,
        old_object: None,
        operation: None,
        namespace: inventory.objects().iter().find(is),
        user: None,
        inventory,
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Compared, compared};

    #[test]
    fn templates_say_what_they_look_at() {
        let template = |code: &str, needs: &str| {
            let annotations = json!({"metadata.gatekeeper.sh/requires-sync-data": needs});
            json!({"apiVersion": "templates.gatekeeper.sh/v1", "kind": "ConstraintTemplate",
                   "metadata": {"annotations": annotations}, "spec": {"targets": [{"rego": code}]}})
        };
        let check = |documents: &[Value], expected: Compared| assert_eq!(compared(documents), expected);
        let services = "\"[[{\"groups\": [\"\"], \"versions\": [\"v1\"], \"kinds\": [\"Service\"]}]]\"\n";
        let kinds = || Compared::Kinds(std::iter::once("Service".to_owned()).collect());
        check(&[template("input.review", services)], Compared::Nothing);
        check(&[template("data.inventory.cluster", services)], kinds());
        check(&[template("data.inventory.cluster", services), template("data.inventory", "")], Compared::Everything);
        assert!(kinds().holds("Namespace") && kinds().holds("Service") && !kinds().holds("Pod"));
    }
}
