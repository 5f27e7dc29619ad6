use std::collections::{BTreeSet, HashMap};

use rampart_content::Within;
use rampart_domain::{Kind, UnitId, UnknownReason};
use rampart_posture::{Completeness, Engine, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours};
use rampart_store::verdict::{self, CoverageRow, StoredResource, UnitPlace};
use rampart_store::{StoreError, TenantTx};
use uuid::Uuid;

/// Reads what `controls` may look at when they judge resources of the `judged` kinds: of a whole unit, or beside some
/// resources of it, narrowed to their kinds and namespaces. By kind, namespace and name.
pub(crate) async fn neighbours(
    tx: &mut TenantTx,
    engine: &Engine,
    (unit, place): (UnitId, &UnitPlace),
    (mut judged, controls): (BTreeSet<Kind>, &BTreeSet<&str>),
    beside: Option<&[Uuid]>,
) -> Result<Vec<StoredResource>, StoreError> {
    let mut near = None;
    if let Some(ids) = beside {
        let (kinds, namespaces) = verdict::extent(tx, ids).await?;
        judged.retain(|kind| kinds.contains(kind));
        near = Some(namespaces);
    }
    let (mut inside, mut anywhere) = (Vec::new(), Vec::new());
    for kind in engine.neighbour_kinds().into_keys() {
        let concerned = engine.dependents(kind).filter(|d| controls.contains(d.control_id));
        let concerned = concerned.filter(|d| d.judged.iter().any(|kind| judged.contains(kind)));
        match concerned.map(|dependent| dependent.within != Within::Namespace).max() {
            None => {}
            Some(false) => inside.push(kind),
            Some(true) => anywhere.push(kind),
        }
    }
    let mut neighbours = verdict::neighbours(tx, unit, place, &anywhere, None).await?;
    neighbours.extend(verdict::neighbours(tx, unit, place, &inside, near.as_deref()).await?);
    Ok(neighbours)
}

/// What the controls of a unit may look at besides the judged resource.
pub(crate) struct World {
    by_kind: HashMap<Kind, Vec<StoredResource>>,
    /// Places in the lists of `by_kind`.
    by_name: HashMap<Kind, HashMap<String, Vec<usize>>>,
    coverage: Vec<CoverageRow>,
    place: UnitPlace,
}

impl World {
    pub(crate) fn new(neighbours: Vec<StoredResource>, coverage: Vec<CoverageRow>, place: UnitPlace) -> Self {
        let mut by_kind: HashMap<Kind, Vec<StoredResource>> = HashMap::new();
        for neighbour in neighbours {
            by_kind.entry(neighbour.kind).or_default().push(neighbour);
        }
        let mut by_name: HashMap<Kind, HashMap<String, Vec<usize>>> = HashMap::new();
        for (kind, list) in &by_kind {
            let names = by_name.entry(*kind).or_default();
            for (index, resource) in list.iter().enumerate() {
                names.entry(resource.name.clone()).or_default().push(index);
            }
        }
        Self { by_kind, by_name, coverage, place }
    }

    /// Whether everything of a kind that a resource in `region` may have beside it was read.
    fn completeness(&self, kind: Kind, region: Option<&str>) -> Completeness {
        let rows = self.coverage.iter().filter(|row| {
            row.kind == kind && (self.place.is_cluster || region.is_none() || row.region.as_deref() == region)
        });
        let (whole, broken): (Vec<&CoverageRow>, Vec<&CoverageRow>) = rows.partition(|row| row.is_whole());
        // Two sources may cover one kind: one whole reading is enough for a cluster, every region counts for an account.
        let one_is_enough = self.place.is_cluster || region.is_some();
        if !whole.is_empty() && (one_is_enough || broken.is_empty()) {
            return Completeness::Complete;
        }
        let state = broken.first().map(|row| row.state);
        Completeness::Incomplete { kind, state, expired: broken.iter().any(|row| row.expired) }
    }

    /// What keeps the reading of a resource itself from being current; `None` when nothing does.
    pub(crate) fn lost(&self, resource: &StoredResource) -> Option<UnknownReason> {
        let region = if self.place.is_cluster { None } else { resource.region.as_deref() };
        match self.completeness(resource.kind, region) {
            // It was read, and the listing that it came from has not ended for the first time yet.
            Completeness::Incomplete { state: None, .. } | Completeness::Complete => None,
            Completeness::Incomplete { kind, state, expired } => Some(UnknownReason::Unread { kind, state, expired }),
        }
    }

    /// The world as one resource sees it.
    pub(crate) fn around<'a>(&'a self, resource: &'a StoredResource) -> Around<'a> {
        Around { world: self, resource }
    }
}

/// Neighbours of one resource.
pub(crate) struct Around<'a> {
    world: &'a World,
    resource: &'a StoredResource,
}

impl Neighbours for Around<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let region = (query.within == Within::Region).then_some(self.resource.region.as_deref()).flatten();
        let mut items = Vec::new();
        let mut completeness = Completeness::Complete;
        for kind in query.kinds {
            if completeness == Completeness::Complete {
                completeness = self.world.completeness(*kind, region);
            }
            let all = self.world.by_kind.get(kind).map_or(&[][..], Vec::as_slice);
            match query.name {
                Some(name) => {
                    let named = self.world.by_name.get(kind).and_then(|names| names.get(name));
                    let named = named.into_iter().flatten().map(|index| &all[*index]);
                    items.extend(named.filter(|other| self.is_near(other, query.within)).map(item));
                }
                // Sorted by namespace, so one namespace is one run.
                None if query.within == Within::Namespace => {
                    items.extend(run_of(all, self.resource.namespace.as_deref()).iter().map(item));
                }
                None => items.extend(all.iter().filter(|other| self.is_near(other, query.within)).map(item)),
            }
        }
        NeighbourSet { items: items.into(), completeness }
    }
}

impl Around<'_> {
    fn is_near(&self, other: &StoredResource, within: Within) -> bool {
        match within {
            Within::Namespace => other.namespace == self.resource.namespace,
            Within::Region => other.region == self.resource.region,
            Within::Unit => true,
        }
    }
}

fn item(other: &StoredResource) -> NeighbourItem<'_> {
    NeighbourItem { config: &other.config, native_id: &other.native_id }
}

/// The resources of one namespace in a list sorted by namespace, with none first as in `Option`'s order.
fn run_of<'a>(sorted: &'a [StoredResource], namespace: Option<&str>) -> &'a [StoredResource] {
    let start = sorted.partition_point(|other| other.namespace.as_deref() < namespace);
    let end = sorted.partition_point(|other| other.namespace.as_deref() <= namespace);
    &sorted[start..end]
}
