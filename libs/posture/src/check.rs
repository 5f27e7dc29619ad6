use std::collections::HashMap;

use rampart_content::{Catalogue, Initiative, Parameter, handed_on};
use rampart_domain::{ConfigHash, Kind, Severity, hash_json};
use serde_json::{Map, Value};

use crate::engine::Engine;

/// A control with the settings that an assignment gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The control.
    pub control_id: String,
    /// Parameters other than the defaults: a JSON object.
    pub params: Value,
    /// Severity other than the control's own.
    pub severity: Option<Severity>,
}

/// A control with effective parameters: what is evaluated, and half of a finding's identity.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The control.
    pub control_id: String,
    pub(crate) control: usize,
    /// Effective parameters, defaults filled in.
    pub params: Value,
    /// Fingerprint of the effective parameters; the same for equal parameters on every machine and in every release.
    pub params_hash: ConfigHash,
    /// Effective severity.
    pub severity: Severity,
}

/// Checks, arranged by the kind that they judge.
#[derive(Debug, Clone, Default)]
pub struct CheckSet {
    pub(crate) checks: Vec<Check>,
    pub(crate) by_kind: HashMap<Kind, Vec<usize>>,
}

impl CheckSet {
    /// Every check.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// The checks that judge resources of `kind`.
    pub fn of(&self, kind: Kind) -> impl ExactSizeIterator<Item = &Check> {
        self.by_kind.get(&kind).map_or(&[][..], Vec::as_slice).iter().map(|index| &self.checks[*index])
    }
}

/// A selection that cannot be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// No control has this id.
    #[error("no control `{control}`")]
    UnknownControl {
        /// The id.
        control: String,
    },
    /// Parameters are not a JSON object.
    #[error("parameters of `{control}` are not an object")]
    NotAnObject {
        /// The control, or the initiative.
        control: String,
    },
    /// The control, or the initiative, declares no such parameter.
    #[error("`{control}` has no parameter `{parameter}`")]
    UnknownParameter {
        /// The control, or the initiative.
        control: String,
        /// The parameter.
        parameter: String,
    },
    /// The value has the wrong type.
    #[error("parameter `{parameter}` of `{control}` is not a {wanted}")]
    WrongType {
        /// The control, or the initiative.
        control: String,
        /// The parameter.
        parameter: String,
        /// What it should be, in words.
        wanted: &'static str,
    },
}

/// What an initiative selects, with the parameters of an assignment laid over its own: a JSON object per control id, and
/// one under the initiative's own id for the parameters that its lines hand on.
///
/// A later line of the initiative replaces an earlier one for the same control. What is said of a control outweighs what
/// the initiative hands on. Fails on parameters for controls that the initiative does not select.
pub fn resolve(
    catalogue: &Catalogue,
    initiative: &Initiative,
    params: &Map<String, Value>,
) -> Result<Vec<Selection>, SelectionError> {
    let handed = initiative_params(initiative, params)?;
    let mut selections = Vec::new();
    for control in catalogue.controls() {
        let Some(choice) = initiative.controls.iter().rev().find(|choice| choice.selects(&control.id)) else {
            continue;
        };
        let value = |own: &Value| handed_on(own).and_then(|name| handed.get(name)).unwrap_or(own).clone();
        let mut effective: Map<String, Value> =
            choice.params.iter().map(|(name, own)| (name.clone(), value(own))).collect();
        if let Some(own) = params.get(&control.id) {
            let own = own.as_object().ok_or_else(|| SelectionError::NotAnObject { control: control.id.clone() })?;
            effective.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        let params = Value::Object(effective);
        selections.push(Selection { control_id: control.id.clone(), params, severity: choice.severity });
    }
    let known = |id: &String| *id == initiative.id || selections.iter().any(|selection| selection.control_id == *id);
    if let Some(stray) = params.keys().find(|id| !known(id)) {
        return Err(SelectionError::UnknownControl { control: stray.clone() });
    }
    Ok(selections)
}

/// The parameters of the initiative itself, defaults filled in.
fn initiative_params(
    initiative: &Initiative,
    params: &Map<String, Value>,
) -> Result<Map<String, Value>, SelectionError> {
    match params.get(&initiative.id) {
        None => effective(&initiative.id, &initiative.parameters, &Map::new()),
        Some(Value::Object(given)) => effective(&initiative.id, &initiative.parameters, given),
        Some(_) => Err(SelectionError::NotAnObject { control: initiative.id.clone() }),
    }
}

/// What is given, checked against what `owner` declares, with defaults for the rest.
pub(crate) fn effective<'p>(
    owner: &str,
    declared: impl IntoIterator<Item = (&'p String, &'p Parameter)> + Copy,
    given: &Map<String, Value>,
) -> Result<Map<String, Value>, SelectionError> {
    let mut params: Map<String, Value> =
        declared.into_iter().map(|(name, parameter)| (name.clone(), parameter.default.clone())).collect();
    for (name, value) in given {
        let (control, parameter) = (owner.to_owned(), name.clone());
        let Some((_, known)) = declared.into_iter().find(|(known, _)| *known == name) else {
            return Err(SelectionError::UnknownParameter { control, parameter });
        };
        if !known.r#type.accepts(value) {
            return Err(SelectionError::WrongType { control, parameter, wanted: known.r#type.as_str() });
        }
        params.insert(parameter, value.clone());
    }
    Ok(params)
}

impl Engine {
    /// Prepares selections for evaluation: parameters are checked against the declared types and defaults filled in.
    /// Selections that come to the same control and parameters become one check, with the worse severity.
    pub fn checks(&self, selections: &[Selection]) -> Result<CheckSet, SelectionError> {
        let mut set = CheckSet::default();
        let mut known = HashMap::new();
        for selection in selections {
            let check = self.check(selection)?;
            let index = *known.entry((check.control, check.params_hash)).or_insert(set.checks.len());
            match set.checks.get_mut(index) {
                Some(same) => same.severity = same.severity.max(check.severity),
                None => set.checks.push(check),
            }
        }
        for (index, check) in set.checks.iter().enumerate() {
            for kind in &self.controls[check.control].kinds {
                set.by_kind.entry(*kind).or_default().push(index);
            }
        }
        Ok(set)
    }

    fn check(&self, selection: &Selection) -> Result<Check, SelectionError> {
        let control = || selection.control_id.clone();
        let index = self.by_id.get(&selection.control_id).copied();
        let index = index.ok_or_else(|| SelectionError::UnknownControl { control: control() })?;
        let compiled = &self.controls[index];
        let given = selection.params.as_object().ok_or_else(|| SelectionError::NotAnObject { control: control() })?;
        let params = effective(&selection.control_id, &compiled.parameters, given)?;
        let params = Value::Object(params);
        Ok(Check {
            control_id: control(),
            control: index,
            params_hash: hash_json(&params),
            params,
            severity: selection.severity.unwrap_or(compiled.severity),
        })
    }
}
