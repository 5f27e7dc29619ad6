use std::collections::HashMap;

use rampart_content::Catalogue;
use rampart_domain::{AssignmentId, UnitId};
use rampart_store::assignment::{self, Assignment};
use rampart_store::job::what_if::{Assigned, Change};
use rampart_store::verdict::{self, AssignmentRow, CheckIdentity, PolicyInputs, UnitPlace};
use rampart_store::{TenantTx, plan};
use serde_json::{Value, json};

use super::{failed, refused};
use crate::counting::{Groups, Member};
use crate::job::{Desk, JobError};
use crate::policy::{self, Policy};

/// What decides which checks apply, as it is and as it would be.
pub(super) struct Policies {
    before: PolicyInputs,
    after: PolicyInputs,
    /// Whether the two may differ.
    pub(super) differ: bool,
    checks: Checks,
}

/// Ordinals of checks: those that the store gave, and for new ones passing numbers behind them.
struct Checks {
    ordinals: HashMap<(String, Vec<u8>), i32>,
    known: HashMap<i32, CheckIdentity>,
    groups: Groups,
}

/// An assignment with what it is known by.
struct Named {
    id: Option<AssignmentId>,
    enabled: bool,
    row: AssignmentRow,
    /// The change that it comes from.
    change: Option<usize>,
}

impl Policies {
    /// Reads policies and lays the changes over them.
    pub(super) async fn new(tx: &mut TenantTx, desk: &Desk<'_>, changes: &[Change]) -> Result<Self, JobError> {
        let before = verdict::policy_inputs(tx).await?;
        let mut all = assignment::all(tx).await?;
        all.sort_by_key(|assignment| assignment.id);
        let mut named: Vec<Named> = all.into_iter().map(Named::from).collect();
        let mut initiatives = before.initiatives.clone();
        let (mut differ, mut remade) = (false, HashMap::new());
        for (index, change) in changes.iter().enumerate() {
            match change {
                Change::Patch { .. } | Change::MergePatch { .. } | Change::Delete { .. } | Change::Fix { .. } => {
                    continue;
                }
                Change::Assign { assignment } => named.push(Named::of(None, index, assignment)),
                Change::Reassign { assignment_id, assignment } => {
                    let place = place(tx, desk, index, &named, *assignment_id).await?;
                    named[place] = Named::of(Some(*assignment_id), index, assignment);
                }
                Change::Unassign { assignment_id } => {
                    let place = place(tx, desk, index, &named, *assignment_id).await?;
                    named.remove(place);
                }
                Change::Initiative { name, controls } => {
                    if desk.knowledge.catalogue.initiative(name).is_some() {
                        return Err(refused(index, "/name", "is the id of a built-in initiative"));
                    }
                    initiatives.retain(|(own, _)| own != name);
                    initiatives.push((name.clone(), json!({"description": "", "controls": controls})));
                    initiatives.sort_by(|one, two| one.0.cmp(&two.0));
                    remade.insert(name.clone(), index);
                }
            }
            differ = true;
        }
        let (catalogue, engine) = (&desk.knowledge.catalogue, &desk.knowledge.engine);
        let rows = named.iter().filter(|it| it.enabled).map(|it| it.row.clone()).collect();
        let after = PolicyInputs { assignments: rows, initiatives, ..before.clone() };
        for own in named.iter().filter(|it| it.enabled) {
            let change = own.change.or_else(|| remade.get(&own.row.initiative).copied());
            let Some(index) = change else { continue };
            if policy::apply(catalogue, engine, &after, &own.row).is_none() {
                let why = format!("no assignment of `{}` with these parameters can be evaluated", own.row.initiative);
                return Err(refused(index, "", &why));
            }
        }
        let checks = Checks::new(tx, catalogue).await?;
        Ok(Self { before, after, differ, checks })
    }

