use std::borrow::Cow;
use std::collections::BTreeMap;

use indexmap::IndexMap;
use rampart_domain::{Kind, Severity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::minor_version;

/// One rule about configuration, as its file states it. `README.md` of this crate explains every field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    /// Kinds of resources that are judged.
    pub kinds: Vec<KindSelector>,
    /// Why it matters.
    pub rationale: String,
    /// Patterns of elements that are judged one by one; empty = the object is judged as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub for_each: Vec<String>,
    /// Other resources that the expressions look at, by the name they use.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub neighbours: IndexMap<String, Neighbour>,
    /// Named CEL expressions, in order.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub r#let: IndexMap<String, String>,
    /// Conditions under which the control says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_applicable: Vec<Guard>,
    /// Conditions under which the configuration does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Needs>,
    /// CEL condition; true = unhealthy.
    pub violation: String,
    /// CEL string: one sentence without a full stop.
    pub message: String,
    /// Pointers to the fields that decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Settings of the control.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub parameters: IndexMap<String, Parameter>,
    /// What to do about a violation.
    pub remediation: Remediation,
    /// Whether the object alone decides, so that admission can refuse it.
    #[serde(default)]
    pub enforceable: bool,
    /// The same rule in other catalogues.
    #[serde(default)]
    pub references: References,
    /// Objects with the verdict that they must get.
    pub examples: Vec<Example>,
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

/// A kind, or a family of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KindSelector {
    /// Every kind with a pod template.
    Workload,
    /// One kind.
    One(Kind),
}

impl KindSelector {
    /// The kinds that are meant.
    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Workload => Kind::ALL.iter().copied().filter(|kind| kind.is_workload()).collect(),
            Self::One(kind) => vec![kind],
        }
    }
}

impl Serialize for KindSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::Workload => "workload",
            Self::One(kind) => kind.as_str(),
        })
    }
}

impl<'de> Deserialize<'de> for KindSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = <Cow<'de, str>>::deserialize(deserializer)?;
        if word == "workload" {
            return Ok(Self::Workload);
        }
        word.parse().map(Self::One).map_err(serde::de::Error::custom)
    }
}

/// Other resources that a control looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Their kinds.
    pub kinds: Vec<KindSelector>,
    /// How far away they may be.
    pub r#in: Within,
    /// CEL string over the judged object: keeps only the resource of that name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether an incomplete listing makes the verdict unknown.
    #[serde(default = "yes")]
    pub complete: bool,
}

const fn yes() -> bool {
    true
}

/// How far from the judged resource a neighbour may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// The same cluster and namespace.
    Namespace,
    /// The same cluster, or the same cloud account for what belongs to no cluster.
    Unit,
    /// The same cloud account and region.
    Region,
}

/// A condition under which a control says nothing about a resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// CEL condition.
    pub r#if: String,
    /// Why the control says nothing, for people.
    pub cause: String,
}

/// A condition under which the configuration does not tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// CEL condition.
    pub r#if: String,
    /// What would have to be known, for people.
    pub needs: String,
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
            Self::KubernetesVersion => "Kubernetes version: latest, or v1.0 to v1.36",
        }
    }
}

/// What to do about a violation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remediation {
    /// Instructions for people.
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
