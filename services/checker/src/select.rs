//! What is judged: initiatives, controls and their parameters, as a command line names them.

use std::collections::HashSet;

use rampart_content::{Catalogue, Choice, Control, Initiative, KindSelector, ParameterType};
use rampart_domain::Family;
use rampart_posture::{CheckSet, Engine, Selection, resolve};
use serde_json::{Map, Value};

/// What holds when nothing is named.
const DEFAULT_INITIATIVE: &str = "rampart-default";

/// Names of what is to be judged.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'w> {
    /// Initiatives by id.
    pub(crate) initiatives: &'w [String],
    /// Controls by id, or `prefix.*`.
    pub(crate) controls: &'w [String],
    /// `<control or initiative>.<parameter>=<value>`.
    pub(crate) params: &'w [String],
    /// Whether nothing named means the default initiative.
    pub(crate) or_default: bool,
}

/// A parameter that was set.
struct Param<'w> {
    owner: &'w str,
    name: &'w str,
    value: Value,
    text: &'w str,
    used: bool,
}

/// Prepares what is wanted, as far as it judges objects of Kubernetes.
///
/// # Errors
/// Every name that nothing has, with the one that is most like it; parameters that nothing selected has.
pub(crate) fn select(catalogue: &Catalogue, wanted: &Wanted<'_>) -> Result<(Engine, CheckSet), Vec<String>> {
    let mut problems = Vec::new();
    let mut params = Vec::new();
    for text in wanted.params {
        match parameter(catalogue, text) {
            Ok(param) => params.push(param),
            Err(problem) => problems.push(problem),
        }
    }
    let mut selections = Vec::new();
    for initiative in initiatives(catalogue, wanted, &mut problems) {
        match resolve(catalogue, initiative, &parameters_of(catalogue, initiative, &mut params)) {
            Ok(found) => selections.extend(found),
            Err(error) => problems.push(format!("initiative `{}`: {error}", initiative.id)),
        }
    }
    for id in wanted.controls {
        let choice = Choice { id: id.clone(), params: std::collections::BTreeMap::default(), severity: None };
        let found: Vec<_> = catalogue.controls().filter(|control| choice.selects(&control.id)).collect();
        if found.is_empty() {
            let ids = catalogue.controls().map(|control| control.id.as_str());
            problems.push(format!("no control `{id}`{}", suggestion(id.trim_end_matches(".*"), ids)));
        }
        selections.extend(found.into_iter().map(|control| Selection {
            control_id: control.id.clone(),
            params: own_parameters(&control.id, &mut params).into(),
            severity: None,
        }));
    }
    let unused = params.iter().filter(|param| !param.used);
    problems.extend(unused.map(|param| format!("--param {}: `{}` is not selected", param.text, param.owner)));
    if !problems.is_empty() {
        return Err(problems);
    }
    let judges = |selection: &Selection| catalogue.control(&selection.control_id).is_some_and(judges_kubernetes);
    selections.retain(judges);
    let ids: HashSet<&str> = selections.iter().map(|selection| selection.control_id.as_str()).collect();
    let engine = Engine::compile_some(catalogue, |control| ids.contains(control.id.as_str()));
    let engine = engine.map_err(|error| vec![error.to_string()])?;
    let checks = engine.checks(&selections).map_err(|error| vec![error.to_string()])?;
    Ok((engine, checks))
}

fn judges_kubernetes(control: &Control) -> bool {
    control.kinds().flat_map(KindSelector::kinds).any(|kind| kind.family() == Family::Kubernetes)
}

fn initiatives<'c>(catalogue: &'c Catalogue, wanted: &Wanted<'_>, problems: &mut Vec<String>) -> Vec<&'c Initiative> {
    let mut found = Vec::new();
    for id in wanted.initiatives {
        if catalogue.initiative(id).is_none() {
            let ids = catalogue.initiatives().map(|initiative| initiative.id.as_str());
            problems.push(format!("no initiative `{id}`{}", suggestion(id, ids)));
        }
        found.extend(catalogue.initiative(id));
    }
    if wanted.or_default && wanted.initiatives.is_empty() && wanted.controls.is_empty() {
        found.extend(catalogue.initiative(DEFAULT_INITIATIVE));
    }
    found
}

