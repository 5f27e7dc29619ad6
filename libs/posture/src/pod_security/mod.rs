//! Pod Security admission: which levels pods conform to, what the labels of a namespace ask for, and which labels it could
//! have.
//!
//! ```text
//! catalogue + version ──Standards::of──> Standards
//! Standards + Input ──judge──> Conformity (what each level refuses)
//! Conformity… ──Ladder::of──> the highest level that refuses nothing ──command──> the labels for it
//! ```
//!
//! Admission refuses pods only; a workload whose template violates a level is created, and its pods are not. Exemptions by
//! user, runtime class and namespace, and the level of namespaces without labels, are settings of the API server that its
//! API does not tell.

mod labels;
mod ladder;
mod recreated;

use std::collections::HashSet;

pub use labels::{Labels, PREFIX, Setting};
pub use ladder::{Ladder, command};
use rampart_content::{Catalogue, NEWEST_MINOR, minor_version};
use rampart_domain::{UnknownReason, Verdict};
pub use recreated::{recreated, shape};
use serde_json::json;

use crate::check::{CheckSet, SelectionError, resolve};
use crate::engine::Engine;
use crate::input::Input;

/// A level of the Pod Security Standards, from the one that refuses nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Refuses nothing.
    Privileged,
    /// Refuses what lets a pod take over its node.
    Baseline,
    /// Refuses whatever is not hardened.
    Restricted,
}

impl Level {
    /// Every level, from the one that refuses nothing.
    pub const ALL: [Self; 3] = [Self::Privileged, Self::Baseline, Self::Restricted];

    /// The word in labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// The level above.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Privileged => Some(Self::Baseline),
            Self::Baseline => Some(Self::Restricted),
            Self::Restricted => None,
        }
    }

    /// The level below.
    const fn below(self) -> Self {
        match self {
            Self::Privileged | Self::Baseline => Self::Privileged,
            Self::Restricted => Self::Baseline,
        }
    }
}

/// The minor version whose rules admission applies when `wanted` is asked for: `latest`, and whatever is newer than the
/// cluster (or than what is known here), means the cluster's own. Words that are no version mean `latest`.
pub fn judged_minor(wanted: &str, cluster: Option<u32>) -> u32 {
    let newest = cluster.unwrap_or(NEWEST_MINOR).min(NEWEST_MINOR);
    minor_version(wanted).unwrap_or(NEWEST_MINOR).min(newest)
}

/// The minor version in what a cluster says of its own, such as `v1.33.1-eks-1` or `1.33`.
pub fn cluster_minor(version: &str) -> Option<u32> {
    let rest = version.trim().trim_start_matches('v').strip_prefix("1.")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The two levels that refuse anything, at one version.
#[derive(Debug)]
pub struct Standards {
    minor: u32,
    checks: CheckSet,
    /// Controls of the baseline; the others belong to the restricted level alone.
    baseline: HashSet<String>,
}

/// What the levels have against one pod or template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conformity {
    /// What is refused, in the order of the catalogue.
    pub refusals: Vec<Refusal>,
    /// What could not be decided.
    pub undecided: Vec<Refusal>,
}

/// One control that a pod violates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The lowest level that refuses it; those above do too.
    pub level: Level,
    /// The control.
    pub control: String,
    /// What is wrong, or why that cannot be told.
    pub message: String,
}

impl Standards {
    /// The standards as Kubernetes v1.`minor` has them.
    ///
    /// # Errors
    /// The catalogue has no such initiatives, or they take no version.
    pub fn of(catalogue: &Catalogue, engine: &Engine, minor: u32) -> Result<Self, SelectionError> {
        let mut selections = Vec::new();
        let mut baseline = HashSet::new();
        for id in ["pss-baseline", "pss-restricted"] {
            let unknown = || SelectionError::UnknownControl { control: id.to_owned() };
            let initiative = catalogue.initiative(id).ok_or_else(unknown)?;
            let params = json!({id: {"version": format!("v1.{minor}")}});
            let selected = resolve(catalogue, initiative, params.as_object().ok_or_else(unknown)?)?;
            if id == "pss-baseline" {
                baseline.extend(selected.iter().map(|selection| selection.control_id.clone()));
            }
            selections.extend(selected);
        }
        Ok(Self { minor, checks: engine.checks(&selections)?, baseline })
    }

    /// The version in the words of labels.
    pub fn version(&self) -> String {
        format!("v1.{}", self.minor)
    }

    /// What the levels have against a pod, or against the template of a workload.
    pub fn judge(&self, engine: &Engine, input: &Input<'_>) -> Conformity {
        let mut found = Conformity::default();
        engine.evaluate(&self.checks, input, |check, verdict| {
            let (list, message) = match verdict {
                Verdict::Healthy | Verdict::NotApplicable(_) => return,
                Verdict::Unhealthy(evidence) => (&mut found.refusals, evidence.message),
                Verdict::Unknown(reason) => (&mut found.undecided, words(reason)),
            };
            let level = if self.baseline.contains(&check.control_id) { Level::Baseline } else { Level::Restricted };
            list.push(Refusal { level, control: check.control_id.clone(), message });
        });
        found
    }
}

fn words(reason: UnknownReason) -> String {
    match reason {
        UnknownReason::Unread { kind, .. } => format!("{kind} was not read"),
        UnknownReason::Undetermined { needs } => format!("{needs} is not known"),
        UnknownReason::Error { message } => message,
    }
}

impl Conformity {
    /// What `level` refuses.
    pub fn refused_by(&self, level: Level) -> impl Iterator<Item = &Refusal> {
        self.refusals.iter().filter(move |refusal| refusal.level <= level)
    }

    /// What cannot be decided of `level`.
    pub fn undecided_by(&self, level: Level) -> impl Iterator<Item = &Refusal> {
        self.undecided.iter().filter(move |refusal| refusal.level <= level)
    }
}
