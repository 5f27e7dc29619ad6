use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use rampart_domain::{Cause, Cloud, Kind, UnitId};
use rampart_graph::SOURCE_RULES;
use rampart_store::verdict::{self, DirtyRow, StoredResource, UnitPlace, VerdictWrite};
use rampart_store::work::Lease;
use rampart_store::worker::Failure;
use rampart_store::{Store, StoreError, TenantTx, context, fix_unit, governance, plan, webhook};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::counting::{Counting, Groups, Member};
use crate::diff::{self, Before};
use crate::identities::Identities;
use crate::ledger::{Fate, Turn};
use crate::policy::Policy;
use crate::rules::Rules;
use crate::standing::{self, Grader};
use crate::surroundings::{Stand, Surroundings};
use crate::world::World;
use crate::{Knowledge, edges, judge, rights, sources, targets, tenant, world};

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
    /// The product's, with what the tenant wrote.
    knowledge: Arc<Knowledge>,
    lease: &'a Lease,
    unit: UnitId,
    place: UnitPlace,
    policy: Arc<Policy>,
    groups: Groups,
    dirty: Vec<DirtyRow>,
    targets: targets::Targets,
    rules: Arc<Rules>,
    identities: Arc<Identities>,
    /// Judged resources that are not judged again, whose findings may stand otherwise.
    restand: Vec<Uuid>,
    /// Deltas cannot tell the counters: the catalogue moved, or nothing was counted before.
    recount: bool,
    /// More changes wait than one pass takes.
    more: bool,
}

impl<'a> Run<'a> {
    /// Reads what applies and what must be judged; `None` when nothing must.
    async fn prepare(
        store: &'a Store,
        knowledge: &Arc<Knowledge>,
        lease: &'a Lease,
        unit: UnitId,
    ) -> Result<Option<Self>, Failure> {
        let mut tx = store.fenced(lease).await?;
        let knowledge = tenant::knowledge(knowledge, &mut tx).await?;
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
        let full = stored.as_deref().is_none_or(|stored| !policy.judges_as(stored));
        let exemptions_moved = stored.as_deref() != Some(&policy.inputs[..]);
        let more = dirty.len() as i64 == CHANGES;
        let outdated = if more { Vec::new() } else { sources::outdated(&mut tx, unit).await? };
        let rules = Rules::load(&mut tx, unit, &place).await?;
        let moved = governance::applied_rules(&mut tx, unit).await?.as_deref() != Some(&rules.fingerprint[..]);
        if dirty.is_empty() && !full && !exemptions_moved && !moved && outdated.is_empty() {
            return Ok(None);
        }
        let ordinals = verdict::ensure_checks(&mut tx, &policy.checks).await?;
        policy.set_ordinals(&ordinals);
        let groups = groups(&mut tx, &knowledge).await?;
        let judged = policy.judged_kinds();
        let bindings = rights::bindings_of(&mut tx, unit, &dirty, |_| {}).await?;
        let at = (unit, &place);
        // Of a unit that was never assessed everything is judged: nobody need be found.
        let bindings = stored.is_some().then_some(&bindings);
        let mut targets = targets::of_dirty(&mut tx, &knowledge.engine, at, &policy, &dirty, bindings).await?;
        targets.changed.extend(outdated);
        targets.changed.sort_unstable();
        targets.changed.dedup();
        let catalogue_moved = stored.as_ref().is_some_and(|stored| stored.get(..16) != policy.inputs.get(..16));
        // Deltas need counters that they continue; after a join of two units, or half an assessment, they are set anew.
        let recount = full && (catalogue_moved || stored.is_none() && verdict::has_verdicts(&mut tx, unit).await?);
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
        if exemptions_moved && !full {
            for id in verdict::exemptible(&mut tx, unit, &policy.exemptions.controls()).await? {
                targets.judge.entry(id).or_insert(Cause::Exemption);
            }
        }
        let identities = if place.is_cluster { Identities::load(&mut tx, unit).await? } else { Identities::default() };
        let mut restand = standing::affected(&mut tx, (unit, &place), &identities, &dirty, moved).await?;
        restand.retain(|id| !targets.judge.contains_key(id));
        tx.commit().await?;
        let policy = Arc::new(policy);
        let (rules, identities, restand) = (Arc::new(rules), Arc::new(identities), restand.into_iter().collect());
        let run = Self {
            store,
            knowledge,
            lease,
            unit,
            place,
            policy,
            groups,
            dirty,
            targets,
            rules,
            identities,
            restand,
            recount,
            more,
        };
        Ok(Some(run))
    }

