use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rampart_content::Catalogue;
use rampart_domain::{Severity, Status};
use rampart_store::job::what_if::{Capped, Judged, VerdictMoved};
use rampart_store::verdict::StoredResource;
use serde_json::Value;
use uuid::Uuid;

use super::policies::Policies;
use super::side::State;
use crate::counting::Counting;
use crate::diff::{self, Before};

/// Verdicts told of each sort of difference.
const TOLD: usize = 500;

/// What was found to differ.
#[derive(Default)]
pub(super) struct Difference {
    /// Moves from the stored counters to what they would be without the changes.
    pub(super) before: Counting,
    /// Moves from the stored counters to what they would be with them.
    pub(super) after: Counting,
    pub(super) newly_failing: Told,
    pub(super) newly_passing: Told,
    pub(super) otherwise: Told,
    pub(super) units: usize,
    pub(super) unsettled: usize,
    pub(super) judged: usize,
    /// What was taken in by [`Difference::end`]; several owners may lead to it.
    pub(super) ended: HashSet<Uuid>,
    /// Resources whose fixes are told of.
    pub(super) fixed: HashSet<Uuid>,
    /// Their worst verdicts with the changes, by control.
    pub(super) healed: HashMap<(Uuid, String), Status>,
}

/// The worst of many verdicts, and how many there are.
#[derive(Default)]
pub(super) struct Told {
    total: usize,
    items: Vec<VerdictMoved>,
}

impl Told {
    fn add(&mut self, moved: VerdictMoved) {
        self.total += 1;
        self.items.push(moved);
        if self.items.len() >= 2 * TOLD {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let key = |moved: &VerdictMoved| (Reverse(moved.severity), moved.control_id.clone(), moved.resource.id);
        self.items.sort_by_cached_key(key);
        self.items.truncate(TOLD);
    }

    /// The list as it is told.
    pub(super) fn told(mut self) -> Capped<VerdictMoved> {
        self.cut();
        Capped { total: self.total, items: self.items }
    }
}

/// A resource with what is stored of it, and what would be.
pub(super) struct Compared<'a> {
    pub(super) resource: &'a StoredResource,
    pub(super) stored: &'a Before,
    pub(super) before: &'a State,
    pub(super) after: &'a State,
}

impl Difference {
    /// Takes in one resource.
    pub(super) fn add(&mut self, catalogue: &Catalogue, policies: &Policies, it: &Compared<'_>) {
        let stored = it.stored.counted();
        self.before.replace(policies.groups(), &stored, &it.before.verdicts.counted());
        self.after.replace(policies.groups(), &stored, &it.after.verdicts.counted());
        let statuses = |state: &State| -> BTreeMap<i32, Status> {
            state.verdicts.all().into_iter().map(|counted| (counted.ordinal, counted.status)).collect()
        };
        let (before, after) = (statuses(it.before), statuses(it.after));
        let ordinals: BTreeSet<i32> = before.keys().chain(after.keys()).copied().collect();
        for ordinal in ordinals {
            let (from, to) = (before.get(&ordinal).copied(), after.get(&ordinal).copied());
            if let (true, Some(to), Some(check)) = (self.fixed.contains(&it.resource.id), to, policies.check(ordinal)) {
                let worst = self.healed.entry((it.resource.id, check.control_id.clone())).or_insert(to);
                *worst = std::cmp::max_by_key(*worst, to, |status| badness(*status));
            }
            if from == to {
                continue;
            }
            let Some(moved) = moved(catalogue, policies, it, ordinal, (from, to)) else { continue };
            match (from, to) {
                (_, Some(Status::Unhealthy)) => self.newly_failing.add(moved),
                (Some(Status::Unhealthy), Some(Status::Healthy)) => self.newly_passing.add(moved),
                _ => self.otherwise.add(moved),
            }
        }
    }

    /// Takes in something that has stored verdicts and would have none on either side.
    pub(super) fn end(&mut self, policies: &Policies, id: Uuid, stored: &Before) {
        if !self.ended.insert(id) {
            return;
        }
        self.before.replace(policies.groups(), &stored.counted(), &[]);
        self.after.replace(policies.groups(), &stored.counted(), &[]);
    }
}

const fn badness(status: Status) -> u8 {
    match status {
        Status::Unhealthy => 4,
        Status::Unknown => 3,
        Status::Exempt => 2,
        Status::Healthy => 1,
        Status::NotApplicable => 0,
    }
}

fn moved(
    catalogue: &Catalogue,
    policies: &Policies,
    it: &Compared<'_>,
    ordinal: i32,
    (from, to): (Option<Status>, Option<Status>),
) -> Option<VerdictMoved> {
    let check = policies.check(ordinal)?;
    let word = |status: Option<Status>| status.map(|status| status.as_str().to_owned());
    let finding = it.after.findings.get(&ordinal);
    let rank = finding.or_else(|| it.before.findings.get(&ordinal)).map(|(severity, _)| *severity);
    let severity = Severity::ALL.iter().copied().find(|severity| Some(diff::rank(*severity)) == rank);
    let own = || catalogue.control(&check.control_id).map_or(Severity::Informational, |control| control.severity);
    let resource = it.resource;
    Some(VerdictMoved {
        resource: Judged {
            id: resource.id,
            kind: resource.kind.as_str().to_owned(),
            name: resource.name.clone(),
            account: resource.account.clone(),
            cluster_id: resource.cluster_id,
            namespace: resource.namespace.clone(),
        },
        control_id: check.control_id.clone(),
        params: check.params.clone(),
        severity: severity.unwrap_or_else(own),
        from: word(from),
        to: word(to),
        evidence: finding.and_then(|(_, evidence)| evidence.clone()),
        reason: to.and_then(|_| it.after.reason(ordinal)).filter(|reason| *reason != Value::Null),
        scored: it.before.is_scored() || it.after.is_scored(),
    })
}
