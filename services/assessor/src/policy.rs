use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_content::{Catalogue, Choice, Initiative, is_custom, selects_control};
use rampart_domain::{ConfigHash, Kind, UnitId, hash_json};
use rampart_posture::{Check, CheckSet, Engine, Selection, resolve};
use rampart_store::AccessScope;
use rampart_store::verdict::{AssignmentRow, CheckIdentity, PolicyInputs, UnitPlace};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::exempt::Exemptions;

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
    /// Fingerprint of all that decides verdicts besides resources: catalogue version, then assignments with what is turned
    /// off, then exemptions where there are any.
    pub(crate) inputs: Vec<u8>,
    /// What is exempt.
    pub(crate) exemptions: Exemptions,
    /// Causes for which a control says nothing about a kind, where it names several.
    causes: HashMap<String, HashMap<Kind, Vec<String>>>,
}

/// Bytes of the inputs that decide how anything is judged; the rest decides what of it is exempt.
const JUDGING: usize = 32;

/// An assignment that holds somewhere in the unit.
pub(crate) struct Applied {
    selections: Vec<Selection>,
    namespace: Option<String>,
    excluded: Vec<String>,
}

/// A control, or a family of them, that is turned off in the unit or in one namespace of it.
struct Off<'a> {
    control: &'a str,
    namespace: Option<&'a String>,
}

