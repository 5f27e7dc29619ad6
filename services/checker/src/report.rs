//! What a run found, in the shape of its JSON.

use std::collections::BTreeMap;
use std::sync::Arc;

use rampart_content::{Control, References, Remediation, Variant};
use rampart_domain::{Evidence, Family, Severity, Status};
use serde::Serialize;

pub use crate::object::{Place, Problem, Skipped};

/// One verdict on one object.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The object.
    #[serde(flatten)]
    pub place: Arc<Place>,
    /// The control; absent for a file or an object that no control looks at.
    pub control: Option<Arc<str>>,
    /// How bad a violation is.
    pub severity: Severity,
    /// The verdict.
    pub status: Status,
    /// What the verdict rests on; absent when there is nothing to say of it.
    pub evidence: Option<Evidence>,
    /// Why it matters and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Arc<Rule>>,
}

/// What is to be said of a control, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// The control, or the policy.
    #[serde(skip)]
    pub id: String,
    /// Its name.
    pub title: String,
    /// Its own severity.
    #[serde(skip)]
    pub severity: Severity,
    /// Why it matters.
    pub rationale: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// The same rule in other catalogues.
    pub references: References,
}

impl Rule {
    /// The rule that a control of the catalogue is.
    pub(crate) fn of(control: &Control) -> Self {
        let of_kubernetes =
            |variant: &&Variant| variant.judged().iter().any(|kind| kind.family() == Family::Kubernetes);
        let variant = control.variants.iter().find(of_kubernetes);
        let mut remediation = variant.map_or(&control.remediation, |variant| &variant.remediation).clone();
        if remediation.text.is_empty() {
            remediation.text.clone_from(&control.remediation.text);
        }
        Self {
            id: control.id.clone(),
            title: control.title.clone(),
            severity: control.severity,
            rationale: control.rationale.trim().to_owned(),
            remediation: Some(remediation),
            references: control.references.clone(),
        }
    }
}

/// Verdicts by status and, for the unhealthy ones, by severity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Every verdict.
    pub statuses: BTreeMap<Status, usize>,
    /// The unhealthy ones.
    pub severities: BTreeMap<Severity, usize>,
}

impl Counts {
    /// Counts one verdict.
    pub(crate) fn add(&mut self, status: Status, severity: Severity) {
        *self.statuses.entry(status).or_default() += 1;
        if status == Status::Unhealthy {
            *self.severities.entry(severity).or_default() += 1;
        }
    }

    /// Adds what others counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (severity, count) in &other.severities {
            *self.severities.entry(*severity).or_default() += count;
        }
    }

    /// Unhealthy verdicts at or above a severity.
    pub fn failed(&self, from: Severity) -> usize {
        self.severities.range(from..).map(|(_, count)| count).sum()
    }
}

/// The whole of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Files that were read.
    pub files: usize,
    /// Documents in them, empty ones too.
    pub documents: usize,
    /// Kubernetes objects in those.
    pub objects: usize,
    /// Verdicts by status; every status is there.
    pub statuses: BTreeMap<Status, usize>,
    /// Unhealthy verdicts by severity; every severity is there.
    pub severities: BTreeMap<Severity, usize>,
    /// Severity from which an unhealthy verdict fails the run.
    pub fail_on: Severity,
    /// Unhealthy verdicts from there on.
    pub failed: usize,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
    /// What could not be read.
    pub errors: Vec<Problem>,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Numbers, and what was left out.
    pub summary: Summary,
    /// In the order of files, documents, objects and controls.
    pub findings: Vec<Finding>,
    /// What is to be said of each control that has a finding, by id.
    #[serde(skip)]
    pub rules: BTreeMap<Arc<str>, Arc<Rule>>,
}

/// Counts with every word there is, so that who reads them needs no defaults.
pub(crate) fn filled<W: Copy + Ord>(words: &[W], counts: &BTreeMap<W, usize>) -> BTreeMap<W, usize> {
    words.iter().map(|word| (*word, counts.get(word).copied().unwrap_or_default())).collect()
}
