//! Policies as a customer hands them in: a text with all their documents, whose errors have their lines.

use rampart_content::{
    Control, ControlType, Documents, KindSelector, POLICY, References, Remediation, SourceProblem, Variant, pointer_of,
};
use rampart_domain::{Kind, Severity};
use serde_json::Value;

use super::admission::{self, Unbound};
use super::{LoadError, Policy, gatekeeper};
use crate::imported;

/// Annotation of a constraint, a template, a policy or a binding that states the severity of a violation.
const SEVERITY: &str = "rampart.dev/severity";
/// Likewise the control group of the secure score.
const GROUP: &str = "rampart.dev/group";
const TITLE: &str = "metadata.gatekeeper.sh/title";
const DESCRIPTION: &str = "description";
/// The group of what does not say.
const DEFAULT_GROUP: &str = "security_configurations";
/// Longest title and rationale in characters.
const WORDS: usize = 2_000;

/// A policy that is switched on.
pub struct Bundled {
    /// How it stands among the controls: id, words, severity, kinds.
    pub control: Control,
    /// The policy.
    pub policy: Box<dyn Policy>,
}

/// Loads every policy of a text: constraint templates with their constraints, admission policies with their bindings and
/// parameters. An admission policy without a binding is judged everywhere.
///
/// # Errors
/// Everything that keeps a policy from being loaded, each with its place.
pub fn load(bundle: &str, text: &str) -> Result<Vec<Bundled>, Vec<SourceProblem>> {
    let source = Documents::read(text).map_err(|problem| vec![problem])?;
    let documents: Vec<Value> = source.values().cloned().collect();
    let mut problems = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(_, document)| !is_object(document)) {
        let message = if document.is_object() { "has no apiVersion or kind" } else { "is no object" };
        problems.push(source.problem(index, "", None, message));
    }
    let mut found: Vec<Bundled> = Vec::new();
    for (policies, errors) in [gatekeeper::load(&documents), admission::load(&documents, Unbound::Judged)] {
        problems.extend(errors.iter().map(|error| locate(&source, &documents, error)));
        for policy in policies {
            let bundled = bundled(bundle, policy, &documents);
            let stated = stated(bundled.policy.id(), &documents);
            let index = stated.map_or(0, |(index, _)| index);
            if bundled.policy.needs().inventory {
                let message = "looks at other objects (`data.inventory`), which are not at hand where the inventory \
                               is judged; `rampart check --policy` judges by it";
                problems.push(source.problem(index, "", None, message));
            } else if found.iter().any(|other| other.control.id == bundled.control.id) {
                let message = format!("another policy comes to the id `{}` too", bundled.control.id);
                problems.push(source.problem(index, "/metadata/name", None, message));
            } else if bundled.control.variants[0].kinds.is_empty() {
                problems.push(source.problem(index, "/spec", None, "matches no kind that the inventory keeps whole"));
            } else {
                found.push(bundled);
            }
        }
    }
    if found.is_empty() && problems.is_empty() {
        let message = "holds neither a constraint with its template nor an admission policy";
        problems.push(source.problem(0, "", None, message));
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

fn is_object(document: &Value) -> bool {
    ["apiVersion", "kind"].iter().all(|field| document.get(field).is_some_and(Value::is_string))
}

fn text<'v>(document: &'v Value, pointer: &str) -> Option<&'v str> {
    document.pointer(pointer).and_then(Value::as_str)
}

fn find<'d>(kind: &str, name: &str, documents: &'d [Value]) -> Option<(usize, &'d Value)> {
    let is = |document: &&'d Value| {
        text(document, "/kind") == Some(kind) && text(document, "/metadata/name").unwrap_or_default() == name
    };
    documents.iter().position(|document| is(&document)).map(|index| (index, &documents[index]))
}

