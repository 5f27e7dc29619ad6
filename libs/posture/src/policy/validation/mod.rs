//! Validations in CEL: what a `ValidatingAdmissionPolicy` states, and a constraint template of the engine
//! `K8sNativeValidation`.
//!
//! ```text
//! source ──compile──> Validation ──evaluate(review, parameters)──> Decision
//! ```
//!
//! Conditions come first: where one does not hold, the policy does not look at the object. Then every validation is
//! evaluated, and each that does not hold is a violation. An evaluation that fails is one too, unless the policy says
//! that failures are to be ignored. What cannot be known, such as the user where there is no request, makes the decision
//! unknown; `&&` and `||` absorb it as they absorb errors.

mod compile;
mod evaluate;
mod names;
mod request;
mod target;

use rampart_domain::strip_nulls;
use serde_json::Value;
pub(super) use target::{Scope, Target};

use super::{Decision, LoadError, Prepared, Review};
use crate::cel::Program;

/// Whose rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Kubernetes' own: `params` is the parameter object.
    Kubernetes,
    /// Gatekeeper's: `variables.anyObject` is the object, or the one that goes, and `variables.params` what the
    /// constraint sets.
    Gatekeeper,
}

/// What is judged.
#[derive(Clone, Copy)]
struct Subject<'s> {
    review: &'s Review<'s>,
    /// The whole request, where there is one.
    request: Option<&'s Value>,
    target: &'s Target<'s>,
}

/// Where a source was found, for messages.
#[derive(Debug, Clone, Copy)]
pub struct Place<'p> {
    /// Kind and name of the document.
    pub document: &'p str,
    /// Path of the source in it, such as `spec`.
    pub field: &'p str,
}

/// A compiled source.
#[derive(Debug)]
pub struct Validation {
    dialect: Dialect,
    failure: Failure,
    variables: Vec<String>,
    programs: Vec<Program>,
    conditions: Vec<Condition>,
    rules: Vec<Rule>,
    annotations: Vec<Annotation>,
}

/// What an evaluation that fails comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Violates,
    Ignored,
}

#[derive(Debug)]
struct Condition {
    name: String,
    expression: Program,
}

#[derive(Debug)]
struct Rule {
    expression: Program,
    message: Option<String>,
    message_expression: Option<Program>,
    reason: Option<String>,
}

#[derive(Debug)]
struct Annotation {
    key: String,
    value: Program,
}

impl Validation {
    /// Compiles a source: `variables`, `matchConditions`, `validations`, `auditAnnotations`, `failurePolicy`, and for
    /// Kubernetes `paramKind`, without which there is no `params`.
    ///
    /// # Errors
    /// The first field that cannot be used.
    pub fn compile(source: &Value, dialect: Dialect, place: Place<'_>) -> Result<Self, LoadError> {
        compile::compile(source, dialect, place)
    }

    /// Judges an object. `params` are the parameters of the constraint, or the parameter object.
    pub fn evaluate(&self, review: &Review<'_>, params: &Value) -> Decision {
        self.judge(review, None, &Target::of(review), params)
    }

    /// Judges an object that comes with its admission request: `request` of an `AdmissionReview`.
    pub fn evaluate_request(&self, review: &Review<'_>, request: &Value, params: &Value) -> Decision {
        self.judge(review, Some(request), &Target::of_request(review, request), params)
    }

    fn judge(&self, review: &Review<'_>, request: Option<&Value>, target: &Target<'_>, params: &Value) -> Decision {
        let (object, old_object) = (without_nulls(review.object), review.old_object.map(without_nulls));
        let review = Review { object: &object, old_object: old_object.as_deref(), ..*review };
        let subject = Subject { review: &review, request, target };
        evaluate::evaluate(self, &subject, &request::fields(&subject, self.dialect), params)
    }

    /// Judges an object that many policies look at.
    pub(super) fn evaluate_prepared(&self, prepared: &Prepared<'_>, params: &Value) -> Decision {
        let review = prepared.clean();
        let subject = Subject { review: &review, request: None, target: prepared.target() };
        let fields = prepared.fields(self.dialect, || request::fields(&subject, self.dialect));
        evaluate::evaluate(self, &subject, fields, params)
    }

    /// Whether a failing evaluation violates the policy.
    pub(super) fn fails(&self) -> bool {
        self.failure == Failure::Violates
    }
}

/// An object as the API server has it: a field that is null is a field that is absent.
pub(super) fn without_nulls(object: &Value) -> std::borrow::Cow<'_, Value> {
    if !has_nulls(object) {
        return std::borrow::Cow::Borrowed(object);
    }
    let mut object = object.clone();
    strip_nulls(&mut object);
    std::borrow::Cow::Owned(object)
}

fn has_nulls(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.values().any(|item| item.is_null() || has_nulls(item)),
        Value::Array(items) => items.iter().any(has_nulls),
        _ => false,
    }
}
