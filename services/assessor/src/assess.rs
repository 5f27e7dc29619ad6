use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use rampart_domain::{Cause, Cloud, Kind, UnitId};
use rampart_store::verdict::{self, DirtyRow, StoredResource, UnitPlace, VerdictWrite};
use rampart_store::work::Lease;
use rampart_store::worker::Failure;
use rampart_store::{Store, StoreError, TenantTx, plan};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::counting::{Counting, Groups};
use crate::diff::{self, Before};
use crate::policy::Policy;
use crate::world::World;
use crate::{Knowledge, edges, judge, rights, targets, world};

/// Resources judged and written at once.
pub(crate) const BATCH: usize = 1_000;
/// Up to this many resources are judged beside only what lies in their namespaces; for more, everything is loaded.
pub(crate) const FEW: usize = 10_000;
/// Changes taken up in one run; what is left makes the unit due again at once.
const CHANGES: i64 = 200_000;

/// What an assessment did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Resources judged.
    pub judged: usize,
    /// Finding rows that were handed to the store as new or possibly changed.
    pub findings: usize,
}

/// Brings one unit's verdicts up to date.
pub async fn assess(
    store: &Store,
    knowledge: &Arc<Knowledge>,
    lease: &Lease,
    cancel: &CancellationToken,
) -> Result<Summary, Failure> {
    let unit = UnitId::from(lease.subject);
    let mut summary = Summary::default();
    loop {
        let Some(run) = Run::prepare(store, knowledge, lease, unit).await? else { return Ok(summary) };
        let done = run.execute(cancel).await?;
        summary.judged += done.judged;
        summary.findings += done.findings;
        if !run.more {
            return Ok(summary);
        }
    }
}

/// One pass over a unit.
struct Run<'a> {
    store: &'a Store,
    knowledge: &'a Arc<Knowledge>,
    lease: &'a Lease,
    unit: UnitId,
    place: UnitPlace,
    policy: Arc<Policy>,
    groups: Groups,
    dirty: Vec<DirtyRow>,
    targets: targets::Targets,
    /// Deltas cannot tell the counters: the catalogue moved, or nothing was counted before.
    recount: bool,
    /// More changes wait than one pass takes.
    more: bool,
}

impl<'a> Run<'a> {
    /// Reads what applies and what must be judged; `None` when nothing must.
    async fn prepare(
        store: &'a Store,
        knowledge: &'a Arc<Knowledge>,
        lease: &'a Lease,
        unit: UnitId,
    ) -> Result<Option<Self>, Failure> {
        let mut tx = store.fenced(lease).await?;
        let dirty = verdict::dirty(&mut tx, unit, CHANGES).await?;
        let place = verdict::unit_place(&mut tx, unit).await?;
        let place =
            place.unwrap_or(UnitPlace { cloud: Cloud::OnPremises, account: None, region: None, is_cluster: false });
        let mut inputs = verdict::policy_inputs(&mut tx).await?;
        if !plan::is_judged(&mut tx, unit, &place).await? {
            // Without assignments nothing is judged, and what was ends.
            inputs.assignments.clear();
        }
        let mut policy = Policy::of(&knowledge.catalogue, &knowledge.engine, &inputs, unit, &place)?;
        let stored = verdict::assessed_inputs(&mut tx, unit).await?;
        let full = stored.as_deref() != Some(&policy.inputs[..]);
        if dirty.is_empty() && !full {
            return Ok(None);
        }
        let ordinals = verdict::ensure_checks(&mut tx, &policy.checks).await?;
        policy.set_ordinals(&ordinals);
        let groups = groups(&mut tx, knowledge).await?;
        let judged = policy.judged_kinds();
        let bindings = rights::bindings_of(&mut tx, unit, &dirty, |_| {}).await?;
        let at = (unit, &place);
        let mut targets = targets::of_dirty(&mut tx, &knowledge.engine, at, &policy, &dirty, &bindings).await?;
        let catalogue_moved = stored.as_ref().is_some_and(|stored| stored.get(..16) != policy.inputs.get(..16));
        // Deltas need counters that they continue; without an assessment before, or after a join of two units, set anew.
        let recount = full && (stored.is_none() || catalogue_moved);
        if full {
            let cause = match &stored {
                None => Cause::Discovered,
                Some(_) if catalogue_moved => Cause::Control,
                Some(_) => Cause::Parameter,
            };
            for (id, cause) in targets::of_unit(&mut tx, unit, &judged, cause).await? {
                targets.judge.entry(id).or_insert(cause);
            }
        }
        tx.commit().await?;
        let more = dirty.len() as i64 == CHANGES;
        let policy = Arc::new(policy);
        let run = Self { store, knowledge, lease, unit, place, policy, groups, dirty, targets, recount, more };
        Ok(Some(run))
    }

