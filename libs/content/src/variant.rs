use std::borrow::Cow;

use indexmap::IndexMap;
use rampart_domain::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Remediation;

/// What a control says about resources of some kinds. Most controls have one; one concept that clouds spell differently
/// has one for each spelling.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Kinds of resources that are judged; no other variant of the control judges them.
    pub kinds: Vec<KindSelector>,
    /// Patterns of elements that are judged one by one; empty = the object is judged as a whole.
    #[serde(default)]
    pub for_each: Vec<String>,
    /// Other resources that the expressions look at, by the name they use.
    #[serde(default)]
    pub neighbours: IndexMap<String, Neighbour>,
    /// Named CEL expressions, in order.
    #[serde(default)]
    pub r#let: IndexMap<String, String>,
    /// Conditions under which the control says nothing.
    #[serde(default)]
    pub not_applicable: Vec<Guard>,
    /// Conditions under which the configuration does not tell.
    #[serde(default)]
    pub unknown: Vec<Needs>,
    /// CEL condition; true = unhealthy.
    pub violation: String,
    /// CEL string: one sentence without a full stop.
    pub message: String,
    /// Pointers to the fields that decide.
    #[serde(default)]
    pub evidence: Vec<String>,
    /// What to do about a violation; its text is the control's where it has none of its own.
    #[serde(default)]
    pub remediation: Remediation,
}

impl Variant {
    /// The kinds that are judged, families resolved; sorted, each once.
    pub fn judged(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.kinds.iter().flat_map(|selector| selector.kinds()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
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

    /// The kind that an example has when it does not say.
    pub(crate) const fn example(self) -> Kind {
        match self {
            Self::Workload => Kind::K8sPod,
            Self::One(kind) => kind,
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
    /// By way of what the judged resource has to do with it; `None` when lying near is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Through>,
    /// Whether only the outline of workloads is looked at ([`rampart_domain::outline`]). A change of anything else of them
    /// is not followed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outline: bool,
    /// Whether an incomplete listing makes the verdict unknown.
    #[serde(default = "yes")]
    pub complete: bool,
}

/// What connects a judged resource with those neighbours that can matter to it. A change of any other is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// The service account under which the judged workload runs: the account itself, bindings that name it (or all
    /// accounts) as a subject, roles that such a binding refers to.
    Account,
    /// The judged binding refers to the role.
    Binding,
}

impl Through {
    /// Whether neighbours of this kind can be connected so.
    pub const fn connects(self, kind: Kind) -> bool {
        match kind {
            Kind::K8sRole | Kind::K8sClusterRole => true,
            Kind::K8sServiceAccount | Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding => {
                matches!(self, Self::Account)
            }
            _ => false,
        }
    }

    /// Whether resources of this kind can be judged so.
    pub const fn judges(self, kind: Kind) -> bool {
        match self {
            Self::Account => kind.is_workload(),
            Self::Binding => matches!(kind, Kind::K8sRoleBinding | Kind::K8sClusterRoleBinding),
        }
    }
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