/// What an assignment of the initiative would hold: an object per control, and one for the initiative itself.
fn parameters_of(catalogue: &Catalogue, initiative: &Initiative, params: &mut [Param<'_>]) -> Map<String, Value> {
    let mut found = Map::new();
    let selected = |id: &str| initiative.controls.iter().any(|choice| choice.selects(id));
    let owners: Vec<&str> = catalogue.controls().map(|control| control.id.as_str()).filter(|id| selected(id)).collect();
    for owner in owners.into_iter().chain([initiative.id.as_str()]) {
        let own = own_parameters(owner, params);
        if !own.is_empty() {
            found.insert(owner.to_owned(), own.into());
        }
    }
    found
}

fn own_parameters(owner: &str, params: &mut [Param<'_>]) -> Map<String, Value> {
    let own = params.iter_mut().filter(|param| param.owner == owner);
    own.map(|param| {
        param.used = true;
        (param.name.to_owned(), param.value.clone())
    })
    .collect()
}

fn parameter<'w>(catalogue: &Catalogue, text: &'w str) -> Result<Param<'w>, String> {
    let shape = || format!("--param {text}: is not of the form <control or initiative>.<parameter>=<value>");
    let (key, value) = text.split_once('=').ok_or_else(shape)?;
    let (owner, name) = key.rsplit_once('.').ok_or_else(shape)?;
    let control = catalogue.control(owner);
    if control.is_none() && catalogue.initiative(owner).is_none() {
        let ids = catalogue.controls().map(|control| control.id.as_str());
        let ids = ids.chain(catalogue.initiatives().map(|initiative| initiative.id.as_str()));
        return Err(format!("--param {text}: no control or initiative `{owner}`{}", suggestion(owner, ids)));
    }
    let declared = control.and_then(|control| control.parameters.get(name)).map(|parameter| parameter.r#type);
    Ok(Param { owner, name, value: parameter_value(value, declared), text, used: false })
}

/// The value as YAML, or as the declared type has it: a version `1.30` is no number where text is wanted.
fn parameter_value(text: &str, declared: Option<ParameterType>) -> Value {
    let value: Value = serde_saphyr::from_str(text).unwrap_or_else(|_| text.into());
    let as_text = |value: Value| match value {
        Value::String(text) => Value::String(text),
        other => other.to_string().into(),
    };
    match (declared, value) {
        (Some(ParameterType::String), value) if !value.is_string() => text.into(),
        (Some(ParameterType::Array), Value::Array(items)) => items.into_iter().map(as_text).collect(),
        (Some(ParameterType::Array), Value::Null) => Value::Array(Vec::new()),
        (Some(ParameterType::Array), _) => text.split(',').map(str::trim).collect(),
        (_, value) => value,
    }
}

/// ` - did you mean …?`, when something is near enough.
fn suggestion<'s>(word: &str, known: impl Iterator<Item = &'s str>) -> String {
    let near = known.map(|known| (strsim::jaro_winkler(word, known), known));
    let best = near.filter(|(likeness, _)| *likeness > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, known)| format!("; did you mean `{known}`?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rampart_content::{Catalogue, ParameterType};
    use serde_json::{Value, json};

    use super::{Wanted, parameter_value, select};

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn selected(initiatives: &[&str], controls: &[&str], params: &[&str]) -> Result<Vec<(String, Value)>, Vec<String>> {
        let catalogue = Catalogue::embedded().unwrap();
        let (initiatives, controls, params) = (words(initiatives), words(controls), words(params));
        let wanted = Wanted { initiatives: &initiatives, controls: &controls, params: &params, or_default: true };
        let (_, set) = select(&catalogue, &wanted)?;
        Ok(set.checks().iter().map(|check| (check.control_id.clone(), check.params.clone())).collect())
    }

    #[test]
    fn nothing_named_is_the_default_and_names_add_up() {
        let default = selected(&[], &[], &[]).unwrap();
        assert!(default.len() > 50);
        let baseline = selected(&["pss-baseline"], &[], &[]).unwrap();
        assert!(baseline.iter().any(|(id, _)| id == "k8s.pod.privileged"));
        let more = selected(&["pss-baseline"], &["k8s.pod.privileged", "k8s.pod.naked"], &[]).unwrap();
        assert_eq!(more.len(), baseline.len() + 1, "one control with one set of parameters is one check");
        assert!(selected(&[], &["*"], &[]).unwrap().len() >= default.len());
    }

    #[test]
    fn unknown_names_come_with_a_suggestion() {
        let problems =
            selected(&["pss-basline"], &["k8s.pod.priviledged"], &["k8s.pod.host_prt.allowed=1"]).unwrap_err();
        let all = problems.join("\n");
        for name in ["`pss-baseline`?", "`k8s.pod.privileged`?", "`k8s.pod.host_port`?"] {
            assert!(all.contains(name), "{all}");
        }
        let unused = selected(&[], &["k8s.pod.privileged"], &["k8s.pod.host_port.allowed=[80]"]).unwrap_err();
        assert!(unused[0].contains("not selected"), "{unused:?}");
        let wrong = selected(&[], &["k8s.pod.host_port"], &["k8s.pod.host_port.allow=[80]"]).unwrap_err();
        assert!(wrong[0].contains("no parameter `allow`"), "{wrong:?}");
    }

    #[test]
    fn parameters_take_the_declared_type() {
        let found = selected(&[], &["k8s.pod.host_port"], &["k8s.pod.host_port.allowed=[80, 443]"]).unwrap();
        assert_eq!(found[0].1["allowed"], json!(["80", "443"]));
        assert_eq!(parameter_value("1.30", Some(ParameterType::String)), json!("1.30"));
        assert_eq!(parameter_value("a, b", Some(ParameterType::Array)), json!(["a", "b"]));
        assert_eq!(parameter_value("v1.25", None), json!("v1.25"));
        assert_eq!(parameter_value("3", Some(ParameterType::Integer)), json!(3));
    }
}