    async fn execute(&self, cancel: &CancellationToken) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        let world = Arc::new(self.world().await?);
        let ids: Vec<Uuid> = self.targets.judge.keys().copied().collect();
        for batch in ids.chunks(BATCH) {
            if cancel.is_cancelled() {
                return Err("the assessment was interrupted".into());
            }
            let done = self.batch(&world, batch).await?;
            summary.judged += done.judged;
            summary.findings += done.findings;
        }
        for batch in self.targets.changed.chunks(BATCH) {
            edges::derive(self.store, self.lease, self.unit, batch).await?;
        }
        let mut tx = self.store.fenced(self.lease).await?;
        if self.recount {
            let counted = self.recount(&mut tx).await?;
            verdict::rebuild_counters(&mut tx, self.unit, &counted).await?;
        }
        if let (false, Some(account)) = (self.place.is_cluster, &self.place.account) {
            // What clusters look at beyond themselves lies in their account.
            let (changed, judged) = targets::wide(&self.knowledge.engine, &self.dirty);
            verdict::tell_clusters(&mut tx, (self.place.cloud, account), &changed, &judged).await?;
        }
        verdict::clear_dirty(&mut tx, self.unit, &self.dirty).await?;
        verdict::set_assessed(&mut tx, self.unit, &self.policy.inputs, Utc::now()).await?;
        tx.commit().await?;
        Ok(summary)
    }

    /// Loads the neighbours of everything that is to be judged.
    async fn world(&self) -> Result<World, StoreError> {
        let mut tx = self.store.tenant(self.lease.tenant).await?;
        let coverage = verdict::coverage_of(&mut tx, self.unit, &self.place).await?;
        let few = self.targets.judge.len() <= FEW;
        let ids: Option<Vec<Uuid>> = few.then(|| self.targets.judge.keys().copied().collect());
        let (engine, at) = (&self.knowledge.engine, (self.unit, &self.place));
        let judged = self.policy.judged_kinds().into_iter().collect();
        let neighbours =
            world::neighbours(&mut tx, engine, at, (judged, &self.policy.controls()), ids.as_deref()).await?;
        Ok(World::new(neighbours, coverage, self.place.clone()))
    }

    /// Judges and writes one batch.
    async fn batch(&self, world: &Arc<World>, ids: &[Uuid]) -> Result<Summary, Failure> {
        let mut tx = self.store.tenant(self.lease.tenant).await?;
        let found = verdict::resources_by_id(&mut tx, self.unit, ids).await?;
        let workloads: Vec<Uuid> = found.iter().filter(|r| r.kind.is_workload()).map(|r| r.id).collect();
        let children = verdict::children(&mut tx, &workloads).await?;
        let owners: Vec<Uuid> = found.iter().filter_map(|resource| resource.owner_id).collect();
        let owners: HashSet<Uuid> = verdict::existing(&mut tx, &owners).await?.into_iter().collect();
        // What is judged through its owner has no verdicts of its own, and loses those it had.
        let (owned, judged): (Vec<_>, Vec<_>) = found.into_iter().partition(|resource| {
            resource.kind.is_workload() && resource.owner_id.is_some_and(|owner| owners.contains(&owner))
        });
        let gone =
            ids.iter().copied().filter(|id| !judged.iter().any(|r| r.id == *id) && !owned.iter().any(|r| r.id == *id));
        let without: BTreeMap<Uuid, Cause> = gone
            .map(|id| (id, Cause::Gone))
            .chain(owned.iter().chain(&children).map(|resource| (resource.id, Cause::Resource)))
            .collect();
        let mut all: Vec<Uuid> = judged.iter().map(|resource| resource.id).collect();
        all.extend(without.keys());
        let mut before: HashMap<Uuid, Before> = HashMap::new();
        for pack in verdict::packs_of(&mut tx, &all).await? {
            let id = pack.resource_id;
            before.entry(id).or_default().pack = Some(pack);
        }
        for finding in verdict::findings_of(&mut tx, &all).await? {
            before.entry(finding.resource_id).or_default().add(&finding).map_err(StoreError::from)?;
        }
        drop(tx);
        let count = judged.len();
        let write = self.compare(world, judged, children, &without, before).await?;
        let summary = Summary { judged: count, findings: write.findings.len() };
        let mut tx = self.store.fenced(self.lease).await?;
        verdict::write(&mut tx, self.unit, Utc::now(), &write).await?;
        tx.commit().await?;
        Ok(summary)
    }

    /// Judges off the async threads and works out what must be written.
    async fn compare(
        &self,
        world: &Arc<World>,
        judged: Vec<StoredResource>,
        children: Vec<StoredResource>,
        without: &BTreeMap<Uuid, Cause>,
        before: HashMap<Uuid, Before>,
    ) -> Result<VerdictWrite, Failure> {
        let (knowledge, policy, world) = (self.knowledge.clone(), self.policy.clone(), world.clone());
        let causes: HashMap<Uuid, Cause> =
            judged.iter().filter_map(|r| Some((r.id, *self.targets.judge.get(&r.id)?))).collect();
        let groups = self.groups.clone();
        let without = without.clone();
        let write = tokio::task::spawn_blocking(move || -> Result<VerdictWrite, StoreError> {
            let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
            for child in children.iter().filter(|child| child.kind == Kind::K8sPod) {
                pods.entry(child.owner_id.unwrap_or_default()).or_default().push(child);
            }
            let verdicts = judge::judge(&knowledge.engine, &policy, &world, &judged, &pods, Utc::now())?;
            let mut write = VerdictWrite { inputs: policy.inputs.clone(), ..VerdictWrite::default() };
            let mut counting = Counting::default();
            let nothing = Before::default();
            for (resource, verdicts) in judged.iter().zip(verdicts) {
                let stored = before.get(&resource.id).unwrap_or(&nothing);
                let cause = causes.get(&resource.id).copied().unwrap_or(Cause::Resource);
                let after = diff::after(resource, verdicts, stored, cause, &policy.inputs);
                counting.replace(&groups, &stored.counted(), &after.counted);
                write.packs.extend(after.pack);
                write.findings.extend(after.findings);
            }
            for (id, cause) in &without {
                let Some(stored) = before.get(id) else { continue };
                write.findings.extend(diff::ended(*id, stored, *cause));
                if stored.pack.is_some() {
                    counting.replace(&groups, &stored.counted(), &[]);
                    write.gone.push(*id);
                }
            }
            counting.hand_to(&mut write);
            Ok(write)
        })
        .await??;
        Ok(write)
    }

    /// Counts the unit from what is stored.
    async fn recount(&self, tx: &mut TenantTx) -> Result<VerdictWrite, StoreError> {
        let packs = verdict::packs_of_unit(tx, self.unit).await?;
        let ids: Vec<Uuid> = packs.iter().map(|pack| pack.resource_id).collect();
        let mut all: HashMap<Uuid, Before> = HashMap::new();
        for pack in packs {
            let id = pack.resource_id;
            all.entry(id).or_default().pack = Some(pack);
        }
        for finding in verdict::findings_of(tx, &ids).await? {
            all.entry(finding.resource_id).or_default().add(&finding)?;
        }
        let mut counting = Counting::default();
        for stored in all.values() {
            counting.replace(&self.groups, &[], &stored.counted());
        }
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        Ok(write)
    }
}

async fn groups(tx: &mut TenantTx, knowledge: &Knowledge) -> Result<Groups, StoreError> {
    let controls = verdict::check_controls(tx).await?;
    let group = |id: &str| knowledge.catalogue.control(id).map(|control| control.group.clone());
    Ok(controls.into_iter().filter_map(|(ordinal, control)| Some((ordinal, group(&control)?))).collect())
}