    async fn execute(&self, cancel: &CancellationToken) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        let world = Arc::new(self.world().await?);
        let around = Arc::new(self.surroundings().await?);
        let ids: Vec<Uuid> = self.targets.judge.keys().copied().collect();
        for batch in ids.chunks(BATCH) {
            if cancel.is_cancelled() {
                return Err("the assessment was interrupted".into());
            }
            let done = self.batch((&world, &around), batch).await?;
            summary.judged += done.judged;
            summary.findings += done.findings;
        }
        for batch in self.restand.chunks(BATCH) {
            if cancel.is_cancelled() {
                return Err("the assessment was interrupted".into());
            }
            self.restand(&around, batch).await?;
        }
        for batch in self.targets.changed.chunks(BATCH) {
            edges::derive(self.store, self.lease, (self.unit, &self.place), batch).await?;
        }
        if let (false, Some(account)) = (self.place.is_cluster, &self.place.account) {
            // What clusters look at beyond themselves lies in their account. By itself: who holds the lease of one unit must
            // not wait for another's, which a scan may have asked for before it asks for this one. Told twice is no harm.
            let (changed, judged) = targets::wide(&self.knowledge.engine, &self.dirty);
            let mut tx = self.store.tenant(self.lease.tenant).await?;
            verdict::tell_clusters(&mut tx, (self.place.cloud, account), &changed, &judged).await?;
            tx.commit().await?;
        }
        let mut tx = self.store.fenced(self.lease).await?;
        if self.recount {
            let counted = self.recount(&mut tx).await?;
            verdict::rebuild_counters(&mut tx, self.unit, Utc::now(), &counted).await?;
        }
        verdict::clear_dirty(&mut tx, self.unit, &self.dirty).await?;
        verdict::set_assessed(&mut tx, self.unit, &self.policy.inputs, Utc::now()).await?;
        if !self.more {
            fix_unit::set_rules(&mut tx, self.unit, SOURCE_RULES).await?;
        }
        governance::set_applied_rules(&mut tx, self.unit, &self.rules.fingerprint).await?;
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

    /// Loads what lies around everything whose findings may stand otherwise.
    async fn surroundings(&self) -> Result<Surroundings, StoreError> {
        let mut tx = self.store.tenant(self.lease.tenant).await?;
        let ids: Vec<Uuid> = self.targets.judge.keys().chain(&self.restand).copied().collect();
        let near = if ids.len() <= FEW { Some(verdict::extent(&mut tx, &ids).await?) } else { None };
        let near: Option<Vec<String>> =
            near.map(|extent| extent.into_values().flatten().collect::<BTreeSet<_>>().into_iter().collect());
        let known = (self.rules.clone(), self.identities.clone());
        Surroundings::load(&mut tx, (self.unit, &self.place), known, near.as_deref()).await
    }

    /// Brings the findings of resources that are not judged again into line with context and rules.
    async fn restand(&self, around: &Arc<Surroundings>, ids: &[Uuid]) -> Result<(), Failure> {
        let mut tx = self.store.tenant(self.lease.tenant).await?;
        let found = verdict::resources_by_id(&mut tx, self.unit, ids).await?;
        drop(tx);
        let around = around.clone();
        let stands: Vec<Stand> =
            tokio::task::spawn_blocking(move || found.iter().map(|resource| around.stand(resource)).collect()).await?;
        let mut tx = self.store.fenced(self.lease).await?;
        standing::settle(&mut tx, self.unit, Utc::now(), &self.rules, (&stands, &[])).await?;
        Ok(tx.commit().await?)
    }

