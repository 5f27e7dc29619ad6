use std::collections::{BTreeMap, BTreeSet};

use rampart_domain::Status;
use serde_json::Value;

use crate::catalogue::control_file;
use crate::{
    Control, Example, ExampleNeighbour, Framework, Initiative, Parameter, Problem, ScoreGroup, Variant, framework,
    handed_on,
};

struct Lint<'a> {
    file: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Lint<'_> {
    fn require(&mut self, holds: bool, field: impl Into<String>, message: impl FnOnce() -> String) {
        if !holds {
            self.problems.push(Problem { file: self.file.to_owned(), field: field.into(), message: message() });
        }
    }
}

/// Checks what types cannot say. `controls`, `frameworks` and `initiatives` are keyed by file path.
pub(crate) fn lint(
    controls: &BTreeMap<String, Control>,
    frameworks: &BTreeMap<String, Framework>,
    initiatives: &BTreeMap<String, Initiative>,
    groups: &[ScoreGroup],
    problems: &mut Vec<Problem>,
) {
    framework::lint(frameworks, controls, problems);
    for (file, item) in controls {
        let lint = &mut Lint { file, problems };
        lint.require(*file == control_file(&item.id), "id", || format!("`{}` differs from the path", item.id));
        lint.require(groups.iter().any(|group| group.id == item.group), "group", || {
            format!("no group `{}` in groups.yaml", item.group)
        });
        shape(lint, item);
        examples(lint, item);
        references(lint, item);
    }
    for (file, item) in initiatives {
        let lint = &mut Lint { file, problems };
        lint.require(*file == format!("initiatives/{}.yaml", item.id), "id", || {
            format!("`{}` differs from the file name", item.id)
        });
        if let Some(name) = &item.framework {
            let known = frameworks.values().any(|framework| framework.id == *name);
            lint.require(known, "framework", || format!("no framework `{name}`"));
        }
        lint.require(item.framework.is_some() || !item.controls.is_empty(), "controls", || "selects no control".into());
        defaults(lint, &item.parameters);
        for name in item.parameters.keys() {
            let used = item.controls.iter().flat_map(|choice| choice.params.values()).filter_map(handed_on);
            lint.require(used.into_iter().any(|used| used == name), format!("parameters.{name}"), || {
                "is handed on to no control".into()
            });
        }
        for (index, choice) in item.controls.iter().enumerate() {
            let mut chosen = controls.values().filter(|control| choice.selects(&control.id)).peekable();
            lint.require(chosen.peek().is_some(), format!("controls.{index}.id"), || {
                format!("`{}` selects no control", choice.id)
            });
            for control in chosen {
                parameters(lint, control, &choice.params, &item.parameters, &format!("controls.{index}.params"));
            }
        }
    }
}

fn shape(lint: &mut Lint<'_>, control: &Control) {
    for (field, text) in
        [("title", &control.title), ("rationale", &control.rationale), ("remediation.text", &control.remediation.text)]
    {
        lint.require(!text.trim().is_empty(), field, || "is empty".into());
    }
    defaults(lint, &control.parameters);
    let mut judged = BTreeSet::new();
    for (index, item) in control.variants.iter().enumerate() {
        let field = |name: &str| control.field(index, name);
        variant(lint, item, field);
        for kind in item.judged() {
            lint.require(judged.insert(kind), field("kinds"), || format!("another variant judges `{kind}` too"));
        }
    }
    let needs = control.variants.iter().any(|variant| variant.neighbours.values().any(|n| n.complete));
    lint.require(!(control.enforceable && needs), "enforceable", || {
        "a control that needs neighbours cannot be decided from the object alone".into()
    });
}

fn variant(lint: &mut Lint<'_>, variant: &Variant, field: impl Fn(&str) -> String) {
    lint.require(!variant.kinds.is_empty(), field("kinds"), || "names no kind".into());
    let remediation = &variant.remediation;
    lint.require(remediation.patch.is_some() != remediation.manual.is_some(), field("remediation"), || {
        "has exactly one of `patch` and `manual`".into()
    });
    for (name, neighbour) in &variant.neighbours {
        let kinds = field(&format!("neighbours.{name}.kinds"));
        lint.require(!neighbour.kinds.is_empty(), kinds, || "names no kind".into());
        let mut looked_at = neighbour.kinds.iter().flat_map(|selector| selector.kinds());
        if neighbour.outline {
            lint.require(
                looked_at.all(rampart_domain::Kind::is_workload),
                field(&format!("neighbours.{name}.outline")),
                || "only workloads have one".into(),
            );
        } else if let Some(through) = neighbour.through {
            let fits = looked_at.all(|kind| through.connects(kind))
                && variant.judged().into_iter().all(|kind| through.judges(kind));
            lint.require(fits, field(&format!("neighbours.{name}.through")), || {
                "does not connect what is judged with these kinds".into()
            });
        }
    }
}

