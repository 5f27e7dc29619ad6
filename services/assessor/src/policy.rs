use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_content::{Catalogue, Choice, Initiative};
use rampart_domain::{Kind, UnitId, hash_json};
use rampart_posture::{Check, CheckSet, Engine, Selection, resolve};
use rampart_store::AccessScope;
use rampart_store::verdict::{AssignmentRow, CheckIdentity, PolicyInputs, UnitPlace};
use serde::Deserialize as _;
use serde_json::{Value, json};

/// Which checks apply to which resources of a unit.
pub(crate) struct Policy {
    /// One set per distinct combination of assignments; namespaces choose among them.
    sets: Vec<CheckSet>,
    /// Set for resources without a namespace and for namespaces that nothing singles out.
    default: usize,
    by_namespace: HashMap<String, usize>,
    /// Identity of every check in any set.
    pub(crate) checks: Vec<CheckIdentity>,
    ordinals: HashMap<(String, [u8; 16]), i32>,
    /// Fingerprint of all that decides verdicts besides resources: catalogue version, then assignments.
    pub(crate) inputs: Vec<u8>,
}

/// An assignment that holds somewhere in the unit.
pub(crate) struct Applied {
    selections: Vec<Selection>,
    namespace: Option<String>,
    excluded: Vec<String>,
}

impl Policy {
    /// Works out what applies in a unit. Assignments that no longer resolve (an initiative was removed, a parameter
    /// renamed) are skipped and told in the log: one bad assignment must not stop the others.
    pub(crate) fn of(
        catalogue: &Catalogue,
        engine: &Engine,
        inputs: &PolicyInputs,
        unit: UnitId,
        place: &UnitPlace,
    ) -> Result<Self, rampart_posture::SelectionError> {
        let covering = inputs.assignments.iter().filter(|assignment| covers(assignment, unit, place));
        let applied: Vec<Applied> =
            covering.filter_map(|assignment| apply(catalogue, engine, inputs, assignment)).collect();
        let mut policy = Self {
            sets: Vec::new(),
            default: 0,
            by_namespace: HashMap::new(),
            checks: Vec::new(),
            ordinals: HashMap::new(),
            inputs: fingerprint(catalogue, &applied),
        };
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        policy.default = policy.set_for(engine, &applied, None, &mut known)?;
        let singled_out: BTreeSet<&String> =
            applied.iter().flat_map(|a| a.namespace.iter().chain(&a.excluded)).collect();
        for namespace in singled_out {
            let set = policy.set_for(engine, &applied, Some(namespace), &mut known)?;
            policy.by_namespace.insert(namespace.clone(), set);
        }
        let all = policy.sets.iter().flat_map(CheckSet::checks);
        let mut identities: Vec<CheckIdentity> = all.map(identity).collect();
        identities.sort_by(|a, b| (&a.control_id, &a.params_hash).cmp(&(&b.control_id, &b.params_hash)));
        identities.dedup_by(|a, b| a.control_id == b.control_id && a.params_hash == b.params_hash);
        policy.checks = identities;
        Ok(policy)
    }

    fn set_for(
        &mut self,
        engine: &Engine,
        applied: &[Applied],
        namespace: Option<&String>,
        known: &mut HashMap<Vec<usize>, usize>,
    ) -> Result<usize, rampart_posture::SelectionError> {
        let holds = |a: &Applied| match (&a.namespace, namespace) {
            (None, None) => true,
            (None, Some(namespace)) => !a.excluded.contains(namespace),
            (Some(own), Some(namespace)) => own == namespace && !a.excluded.contains(namespace),
            (Some(_), None) => false,
        };
        let chosen: Vec<usize> = (0..applied.len()).filter(|index| holds(&applied[*index])).collect();
        if let Some(set) = known.get(&chosen) {
            return Ok(*set);
        }
        let selections: Vec<Selection> =
            chosen.iter().flat_map(|index| applied[*index].selections.iter().cloned()).collect();
        self.sets.push(engine.checks(&selections)?);
        known.insert(chosen, self.sets.len() - 1);
        Ok(self.sets.len() - 1)
    }

