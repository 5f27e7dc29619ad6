//! What controls find around an object: the other objects of the input, and what a live cluster holds.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use rampart_content::Within;
use rampart_domain::{Kind, Resource};
use rampart_posture::{Completeness, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours};

/// Every resource that is known, by kind.
#[derive(Debug, Default)]
pub(crate) struct Estate<'r> {
    by_kind: HashMap<Kind, Vec<&'r Resource>>,
    complete: HashSet<Kind>,
}

impl<'r> Estate<'r> {
    /// `complete` names the kinds of which there is nothing else.
    pub(crate) fn new(resources: impl Iterator<Item = &'r Resource>, complete: HashSet<Kind>) -> Self {
        let mut estate = Self { by_kind: HashMap::new(), complete };
        for resource in resources {
            estate.by_kind.entry(resource.kind).or_default().push(resource);
        }
        estate
    }

    /// The neighbours of something in `namespace`.
    pub(crate) fn around<'e>(&'e self, namespace: Option<&'e str>) -> Around<'e> {
        Around { estate: self, namespace }
    }
}

/// An estate as seen from a namespace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'e> {
    estate: &'e Estate<'e>,
    namespace: Option<&'e str>,
}

impl Neighbours for Around<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let near = |resource: &&&Resource| match query.within {
            Within::Namespace => resource.namespace.as_deref() == self.namespace,
            Within::Unit | Within::Region => true,
        };
        let named = |resource: &&&Resource| query.name.is_none_or(|name| resource.name == name);
        let of_kind = |kind: &Kind| self.estate.by_kind.get(kind).into_iter().flatten();
        let known = query.kinds.iter().flat_map(of_kind).filter(near).filter(named);
        let items: Vec<_> = known
            .map(|resource| NeighbourItem { config: &resource.config, native_id: resource.native_id.as_str() })
            .collect();
        // A namespace holds one object of a kind and a name: whoever has it needs no list.
        let single = query.name.is_some() && query.kinds.len() == 1 && query.within == Within::Namespace;
        let cluster_wide = query.name.is_some() && query.kinds.iter().all(|kind| *kind == Kind::K8sClusterRole);
        let found = !items.is_empty() && (single || cluster_wide);
        let unread = query.kinds.iter().find(|kind| !found && !self.estate.complete.contains(kind));
        let completeness = match unread {
            Some(kind) => Completeness::Incomplete { kind: *kind, state: None, expired: false },
            None => Completeness::Complete,
        };
        NeighbourSet { items: Cow::Owned(items), completeness }
    }
}
