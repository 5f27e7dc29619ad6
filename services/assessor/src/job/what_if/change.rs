use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rampart_content::Control;
use rampart_domain::{Kind, UnitId, Verdict, patch};
use rampart_store::job::what_if::{Change, Method};
use rampart_store::verdict::{self, StoredResource, UnitPlace};
use rampart_store::{TenantTx, finding, resource};
use serde_json::Value;
use uuid::Uuid;

use super::hypothesis::{Hypothesis, has_another_template};
use super::{Question, aside, refused};
use crate::assess::BATCH;
use crate::job::JobError;
use crate::policy::Policy;
use crate::world::{self, World};
use crate::{Knowledge, judge};

/// Resources that one question may change, those that follow included: they are kept in memory until it is answered.
const MOST: usize = 20_000;

/// A fix at one resource.
pub(super) struct Fix {
    pub(super) change: usize,
    pub(super) control: String,
    pub(super) resource: Uuid,
    pub(super) method: Method,
}

/// The hypothesis in the making.
#[derive(Default)]
pub(super) struct Changing {
    pub(super) hypothesis: Hypothesis,
    pub(super) fixes: Vec<Fix>,
}

/// A unit with what is judged in it.
struct Home {
    unit: UnitId,
    place: UnitPlace,
    policy: Arc<Policy>,
}

impl Changing {
    /// Makes one change. Those of policies are made already.
    pub(super) async fn make(
        &mut self,
        tx: &mut TenantTx,
        question: &mut Question<'_>,
        index: usize,
        change: &Change,
    ) -> Result<(), JobError> {
        match change {
            Change::Patch { resource_id, patch } => {
                let (unit, before) = self.resource(tx, question, index, *resource_id).await?;
                let mut config = before.config.clone();
                patch::apply(&mut config, patch)
                    .map_err(|error| refused(index, &format!("/patch/{}", error.index), &error.message))?;
                self.change(tx, index, unit, &[(before, config)]).await?;
            }
            Change::MergePatch { resource_id, patch } => {
                let (unit, before) = self.resource(tx, question, index, *resource_id).await?;
                let mut config = before.config.clone();
                patch::merge(&mut config, patch);
                self.change(tx, index, unit, &[(before, config)]).await?;
            }
            Change::Delete { resource_id } => {
                let (unit, resource) = self.resource(tx, question, index, *resource_id).await?;
                self.delete(tx, index, unit, resource).await?;
            }
            Change::Fix { control, resources } => {
                self.fix(tx, question, index, control, resources.as_deref()).await?;
            }
            Change::Assign { .. } | Change::Reassign { .. } | Change::Unassign { .. } | Change::Initiative { .. } => {}
        }
        if self.hypothesis.len() > MOST {
            return Err(refused(index, "", &format!("the changes reach more than {MOST} resources")));
        }
        Ok(())
    }

    /// A resource that the caller may see, as the changes before left it.
    async fn resource(
        &self,
        tx: &mut TenantTx,
        question: &Question<'_>,
        index: usize,
        id: Uuid,
    ) -> Result<(UnitId, StoredResource), JobError> {
        let none = || refused(index, "/resource_id", "there is no such resource");
        let known = resource::known(tx, &question.desk.visible, &[id]).await?;
        let unit = *known.get(&id).ok_or_else(none)?;
        let mut found = verdict::resources_by_id(tx, unit, &[id]).await?;
        self.hypothesis.impose(&mut found);
        Ok((unit, found.pop().ok_or_else(none)?))
    }

    /// Gives resources other configurations, and what they control with them.
    async fn change(
        &mut self,
        tx: &mut TenantTx,
        index: usize,
        unit: UnitId,
        changes: &[(StoredResource, Value)],
    ) -> Result<(), JobError> {
        for (before, config) in changes {
            self.hypothesis.change(unit, before, config.clone()).map_err(|why| refused(index, "", &why))?;
        }
        let rolling = changes.iter().filter(|(it, config)| has_another_template(it.kind, &it.config, config));
        let rolling: Vec<&(StoredResource, Value)> = rolling.collect();
        let owners: Vec<Uuid> = rolling.iter().map(|(before, _)| before.id).collect();
        if owners.is_empty() {
            return Ok(());
        }
        let mut children = verdict::children(tx, &owners).await?;
        self.hypothesis.impose(&mut children);
        for (before, after) in rolling {
            self.hypothesis.follow(unit, before, after, &children);
        }
        Ok(())
    }

    /// Takes a resource away, with what it controls and, for a namespace, what lies in it.
    async fn delete(
        &mut self,
        tx: &mut TenantTx,
        index: usize,
        unit: UnitId,
        resource: StoredResource,
    ) -> Result<(), JobError> {
        let kind = resource.kind;
        let whole = kind == Kind::K8sCluster
            || kind.is_cloud_cluster()
            || resource.cloud.parse().ok().and_then(Kind::account_of) == Some(kind);
        if whole {
            return Err(refused(index, "/resource_id", "a whole cluster or account cannot be taken away"));
        }
        let owner: Vec<Uuid> = resource.owner_id.into_iter().collect();
        if !verdict::existing(tx, &owner).await?.is_empty() {
            return Err(refused(index, "/resource_id", "what controls it would make it anew"));
        }
        let mut going = vec![resource];
        if kind == Kind::K8sNamespace {
            let inside = verdict::resource_page(tx, unit, Kind::ALL, Some(&going[0].name), None).await?;
            if inside.len() > MOST {
                return Err(refused(index, "", &format!("the changes reach more than {MOST} resources")));
            }
            going.extend(verdict::resources_by_id(tx, unit, &inside).await?);
        }
        let owners: Vec<Uuid> = going.iter().map(|resource| resource.id).collect();
        going.extend(verdict::children(tx, &owners).await?);
        for resource in &going {
            self.hypothesis.remove(unit, resource);
        }
        Ok(())
    }

