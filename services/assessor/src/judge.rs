use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, ManagedBy, Severity, UnknownReason, Verdict};
use rampart_posture::live::{LivePod, differences};
use rampart_posture::{Engine, Facts, Input};
use rampart_store::StoreError;
use rampart_store::verdict::StoredResource;
use serde_json::Value;
use uuid::Uuid;

use crate::policy::Policy;
use crate::stopwatch::Stopwatch;
use crate::world::World;

/// The verdicts of one resource.
pub(crate) struct Judged {
    pub(crate) verdicts: Vec<Judgement>,
    pub(crate) scored: bool,
    /// Why the resource itself may no longer be as it was judged.
    pub(crate) lost: Option<UnknownReason>,
}

/// One verdict with what is stored beside it.
pub(crate) struct Judgement {
    pub(crate) ordinal: i32,
    pub(crate) control_id: String,
    pub(crate) severity: Severity,
    pub(crate) verdict: Verdict,
    /// Which of the causes of its control it is that makes it say nothing.
    pub(crate) cause_number: usize,
}

/// Judges resources of one batch. CPU work; call it off the async threads.
///
/// `pods` are the live pods by owner. `owned` resources are judged through their owner and get no verdicts here.
pub(crate) fn judge(
    engine: &Engine,
    policy: &Policy,
    world: &World,
    batch: &[StoredResource],
    pods: &HashMap<Uuid, Vec<&StoredResource>>,
    now: DateTime<Utc>,
) -> Result<Vec<Judged>, StoreError> {
    let mut meter = Stopwatch::default();
    batch.iter().map(|resource| judge_one(engine, policy, world, resource, pods, (now, &mut meter))).collect()
}

fn judge_one(
    engine: &Engine,
    policy: &Policy,
    world: &World,
    resource: &StoredResource,
    pods: &HashMap<Uuid, Vec<&StoredResource>>,
    (now, meter): (DateTime<Utc>, &mut Stopwatch),
) -> Result<Judged, StoreError> {
    let verdicts = with_input(world, resource, pods, now, |input| {
        let mut verdicts = Vec::new();
        engine.evaluate_metered(policy.checks_in(resource.namespace.as_deref()), input, meter, |check, verdict| {
            let cause_number = match &verdict {
                Verdict::NotApplicable(cause) => policy.cause_number(&check.control_id, resource.kind, cause),
                _ => 0,
            };
            verdicts.push(Judgement {
                ordinal: policy.ordinal(check),
                control_id: check.control_id.clone(),
                severity: check.severity,
                verdict,
                cause_number,
            });
        });
        verdicts
    })?;
    let managed_by: ManagedBy = resource.managed_by.parse()?;
    Ok(Judged { verdicts, scored: managed_by != ManagedBy::Platform, lost: world.lost(resource) })
}

/// Hands `judge` a resource with all that its controls may look at.
pub(crate) fn with_input<T>(
    world: &World,
    resource: &StoredResource,
    pods: &HashMap<Uuid, Vec<&StoredResource>>,
    now: DateTime<Utc>,
    judge: impl FnOnce(&Input<'_>) -> T,
) -> Result<T, StoreError> {
    let cloud: Cloud = resource.cloud.parse()?;
    let managed_by: ManagedBy = resource.managed_by.parse()?;
    let live = pods.get(&resource.id).map(|pods| live_of(resource, pods));
    let around = world.around(resource);
    Ok(judge(&Input {
        facts: Facts {
            kind: resource.kind,
            name: &resource.name,
            namespace: resource.namespace.as_deref(),
            cloud,
            account: resource.account.as_deref(),
            region: resource.region.as_deref(),
            labels: &resource.labels,
            managed_by,
            active: resource.active,
            native_id: &resource.native_id,
        },
        config: &resource.config,
        live: live.as_ref(),
        neighbours: &around,
        now,
    }))
}

fn live_of(resource: &StoredResource, pods: &[&StoredResource]) -> Value {
    let template = resource.kind.pod_spec_pointer().and_then(|pointer| resource.config.pointer(pointer));
    let running: Vec<LivePod<'_>> = pods
        .iter()
        .filter(|pod| pod.active)
        .filter_map(|pod| Some(LivePod { native_id: &pod.native_id, spec: pod.config.get("spec")? }))
        .collect();
    differences(template, &running)
}
