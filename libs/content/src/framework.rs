//! Frameworks: what others ask for, such as a CIS benchmark, as a list of requirements.
//!
//! A control answers a requirement when its `references` name it, or name something that the requirement calls the same.
//! The connection is thus stated once, at the control, and an initiative of a framework never lags behind the controls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Control, Problem, References};

/// A published list of requirements.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Stable name; equals the file name.
    pub id: String,
    /// Name shown to people.
    pub title: String,
    /// The publisher's version.
    pub version: String,
    /// Who publishes it.
    pub publisher: String,
    /// The field of a control's references that names its requirements.
    pub references: ReferenceField,
    /// What it asks for, in the publisher's order.
    pub requirements: Vec<Requirement>,
}

/// One thing that a framework asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// The publisher's id.
    pub id: String,
    /// What is asked for, in the product's own words.
    pub title: String,
    /// The publisher's level, where there are levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Who finds out whether it is met.
    pub assessment: Assessment,
    /// Why no API tells; only with a manual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// References in other catalogues that mean the same: a control that has one of them answers this requirement too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub same_as: References,
}

fn is_default(references: &References) -> bool {
    *references == References::default()
}

/// Who finds out whether a requirement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assessment {
    /// Controls do.
    Automated,
    /// People have to.
    Manual,
}

/// A field of a control's references.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReferenceField {
    /// The sections of one benchmark, such as `cis.eks-1.8.0`.
    Cis(String),
    /// Topics of the NSA/CISA guidance.
    Nsa,
    /// Controls of the Microsoft cloud security benchmark.
    Mcsb,
    /// The level of the Pod Security Standards.
    Pss,
}

impl ReferenceField {
    /// What `references` says in this field.
    pub fn of<'r>(&self, references: &'r References) -> &'r [String] {
        match self {
            Self::Cis(key) => references.cis.get(key).map_or(&[], Vec::as_slice),
            Self::Nsa => &references.nsa,
            Self::Mcsb => &references.mcsb,
            Self::Pss => references.pss.as_slice(),
        }
    }
}

impl fmt::Display for ReferenceField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cis(key) => write!(f, "cis.{key}"),
            Self::Nsa => f.write_str("nsa"),
            Self::Mcsb => f.write_str("mcsb"),
            Self::Pss => f.write_str("pss"),
        }
    }
}

/// A word that names no field of references.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of cis.<benchmark>, nsa, mcsb, pss")]
pub struct UnknownReferenceField(String);

impl FromStr for ReferenceField {
    type Err = UnknownReferenceField;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word.strip_prefix("cis.") {
            Some(key) if !key.is_empty() => Ok(Self::Cis(key.to_owned())),
            _ => match word {
                "nsa" => Ok(Self::Nsa),
                "mcsb" => Ok(Self::Mcsb),
                "pss" => Ok(Self::Pss),
                _ => Err(UnknownReferenceField(word.to_owned())),
            },
        }
    }
}

impl Serialize for ReferenceField {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ReferenceField {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Framework {
    /// Path of the framework's file below the content folder.
    pub(crate) fn file(&self) -> String {
        format!("frameworks/{}.yaml", self.id)
    }

    /// The requirement of that id.
    pub fn requirement(&self, id: &str) -> Option<&Requirement> {
        self.requirements.iter().find(|requirement| requirement.id == id)
    }

    /// The requirements that the control answers.
    pub fn answered_by(&self, control: &Control) -> impl Iterator<Item = &Requirement> {
        let named = self.references.of(&control.references);
        self.requirements
            .iter()
            .filter(|requirement| named.contains(&requirement.id) || requirement.same_as.cover(&control.references))
    }
}

impl References {
    /// Whether `other` names something, in any catalogue, that is named here. The restricted level holds the baseline.
    pub fn cover(&self, other: &Self) -> bool {
        let shared = |one: &[String], two: &[String]| one.iter().any(|item| two.contains(item));
        let cis =
            |(key, sections): (&String, &Vec<String>)| other.cis.get(key).is_some_and(|own| shared(sections, own));
        let pss = other.pss.is_some() && (self.pss == other.pss || self.pss.as_deref() == Some("restricted"));
        pss || self.cis.iter().any(cis)
            || shared(&self.nsa, &other.nsa)
            || shared(&self.mcsb, &other.mcsb)
            || shared(&self.mitre, &other.mitre)
            || shared(&self.kubescape, &other.kubescape)
            || shared(&self.trivy, &other.trivy)
            || shared(&self.checkov, &other.checkov)
            || shared(&self.prowler, &other.prowler)
            || shared(&self.defender, &other.defender)
            || shared(&self.azure_policy, &other.azure_policy)
    }
}

/// Checks frameworks, keyed by file path, and that whatever refers to one finds it.
pub(crate) fn lint(
    frameworks: &BTreeMap<String, Framework>,
    controls: &BTreeMap<String, Control>,
    problems: &mut Vec<Problem>,
) {
    let mut problem = |file: &str, field: String, message: String| {
        problems.push(Problem { file: file.to_owned(), field, message });
    };
    let mut fields = BTreeSet::new();
    for (file, framework) in frameworks {
        if *file != framework.file() {
            problem(file, "id".into(), format!("`{}` differs from the file name", framework.id));
        }
        if !fields.insert(framework.references.to_string()) {
            problem(file, "references".into(), format!("`{}` belongs to another framework", framework.references));
        }
        let mut ids = BTreeSet::new();
        for (index, requirement) in framework.requirements.iter().enumerate() {
            let field = |name: &str| format!("requirements.{index}.{name}");
            if !ids.insert(&requirement.id) {
                problem(file, field("id"), format!("`{}` is used twice", requirement.id));
            }
            if requirement.title.trim().is_empty() {
                problem(file, field("title"), "is empty".into());
            }
            if (requirement.assessment == Assessment::Manual) != requirement.reason.is_some() {
                problem(file, field("reason"), "belongs to a manual assessment, and every one has it".into());
            }
            for (name, message) in dangling(frameworks, &requirement.same_as) {
                problem(file, field(&format!("same_as.{name}")), message);
            }
        }
    }
    for (file, control) in controls {
        for (name, message) in dangling(frameworks, &control.references) {
            problem(file, format!("references.{name}"), message);
        }
    }
}

/// Field and message of every reference that leads to no requirement. Without any framework nothing can be said.
fn dangling(frameworks: &BTreeMap<String, Framework>, references: &References) -> Vec<(String, String)> {
    if frameworks.is_empty() {
        return Vec::new();
    }
    let mut fields: Vec<_> = references.cis.keys().cloned().map(ReferenceField::Cis).collect();
    fields.extend([ReferenceField::Nsa, ReferenceField::Mcsb, ReferenceField::Pss]);
    let mut found = Vec::new();
    for field in fields {
        let named = field.of(references);
        let framework = frameworks.values().find(|framework| framework.references == field);
        for id in named.iter().filter(|id| framework.is_none_or(|framework| framework.requirement(id).is_none())) {
            found.push((field.to_string(), format!("no framework has a requirement `{id}`")));
        }
    }
    found
}