    /// Carries out what a control recommends.
    async fn fix(
        &mut self,
        tx: &mut TenantTx,
        question: &mut Question<'_>,
        index: usize,
        control: &str,
        resources: Option<&[Uuid]>,
    ) -> Result<(), JobError> {
        if question.desk.knowledge.engine.version(control).is_none() {
            return Err(refused(index, "/control", "there is no such control"));
        }
        let ids = match resources {
            Some(ids) => ids.to_vec(),
            None => finding::unhealthy(tx, &question.reach, control, MOST as i64 + 1).await?,
        };
        if ids.len() > MOST {
            return Err(refused(
                index,
                "",
                &format!("more than {MOST} resources would be fixed: choose a smaller scope"),
            ));
        }
        let known = resource::known(tx, &question.desk.visible, &ids).await?;
        if let Some(place) = ids.iter().position(|id| resources.is_some() && !known.contains_key(id)) {
            return Err(refused(index, &format!("/resources/{place}"), "there is no such resource"));
        }
        let mut by_unit: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        for id in ids {
            let Some(unit) = known.get(&id) else { continue };
            by_unit.entry(unit.0).or_default().push(id);
        }
        for (unit, ids) in by_unit {
            let unit = UnitId(unit);
            let Some(place) = verdict::unit_place(tx, unit).await? else { continue };
            let (_, policy) = question.policies.of(tx, question.desk, unit, &place).await?;
            let home = Home { unit, place, policy: Arc::new(policy) };
            for batch in ids.chunks(BATCH) {
                self.fix_batch(tx, question, index, &home, (control, batch)).await?;
            }
        }
        Ok(())
    }

    async fn fix_batch(
        &mut self,
        tx: &mut TenantTx,
        question: &Question<'_>,
        index: usize,
        home: &Home,
        (control, ids): (&str, &[Uuid]),
    ) -> Result<(), JobError> {
        let mut found = verdict::resources_by_id(tx, home.unit, ids).await?;
        let mut children = verdict::children(tx, ids).await?;
        let (engine, at) = (&question.desk.knowledge.engine, (home.unit, &home.place));
        let judged = home.policy.judged_kinds().into_iter().collect();
        let controls = home.policy.controls();
        let mut neighbours = world::neighbours(tx, engine, at, (judged, &controls), Some(ids)).await?;
        let coverage = verdict::coverage_of(tx, home.unit, &home.place).await?;
        for list in [&mut found, &mut children, &mut neighbours.whole, &mut neighbours.outlines] {
            self.hypothesis.impose(list);
        }
        let world = World::new(neighbours, coverage, home.place.clone());
        let (knowledge, policy, now) = (question.desk.knowledge.clone(), home.policy.clone(), question.now);
        let id = control.to_owned();
        let mended = aside(move || {
            let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
            for child in children.iter().filter(|child| child.kind == Kind::K8sPod) {
                pods.entry(child.owner_id.unwrap_or_default()).or_default().push(child);
            }
            let Some(control) = knowledge.catalogue.control(&id) else { return Ok(Vec::new()) };
            let mut mended = Vec::with_capacity(found.len());
            for resource in found {
                let fix = judge::with_input(&world, &resource, &pods, now, |input| {
                    mend(&knowledge, control, &policy, input)
                })?;
                mended.push((resource, fix));
            }
            Ok(mended)
        })
        .await?;
        let mut patched = Vec::new();
        for (resource, fix) in mended {
            let method = match fix {
                Mending::None => Method::NotNeeded,
                Mending::Assumed => {
                    self.hypothesis.assume(home.unit, &resource, control);
                    Method::Assumed
                }
                Mending::Patched(config) => {
                    let id = resource.id;
                    patched.push((resource, config));
                    self.fixes.push(Fix {
                        change: index,
                        control: control.to_owned(),
                        resource: id,
                        method: Method::Patched,
                    });
                    continue;
                }
            };
            self.fixes.push(Fix { change: index, control: control.to_owned(), resource: resource.id, method });
        }
        self.change(tx, index, home.unit, &patched).await
    }
}

/// What carrying out a remediation comes to.
enum Mending {
    None,
    Assumed,
    Patched(Value),
}

/// Lays the control's patch over everything that violates it.
fn mend(knowledge: &Knowledge, control: &Control, policy: &Policy, input: &rampart_posture::Input<'_>) -> Mending {
    let checks = policy.checks_in(input.facts.namespace).of(input.facts.kind);
    let mut config = input.config.clone();
    let (mut unhealthy, mut patched) = (false, true);
    for check in checks.filter(|check| check.control_id == control.id) {
        if !matches!(knowledge.engine.judge(check, input), Verdict::Unhealthy(_)) {
            continue;
        }
        unhealthy = true;
        let remedy = control.variant(input.facts.kind).and_then(|variant| variant.remediation.patch.as_ref());
        let pointers = knowledge.engine.violating(check, input);
        patched &= remedy.is_some() && !pointers.is_empty();
        let Some(remedy) = remedy else { continue };
        for pointer in &pointers {
            if let Some(element) = config.pointer_mut(pointer) {
                patch::merge(element, remedy);
            }
        }
    }
    match (unhealthy, patched) {
        (false, _) => Mending::None,
        (true, true) => Mending::Patched(config),
        (true, false) => Mending::Assumed,
    }
}
