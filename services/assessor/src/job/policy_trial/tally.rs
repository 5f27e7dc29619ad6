use std::cmp::Reverse;
use std::collections::BTreeMap;

use rampart_content::Control;
use rampart_domain::{Severity, UnknownReason, Verdict};
use rampart_store::job::policy_trial::{
    ControlTrial, Counts, OwnerTrial, PLACES, PlaceTrial, ResourceTrial, SAMPLE, TrialResult,
};
use rampart_store::verdict::StoredResource;
use uuid::Uuid;

use crate::judge::{Judged, Judgement};

/// Labels that name who answers for a resource; the first that it has counts.
const OWNERS: [&str; 4] = ["owner", "team", "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"];

/// Account, cluster and namespace.
type Place = (Option<String>, Option<Uuid>, Option<String>);

/// What a trial has found so far.
#[derive(Default)]
pub(super) struct Tally {
    resources: u64,
    counts: Counts,
    controls: BTreeMap<String, Counts>,
    places: BTreeMap<Place, Counts>,
    owners: BTreeMap<(&'static str, String), Counts>,
    failing: Vec<(Severity, ResourceTrial)>,
    undecided: Vec<(Severity, ResourceTrial)>,
}

fn count(counts: &mut Counts, verdict: &Verdict) {
    match verdict {
        Verdict::Healthy => counts.healthy += 1,
        Verdict::Unhealthy(_) => counts.unhealthy += 1,
        Verdict::NotApplicable(_) => counts.not_applicable += 1,
        Verdict::Unknown(_) => counts.unknown += 1,
    }
}

impl Tally {
    /// Adds the verdicts of a resource, as an assessment would store them.
    pub(super) fn add(&mut self, resource: &StoredResource, judged: Judged) {
        self.resources += 1;
        let place = (resource.account.clone(), resource.cluster_id, resource.namespace.clone());
        let owner =
            OWNERS.into_iter().find_map(|label| Some((label, resource.labels.get(label)?.as_str()?.to_owned())));
        for mut judgement in judged.verdicts {
            if let Some(lost @ UnknownReason::Unread { expired: true, .. }) = &judged.lost {
                judgement.verdict = Verdict::Unknown(lost.clone());
            }
            let verdict = &judgement.verdict;
            count(&mut self.counts, verdict);
            count(self.controls.entry(judgement.control_id.clone()).or_default(), verdict);
            count(self.places.entry(place.clone()).or_default(), verdict);
            if let Some(owner) = &owner {
                count(self.owners.entry(owner.clone()).or_default(), verdict);
            }
            match verdict {
                Verdict::Unhealthy(evidence) => {
                    sample(&mut self.failing, &judgement, named(resource, &judgement, evidence.message.clone()));
                }
                Verdict::Unknown(reason) => {
                    sample(&mut self.undecided, &judgement, named(resource, &judgement, words(reason)));
                }
                Verdict::Healthy | Verdict::NotApplicable(_) => {}
            }
        }
    }

    pub(super) fn result(self, controls: &[Control]) -> TrialResult {
        let verdicts = |control: &Control| ControlTrial {
            control_id: control.id.clone(),
            title: control.title.clone(),
            severity: control.severity.to_string(),
            counts: self.controls.get(&control.id).copied().unwrap_or_default(),
        };
        let controls = controls.iter().map(verdicts).collect();
        let places = self.places.into_iter().map(|((account, cluster_id, namespace), counts)| PlaceTrial {
            account,
            cluster_id,
            namespace,
            counts,
        });
        let owners = self.owners.into_iter();
        let owners = owners.map(|((label, owner), counts)| OwnerTrial { label: label.to_owned(), owner, counts });
        TrialResult {
            resources: self.resources,
            counts: self.counts,
            controls,
            places: worst(places.collect(), |place: &PlaceTrial| place.counts.unhealthy),
            owners: worst(owners.collect(), |owner: &OwnerTrial| owner.counts.unhealthy),
            failing: self.failing.into_iter().map(|(_, it)| it).collect(),
            undecided: self.undecided.into_iter().map(|(_, it)| it).collect(),
            examples: Vec::new(),
        }
    }
}

/// The most unhealthy ones first; equal ones stay in their order.
fn worst<T>(mut all: Vec<T>, unhealthy: impl Fn(&T) -> u64) -> Vec<T> {
    all.sort_by_key(|it| Reverse(unhealthy(it)));
    all.truncate(PLACES);
    all
}

/// Keeps the worst, and of equal ones those that came first.
fn sample(kept: &mut Vec<(Severity, ResourceTrial)>, judgement: &Judgement, found: ResourceTrial) {
    let at = kept.partition_point(|(severity, _)| *severity >= judgement.severity);
    if at < SAMPLE {
        kept.insert(at, (judgement.severity, found));
        kept.truncate(SAMPLE);
    }
}

fn named(resource: &StoredResource, judgement: &Judgement, message: String) -> ResourceTrial {
    ResourceTrial {
        control_id: judgement.control_id.clone(),
        severity: judgement.severity.to_string(),
        resource_id: resource.id,
        native_id: resource.native_id.clone(),
        kind: resource.kind.to_string(),
        name: resource.name.clone(),
        account: resource.account.clone(),
        cluster_id: resource.cluster_id,
        namespace: resource.namespace.clone(),
        message,
    }
}

fn words(reason: &UnknownReason) -> String {
    match reason {
        UnknownReason::Unread { kind, .. } => format!("{kind} was not read completely"),
        UnknownReason::Undetermined { needs } => format!("would have to be known: {needs}"),
        UnknownReason::Error { message } => message.clone(),
    }
}
