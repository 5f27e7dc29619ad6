//! From subjects to findings.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_domain::{Evidence, Severity, Status, UnknownReason, Verdict};
use rampart_posture::policy::{Decision, Inventory, Prepared, Review};
use rampart_posture::{Check, CheckSet, Completeness, Engine, Facts, Input, NeighbourQuery, NeighbourSet, Neighbours};
use serde_json::Value;

use crate::hide;
use crate::neighbours::Estate;
use crate::policies::Loaded;
use crate::report::{Counts, Finding, Rule};
use crate::subject::{Packed, Subject, Unit};

/// Which verdicts are kept; all are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Every one.
    All,
    /// What is unhealthy.
    Unhealthy,
}

/// Everything that a verdict may rest on.
pub(crate) struct Bench<'b> {
    pub(crate) engine: &'b Engine,
    pub(crate) checks: &'b CheckSet,
    pub(crate) policies: &'b [Loaded],
    pub(crate) inventory: &'b Inventory,
    pub(crate) namespaces: HashMap<String, Value>,
    pub(crate) estate: Estate<'b>,
    pub(crate) rules: &'b BTreeMap<Arc<str>, Arc<Rule>>,
    pub(crate) now: DateTime<Utc>,
    pub(crate) keep: Keep,
    /// Whether findings are explained.
    pub(crate) explain: bool,
}

/// What the bench says of one subject.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) findings: Vec<Finding>,
    pub(crate) counts: Counts,
}

impl Bench<'_> {
    pub(crate) fn judge(&self, subject: &Subject) -> Judged {
        let mut judged = Judged::default();
        let mut verdicts: Vec<(&Check, Verdict)> = Vec::new();
        for (index, unit) in subject.units.iter().enumerate() {
            let mut place = 0;
            self.unit(unit, &mut |check, verdict| {
                if index == 0 {
                    verdicts.push((check, verdict));
                } else if let Some((_, worst)) = verdicts.get_mut(place) {
                    merge(worst, verdict);
                }
                place += 1;
            });
        }
        for (check, verdict) in verdicts {
            let status = verdict.status();
            self.push(&mut judged, subject, (&check.control_id, check.severity), status, || evidence(verdict));
        }
        self.policies(subject, &mut judged);
        if judged.counts == Counts::default() && self.keep == Keep::All {
            let message = "no selected control or policy looks at this kind".to_owned();
            judged.findings.push(Finding {
                place: Arc::clone(&subject.place),
                control: None,
                severity: Severity::Informational,
                status: Status::NotApplicable,
                evidence: Some(Evidence { message, facts: Vec::new(), elements: Vec::new() }),
                explanation: None,
            });
        }
        judged
    }

    fn push(
        &self,
        judged: &mut Judged,
        subject: &Subject,
        (control, severity): (&str, Severity),
        status: Status,
        evidence: impl FnOnce() -> Option<Evidence>,
    ) {
        judged.counts.add(status, severity);
        if self.keep == Keep::Unhealthy && status != Status::Unhealthy {
            return;
        }
        let rule = self.rules.get_key_value(control);
        judged.findings.push(Finding {
            place: Arc::clone(&subject.place),
            control: Some(rule.map_or_else(|| control.into(), |(id, _)| Arc::clone(id))),
            severity,
            status,
            evidence: evidence(),
            explanation: rule.filter(|_| self.explain).map(|(_, rule)| Arc::clone(rule)),
        });
    }

    fn input<'i>(&self, unit: &'i Unit, config: &'i Value, neighbours: &'i dyn Neighbours) -> Input<'i> {
        let resource = &unit.resource;
        Input {
            facts: Facts {
                kind: resource.kind,
                name: &resource.name,
                namespace: resource.namespace.as_deref(),
                cloud: resource.cloud,
                account: None,
                region: None,
                labels: &unit.labels,
                managed_by: resource.managed_by,
                active: resource.active,
                native_id: resource.native_id.as_str(),
            },
            config,
            live: None,
            neighbours,
            now: self.now,
        }
    }

    fn unit<'c>(&'c self, unit: &Unit, emit: &mut dyn FnMut(&'c Check, Verdict)) {
        let around = self.estate.around(unit.resource.namespace.as_deref());
        let unpacked = unit.packed.as_ref().map(Packed::value);
        let config = unpacked.as_ref().unwrap_or(&unit.resource.config);
        self.engine.evaluate(self.checks, &self.input(unit, config, &around), |check, mut verdict| {
            if matches!(verdict, Verdict::Unknown(UnknownReason::Unread { .. })) {
                let judge =
                    |neighbours: &dyn Neighbours| self.engine.judge(check, &self.input(unit, config, neighbours));
                verdict = by_presence(verdict, judge, &around);
            }
            if let Verdict::Unhealthy(evidence) = &mut verdict {
                evidence.facts.iter_mut().filter(|fact| fact.resource.is_none()).for_each(|fact| {
                    fact.pointer = unit.origins.original(&fact.pointer);
                });
            }
            emit(check, verdict);
        });
    }

    fn policies(&self, subject: &Subject, judged: &mut Judged) {
        let Some(object) = subject.written.as_ref().map(Packed::value) else { return };
        let object = &object;
        let namespace = self.namespaces.get(subject.place.namespace.as_str());
        let review =
            Review { object, old_object: None, operation: None, namespace, user: None, inventory: self.inventory };
        let prepared = Prepared::new(review);
        for loaded in self.policies {
            let message = |message: String| Some(Evidence { message, facts: Vec::new(), elements: Vec::new() });
            let control = (loaded.control.as_str(), loaded.severity);
            match loaded.policy.review_prepared(&prepared) {
                Decision::NotMatched => {}
                Decision::Passed => self.push(judged, subject, control, Status::Healthy, || None),
                Decision::Unknown(reason) => {
                    self.push(judged, subject, control, Status::Unknown, || message(reason));
                }
                Decision::Violated(violations) => {
                    let mut said = HashSet::new();
                    let texts = violations.into_iter().map(|violation| violation.message);
                    let texts: Vec<_> = texts.filter(|text| said.insert(text.clone())).collect();
                    self.push(judged, subject, control, Status::Unhealthy, || message(texts.join("; ")));
                }
            }
        }
    }
}

