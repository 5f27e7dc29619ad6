use std::collections::BTreeMap;
use std::path::Path;

use rampart_domain::{ConfigHash, hash_json};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::lint::lint;
use crate::source::{Files, embedded, overlay};
use crate::{ContentError, Control, Framework, Initiative, Problem, ScoreGroup, Variant};

/// Everything that was loaded.
#[derive(Debug, Clone)]
pub struct Catalogue {
    controls: BTreeMap<String, Control>,
    frameworks: BTreeMap<String, Framework>,
    initiatives: BTreeMap<String, Initiative>,
    groups: Vec<ScoreGroup>,
    versions: BTreeMap<String, ConfigHash>,
}

impl Catalogue {
    /// The content that is built in.
    pub fn embedded() -> Result<Self, ContentError> {
        Self::parse(&embedded())
    }

    /// The built-in content, with the files below `dir` (laid out alike) added or put in place of those of the same path.
    pub fn with_overrides(dir: &Path) -> Result<Self, ContentError> {
        let mut files = embedded();
        overlay(dir, &mut files)?;
        Self::parse(&files)
    }

    /// The content of `files` alone, keyed by path below the content folder (`controls/…`,
    /// `frameworks/…`, `initiatives/…`, `groups.yaml`). Nothing built in is added.
    pub fn of_files(files: &BTreeMap<String, String>) -> Result<Self, ContentError> {
        Self::parse(files)
    }

    fn parse(files: &Files) -> Result<Self, ContentError> {
        let mut problems = Vec::new();
        let mut catalogue = Self {
            controls: BTreeMap::new(),
            frameworks: BTreeMap::new(),
            initiatives: BTreeMap::new(),
            groups: Vec::new(),
            versions: BTreeMap::new(),
        };
        for (path, text) in files {
            if path == "groups.yaml" {
                catalogue.groups = read(path, text, &mut problems).unwrap_or_default();
            } else if path.starts_with("controls/") {
                let Some(control) = read::<Control>(path, text, &mut problems) else { continue };
                catalogue.versions.insert(control.id.clone(), version(&control));
                catalogue.controls.insert(path.clone(), control);
            } else if path.starts_with("frameworks/") {
                let Some(framework) = read::<Framework>(path, text, &mut problems) else { continue };
                catalogue.frameworks.insert(path.clone(), framework);
            } else {
                let Some(initiative) = read::<Initiative>(path, text, &mut problems) else { continue };
                catalogue.initiatives.insert(path.clone(), initiative);
            }
        }
        let Self { controls, frameworks, initiatives, groups, .. } = &catalogue;
        lint(controls, frameworks, initiatives, groups, &mut problems);
        if !problems.is_empty() {
            return Err(ContentError::Invalid(problems));
        }
        catalogue.controls = catalogue.controls.into_values().map(|item| (item.id.clone(), item)).collect();
        catalogue.frameworks = catalogue.frameworks.into_values().map(|item| (item.id.clone(), item)).collect();
        catalogue.initiatives = catalogue.initiatives.into_values().map(|item| (item.id.clone(), item)).collect();
        for initiative in catalogue.initiatives.values_mut() {
            let framework = initiative.framework.as_ref().and_then(|id| catalogue.frameworks.get(id));
            if let Some(framework) = framework {
                initiative.select(framework, catalogue.controls.values());
            }
        }
        Ok(catalogue)
    }

    /// Every control, by id.
    pub fn controls(&self) -> impl ExactSizeIterator<Item = &Control> {
        self.controls.values()
    }

    /// The control of that id.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.get(id)
    }

    /// Every framework, by id.
    pub fn frameworks(&self) -> impl ExactSizeIterator<Item = &Framework> {
        self.frameworks.values()
    }

    /// The framework of that id.
    pub fn framework(&self, id: &str) -> Option<&Framework> {
        self.frameworks.get(id)
    }

    /// Every initiative, by id.
    pub fn initiatives(&self) -> impl ExactSizeIterator<Item = &Initiative> {
        self.initiatives.values()
    }

    /// The initiative of that id.
    pub fn initiative(&self, id: &str) -> Option<&Initiative> {
        self.initiatives.get(id)
    }

    /// The groups of the secure score, in the order of the file.
    pub fn groups(&self) -> &[ScoreGroup] {
        &self.groups
    }

    /// The group of that id.
    pub fn group(&self, id: &str) -> Option<&ScoreGroup> {
        self.groups.iter().find(|group| group.id == id)
    }

    /// Fingerprint of everything in a control that can change a verdict or its evidence; words for people are left out.
    pub fn control_version(&self, id: &str) -> Option<ConfigHash> {
        self.versions.get(id).copied()
    }

    /// Fingerprint of all controls together.
    pub fn version(&self) -> ConfigHash {
        let all: serde_json::Map<String, Value> =
            self.versions.iter().map(|(id, hash)| (id.clone(), hash.to_string().into())).collect();
        hash_json(&Value::Object(all))
    }
}

/// Folder path of a control's file, for messages.
pub(crate) fn control_file(id: &str) -> String {
    format!("controls/{}.yaml", id.replace('.', "/"))
}

impl Control {
    /// Path of the control's file below the content folder.
    pub fn file(&self) -> String {
        control_file(&self.id)
    }
}

fn version(control: &Control) -> ConfigHash {
    let defaults: Vec<_> = control.parameters.iter().map(|(name, p)| json!([name, p.r#type, p.default])).collect();
    let variants: Vec<_> = control.variants.iter().map(decisive).collect();
    hash_json(&json!([control.id, control.version, variants, defaults]))
}

/// Everything in a variant that can change a verdict or its evidence.
fn decisive(variant: &Variant) -> Value {
    let guards: Vec<_> = variant.not_applicable.iter().map(|guard| json!([guard.r#if, guard.cause])).collect();
    let needs: Vec<_> = variant.unknown.iter().map(|needs| json!([needs.r#if, needs.needs])).collect();
    // Maps are hashed as lists of pairs where their order has a meaning.
    let lets: Vec<_> = variant.r#let.iter().map(|(name, text)| json!([name, text])).collect();
    json!([
        variant.kinds,
        variant.for_each,
        variant.neighbours,
        lets,
        guards,
        needs,
        variant.violation,
        variant.message,
        variant.evidence,
    ])
}

fn read<T: DeserializeOwned>(path: &str, text: &str, problems: &mut Vec<Problem>) -> Option<T> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_depth: 64, max_nodes: 20_000, max_aliases: 0, max_anchors: 0 },
        emit_comments: false,
    };
    match serde_saphyr::from_str_with_options(text, options) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem { file: path.to_owned(), field: String::new(), message: error.to_string() });
            None
        }
    }
}
