//! Policies that others wrote, judged as their own engines judge them: Gatekeeper constraint templates with their
//! constraints, and `ValidatingAdmissionPolicies` with their bindings.
//!
//! ```text
//! documents ──load──> dyn Policy
//! dyn Policy + Review ──review──> Decision
//! ```
//!
//! A policy says whether an object violates it and why; unlike a control of the catalogue it gives no JSON pointers.

pub mod admission;
pub mod gatekeeper;
mod inventory;
mod rego;
mod request;
pub mod validation;

pub use inventory::Inventory;
use regex::Regex;
pub use request::{RequestError, review_request};
use serde_json::Value;

use crate::cel::{Syntax, compile_pattern};

/// Compiles a pattern as Kubernetes and Gatekeeper read it: RE2.
///
/// # Errors
/// It is malformed or too large.
pub fn pattern(text: &str) -> Result<Regex, regex::Error> {
    compile_pattern(text, Syntax::Re2)
}

/// What happens to the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted.
    Delete,
    /// A connection to it is opened.
    Connect,
}

impl Operation {
    /// The word of an admission request.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One object under review: what an admission request holds, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct Review<'a> {
    /// The object; for a deletion, the one that goes.
    pub object: &'a Value,
    /// The object before an update.
    pub old_object: Option<&'a Value>,
    /// What happens to it; `None` when it is audited as it stands.
    pub operation: Option<Operation>,
    /// The object's namespace, where it is known; `None` for what lives in no namespace.
    pub namespace: Option<&'a Value>,
    /// `userInfo` of the request.
    pub user: Option<&'a Value>,
    /// Other objects, for policies that compare.
    pub inventory: &'a Inventory,
}

/// What a policy says of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The policy does not look at such objects.
    NotMatched,
    /// It has nothing against this one.
    Passed,
    /// It has.
    Violated(Vec<Violation>),
    /// It could not be decided: a fact is missing, a budget ran out, or an expression failed and the policy says that a
    /// failure is to be ignored.
    Unknown(String),
}

/// One thing that a policy has against an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// For people.
    pub message: String,
    /// What else the policy states.
    pub details: Option<Value>,
}

/// A loaded policy: what it matches, with its parameters.
pub trait Policy: Send + Sync {
    /// Kind and name of the document that switches it on, such as `K8sRequiredLabels/owner`.
    fn id(&self) -> &str;

    /// Judges one object.
    fn review(&self, review: &Review<'_>) -> Decision;

    /// Judges one object that comes with its admission request, for policies that look at more of a request than
    /// `review` says.
    fn review_request(&self, review: &Review<'_>, request: &Value) -> Decision {
        let _ = request;
        self.review(review)
    }
}

/// A document that cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{document}: {field}{}: {message}", position.map(|(line, column)| format!(" at {line}:{column}")).unwrap_or_default())]
pub struct LoadError {
    /// Kind and name of the document.
    pub document: String,
    /// Where in it, such as `spec.validations[0].expression`.
    pub field: String,
    /// Line and column in the source text of the field, from 1.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}