    /// Gives each check the ordinal under which the store knows it; same order as `checks`.
    pub(crate) fn set_ordinals(&mut self, ordinals: &[i32]) {
        self.ordinals = self
            .checks
            .iter()
            .zip(ordinals)
            .map(|(check, ordinal)| {
                let hash = check.params_hash.as_slice().try_into().expect("hashes have sixteen bytes");
                ((check.control_id.clone(), hash), *ordinal)
            })
            .collect();
    }

    pub(crate) fn ordinal(&self, check: &Check) -> i32 {
        self.ordinals[&(check.control_id.clone(), check.params_hash.0)]
    }

    /// The checks for resources of a namespace, or without one.
    pub(crate) fn checks_in(&self, namespace: Option<&str>) -> &CheckSet {
        let set = namespace.and_then(|namespace| self.by_namespace.get(namespace)).unwrap_or(&self.default);
        &self.sets[*set]
    }

    /// The controls that any check is of.
    pub(crate) fn controls(&self) -> BTreeSet<&str> {
        self.checks.iter().map(|check| check.control_id.as_str()).collect()
    }

    /// Kinds that any check judges.
    pub(crate) fn judged_kinds(&self) -> Vec<Kind> {
        Kind::ALL.iter().copied().filter(|kind| self.sets.iter().any(|set| set.of(*kind).len() > 0)).collect()
    }
}

fn identity(check: &Check) -> CheckIdentity {
    CheckIdentity {
        control_id: check.control_id.clone(),
        params_hash: check.params_hash.0.to_vec(),
        params: check.params.clone(),
    }
}

fn covers(assignment: &AssignmentRow, unit: UnitId, place: &UnitPlace) -> bool {
    match &assignment.scope {
        AccessScope::Tenant => true,
        AccessScope::Account(account) => place.account.as_ref() == Some(account),
        AccessScope::Cluster(cluster) | AccessScope::Namespace(cluster, _) => UnitId::from(*cluster) == unit,
    }
}

/// What an assignment comes to; `None` when it does not resolve.
pub(crate) fn apply(
    catalogue: &Catalogue,
    engine: &Engine,
    inputs: &PolicyInputs,
    assignment: &AssignmentRow,
) -> Option<Applied> {
    let own = inputs.initiatives.iter().find(|(name, _)| *name == assignment.initiative);
    let custom = own.map(|(name, definition)| custom(name, definition)).transpose();
    let custom = custom
        .inspect_err(|error| tracing::error!(initiative = assignment.initiative, error = %error, "assignment skipped"))
        .ok()?;
    let initiative = custom.as_ref().or_else(|| catalogue.initiative(&assignment.initiative));
    let Some(initiative) = initiative else {
        tracing::warn!(initiative = assignment.initiative, "an assignment names an initiative that does not exist");
        return None;
    };
    let params = assignment.params.as_object().cloned().unwrap_or_default();
    let resolved = resolve(catalogue, initiative, &params).and_then(|selections| {
        engine.checks(&selections)?;
        Ok(selections)
    });
    let selections = resolved
        .inspect_err(|error| tracing::warn!(initiative = assignment.initiative, error = %error, "assignment skipped"))
        .ok()?;
    let namespace = match &assignment.scope {
        AccessScope::Namespace(_, namespace) => Some(namespace.clone()),
        _ => None,
    };
    Some(Applied { selections, namespace, excluded: assignment.excluded_namespaces.clone() })
}

/// A customer's initiative as the store keeps it: without what only the built-in ones have.
fn custom(name: &str, definition: &Value) -> Result<Initiative, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Definition {
        description: String,
        controls: Vec<Choice>,
    }
    let Definition { description, controls } = Definition::deserialize(definition)?;
    let (id, title, parameters) = (name.to_owned(), name.to_owned(), BTreeMap::default());
    Ok(Initiative { id, version: 1, title, description, framework: None, parameters, controls })
}

fn fingerprint(catalogue: &Catalogue, applied: &[Applied]) -> Vec<u8> {
    let assignments: Vec<Value> = applied
        .iter()
        .map(|a| {
            let selections: Vec<Value> =
                a.selections.iter().map(|s| json!([s.control_id, s.params, s.severity])).collect();
            json!([a.namespace, a.excluded, selections])
        })
        .collect();
    [catalogue.version().0, hash_json(&Value::Array(assignments)).0].concat()
}
