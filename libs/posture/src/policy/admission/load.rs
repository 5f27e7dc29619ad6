use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::matching::{Matching, Refused};
use super::params::{ParamRef, Params, group_of, is_kind};
use super::{Bound, Shared, Unbound};
use crate::policy::validation::{Dialect, Place, Validation};
use crate::policy::{LoadError, Policy};

pub(super) const GROUP: &str = "admissionregistration.k8s.io";
const POLICY: &str = "ValidatingAdmissionPolicy";
const BINDING: &str = "ValidatingAdmissionPolicyBinding";

/// Loads policies and bindings, in any order, with the objects that are their parameters; other documents are let be.
/// Every policy is as good as its document: one that is refused does not keep others from loading.
pub fn load(documents: &[Value], unbound: Unbound) -> (Vec<Box<dyn Policy>>, Vec<LoadError>) {
    let mut loader = Loader::default();
    let documents: Vec<&Value> = documents.iter().flat_map(flat).collect();
    let of_kind = |kind: &'static str| documents.iter().filter(move |document| is_kind(document, GROUP, kind));
    of_kind(POLICY).for_each(|document| loader.policy(document));
    let wanted: Vec<_> = loader.policies.values().flatten().filter_map(|policy| policy.param_kind.as_ref()).collect();
    let is_param = |document: &&&Value| wanted.iter().any(|(group, kind)| is_kind(document, group, kind));
    let objects = documents.iter().filter(is_param).map(|document| (**document).clone()).collect();
    let params = Arc::new(Params { objects });
    of_kind(BINDING).for_each(|document| loader.binding(document, &params));
    if unbound == Unbound::Judged {
        loader.judge_unbound(&params);
    }
    (loader.bound, loader.errors)
}

/// The document, or the documents of a list.
fn flat(document: &Value) -> Vec<&Value> {
    match document.get("items").and_then(Value::as_array) {
        Some(items) if is_kind(document, "", "List") => items.iter().collect(),
        _ => vec![document],
    }
}

#[derive(Default)]
struct Loader {
    /// By name; `None` for one that was refused.
    policies: BTreeMap<String, Option<Arc<Shared>>>,
    /// Names of policies that a binding names.
    named: Vec<String>,
    bound: Vec<Box<dyn Policy>>,
    errors: Vec<LoadError>,
}

fn refuse(document: &str, (field, message): Refused) -> LoadError {
    LoadError { document: document.to_owned(), field, position: None, message }
}

/// Below a field.
fn within(owner: &str) -> impl Fn(Refused) -> Refused {
    move |(field, message)| (format!("{owner}.{field}"), message)
}

fn name_of(document: &Value) -> Option<&str> {
    document.pointer("/metadata/name").and_then(Value::as_str).filter(|name| !name.is_empty())
}

impl Loader {
    fn policy(&mut self, document: &Value) {
        let Some(name) = name_of(document) else {
            return self.errors.push(refuse(POLICY, ("metadata.name".into(), "is required".into())));
        };
        let place = format!("{POLICY}/{name}");
        if self.policies.contains_key(name) {
            return self.errors.push(refuse(&place, ("metadata.name".into(), "another policy has it too".into())));
        }
        let policy = shared(document, &place).map_err(|error| self.errors.push(error));
        self.policies.insert(name.to_owned(), policy.ok().map(Arc::new));
    }

    fn binding(&mut self, document: &Value, params: &Arc<Params>) {
        let place = format!("{BINDING}/{}", name_of(document).unwrap_or_default());
        match self.bind(document, params) {
            Ok(bound) => self.bound.extend(bound.map(|bound| Box::new(bound) as Box<dyn Policy>)),
            Err(refused) => self.errors.push(refuse(&place, refused)),
        }
    }

    /// `None` when the policy was refused.
    fn bind(&mut self, document: &Value, params: &Arc<Params>) -> Result<Option<Bound>, Refused> {
        let required = |field: &str| (field.to_owned(), "is required".to_owned());
        let name = name_of(document).ok_or_else(|| required("metadata.name"))?;
        let spec = document.get("spec").ok_or_else(|| required("spec"))?;
        let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
        let policy_name = given("policyName").and_then(Value::as_str).ok_or_else(|| required("spec.policyName"))?;
        self.named.push(policy_name.to_owned());
        let policy = match self.policies.get(policy_name) {
            Some(Some(policy)) => Arc::clone(policy),
            Some(None) => return Ok(None),
            None => return Err(("spec.policyName".into(), format!("there is no policy `{policy_name}`"))),
        };
        let matching = given("matchResources").map(Matching::parse).transpose();
        let param_ref = given("paramRef").map(ParamRef::parse).transpose();
        Ok(Some(Bound {
            id: format!("{policy_name}/{name}"),
            policy,
            matching: matching.map_err(within("spec.matchResources"))?,
            param_ref: param_ref.map_err(within("spec.paramRef"))?,
            params: Arc::clone(params),
            actions: actions(spec)?,
        }))
    }

    fn judge_unbound(&mut self, params: &Arc<Params>) {
        for (name, policy) in &self.policies {
            let Some(policy) = policy.as_ref().filter(|_| !self.named.contains(name)) else { continue };
            self.bound.push(Box::new(Bound {
                id: name.clone(),
                policy: Arc::clone(policy),
                matching: None,
                param_ref: None,
                params: Arc::clone(params),
                actions: vec!["Deny"],
            }));
        }
    }
}

fn shared(document: &Value, place: &str) -> Result<Shared, LoadError> {
    let required = |field: &str| refuse(place, (field.to_owned(), "is required".to_owned()));
    let spec = document.get("spec").ok_or_else(|| required("spec"))?;
    let given = |field: &str| spec.get(field).filter(|value| !value.is_null());
    let matching = given("matchConstraints").ok_or_else(|| required("spec.matchConstraints"))?;
    let matching = Matching::parse(matching).map_err(within("spec.matchConstraints"));
    let matching = matching.map_err(|refused| refuse(place, refused))?;
    if !matching.has_rules() {
        return Err(required("spec.matchConstraints.resourceRules"));
    }
    let param_kind = match given("paramKind") {
        None => None,
        Some(param) => {
            let text = |field: &str| param.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
            let kind = text("kind").ok_or_else(|| required("spec.paramKind.kind"))?;
            let version = text("apiVersion").ok_or_else(|| required("spec.paramKind.apiVersion"))?;
            Some((group_of(version).to_owned(), kind.to_owned()))
        }
    };
    let validation = Validation::compile(spec, Dialect::Kubernetes, Place { document: place, field: "spec" })?;
    Ok(Shared { validation, matching, param_kind })
}

/// What is done about a violation.
fn actions(spec: &Value) -> Result<Vec<&'static str>, Refused> {
    let refuse = |message: &str| ("spec.validationActions".to_owned(), message.to_owned());
    let given = spec.get("validationActions").and_then(Value::as_array).filter(|actions| !actions.is_empty());
    let mut actions = Vec::new();
    for action in given.ok_or_else(|| refuse("is required"))? {
        let known = ["Deny", "Warn", "Audit"].into_iter().find(|known| action.as_str() == Some(known));
        actions.push(known.ok_or_else(|| refuse("has an action that is none of `Deny`, `Warn` and `Audit`"))?);
    }
    if actions.contains(&"Deny") && actions.contains(&"Warn") {
        return Err(refuse("has both `Deny` and `Warn`"));
    }
    Ok(actions)
}