    /// Judges and writes one batch.
    async fn batch(
        &self,
        (world, around): (&Arc<World>, &Arc<Surroundings>),
        ids: &[Uuid],
    ) -> Result<Summary, Failure> {
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
        if self.policy.exemptions.look_at_elements() {
            for ((id, ordinal), elements) in verdict::elements_of(&mut tx, &all).await? {
                before.entry(id).or_default().elements.insert(ordinal, elements);
            }
        }
        drop(tx);
        let count = judged.len();
        let (write, old, new) = self.compare((world, around), judged, children, &without, before).await?;
        let summary = Summary { judged: count, findings: write.findings.len() };
        let mut tx = self.store.fenced(self.lease).await?;
        let now = Utc::now();
        let told = verdict::write(&mut tx, self.unit, now, &write).await?;
        standing::settle(&mut tx, self.unit, now, &self.rules, (&old, &new)).await?;
        context::remove(&mut tx, &without.keys().copied().collect::<Vec<_>>()).await?;
        // Last, for its locks are shared by all units.
        webhook::wake(&mut tx, &told).await?;
        tx.commit().await?;
        Ok(summary)
    }

    /// Judges off the async threads and works out what must be written, and how the judged resources stand: those that had
    /// findings before, and the others.
    async fn compare(
        &self,
        (world, around): (&Arc<World>, &Arc<Surroundings>),
        judged: Vec<StoredResource>,
        children: Vec<StoredResource>,
        without: &BTreeMap<Uuid, Cause>,
        before: HashMap<Uuid, Before>,
    ) -> Result<(VerdictWrite, Vec<Stand>, Vec<Stand>), Failure> {
        let (knowledge, policy, world) = (self.knowledge.clone(), self.policy.clone(), world.clone());
        let (around, rules) = (around.clone(), self.rules.clone());
        let causes: HashMap<Uuid, Cause> =
            judged.iter().filter_map(|r| Some((r.id, *self.targets.judge.get(&r.id)?))).collect();
        let groups = self.groups.clone();
        let without = without.clone();
        let done = tokio::task::spawn_blocking(move || -> Result<_, StoreError> {
            let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
            for child in children.iter().filter(|child| child.kind == Kind::K8sPod) {
                pods.entry(child.owner_id.unwrap_or_default()).or_default().push(child);
            }
            let verdicts = judge::judge(&knowledge.engine, &policy, &world, &judged, &pods, Utc::now())?;
            let mut write = VerdictWrite { inputs: policy.judging().to_vec(), ..VerdictWrite::default() };
            let mut counting = Counting::default();
            let nothing = Before::default();
            let (mut old, mut new) = (Vec::new(), Vec::new());
            for (resource, verdicts) in judged.iter().zip(verdicts) {
                let stored = before.get(&resource.id).unwrap_or(&nothing);
                let cause = causes.get(&resource.id).copied().unwrap_or(Cause::Resource);
                let is_judged = !verdicts.verdicts.is_empty() || stored.pack.is_some();
                let mut after = diff::after(resource, verdicts, stored, cause, &policy);
                let stand = around.stand(resource);
                Grader::new(&rules, &stand).grade(&mut after.findings);
                let stands = if stored.findings.is_empty() { &mut new } else { &mut old };
                stands.extend(is_judged.then_some(stand));
                let fate = if stored.pack.is_none() { Fate::New } else { Fate::Known };
                counting.account(&groups, (&stored.counted(), &after.counted), Turn { cause, fate });
                write.packs.extend(after.pack);
                write.findings.extend(after.findings);
            }
            for (id, cause) in &without {
                let Some(stored) = before.get(id) else { continue };
                write.findings.extend(diff::ended(*id, stored, *cause));
                if stored.pack.is_some() {
                    let turn = Turn { cause: *cause, fate: Fate::Ended };
                    counting.account(&groups, (&stored.counted(), &[]), turn);
                    write.gone.push(*id);
                }
            }
            counting.hand_to(&mut write);
            Ok((write, old, new))
        })
        .await??;
        Ok(done)
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
    let member = |(ordinal, control): (i32, String)| {
        let group = group(&control)?;
        Some((ordinal, Member { control, group }))
    };
    Ok(controls.into_iter().filter_map(member).collect())
}
