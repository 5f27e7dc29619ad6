use indexmap::IndexMap;
use rampart_domain::Severity;
use serde::Deserialize;

use crate::{
    Control, ControlType, Example, Guard, KindSelector, Needs, Neighbour, Parameter, References, Remediation, Variant,
};

/// A control as it is written: the fields of its only variant stand beside the shared ones.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ControlFile {
    id: String,
    version: u32,
    title: String,
    severity: Severity,
    group: String,
    r#type: ControlType,
    rationale: String,
    variants: Option<Vec<Variant>>,
    kinds: Option<Vec<KindSelector>>,
    for_each: Option<Vec<String>>,
    neighbours: Option<IndexMap<String, Neighbour>>,
    r#let: Option<IndexMap<String, String>>,
    not_applicable: Option<Vec<Guard>>,
    unknown: Option<Vec<Needs>>,
    violation: Option<String>,
    message: Option<String>,
    evidence: Option<Vec<String>>,
    #[serde(default)]
    parameters: IndexMap<String, Parameter>,
    remediation: Remediation,
    #[serde(default)]
    enforceable: bool,
    #[serde(default)]
    references: References,
    examples: Vec<Example>,
}

impl TryFrom<ControlFile> for Control {
    type Error = String;

    fn try_from(mut file: ControlFile) -> Result<Self, String> {
        let variants = match file.variants.take() {
            Some(variants) => file.several(variants)?,
            None => vec![file.only()?],
        };
        Ok(Self {
            id: file.id,
            version: file.version,
            title: file.title,
            severity: file.severity,
            group: file.group,
            r#type: file.r#type,
            rationale: file.rationale,
            variants,
            parameters: file.parameters,
            remediation: file.remediation,
            enforceable: file.enforceable,
            references: file.references,
            examples: file.examples,
        })
    }
}

impl ControlFile {
    /// The variant that the file's own fields state.
    fn only(&mut self) -> Result<Variant, String> {
        let missing = |field: &str| format!("missing field `{field}`, as there are no `variants`");
        Ok(Variant {
            kinds: self.kinds.take().ok_or_else(|| missing("kinds"))?,
            for_each: self.for_each.take().unwrap_or_default(),
            neighbours: self.neighbours.take().unwrap_or_default(),
            r#let: self.r#let.take().unwrap_or_default(),
            not_applicable: self.not_applicable.take().unwrap_or_default(),
            unknown: self.unknown.take().unwrap_or_default(),
            violation: self.violation.take().ok_or_else(|| missing("violation"))?,
            message: self.message.take().ok_or_else(|| missing("message"))?,
            evidence: self.evidence.take().unwrap_or_default(),
            remediation: self.remediation.clone(),
        })
    }

    /// The listed variants, each with a text of remediation.
    fn several(&self, mut variants: Vec<Variant>) -> Result<Vec<Variant>, String> {
        let beside = [
            ("kinds", self.kinds.is_some()),
            ("for_each", self.for_each.is_some()),
            ("neighbours", self.neighbours.is_some()),
            ("let", self.r#let.is_some()),
            ("not_applicable", self.not_applicable.is_some()),
            ("unknown", self.unknown.is_some()),
            ("violation", self.violation.is_some()),
            ("message", self.message.is_some()),
            ("evidence", self.evidence.is_some()),
        ];
        if let Some((field, _)) = beside.into_iter().find(|(_, present)| *present) {
            return Err(format!("`{field}` stands beside `variants`; it belongs into each of them"));
        }
        let general = Remediation { text: self.remediation.text.clone(), ..Remediation::default() };
        if self.remediation != general {
            return Err("`remediation` beside `variants` has a text only; the rest belongs into each of them".into());
        }
        if variants.len() < 2 {
            return Err("`variants` has fewer than two; the fields of a single one stand beside the id".into());
        }
        for variant in &mut variants {
            if variant.remediation.text.is_empty() {
                variant.remediation.text.clone_from(&self.remediation.text);
            }
        }
        Ok(variants)
    }
}
