use std::fmt;
use std::str::FromStr;

use rampart_domain::{Kind, NativeId, UnknownWord};
use serde::{Deserialize, Serialize};

/// What one resource has to do with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// From a cluster to its namespaces, nodes and cluster-wide objects.
    Contains,
    /// From a resource to its controlling owner (of pods: the top of the chain).
    Owner,
    /// From a service or network policy to the workloads and pods that its selector takes in.
    Selects,
    /// From a workload to a secret, config map or claim that its template mounts or reads into its environment.
    Mounts,
    /// From a workload to the service account under which it runs.
    UsesServiceAccount,
    /// From a binding to its role and to each of its subjects.
    Binds,
    /// From a pod to an image that runs in it.
    RunsImage,
}

impl EdgeKind {
    /// Every kind of edge, in declaration order.
    pub const ALL: &'static [Self] = &[
        Self::Contains,
        Self::Owner,
        Self::Selects,
        Self::Mounts,
        Self::UsesServiceAccount,
        Self::Binds,
        Self::RunsImage,
    ];

    /// The one spelling in the database and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::Owner => "owner",
            Self::Selects => "selects",
            Self::Mounts => "mounts",
            Self::UsesServiceAccount => "uses_service_account",
            Self::Binds => "binds",
            Self::RunsImage => "runs_image",
        }
    }
}

impl fmt::Display for EdgeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EdgeKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word);
        found.copied().ok_or_else(|| UnknownWord { set: "edge kind", word: word.into() })
    }
}

/// A directed edge between two resources, by the provider's names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Edge {
    /// What it says.
    pub kind: EdgeKind,
    /// The resource that it was derived from, or the cluster that contains it.
    pub from: NativeId,
    /// The other end. Users and groups have ids like objects of the group `rbac.authorization.k8s.io`.
    pub to: NativeId,
    /// The kind under which the other end would be in the inventory. While that kind is not read completely, an end that
    /// is not there is pending, not missing. `None` for ends that are never in the inventory, or of unknown kind.
    pub expects: Option<Kind>,
}

#[cfg(test)]
mod tests {
    use super::EdgeKind;

    #[test]
    fn every_word_reads_back_and_is_what_serde_writes() {
        for kind in EdgeKind::ALL {
            assert_eq!(kind.as_str().parse::<EdgeKind>().as_ref(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert!("likes".parse::<EdgeKind>().is_err());
    }
}
