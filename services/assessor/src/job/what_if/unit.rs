use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use rampart_domain::{Cause, Kind, UnitId};
use rampart_store::verdict::{self, DirtyRow, StoredResource, UnitPlace};
use rampart_store::{AccessScope, TenantTx, assignment};
use uuid::Uuid;

use super::hypothesis::Hypothesis;
use super::side::{Side, State};
use super::tally::{Compared, Difference};
use super::{Question, aside};
use crate::assess::{BATCH, FEW};
use crate::diff::Before;
use crate::job::JobError;
use crate::policy::Policy;
use crate::world::{self, World};
use crate::{rights, targets};

/// Passes on to clusters what would change in their account, as an assessment of the account does.
pub(super) async fn tell_clusters(
    tx: &mut TenantTx,
    question: &Question<'_>,
    hypothesis: &mut Hypothesis,
) -> Result<(), JobError> {
    let mut told: Vec<(Uuid, DirtyRow)> = Vec::new();
    for (unit, news) in &hypothesis.news {
        let Some(place) = verdict::unit_place(tx, UnitId(*unit)).await? else { continue };
        let (false, Some(account)) = (place.is_cluster, &place.account) else { continue };
        let (changed, judged) = targets::wide(&question.desk.knowledge.engine, news);
        if changed.is_empty() {
            continue;
        }
        for cluster in verdict::clusters_beside(tx, (place.cloud, account), &judged).await? {
            told.extend(changed.iter().map(|kind| (cluster, DirtyRow::of_account(*kind))));
        }
    }
    for (cluster, news) in told {
        hypothesis.news.entry(cluster).or_default().push(news);
    }
    Ok(())
}

/// The units in which something may differ that is compared.
pub(super) async fn concerned(
    tx: &mut TenantTx,
    question: &Question<'_>,
    hypothesis: &Hypothesis,
) -> Result<BTreeSet<Uuid>, JobError> {
    let reach = &question.reach;
    let mut units: BTreeSet<Uuid> = hypothesis.news.keys().copied().collect();
    if question.policies.differ {
        match &reach.units {
            Some(own) => units.extend(own),
            None => units.extend(assignment::units_in(tx, &AccessScope::Tenant).await?),
        }
        units.extend(&reach.namespace_clusters);
    }
    units.retain(|unit| question.reaches_all(*unit) || reach.namespace_clusters.contains(unit));
    Ok(units)
}

/// What is to be judged in one unit.
pub(super) struct Look {
    unit: UnitId,
    place: UnitPlace,
    hypothesis: Arc<Hypothesis>,
    ids: Vec<Uuid>,
    /// Changes wait for an assessment.
    unsettled: bool,
}

impl Look {
    /// Finds what must be judged; `None` when nothing can differ.
    pub(super) async fn prepare(
        tx: &mut TenantTx,
        question: &mut Question<'_>,
        hypothesis: &Arc<Hypothesis>,
        unit: Uuid,
    ) -> Result<Option<Self>, JobError> {
        let unit = UnitId(unit);
        let Some(place) = verdict::unit_place(tx, unit).await? else { return Ok(None) };
        let (before, after) = question.policies.of(tx, question.desk, unit, &place).await?;
        let news = hypothesis.news.get(&unit.0).map_or(&[][..], Vec::as_slice);
        let same_policy = before.inputs == after.inputs;
        if same_policy && news.is_empty() {
            return Ok(None);
        }
        let engine = &question.desk.knowledge.engine;
        let bindings = rights::bindings_of(tx, unit, news, |found| hypothesis.impose(found)).await?;
        let found = targets::of_dirty(tx, engine, (unit, &place), &after, news, Some(&bindings)).await?;
        let mut ids: BTreeSet<Uuid> = found.judge.into_keys().collect();
        if !same_policy {
            let judged: Vec<Kind> = Vec::from_iter(kinds(&before, &after));
            if question.reaches_all(unit.0) {
                ids.extend(targets::of_unit(tx, unit, &judged, Cause::Parameter).await?.into_keys());
            }
            for namespace in question.namespaces(unit.0) {
                ids.extend(verdict::resource_page(tx, unit, &judged, Some(namespace), None).await?);
            }
        }
        let assessed = verdict::assessed_inputs(tx, unit).await?;
        let waiting = !verdict::dirty(tx, unit, 1).await?.is_empty();
        let unsettled = waiting || assessed.as_deref() != Some(&before.inputs[..]);
        let (hypothesis, ids) = (hypothesis.clone(), ids.into_iter().collect());
        Ok(Some(Self { unit, place, hypothesis, ids, unsettled }))
    }

    /// How many resources are judged.
    pub(super) fn size(&self) -> usize {
        self.ids.len()
    }

    /// Judges both sides and takes in what differs.
    pub(super) async fn run(
        self,
        tx: &mut TenantTx,
        question: &mut Question<'_>,
        total: usize,
        difference: &mut Difference,
    ) -> Result<(), JobError> {
        let (before, after) = question.policies.of(tx, question.desk, self.unit, &self.place).await?;
        let sides = self.sides(tx, question, before, after).await?;
        difference.units += 1;
        difference.unsettled += usize::from(self.unsettled);
        for ids in self.ids.chunks(BATCH) {
            self.batch(tx, question, &sides, ids, difference).await?;
            difference.judged += ids.len();
            question.desk.progress(difference.judged, total).await?;
        }
        Ok(())
    }

