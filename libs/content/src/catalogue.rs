use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rampart_domain::{ConfigHash, hash_json};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::document::{on_deep_stack, options, unreadable};
use crate::lint::lint;
use crate::source::{Files, embedded, overlay};
use crate::{ContentError, Control, Framework, Initiative, Problem, ScoreGroup, Variant};

/// Values in one file.
const MAX_NODES: usize = 20_000;

/// Everything that was loaded. Copies share it: one with a customer's controls beside it costs little.
#[derive(Debug, Clone)]
pub struct Catalogue {
    pub(crate) controls: BTreeMap<String, Arc<Control>>,
    frameworks: Arc<BTreeMap<String, Framework>>,
    initiatives: Arc<BTreeMap<String, Initiative>>,
    groups: Arc<Vec<ScoreGroup>>,
    pub(crate) versions: BTreeMap<String, ConfigHash>,
    /// Fingerprint of what was loaded from files.
    version: ConfigHash,
    /// Text of the files of controls, by id.
    texts: Arc<BTreeMap<String, String>>,
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
        let (mut controls, mut frameworks, mut initiatives) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (mut groups, mut versions, mut texts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (path, text) in files {
            if path == "groups.yaml" {
                groups = read(path, text, &mut problems).unwrap_or_default();
            } else if path.starts_with("controls/") {
                let Some(control) = read::<Control>(path, text, &mut problems) else { continue };
                versions.insert(control.id.clone(), version(&control));
                texts.insert(control.id.clone(), text.clone());
                controls.insert(path.clone(), control);
            } else if path.starts_with("frameworks/") {
                let Some(framework) = read::<Framework>(path, text, &mut problems) else { continue };
                frameworks.insert(path.clone(), framework);
            } else {
                let Some(initiative) = read::<Initiative>(path, text, &mut problems) else { continue };
                initiatives.insert(path.clone(), initiative);
            }
        }
        lint(&controls, &frameworks, &initiatives, &groups, &mut problems);
        for (path, control) in controls.iter().filter(|(_, control)| control.is_custom()) {
            let message = format!("`{}` is kept for what customers write", control.id);
            problems.push(Problem { file: path.clone(), field: "id".into(), message });
        }
        if !problems.is_empty() {
            return Err(ContentError::Invalid(problems));
        }
        let frameworks: BTreeMap<String, Framework> =
            frameworks.into_values().map(|item: Framework| (item.id.clone(), item)).collect();
        let controls: BTreeMap<String, Arc<Control>> =
            controls.into_values().map(|item| (item.id.clone(), Arc::new(item))).collect();
        let mut initiatives: BTreeMap<String, Initiative> =
            initiatives.into_values().map(|item: Initiative| (item.id.clone(), item)).collect();
        for initiative in initiatives.values_mut() {
            let framework = initiative.framework.as_ref().and_then(|id| frameworks.get(id));
            if let Some(framework) = framework {
                initiative.select(framework, controls.values().map(Arc::as_ref));
            }
        }
        let all: serde_json::Map<String, Value> =
            versions.iter().map(|(id, hash): (&String, &ConfigHash)| (id.clone(), hash.to_string().into())).collect();
        Ok(Self {
            controls,
            frameworks: Arc::new(frameworks),
            initiatives: Arc::new(initiatives),
            groups: Arc::new(groups),
            versions,
            version: hash_json(&Value::Object(all)),
            texts: Arc::new(texts),
        })
    }

    /// Every control, by id.
    pub fn controls(&self) -> impl ExactSizeIterator<Item = &Control> {
        self.controls.values().map(Arc::as_ref)
    }

    /// The control of that id.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.get(id).map(Arc::as_ref)
    }

    /// Text of the file of a control that came with the product or the operator; `None` for a customer's.
    pub fn control_text(&self, id: &str) -> Option<&str> {
        self.texts.get(id).map(String::as_str)
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

    /// Fingerprint of all controls together that were loaded from files; what customers wrote is not among them.
    pub const fn version(&self) -> ConfigHash {
        self.version
    }
}

/// Folder path of a control's file, for messages.
pub(crate) fn control_file(id: &str) -> String {
    format!("controls/{}.yaml", id.replace('.', "/"))
}

impl Control {
    /// Reads a control that was checked when it was saved: nothing is looked up, and no rule of style applies.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub fn of_text(text: &str) -> Result<Self, String> {
        on_deep_stack(|| {
            let read = serde_saphyr::from_str_with_options::<Self>(text, options(MAX_NODES));
            read.map_err(|error| unreadable(&error))
        })
        .map_err(|problem| problem.message)
    }

    /// Path of the control's file below the content folder.
    pub fn file(&self) -> String {
        control_file(&self.id)
    }
}

pub(crate) fn version(control: &Control) -> ConfigHash {
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
    match serde_saphyr::from_str_with_options(text, options(MAX_NODES)) {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem { file: path.to_owned(), field: String::new(), message: error.to_string() });
            None
        }
    }
}
