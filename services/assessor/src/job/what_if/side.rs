use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_domain::{Cause, Kind, Status, Verdict};
use rampart_posture::Engine;
use rampart_store::StoreError;
use rampart_store::verdict::{StoredPack, StoredResource};
use serde_json::Value;
use uuid::Uuid;

use super::hypothesis::Hypothesis;
use crate::diff::{self, After, Before};
use crate::judge;
use crate::policy::Policy;
use crate::world::World;

/// One of the two things that are compared.
pub(super) struct Side {
    pub(super) policy: Arc<Policy>,
    pub(super) world: Arc<World>,
    pub(super) judged: Vec<StoredResource>,
    /// What `judged` control.
    pub(super) children: Vec<StoredResource>,
}

/// What would be stored of a resource if it were assessed now.
#[derive(Default)]
pub(super) struct State {
    pub(super) verdicts: Before,
    /// Severity and evidence of what is unhealthy.
    pub(super) findings: BTreeMap<i32, (i16, Option<Value>)>,
}

impl Side {
    /// Judges every resource and lays the verdicts over those `before`. CPU work.
    pub(super) fn assess<'b>(
        &self,
        engine: &Engine,
        before: impl Fn(Uuid) -> Option<&'b Before>,
        hypothesis: Option<&Hypothesis>,
        now: DateTime<Utc>,
    ) -> Result<HashMap<Uuid, State>, StoreError> {
        let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
        for child in self.children.iter().filter(|child| child.kind == Kind::K8sPod) {
            pods.entry(child.owner_id.unwrap_or_default()).or_default().push(child);
        }
        let nothing = Before::default();
        let verdicts = judge::judge(engine, &self.policy, &self.world, &self.judged, &pods, now)?;
        let mut states = HashMap::with_capacity(self.judged.len());
        for (resource, mut judged) in self.judged.iter().zip(verdicts) {
            if let Some(assumed) = hypothesis.and_then(|it| it.assumed.get(&resource.id)) {
                for judgement in judged.verdicts.iter_mut().filter(|it| assumed.contains(&it.control_id)) {
                    if matches!(judgement.verdict, Verdict::Unhealthy(_)) {
                        judgement.verdict = Verdict::Healthy;
                    }
                }
            }
            let stored = before(resource.id).unwrap_or(&nothing);
            let after = diff::settled(resource, judged, stored, Cause::Resource, &self.policy);
            states.insert(resource.id, State::of(after, stored, self.policy.judging().to_vec()));
        }
        Ok(states)
    }
}

impl State {
    fn of(after: After, before: &Before, inputs: Vec<u8>) -> Self {
        let mut state = Self { verdicts: Before { pack: None, ..before.clone() }, ..Self::default() };
        if let Some(pack) = after.pack {
            state.verdicts.pack = Some(StoredPack {
                resource_id: pack.resource_id,
                healthy: pack.healthy.as_bytes().to_vec(),
                not_applicable: pack.not_applicable.as_bytes().to_vec(),
                unknown: pack.unknown.as_bytes().to_vec(),
                scored: pack.scored,
                inputs,
                revision: pack.revision,
                reasons: pack.reasons,
            });
        }
        for finding in after.findings {
            let unverified = after.counted.iter().any(|it| it.ordinal == finding.ordinal && it.unverified);
            let earlier = before.findings.get(&finding.ordinal);
            state.verdicts.findings.insert(finding.ordinal, diff::Row::of(&finding, earlier, unverified));
            if finding.status == Status::Unhealthy {
                state.findings.insert(finding.ordinal, (finding.severity, finding.evidence));
            }
        }
        state
    }

    /// Why a verdict is unknown.
    pub(super) fn reason(&self, ordinal: i32) -> Option<Value> {
        self.verdicts.pack.as_ref()?.reasons.as_ref()?.get(ordinal.to_string()).cloned()
    }

    /// Whether the verdicts count.
    pub(super) fn is_scored(&self) -> bool {
        self.verdicts.pack.as_ref().is_some_and(|pack| pack.scored)
    }
}