    /// What applies in a unit, as it is and as it would be.
    pub(super) async fn of(
        &mut self,
        tx: &mut TenantTx,
        desk: &Desk<'_>,
        unit: UnitId,
        place: &UnitPlace,
    ) -> Result<(Policy, Policy), JobError> {
        let (catalogue, engine) = (&desk.knowledge.catalogue, &desk.knowledge.engine);
        let judged = plan::is_judged(tx, unit, place).await?;
        let mut policy = |inputs: &PolicyInputs| -> Result<Policy, JobError> {
            let nothing = PolicyInputs { assignments: Vec::new(), ..inputs.clone() };
            let inputs = if judged { inputs } else { &nothing };
            let mut policy = Policy::of(catalogue, engine, inputs, unit, place).map_err(failed)?;
            policy.set_ordinals(&self.checks.give(catalogue, &policy.checks));
            Ok(policy)
        };
        Ok((policy(&self.before)?, policy(&self.after)?))
    }

    /// The control and parameters behind an ordinal.
    pub(super) fn check(&self, ordinal: i32) -> Option<&CheckIdentity> {
        self.checks.known.get(&ordinal)
    }

    /// The score group of every ordinal.
    pub(super) fn groups(&self) -> &Groups {
        &self.checks.groups
    }
}

/// Where an assignment stands that the caller may see.
async fn place(
    tx: &mut TenantTx,
    desk: &Desk<'_>,
    index: usize,
    named: &[Named],
    id: AssignmentId,
) -> Result<usize, JobError> {
    let none = || refused(index, "/assignment_id", "there is no such assignment");
    let place = named.iter().position(|it| it.id == Some(id)).ok_or_else(none)?;
    let seen = assignment::is_visible(tx, &desk.visible, &named[place].row.scope).await?;
    if seen { Ok(place) } else { Err(none()) }
}

impl Named {
    fn of(id: Option<AssignmentId>, change: usize, assigned: &Assigned) -> Self {
        let params = if assigned.params.is_null() { json!({}) } else { assigned.params.clone() };
        let row = AssignmentRow {
            initiative: assigned.initiative.clone(),
            scope: assigned.scope.clone().into(),
            params,
            excluded_namespaces: assigned.excluded_namespaces.clone(),
        };
        Self { id, enabled: true, row, change: Some(change) }
    }
}

impl From<Assignment> for Named {
    fn from(own: Assignment) -> Self {
        let row = AssignmentRow {
            initiative: own.initiative,
            scope: own.scope,
            params: own.params,
            excluded_namespaces: own.excluded_namespaces,
        };
        Self { id: Some(own.id), enabled: own.enabled, row, change: None }
    }
}

impl Checks {
    async fn new(tx: &mut TenantTx, catalogue: &Catalogue) -> Result<Self, JobError> {
        let ordinals = verdict::check_ordinals(tx).await?;
        let member = |id: &String| {
            let group = catalogue.control(id)?.group.clone();
            Some(Member { control: id.clone(), group })
        };
        let groups = ordinals.iter().filter_map(|((control, _), ordinal)| Some((*ordinal, member(control)?)));
        let nameless = |control: &String, hash: &Vec<u8>| CheckIdentity {
            control_id: control.clone(),
            params_hash: hash.clone(),
            params: Value::Null,
        };
        let known = ordinals.iter().map(|((control, hash), ordinal)| (*ordinal, nameless(control, hash)));
        Ok(Self { groups: groups.collect(), known: known.collect(), ordinals })
    }

    /// The ordinal of each check.
    fn give(&mut self, catalogue: &Catalogue, checks: &[CheckIdentity]) -> Vec<i32> {
        let mut next = self.known.keys().max().map_or(0, |max| max + 1);
        let mut given = Vec::with_capacity(checks.len());
        for check in checks {
            let key = (check.control_id.clone(), check.params_hash.clone());
            let ordinal = *self.ordinals.entry(key).or_insert_with(|| {
                next += 1;
                next - 1
            });
            if let Some(control) = catalogue.control(&check.control_id) {
                self.groups.insert(ordinal, Member { control: control.id.clone(), group: control.group.clone() });
            }
            self.known.insert(ordinal, check.clone());
            given.push(ordinal);
        }
        given
    }
}