    /// Both sides, with nothing to judge yet.
    async fn sides(
        &self,
        tx: &mut TenantTx,
        question: &Question<'_>,
        before: Policy,
        after: Policy,
    ) -> Result<(Side, Side), JobError> {
        let controls: BTreeSet<&str> = before.controls().into_iter().chain(after.controls()).collect();
        let (engine, at) = (&question.desk.knowledge.engine, (self.unit, &self.place));
        let few = (self.ids.len() <= FEW).then_some(&*self.ids);
        let mut near = world::neighbours(tx, engine, at, (kinds(&before, &after), &controls), few).await?;
        let coverage = verdict::coverage_of(tx, self.unit, &self.place).await?;
        let now = World::new(near.clone(), coverage.clone(), self.place.clone());
        let now = Arc::new(now);
        let then = if self.hypothesis.is_empty() {
            now.clone()
        } else {
            self.hypothesis.impose(&mut near.whole);
            self.hypothesis.impose(&mut near.outlines);
            Arc::new(World::new(near, coverage, self.place.clone()))
        };
        let side = |policy, world| Side { policy: Arc::new(policy), world, judged: Vec::new(), children: Vec::new() };
        Ok((side(before, now), side(after, then)))
    }

    async fn batch(
        &self,
        tx: &mut TenantTx,
        question: &Question<'_>,
        sides: &(Side, Side),
        ids: &[Uuid],
        difference: &mut Difference,
    ) -> Result<(), JobError> {
        let mut found = verdict::resources_by_id(tx, self.unit, ids).await?;
        let there: HashSet<Uuid> = found.iter().map(|resource| resource.id).collect();
        found.retain(|resource| question.reaches(self.unit.0, resource.namespace.as_deref()));
        let workloads: Vec<Uuid> = found.iter().filter(|r| r.kind.is_workload()).map(|r| r.id).collect();
        let children = verdict::children(tx, &workloads).await?;
        let owners: Vec<Uuid> = found.iter().filter_map(|resource| resource.owner_id).collect();
        let owners: HashSet<Uuid> = verdict::existing(tx, &owners).await?.into_iter().collect();
        let (owned, judged): (Vec<_>, Vec<_>) = found.into_iter().partition(|resource| {
            resource.kind.is_workload() && resource.owner_id.is_some_and(|owner| owners.contains(&owner))
        });
        let gone = ids.iter().filter(|id| question.reaches_all(self.unit.0) && !there.contains(*id));
        let ended: BTreeSet<Uuid> =
            gone.copied().chain(owned.iter().chain(&children).map(|resource| resource.id)).collect();
        let mut all: Vec<Uuid> = judged.iter().map(|resource| resource.id).collect();
        all.extend(&ended);
        let mut stored: HashMap<Uuid, Before> = HashMap::new();
        for pack in verdict::packs_of(tx, &all).await? {
            let id = pack.resource_id;
            stored.entry(id).or_default().pack = Some(pack);
        }
        for finding in verdict::findings_of(tx, &all).await? {
            let own = stored.entry(finding.resource_id).or_default();
            own.add(&finding).map_err(rampart_store::StoreError::from)?;
        }
        for (id, own) in ended.iter().filter_map(|id| Some((*id, stored.get(id)?))) {
            difference.end(&question.policies, id, own);
        }
        let (mut then, mut with) = (judged.clone(), children.clone());
        self.hypothesis.impose(&mut then);
        self.hypothesis.impose(&mut with);
        let before = sides.0.of(judged, children);
        let after = sides.1.of(then, with);
        let (knowledge, hypothesis, now) = (question.desk.knowledge.clone(), self.hypothesis.clone(), question.now);
        let (judged, stored, before, after) = aside(move || {
            let first = before.assess(&knowledge.engine, |id| stored.get(&id), None, now)?;
            let verdicts = |id| first.get(&id).map(|state| &state.verdicts);
            let second = after.assess(&knowledge.engine, verdicts, Some(&hypothesis), now)?;
            Ok((before.judged, stored, first, second))
        })
        .await?;
        let (nothing, none) = (State::default(), Before::default());
        for resource in &judged {
            let compared = Compared {
                resource,
                stored: stored.get(&resource.id).unwrap_or(&none),
                before: before.get(&resource.id).unwrap_or(&nothing),
                after: after.get(&resource.id).unwrap_or(&nothing),
            };
            difference.add(&question.desk.knowledge.catalogue, &question.policies, &compared);
        }
        Ok(())
    }
}

impl Side {
    fn of(&self, judged: Vec<StoredResource>, children: Vec<StoredResource>) -> Self {
        Self { policy: self.policy.clone(), world: self.world.clone(), judged, children }
    }
}

/// The kinds that either policy judges.
fn kinds(before: &Policy, after: &Policy) -> BTreeSet<Kind> {
    before.judged_kinds().into_iter().chain(after.judged_kinds()).collect()
}