/// Where an error is in the text.
fn locate(source: &Documents<'_>, documents: &[Value], error: &LoadError) -> SourceProblem {
    let (kind, name) = error.document.split_once('/').unwrap_or((&error.document, ""));
    let index = find(kind, name, documents).map_or(0, |(index, _)| index);
    let message = format!("{}: {}", error.document, error.message);
    source.problem(index, &pointer_of(&error.field), error.position, message)
}

/// The document that switches a policy on: the constraint, the binding, or the admission policy itself.
fn stated<'d>(id: &str, documents: &'d [Value]) -> Option<(usize, &'d Value)> {
    match id.split_once('/') {
        Some((first, second)) => {
            find(first, second, documents).or_else(|| find("ValidatingAdmissionPolicyBinding", second, documents))
        }
        None => find("ValidatingAdmissionPolicy", id, documents),
    }
}

/// The template or admission policy behind it.
fn behind<'d>(id: &str, documents: &'d [Value]) -> Option<&'d Value> {
    let (first, _) = id.split_once('/')?;
    let template = documents.iter().find(|document| text(document, "/spec/crd/spec/names/kind") == Some(first));
    template.or_else(|| find("ValidatingAdmissionPolicy", first, documents).map(|(_, document)| document))
}

fn bundled(bundle: &str, policy: Box<dyn Policy>, documents: &[Value]) -> Bundled {
    let stated = stated(policy.id(), documents).map(|(_, document)| document);
    let both = [stated, behind(policy.id(), documents)];
    let annotation = |key: &str| {
        let annotations = both.iter().flatten().filter_map(|document| document.pointer("/metadata/annotations"));
        annotations.filter_map(|annotations| annotations.get(key)).find_map(Value::as_str)
    };
    let words = |text: &str| text.trim().chars().take(WORDS).collect::<String>();
    let annotated: Option<Severity> = annotation(SEVERITY).and_then(|word| word.parse().ok());
    let is_mild = stated.is_some_and(|document| !denies(document));
    let mild = if is_mild { Severity::Informational } else { Severity::Medium };
    let kinds = imported::kinds(&*policy);
    let control = Control {
        id: format!("{POLICY}{bundle}.{}", policy.id().replace('/', ".")),
        version: 1,
        title: annotation(TITLE).map_or_else(|| policy.id().to_owned(), words),
        severity: annotated.unwrap_or(mild),
        group: annotation(GROUP).unwrap_or(DEFAULT_GROUP).to_owned(),
        r#type: ControlType::DataPlane,
        rationale: annotation(DESCRIPTION).map(words).unwrap_or_default(),
        variants: vec![variant(&kinds)],
        parameters: indexmap::IndexMap::default(),
        remediation: remediation(),
        enforceable: true,
        references: References::default(),
        examples: Vec::new(),
    };
    Bundled { control, policy }
}

fn remediation() -> Remediation {
    let manual = Some("the policy says in its message what it wants".to_owned());
    Remediation {
        text: "Change the object as the message of the policy says.".to_owned(),
        manual,
        ..Remediation::default()
    }
}

/// What of a control stands for a policy: its kinds. Its condition is the policy's.
fn variant(kinds: &[Kind]) -> Variant {
    Variant {
        kinds: kinds.iter().map(|kind| KindSelector::One(*kind)).collect(),
        for_each: Vec::new(),
        neighbours: indexmap::IndexMap::default(),
        r#let: indexmap::IndexMap::default(),
        not_applicable: Vec::new(),
        unknown: Vec::new(),
        violation: String::new(),
        message: String::new(),
        evidence: Vec::new(),
        remediation: remediation(),
    }
}

/// Whether a violation refuses the object, and is not only warned of or recorded.
fn denies(document: &Value) -> bool {
    let action = text(document, "/spec/enforcementAction");
    let actions = document.pointer("/spec/validationActions").and_then(Value::as_array);
    !matches!(action, Some("dryrun" | "warn"))
        && actions.is_none_or(|actions| actions.is_empty() || actions.iter().any(|action| action == "Deny"))
}
