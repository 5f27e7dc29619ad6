use std::borrow::Cow;

use chrono::{DateTime, Utc};
use rampart_content::Within;
use rampart_domain::{Cloud, CoverageState, Kind, ManagedBy};
use serde_json::Value;

/// One resource to judge, with everything that its controls may look at. Borrowed: judging copies nothing.
pub struct Input<'a> {
    /// The `resource` variable.
    pub facts: Facts<'a>,
    /// The configuration, as the provider spells it, nulls removed.
    pub config: &'a Value,
    /// How live pods differ from the template: the result of [`live::differences`](crate::live::differences).
    pub live: Option<&'a Value>,
    /// Other resources.
    pub neighbours: &'a dyn Neighbours,
    /// Evaluation time.
    pub now: DateTime<Utc>,
}

/// The `resource` variable.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// What it is.
    pub kind: Kind,
    /// Short name.
    pub name: &'a str,
    /// Kubernetes namespace.
    pub namespace: Option<&'a str>,
    /// Where it runs.
    pub cloud: Cloud,
    /// Account, subscription or project.
    pub account: Option<&'a str>,
    /// Region.
    pub region: Option<&'a str>,
    /// Labels or tags: a JSON object of strings.
    pub labels: &'a Value,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// Whether anything runs or answers now.
    pub active: bool,
    /// What the provider calls it.
    pub native_id: &'a str,
}

/// Where controls find other resources. `get` is asked only when an expression needs the answer or may need it.
pub trait Neighbours {
    /// The neighbours of the judged resource that `query` describes.
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_>;
}

/// Which neighbours a control looks at.
#[derive(Debug, Clone, Copy)]
pub struct NeighbourQuery<'q> {
    /// Name that the control's expressions use.
    pub label: &'q str,
    /// Kinds of the neighbours.
    pub kinds: &'q [Kind],
    /// How far away they may be.
    pub within: Within,
    /// Keeps only resources of this name.
    pub name: Option<&'q str>,
    /// Whether their outline is enough: it may be given in place of the whole configuration.
    pub outline: bool,
}

/// Neighbours that were read, and whether these are all.
#[derive(Debug, Clone)]
pub struct NeighbourSet<'a> {
    /// What was read. Lent where many resources share a list.
    pub items: Cow<'a, [NeighbourItem<'a>]>,
    /// Whether more may exist.
    pub completeness: Completeness,
}

/// One neighbour.
#[derive(Debug, Clone, Copy)]
pub struct NeighbourItem<'a> {
    /// Its configuration.
    pub config: &'a Value,
    /// What the provider calls it.
    pub native_id: &'a str,
}

/// Whether a listing holds everything that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completeness {
    /// Every kind was listed to the end.
    Complete,
    /// A kind was not.
    Incomplete {
        /// The kind.
        kind: Kind,
        /// State of its coverage row; `None` when no attempt was made yet.
        state: Option<CoverageState>,
        /// Whether the last complete reading is too old for anything to rest on it.
        expired: bool,
    },
}

impl Completeness {
    /// Of two lists together. Of what is missing from both, the one that was read once is told: a verdict that stood may have
    /// rested on it, and so stands until that is too old.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Complete, other) => other,
            (missing, Self::Complete) => missing,
            (missing, other) if !missing.is_lost() && other.is_lost() => other,
            (missing, _) => missing,
        }
    }

    /// Whether what is missing was attempted and is not too old.
    const fn is_lost(self) -> bool {
        matches!(self, Self::Incomplete { state: Some(_), expired: false, .. })
    }
}

/// No neighbours are known: for judging an object alone, as admission does.
pub struct NoNeighbours;

impl Neighbours for NoNeighbours {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let completeness = match query.kinds.first() {
            Some(kind) => Completeness::Incomplete { kind: *kind, state: None, expired: false },
            None => Completeness::Complete,
        };
        NeighbourSet { items: Cow::Borrowed(&[]), completeness }
    }
}
