//! A finding as it is taken away: everything that its verdict rests on, so that whoever has only this reaches it again.
//!
//! ```text
//! Engine + Check + Input ──record──> resource, what was read beside it, outcome ──> Bundle ──envelope──> signed text
//! signed text ──envelope──> Bundle ──judge──> outcome: the same, or not
//! ```
//! What a control asks for beside the resource is kept question by question, with the whole answer and whether it was
//! complete: "nothing covers it" can be checked as well as "this one does".

pub mod envelope;
mod record;

use std::cell::Cell;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_content::{Control, Within};
use rampart_domain::{Cloud, CoverageState, Evidence, Kind, ManagedBy, UnknownReason, Verdict, hash_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::record::{Recorded, record};
use crate::custom::imported;
use crate::engine::Engine;
use crate::policy::bundle;
use crate::{
    Completeness, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, Selection, cel, compile,
};

/// The one format that is written and read.
pub const FORMAT: &str = "rampart.finding-bundle/1";

/// A finding with all that its verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: String,
    /// The finding.
    pub finding: FindingRecord,
    /// Fingerprint of all controls of the installation.
    pub content_version: String,
    /// What judged.
    pub control: ControlRecord,
    /// Its effective parameters.
    pub params: Value,
    /// What was judged.
    pub resource: ResourceRecord,
    /// When it was judged for this bundle, from the inventory as it stood; what `now` is in expressions.
    pub judged_at: DateTime<Utc>,
    /// What was read beside it, in the order in which it was asked for.
    pub reads: Vec<Read>,
    /// How the kinds that were read beside it, and its own, were listed.
    pub coverage: Vec<Reading>,
    /// What the control said.
    pub verdict: Outcome,
}

/// The finding as it stood when the bundle was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FindingRecord {
    /// Its id.
    pub id: String,
    /// Its status; `exempt` where the verdict is unhealthy and accepted.
    pub status: String,
    /// When it was first unhealthy.
    pub first_seen: DateTime<Utc>,
    /// When the status became what it is.
    pub since: DateTime<Utc>,
    /// When the resource's kind was last read to the end.
    pub observed_at: Option<DateTime<Utc>>,
    /// When the assessment last wrote the verdicts of the resource.
    pub evaluated_at: DateTime<Utc>,
    /// Revision of the resource that was judged.
    pub revision: i64,
}

/// What a control's text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// One control in CEL, the product's or a customer's.
    Control,
    /// A bundle of policies in other formats.
    Policies,
}

/// The control, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRecord {
    /// Its id.
    pub id: String,
    /// What the text is.
    pub form: Form,
    /// Name of the bundle of policies; of a control its id.
    pub name: String,
    /// The text.
    pub text: String,
    /// Fingerprint of the text.
    pub digest: String,
}

impl ControlRecord {
    /// A control with the fingerprint of its text.
    pub fn new(id: &str, form: Form, name: &str, text: &str) -> Self {
        let digest = hash_json(&text.into()).to_string();
        Self { id: id.to_owned(), form, name: name.to_owned(), text: text.to_owned(), digest }
    }
}

/// A resource as it is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceRecord {
    /// What it is.
    pub kind: Kind,
    /// What the provider calls it.
    pub native_id: String,
    /// Short name.
    pub name: String,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Where it runs.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Labels or tags.
    pub labels: Value,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// Whether anything runs or answers now.
    pub active: bool,
    /// The configuration.
    pub config: Value,
    /// How live pods differ from the template.
    pub live: Option<Value>,
}

/// One question for other resources, with its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// Name that the control uses.
    pub label: String,
    /// Kinds that were asked for.
    pub kinds: Vec<Kind>,
    /// How far away.
    pub within: Within,
    /// Of this name only.
    pub name: Option<String>,
    /// Everything there was.
    pub items: Vec<ReadItem>,
    /// Why there may be more; `None` when there is not.
    pub incomplete: Option<Incomplete>,
}

/// A resource beside the judged one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadItem {
    /// What the provider calls it.
    pub native_id: String,
    /// Its configuration.
    pub config: Value,
}

/// A kind that was not read to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incomplete {
    /// The kind.
    pub kind: Kind,
    /// State of its listing; `None` when there was none yet.
    pub state: Option<CoverageState>,
    /// Whether the last whole listing is too old.
    pub expired: bool,
}

/// How a kind was listed in one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The kind.
    pub kind: Kind,
    /// Where.
    pub scope: String,
    /// State of the last attempt.
    pub state: CoverageState,
    /// Whether the last whole listing is too old.
    pub expired: bool,
    /// When it was last tried.
    pub attempted_at: DateTime<Utc>,
    /// When it was last read to the end.
    pub whole_at: Option<DateTime<Utc>>,
}

/// A verdict as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case", deny_unknown_fields)]
pub enum Outcome {
    /// As it should be.
    Healthy {},
    /// Not as it should be.
    Unhealthy {
        /// Where.
        evidence: Evidence,
    },
    /// The control says nothing about it.
    NotApplicable {
        /// Why.
        cause: String,
    },
    /// It could not be told.
    Unknown {
        /// Why.
        why: UnknownReason,
    },
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Healthy {},
            Verdict::Unhealthy(evidence) => Self::Unhealthy { evidence },
            Verdict::NotApplicable(cause) => Self::NotApplicable { cause },
            Verdict::Unknown(why) => Self::Unknown { why },
        }
    }
}