fn examples(lint: &mut Lint<'_>, control: &Control) {
    for (index, variant) in control.variants.iter().enumerate() {
        let judged = variant.judged();
        let of_variant = |example: &&Example| control.example_kind(example).is_some_and(|kind| judged.contains(&kind));
        for wanted in [Status::Healthy, Status::Unhealthy] {
            let found = control.examples.iter().filter(of_variant).any(|example| example.status == wanted);
            lint.require(found, "examples", || match &*control.variants {
                [_] => format!("has no {wanted} example"),
                _ => format!("has no {wanted} example of variant {index}"),
            });
        }
    }
    let mut names = BTreeSet::new();
    for (index, example) in control.examples.iter().enumerate() {
        let field = |name: &str| format!("examples.{index}.{name}");
        lint.require(names.insert(&example.name), field("name"), || format!("`{}` is used twice", example.name));
        lint.require(example.status != Status::Exempt, field("status"), || "no control gives `exempt`".into());
        lint.require(example.object.is_object(), field("object"), || "is not an object".into());
        parameters(lint, control, &example.params, &BTreeMap::default(), &field("params"));
        let Some(kind) = control.example_kind(example) else { continue };
        let Some(variant) = control.variant(kind) else {
            lint.require(false, field("kind"), || format!("`{kind}` is not judged"));
            continue;
        };
        for (name, neighbour) in &example.neighbours {
            lint.require(variant.neighbours.contains_key(name), field("neighbours"), || {
                format!("no neighbour `{name}` is declared")
            });
            if let ExampleNeighbour::Unread(word) = neighbour {
                lint.require(word == "unread", field("neighbours"), || format!("`{word}` is not `unread`"));
            }
        }
    }
}

fn defaults<'p>(lint: &mut Lint<'_>, declared: impl IntoIterator<Item = (&'p String, &'p Parameter)>) {
    for (name, parameter) in declared {
        lint.require(parameter.r#type.accepts(&parameter.default), format!("parameters.{name}.default"), || {
            format!("is not a {}", parameter.r#type.as_str())
        });
    }
}

/// Values for the parameters of a control, of which some may be handed on from those of its initiative.
fn parameters(
    lint: &mut Lint<'_>,
    control: &Control,
    params: &BTreeMap<String, Value>,
    of_initiative: &BTreeMap<String, Parameter>,
    field: &str,
) {
    for (name, value) in params {
        let Some(parameter) = control.parameters.get(name) else {
            lint.require(false, field, || format!("`{}` has no parameter `{name}`", control.id));
            continue;
        };
        let (field, wanted) = (format!("{field}.{name}"), parameter.r#type);
        match handed_on(value).map(|source| (source, of_initiative.get(source))) {
            None => lint.require(wanted.accepts(value), field, || format!("is not a {}", wanted.as_str())),
            Some((source, None)) => {
                lint.require(false, field, || format!("the initiative has no parameter `{source}`"));
            }
            Some((source, Some(given))) => lint.require(given.r#type == wanted, field, || {
                format!("parameter `{source}` of the initiative is not a {}", wanted.as_str())
            }),
        }
    }
}

fn references(lint: &mut Lint<'_>, control: &Control) {
    let all = &control.references;
    let mut each = |field: &str, values: &[String], well_formed: fn(&str) -> bool| {
        for value in values {
            lint.require(well_formed(value), format!("references.{field}"), || format!("`{value}` is malformed"));
        }
    };
    each("pss", all.pss.as_slice(), |level| matches!(level, "baseline" | "restricted"));
    each("mitre", &all.mitre, |id| prefixed(id, "T", |c| c.is_ascii_digit() || c == '.'));
    each("kubescape", &all.kubescape, |id| prefixed(id, "C-", |c| c.is_ascii_digit()));
    each("trivy", &all.trivy, |id| prefixed(id, "", |c| c.is_ascii_alphanumeric() || c == '-'));
    each("checkov", &all.checkov, |id| prefixed(id, "CKV", |c| c.is_ascii_alphanumeric() || c == '_'));
    each("prowler", &all.prowler, |id| prefixed(id, "", |c| c.is_ascii_alphanumeric() || c == '_'));
    each("defender", &all.defender, is_guid);
    each("azure_policy", &all.azure_policy, is_guid);
    for sections in all.cis.values() {
        each("cis", sections, |id| prefixed(id, "", |c| c.is_ascii_digit() || c == '.'));
    }
}

fn prefixed(text: &str, prefix: &str, rest: impl Fn(char) -> bool) -> bool {
    text.strip_prefix(prefix).is_some_and(|tail| !tail.is_empty() && tail.chars().all(rest))
}

fn is_guid(text: &str) -> bool {
    let lengths: Vec<_> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}
