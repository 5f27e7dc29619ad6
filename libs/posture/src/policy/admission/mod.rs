//! Policies of the kind `ValidatingAdmissionPolicy` with their bindings, from the documents as they are applied to a cluster.
//!
//! ```text
//! documents ──load──> one policy per binding ──review(object)──> Decision
//! ```
//!
//! Parameter objects are among the documents. What a policy or a binding matches is decided as the API server decides it;
//! where that takes a namespace that is not known, the decision is unknown.

pub mod export;
pub(super) mod kinds;
mod load;
mod matching;
mod params;
pub mod webhook;

use std::sync::Arc;

pub use load::load;
use matching::{Matched, Matching};
use params::{ParamRef, Params};
use serde_json::{Value, json};

use super::validation::{Target, Validation};
use super::{Decision, Policy, Prepared, Review, Violation};

/// What becomes of a policy that no binding names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// It does nothing, as in a cluster.
    Idle,
    /// It is judged as if a binding without restrictions named it: for files that are checked without their bindings.
    Judged,
}

/// A policy as far as its bindings share it.
#[derive(Debug)]
struct Shared {
    validation: Validation,
    matching: Matching,
    /// Group and kind of the parameters.
    param_kind: Option<(String, String)>,
}

/// A policy that a binding switches on.
#[derive(Debug)]
struct Bound {
    id: String,
    policy: Arc<Shared>,
    /// What the binding leaves of what the policy matches.
    matching: Option<Matching>,
    param_ref: Option<ParamRef>,
    params: Arc<Params>,
    actions: Vec<&'static str>,
}

impl Policy for Bound {
    fn id(&self) -> &str {
        &self.id
    }

    fn review(&self, review: &Review<'_>) -> Decision {
        self.decide(review, &Target::of(review), |params| self.policy.validation.evaluate(review, params))
    }

    fn review_prepared(&self, prepared: &Prepared<'_>) -> Decision {
        let judge = |params: &Value| self.policy.validation.evaluate_prepared(prepared, params);
        self.decide(prepared.review(), prepared.target(), judge)
    }

    fn may_match(&self, group: &str, kind: &str) -> bool {
        let all = [&self.policy.matching].into_iter().chain(&self.matching);
        all.into_iter().all(|matching| matching.may_match(group, kind))
    }

    fn review_request(&self, review: &Review<'_>, request: &Value) -> Decision {
        let judge = |params: &Value| self.policy.validation.evaluate_request(review, request, params);
        self.decide(review, &Target::of_request(review, request), judge)
    }
}

impl Bound {
    /// Whether it looks at the object, and what it says of it.
    fn decide(&self, review: &Review<'_>, target: &Target<'_>, judge: impl Fn(&Value) -> Decision) -> Decision {
        if is_policy(target) {
            return Decision::NotMatched;
        }
        let mut blind = None;
        for matching in [&self.policy.matching].into_iter().chain(&self.matching) {
            match matching.matches(target, review) {
                Matched::No => return Decision::NotMatched,
                Matched::Unknown(reason) => blind = blind.or(Some(reason)),
                Matched::Yes => {}
            }
        }
        let decision = self.judge(target, judge);
        match (blind, decision) {
            // Whether it looks at the object or not, it would have nothing against one that passes.
            (Some(reason), Decision::Violated(_) | Decision::Unknown(_)) => Decision::Unknown(reason.to_owned()),
            (_, decision) => decision,
        }
    }

    /// What `judge` says with each of the parameters that the binding names.
    fn judge(&self, target: &Target<'_>, judge: impl Fn(&Value) -> Decision) -> Decision {
        let found = match (&self.policy.param_kind, &self.param_ref) {
            (Some((group, kind)), Some(wanted)) => wanted.find(&self.params, group, kind, target),
            _ => Ok(vec![&Value::Null]),
        };
        let found = match found {
            Ok(found) if found.is_empty() => return Decision::Passed,
            Ok(found) => found,
            Err(reason) => return self.unconfigured(reason),
        };
        let decisions = found.into_iter().map(judge);
        self.with_actions(decisions.fold(Decision::NotMatched, both))
    }

    /// Without the parameters that it cannot do without, a policy fails as it does when an expression fails.
    fn unconfigured(&self, reason: &str) -> Decision {
        let message = format!("failed to configure binding: {reason}");
        if !self.policy.validation.fails() {
            return Decision::Unknown(message);
        }
        self.with_actions(Decision::Violated(vec![Violation { message, details: Some(json!({})) }]))
    }

    /// Notes in each violation what the binding wants done about it.
    fn with_actions(&self, mut decision: Decision) -> Decision {
        if let Decision::Violated(violations) = &mut decision {
            for violation in violations {
                if let Some(Value::Object(details)) = &mut violation.details {
                    details.insert("validationActions".to_owned(), json!(self.actions));
                }
            }
        }
        decision
    }
}

/// No policy looks at policies and their bindings: one that forbids everything could not be taken back.
fn is_policy(target: &Target<'_>) -> bool {
    target.group == load::GROUP
        && matches!(
            &*target.resource,
            "validatingadmissionpolicies"
                | "validatingadmissionpolicybindings"
                | "mutatingadmissionpolicies"
                | "mutatingadmissionpolicybindings"
        )
}

/// The decision that two parameters come to.
fn both(left: Decision, right: Decision) -> Decision {
    match (left, right) {
        (Decision::Violated(mut left), Decision::Violated(right)) => {
            left.extend(right);
            Decision::Violated(left)
        }
        (violated @ Decision::Violated(_), _) | (_, violated @ Decision::Violated(_)) => violated,
        (unknown @ Decision::Unknown(_), _) | (_, unknown @ Decision::Unknown(_)) => unknown,
        (Decision::Passed, _) | (_, Decision::Passed) => Decision::Passed,
        (Decision::NotMatched, Decision::NotMatched) => Decision::NotMatched,
    }
}