/// Neighbours of which nothing else exists: those that are known, or none at all.
struct Alone<'n> {
    known: Option<&'n dyn Neighbours>,
}

impl Neighbours for Alone<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let known = self.known.map(|known| known.get(query).items);
        NeighbourSet { items: known.unwrap_or_default(), completeness: Completeness::Complete }
    }
}

/// A verdict that wants the whole of a listing may rest on what is there all the same: then it is another one without
/// it. A policy that covers a pod covers it whatever else exists; that none does has to be read.
fn by_presence(unread: Verdict, judge: impl Fn(&dyn Neighbours) -> Verdict, known: &dyn Neighbours) -> Verdict {
    let with = judge(&Alone { known: Some(known) });
    let decided = matches!(with, Verdict::Healthy | Verdict::Unhealthy(_));
    if decided && with.status() != judge(&Alone { known: None }).status() { with } else { unread }
}

/// Joins the verdicts on the templates of one object: the worst one stands, with the evidence of all that share it.
fn merge(worst: &mut Verdict, other: Verdict) {
    let rank = |verdict: &Verdict| match verdict {
        Verdict::Unhealthy(_) => 3,
        Verdict::Unknown(_) => 2,
        Verdict::Healthy => 1,
        Verdict::NotApplicable(_) => 0,
    };
    let outranks = rank(&other) > rank(worst);
    match (worst, other) {
        (Verdict::Unhealthy(evidence), Verdict::Unhealthy(more)) => {
            if evidence.message != more.message {
                evidence.message = format!("{}; {}", evidence.message, more.message);
            }
            evidence.facts.extend(more.facts);
            evidence.elements.extend(more.elements);
        }
        (worst, other) if outranks => *worst = other,
        _ => {}
    }
}

fn evidence(verdict: Verdict) -> Option<Evidence> {
    let said = |message: String| Some(Evidence { message, facts: Vec::new(), elements: Vec::new() });
    let mut evidence = match verdict {
        Verdict::Healthy => None,
        Verdict::Unhealthy(evidence) => Some(evidence),
        Verdict::NotApplicable(cause) => said(cause),
        Verdict::Unknown(UnknownReason::Unread { kind, .. }) => {
            said(format!("rests on whether the cluster has objects of kind {kind}, which --kubeconfig would read"))
        }
        Verdict::Unknown(UnknownReason::Undetermined { needs }) => said(format!("not known: {needs}")),
        Verdict::Unknown(UnknownReason::Error { message }) => said(format!("could not be evaluated: {message}")),
    };
    if let Some(evidence) = &mut evidence {
        hide::evidence(evidence);
    }
    evidence
}
