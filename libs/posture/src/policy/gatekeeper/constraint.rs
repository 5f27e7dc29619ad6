use std::sync::Arc;

use serde_json::Value;

use super::enforcement::Enforcement;
use super::judge::{Judge, Parameters};
use super::matching::Match;
use super::schema::Schema;
use super::subject::Subject;
use super::{check_depth, document, error};
use crate::policy::rego::{self, Mode};
use crate::policy::{Decision, LoadError, Needs, Policy, Prepared, Review};

/// A template applied: what it matches, with its parameters.
#[derive(Debug, Clone)]
pub struct Constraint {
    id: String,
    judge: Arc<Judge>,
    matching: Match,
    parameters: Parameters,
    enforcement: Enforcement,
    mode: Mode,
}

impl Constraint {
    pub(super) fn parse(kind: &str, schema: &Schema, judge: Arc<Judge>, constraint: &Value) -> Result<Self, LoadError> {
        let id = document(constraint);
        let fail = |field: &str, message: String| error(&id, field, message);
        check_depth(constraint).map_err(|message| fail("", message))?;
        let version = constraint["apiVersion"].as_str().unwrap_or_default();
        if !version.starts_with("constraints.gatekeeper.sh/") {
            return Err(fail("apiVersion", "is not in the group constraints.gatekeeper.sh".to_owned()));
        }
        if constraint["kind"] != kind {
            return Err(fail("kind", format!("is not `{kind}`")));
        }
        match constraint["metadata"]["name"].as_str().map(str::len) {
            None | Some(0) => return Err(fail("metadata.name", "is missing".to_owned())),
            Some(length) if length > 63 => {
                return Err(fail("metadata.name", "is longer than 63 characters".to_owned()));
            }
            Some(_) => {}
        }
        let spec = &constraint["spec"];
        if !spec.is_object() && !spec.is_null() {
            return Err(fail("spec", "is not an object".to_owned()));
        }
        let below = |field: &str, (inner, message): (String, String)| {
            fail(&if inner.is_empty() { field.to_owned() } else { format!("{field}.{inner}") }, message)
        };
        let matching = Match::parse(&spec["match"]).map_err(|error| below("spec.match", error))?;
        let enforcement = Enforcement::parse(spec).map_err(|error| below("spec", error))?;
        let json = schema.apply(&spec["parameters"]).map_err(|error| below("spec", error))?;
        let rego = rego::convert(&json).map_err(|_| fail("spec.parameters", "is nested too deep".to_owned()))?;
        let parameters = Parameters { json, rego };
        Ok(Self { id, judge, matching, parameters, enforcement, mode: Mode::default() })
    }

    /// What Gatekeeper does with its violations.
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Its parameters, defaults filled in.
    pub fn parameters(&self) -> &Value {
        &self.parameters.json
    }

    /// The same constraint, evaluated in another way.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    fn judge(&self, subject: &Subject<'_>, prepared: Option<&Prepared<'_>>) -> Decision {
        let namespace = subject.namespace();
        let mut objects = subject.objects().peekable();
        if objects.peek().is_none() {
            return Decision::Unknown("there is no object to judge".to_owned());
        }
        for object in objects {
            match self.matching.matches(object, namespace) {
                Ok(true) => return self.judge.decide(subject, prepared, &self.parameters, self.mode),
                Ok(false) => {}
                Err(why) => return Decision::Unknown(why),
            }
        }
        Decision::NotMatched
    }
}

impl Policy for Constraint {
    fn id(&self) -> &str {
        &self.id
    }

    fn review(&self, review: &Review<'_>) -> Decision {
        self.judge(&Subject { review, request: None }, None)
    }

    fn review_prepared(&self, prepared: &Prepared<'_>) -> Decision {
        self.judge(&Subject { review: prepared.review(), request: None }, Some(prepared))
    }

    fn may_match(&self, group: &str, kind: &str) -> bool {
        self.matching.may_match(group, kind)
    }

    fn needs(&self) -> Needs {
        self.judge.needs()
    }

    fn looks_at(&self, review: &Review<'_>) -> bool {
        let subject = Subject { review, request: None };
        let namespace = subject.namespace();
        subject.objects().any(|object| self.matching.matches(object, namespace) != Ok(false))
    }

    fn review_request(&self, review: &Review<'_>, request: &Value) -> Decision {
        self.judge(&Subject { review, request: Some(request) }, None)
    }
}