/// What holds in the unit; namespaces choose from it.
struct Rules<'a> {
    engine: &'a Engine,
    applied: Vec<Applied>,
    off: Vec<Off<'a>>,
    /// Sets by what they are made of: places in `applied` and in `off`.
    known: HashMap<(Vec<usize>, Vec<usize>), usize>,
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
        let covering = inputs.assignments.iter().filter(|assignment| covers(&assignment.scope, unit, place));
        let applied: Vec<Applied> =
            covering.filter_map(|assignment| apply(catalogue, engine, inputs, assignment)).collect();
        let disabled = inputs.disabled.iter().filter(|row| covers(&row.scope, unit, place));
        let off: Vec<Off<'_>> =
            disabled.map(|row| Off { control: &row.control, namespace: namespace_of(&row.scope) }).collect();
        let mut exemptions = Exemptions::of(catalogue, inputs, unit, place);
        let mut policy = Self {
            sets: Vec::new(),
            default: 0,
            by_namespace: HashMap::new(),
            checks: Vec::new(),
            ordinals: HashMap::new(),
            inputs: [fingerprint(catalogue, &applied, &off), exemptions.fingerprint()].concat(),
            exemptions: Exemptions::default(),
            causes: HashMap::new(),
        };
        let mut rules = Rules { engine, applied, off, known: HashMap::new() };
        policy.default = policy.set_for(&mut rules, None)?;
        let of_assignments = rules.applied.iter().flat_map(|a| a.namespace.iter().chain(&a.excluded));
        let singled_out: BTreeSet<String> =
            of_assignments.chain(rules.off.iter().filter_map(|off| off.namespace)).cloned().collect();
        for namespace in singled_out {
            let set = policy.set_for(&mut rules, Some(&namespace))?;
            policy.by_namespace.insert(namespace, set);
        }
        let all = policy.sets.iter().flat_map(CheckSet::checks);
        let mut identities: Vec<CheckIdentity> = all.map(identity).collect();
        identities.sort_by(|a, b| (&a.control_id, &a.params_hash).cmp(&(&b.control_id, &b.params_hash)));
        identities.dedup_by(|a, b| a.control_id == b.control_id && a.params_hash == b.params_hash);
        policy.checks = identities;
        exemptions.arrange(policy.controls());
        policy.causes =
            policy.controls().into_iter().filter_map(|id| Some((id.to_owned(), causes(catalogue, id)?))).collect();
        policy.exemptions = exemptions;
        Ok(policy)
    }

    fn set_for(
        &mut self,
        rules: &mut Rules<'_>,
        namespace: Option<&String>,
    ) -> Result<usize, rampart_posture::SelectionError> {
        let (applied, off) = (&rules.applied, &rules.off);
        let holds = |a: &Applied| match (&a.namespace, namespace) {
            (None, None) => true,
            (None, Some(namespace)) => !a.excluded.contains(namespace),
            (Some(own), Some(namespace)) => own == namespace && !a.excluded.contains(namespace),
            (Some(_), None) => false,
        };
        let chosen: Vec<usize> = (0..applied.len()).filter(|index| holds(&applied[*index])).collect();
        let is_off = |off: &Off<'_>| off.namespace.is_none() || off.namespace == namespace;
        let without: Vec<usize> = (0..off.len()).filter(|index| is_off(&off[*index])).collect();
        let made_of = (chosen, without);
        if let Some(set) = rules.known.get(&made_of) {
            return Ok(*set);
        }
        let (chosen, without) = &made_of;
        let on = |selection: &&Selection| {
            !without.iter().any(|index| selects_control(off[*index].control, &selection.control_id))
        };
        let selections: Vec<Selection> =
            chosen.iter().flat_map(|index| applied[*index].selections.iter().filter(on).cloned()).collect();
        self.sets.push(rules.engine.checks(&selections)?);
        rules.known.insert(made_of, self.sets.len() - 1);
        Ok(self.sets.len() - 1)
    }

    /// What is judged when these selections apply everywhere, to be told and not stored.
    pub(crate) fn of_selections(
        engine: &Engine,
        selections: &[Selection],
    ) -> Result<Self, rampart_posture::SelectionError> {
        let set = engine.checks(selections)?;
        let checks: Vec<CheckIdentity> = set.checks().iter().map(identity).collect();
        let ordinals: Vec<i32> = (0..).take(checks.len()).collect();
        let (sets, by_namespace) = (vec![set], HashMap::new());
        let mut policy = Self {
            sets,
            default: 0,
            by_namespace,
            checks,
            ordinals: HashMap::new(),
            inputs: Vec::new(),
            exemptions: Exemptions::default(),
            causes: HashMap::new(),
        };
        policy.set_ordinals(&ordinals);
        Ok(policy)
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

    /// Fingerprint of what decides how anything is judged.
    pub(crate) fn judging(&self) -> &[u8] {
        &self.inputs[..JUDGING]
    }

    /// Whether `inputs`, those of an earlier assessment, judged as these do.
    pub(crate) fn judges_as(&self, inputs: &[u8]) -> bool {
        inputs.get(..JUDGING) == Some(self.judging())
    }

    /// Which of the causes that a control names for a kind a text is; the first where it names no other.
    pub(crate) fn cause_number(&self, control: &str, kind: Kind, cause: &str) -> usize {
        let causes = self.causes.get(control).and_then(|kinds| kinds.get(&kind));
        causes.and_then(|causes| causes.iter().position(|other| other == cause)).unwrap_or_default()
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

/// The causes for which a control says nothing, for kinds with several; `None` without any such kind.
fn causes(catalogue: &Catalogue, control: &str) -> Option<HashMap<Kind, Vec<String>>> {
    let control = catalogue.control(control)?;
    let several = control.variants.iter().filter(|variant| variant.not_applicable.len() > 1);
    let by_kind = several.flat_map(|variant| {
        let causes: Vec<String> = variant.not_applicable.iter().map(|guard| guard.cause.clone()).collect();
        variant.judged().iter().map(|kind| (*kind, causes.clone())).collect::<Vec<_>>()
    });
    let by_kind: HashMap<Kind, Vec<String>> = by_kind.collect();
    (!by_kind.is_empty()).then_some(by_kind)
}

const fn namespace_of(scope: &AccessScope) -> Option<&String> {
    match scope {
        AccessScope::Namespace(_, namespace) => Some(namespace),
        _ => None,
    }
}

fn covers(scope: &AccessScope, unit: UnitId, place: &UnitPlace) -> bool {
    match scope {
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
    let resolved = resolve(catalogue, initiative, &params).and_then(|mut selections| {
        // What comes with the product selects nothing that a customer wrote, however wide its prefixes are.
        selections.retain(|selection| custom.is_some() || !is_custom(&selection.control_id));
        engine.checks(&selections)?;
        Ok(selections)
    });
    let selections = resolved
        .inspect_err(|error| tracing::warn!(initiative = assignment.initiative, error = %error, "assignment skipped"))
        .ok()?;
    let namespace = namespace_of(&assignment.scope).cloned();
    Some(Applied { selections, namespace, excluded: assignment.excluded_namespaces.clone() })
}

/// A customer's initiative as the store keeps it: without what only the built-in ones have.
pub(crate) fn custom(name: &str, definition: &Value) -> Result<Initiative, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Definition {
        description: String,
        controls: Vec<Choice>,
    }
    let Definition { description, controls } = Definition::deserialize(definition)?;
    let (id, title, parameters) = (name.to_owned(), name.to_owned(), BTreeMap::default());
    Ok(Initiative { id, version: 1, title, description, framework: None, parameters, controls })
}

fn fingerprint(catalogue: &Catalogue, applied: &[Applied], off: &[Off<'_>]) -> Vec<u8> {
    let mut holding: Vec<Value> = applied
        .iter()
        .map(|a| {
            let selections: Vec<Value> =
                a.selections.iter().map(|s| json!([s.control_id, s.params, s.severity])).collect();
            json!([a.namespace, a.excluded, selections])
        })
        .collect();
    holding.extend(off.iter().map(|off| json!({"off": off.control, "namespace": off.namespace})));
    [version(catalogue, applied).0, hash_json(&Value::Array(holding)).0].concat()
}

/// Fingerprint of the product's controls, and of those of the customer's that are selected.
fn version(catalogue: &Catalogue, applied: &[Applied]) -> ConfigHash {
    let selected = applied.iter().flat_map(|applied| &applied.selections).map(|selection| &*selection.control_id);
    let custom: BTreeSet<&str> = selected.filter(|id| is_custom(id)).collect();
    if custom.is_empty() {
        return catalogue.version();
    }
    let versions: Vec<Value> =
        custom.iter().map(|id| json!([id, catalogue.control_version(id).map(|hash| hash.to_string())])).collect();
    hash_json(&json!([catalogue.version().to_string(), versions]))
}
