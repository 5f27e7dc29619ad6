use std::collections::{BTreeSet, HashMap};

use rampart_content::{Catalogue, Choice, selects_control};
use rampart_domain::exemption::{Condition, Cover, Subject};
use rampart_domain::{ExemptionId, UnitId, hash_json};
use rampart_store::exemption::Selected;
use rampart_store::verdict::{PolicyInputs, StoredResource, UnitPlace};
use serde_json::{Value, json};

use crate::policy::custom;

/// The exemptions that may hold for something in a unit.
#[derive(Default)]
pub(crate) struct Exemptions {
    /// The oldest first: where several cover a finding, it is exempt by the oldest.
    all: Vec<Exemption>,
    /// Places in `all`, by control.
    by_control: HashMap<String, Vec<usize>>,
}

struct Exemption {
    id: ExemptionId,
    /// Ids of controls, or `prefix.*`.
    controls: Vec<String>,
    condition: Condition,
}

impl Exemptions {
    /// Works out which exemptions concern a unit. One that is about an initiative which does not exist any more is skipped
    /// and told in the log: it hides nothing.
    pub(crate) fn of(catalogue: &Catalogue, inputs: &PolicyInputs, unit: UnitId, place: &UnitPlace) -> Self {
        let concerned = inputs.exemptions.iter().filter(|row| row.concerns(unit, place));
        let all = concerned.filter_map(|row| {
            let controls = match &row.selected {
                Selected::Controls(controls) => controls.clone(),
                Selected::Initiative(name) => choices(catalogue, inputs, name)?,
            };
            Some(Exemption { id: row.id, controls, condition: row.condition.clone() })
        });
        Self { all: all.collect(), by_control: HashMap::new() }
    }

    /// Arranges them by the controls that are judged.
    pub(crate) fn arrange<'c>(&mut self, controls: impl IntoIterator<Item = &'c str>) {
        for control in controls {
            let about = |it: &Exemption| it.controls.iter().any(|pattern| selects_control(pattern, control));
            let places: Vec<usize> = (0..self.all.len()).filter(|index| about(&self.all[*index])).collect();
            if !places.is_empty() {
                self.by_control.insert(control.to_owned(), places);
            }
        }
    }

    /// Fingerprint of all that decides what is exempt; empty without any exemption.
    pub(crate) fn fingerprint(&self) -> Vec<u8> {
        if self.all.is_empty() {
            return Vec::new();
        }
        let all = self.all.iter().map(|it| json!([it.id, it.controls, it.condition])).collect();
        hash_json(&Value::Array(all)).0.to_vec()
    }

    /// The controls that any exemption is about.
    pub(crate) fn controls(&self) -> Vec<&str> {
        self.by_control.keys().map(String::as_str).collect()
    }

    /// Whether elements of resources matter to any.
    pub(crate) fn look_at_elements(&self) -> bool {
        self.all.iter().any(|it| it.condition.looks_at_elements())
    }

    /// Whether an exemption may still hold for something here.
    pub(crate) fn has(&self, id: ExemptionId) -> bool {
        self.all.iter().any(|it| it.id == id)
    }

    /// The exemption that covers all that violates a control, if there is one.
    pub(crate) fn covering(
        &self,
        control: &str,
        resource: &StoredResource,
        elements: &[String],
    ) -> Option<ExemptionId> {
        let about = self.by_control.get(control)?;
        let subject = Subject {
            account: resource.account.as_deref(),
            cluster: resource.cluster_id,
            namespace: resource.namespace.as_deref(),
            labels: resource.labels.as_object(),
            resource: resource.id,
            kind: resource.kind,
            name: &resource.name,
        };
        let mut about = about.iter().map(|index| &self.all[*index]);
        about.find(|it| it.condition.covers(&subject, elements) == Cover::Whole).map(|it| it.id)
    }
}

/// What an initiative selects, without its settings.
fn choices(catalogue: &Catalogue, inputs: &PolicyInputs, name: &str) -> Option<Vec<String>> {
    let own = inputs.initiatives.iter().find(|(own, _)| own == name);
    let own = own.and_then(|(name, definition)| custom(name, definition).ok());
    let initiative = own.as_ref().or_else(|| catalogue.initiative(name));
    if initiative.is_none() {
        tracing::warn!(initiative = name, "an exemption is about an initiative that does not exist");
    }
    let ids: BTreeSet<&String> = initiative?.controls.iter().map(|Choice { id, .. }| id).collect();
    Some(ids.into_iter().cloned().collect())
}
