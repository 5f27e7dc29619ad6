use std::collections::BTreeMap;

use indexmap::IndexMap;
use rampart_domain::{Kind, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file::ControlFile;
use crate::{KindSelector, Variant, minor_version};

/// One rule about configuration, as its file states it. `README.md` of this crate explains every field.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "ControlFile")]
pub struct Control {
    /// Canonical id, named for the bad pattern; equals the path below `controls/` with dots.
    pub id: String,
    /// Raised when a verdict may change.
    pub version: u32,
    /// Name shown to people.
    pub title: String,
    /// How bad a violation is.
    pub severity: Severity,
    /// Control group of the secure score.
    pub group: String,
    /// Which plane the control looks at.
    pub r#type: ControlType,
    /// Why it matters.
    pub rationale: String,
    /// What is judged and how: at least one, each for kinds of its own.
    pub variants: Vec<Variant>,
    /// Settings of the control.
    pub parameters: IndexMap<String, Parameter>,
    /// What to do about a violation, as far as it is the same for all variants.
    pub remediation: Remediation,
    /// Whether the object alone decides, so that admission can refuse it.
    pub enforceable: bool,
    /// The same rule in other catalogues.
    pub references: References,
    /// Objects with the verdict that they must get.
    pub examples: Vec<Example>,
}

impl Control {
    /// Kinds of resources that any variant judges, as the file names them.
    pub fn kinds(&self) -> impl Iterator<Item = KindSelector> {
        self.variants.iter().flat_map(|variant| variant.kinds.iter().copied())
    }

    /// The variant that judges resources of `kind`.
    pub fn variant(&self, kind: Kind) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.judged().contains(&kind))
    }

    /// Kind of an example's object: its own, else the first that the control judges.
    pub fn example_kind(&self, example: &Example) -> Option<Kind> {
        example.kind.or_else(|| self.kinds().next().map(KindSelector::example))
    }

    /// Path in the file of a field of the `index`-th variant, for messages.
    pub fn field(&self, index: usize, name: &str) -> String {
        match &*self.variants {
            [_] => name.to_owned(),
            _ => format!("variants.{index}.{name}"),
        }
    }
}

/// Which plane a control looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlType {
    /// Inside clusters.
    DataPlane,
    /// Cloud configuration.
    ControlPlane,
}

/// A setting of a control.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What it may hold.
    pub r#type: ParameterType,
    /// Value when nobody sets it.
    pub default: Value,
    /// What it does, for people.
    pub description: String,
}

/// What a parameter may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A list of strings.
    Array,
    /// A string.
    String,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A Kubernetes version as Pod Security labels spell it: `latest`, or `v1.0` to the newest known.
    KubernetesVersion,
}

impl ParameterType {
    /// Whether `value` may be the value of such a parameter.
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Array => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Self::String => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Boolean => value.is_boolean(),
            Self::KubernetesVersion => value.as_str().is_some_and(|text| minor_version(text).is_some()),
        }
    }

    /// The word for it in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Array => "list of strings",
            Self::String => "string",
            Self::Integer => "whole number",
            Self::Boolean => "true or false",
            Self::KubernetesVersion => "Kubernetes version: latest, or v1.0 to v1.38",
        }
    }
}

/// What to do about a violation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remediation {
    /// Instructions for people.
    #[serde(default)]
    pub text: String,
    /// RFC 7386 merge patch for each violating element, or for the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Value>,
    /// Command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cli: Option<String>,
    /// Terraform that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<String>,
    /// Why no merge patch can do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual: Option<String>,
}

/// Sections of a CIS benchmark, such as `4.2.1`; YAML may read a short one as a number.
pub type CisReference = BTreeMap<String, Vec<String>>;

/// The same rule in other catalogues.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct References {
    /// Pod Security Standards level: `baseline` or `restricted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss: Option<String>,
    /// Sections per CIS benchmark, such as `eks-1.8.0`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cis: CisReference,
    /// Topics of the NSA/CISA hardening guidance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nsa: Vec<String>,
    /// Controls of the Microsoft cloud security benchmark, such as `PV-2`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcsb: Vec<String>,
    /// MITRE ATT&CK techniques.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mitre: Vec<String>,
    /// Kubescape control ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kubescape: Vec<String>,
    /// Trivy check ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trivy: Vec<String>,
    /// Checkov check ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checkov: Vec<String>,
    /// Prowler check ids.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prowler: Vec<String>,
    /// Defender for Cloud assessment GUIDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defender: Vec<String>,
    /// Azure Policy definition GUIDs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub azure_policy: Vec<String>,
}

/// An object with the verdict that it must get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What it shows.
    pub name: String,
    /// The verdict: healthy, unhealthy, not applicable or unknown.
    pub status: rampart_domain::Status,
    /// Kind of the object; by default the first of the control's kinds (`k8s.pod` for workloads).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The configuration.
    pub object: Value,
    /// Neighbours by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub neighbours: BTreeMap<String, ExampleNeighbour>,
    /// Parameters other than the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// Overrides of the `resource` variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, Value>,
    /// Expected pointers, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<String>>,
}

/// What an example says about a neighbour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExampleNeighbour {
    /// These objects, listed completely.
    Objects(Vec<Value>),
    /// The word `unread`: the listing is incomplete.
    Unread(String),
}