impl Outcome {
    /// The word for it.
    pub const fn status(&self) -> rampart_domain::Status {
        match self {
            Self::Healthy {} => rampart_domain::Status::Healthy,
            Self::Unhealthy { .. } => rampart_domain::Status::Unhealthy,
            Self::NotApplicable { .. } => rampart_domain::Status::NotApplicable,
            Self::Unknown { .. } => rampart_domain::Status::Unknown,
        }
    }
}

impl Bundle {
    /// Judges again from what the bundle holds.
    ///
    /// # Errors
    /// Why that cannot be done, such as a text that holds no such control.
    pub fn judge(&self) -> Result<Outcome, String> {
        if self.format != FORMAT {
            return Err(format!("the format is `{}`, not `{FORMAT}`", self.format));
        }
        cel::on_deep_stack(|| self.judge_here())?
    }

    fn judge_here(&self) -> Result<Outcome, String> {
        let engine = self.control.engine()?;
        let selection = Selection { control_id: self.control.id.clone(), params: self.params.clone(), severity: None };
        let checks = engine.checks(&[selection]).map_err(|error| error.to_string())?;
        let check = checks.checks().first().ok_or("nothing is selected")?;
        if check.params != self.params {
            return Err("the control has other parameters".to_owned());
        }
        let answers = Answers { reads: &self.reads, asked_else: Cell::new(false) };
        let resource = &self.resource;
        let input = Input {
            facts: Facts {
                kind: resource.kind,
                name: &resource.name,
                namespace: resource.namespace.as_deref(),
                cloud: resource.cloud,
                account: resource.account.as_deref(),
                region: resource.region.as_deref(),
                labels: &resource.labels,
                managed_by: resource.managed_by,
                active: resource.active,
                native_id: &resource.native_id,
            },
            config: &resource.config,
            live: resource.live.as_ref(),
            neighbours: &answers,
            now: self.judged_at,
        };
        let verdict = engine.judge(check, &input);
        if answers.asked_else.get() {
            return Err("the control asks for resources that the bundle tells nothing of".to_owned());
        }
        Ok(verdict.into())
    }
}

impl ControlRecord {
    /// Whether the text holds the control.
    pub fn holds(&self) -> bool {
        let id = self.id.strip_prefix(rampart_content::POLICY).and_then(|rest| rest.strip_prefix(&self.name));
        match self.form {
            Form::Control => self.id == self.name,
            // The id begins with the bundle's name, but one name may begin as another.
            Form::Policies if id.is_none() => false,
            Form::Policies => cel::on_deep_stack(|| self.engine().is_ok()).unwrap_or_default(),
        }
    }

    /// An engine with this control alone.
    fn engine(&self) -> Result<Engine, String> {
        if *self != Self::new(&self.id, self.form, &self.name, &self.text) {
            return Err("the digest is not that of the control's text".to_owned());
        }
        let missing = || format!("the text holds no control `{}`", self.id);
        let compiled = match self.form {
            Form::Control => {
                let control = Control::of_text(&self.text)?;
                let mut problems = Vec::new();
                let compiled = compile::control(&control, control.fingerprint(), &mut problems);
                if let Some(problem) = problems.first() {
                    return Err(format!("{}: {}", problem.field, problem.message));
                }
                compiled.filter(|compiled| compiled.id == self.id).ok_or_else(missing)?
            }
            Form::Policies => {
                let found = bundle::load(&self.name, &self.text);
                let found = found.map_err(|problems| {
                    problems.first().map_or_else(missing, |problem| format!("{}: {}", problem.line, problem.message))
                })?;
                let own = found.into_iter().find(|it| it.control.id == self.id).ok_or_else(missing)?;
                imported(&own.control, hash_json(&self.text.as_str().into()), Arc::from(own.policy))
            }
        };
        Ok(Engine::of(compiled))
    }
}

/// Answers as they were given.
struct Answers<'a> {
    reads: &'a [Read],
    /// Whether something was asked that was never answered.
    asked_else: Cell<bool>,
}

impl Neighbours for Answers<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let Some(read) = self.reads.iter().find(|read| read.answers(query)) else {
            self.asked_else.set(true);
            return NeighbourSet { items: Vec::new().into(), completeness: Completeness::Complete };
        };
        let items = read.items.iter().map(|item| NeighbourItem { config: &item.config, native_id: &item.native_id });
        let completeness = match &read.incomplete {
            None => Completeness::Complete,
            Some(Incomplete { kind, state, expired }) => {
                Completeness::Incomplete { kind: *kind, state: *state, expired: *expired }
            }
        };
        NeighbourSet { items: items.collect::<Vec<_>>().into(), completeness }
    }
}

impl Read {
    fn answers(&self, query: &NeighbourQuery<'_>) -> bool {
        self.label == query.label
            && self.kinds == query.kinds
            && self.within == query.within
            && self.name.as_deref() == query.name
    }
}
