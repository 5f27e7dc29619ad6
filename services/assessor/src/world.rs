use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_content::Within;
use rampart_domain::{Kind, UnitId, UnknownReason};
use rampart_posture::{Completeness, Engine, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours};
use rampart_store::verdict::{self, CoverageRow, StoredResource, UnitPlace};
use rampart_store::{StoreError, TenantTx};
use uuid::Uuid;

/// What controls may look at, by kind, namespace and name.
#[derive(Clone, Default)]
pub(crate) struct Near {
    /// With their configurations.
    pub(crate) whole: Vec<StoredResource>,
    /// Workloads with their outlines instead, for whom they are enough.
    pub(crate) outlines: Vec<StoredResource>,
}

/// A list of neighbours to read.
#[derive(Default)]
struct Wanted {
    /// Nowhere but in these namespaces; `None` for anywhere in the unit.
    namespaces: Option<BTreeSet<String>>,
    kinds: Vec<Kind>,
}

/// Reads what `controls` may look at when they judge resources of the `judged` kinds: of a whole unit, or beside some
/// resources of it, each kind only where somebody looks at it.
pub(crate) async fn neighbours(
    tx: &mut TenantTx,
    engine: &Engine,
    (unit, place): (UnitId, &UnitPlace),
    (mut judged, controls): (BTreeSet<Kind>, &BTreeSet<&str>),
    beside: Option<&[Uuid]>,
) -> Result<Near, StoreError> {
    let extent = match beside {
        None => None,
        Some(ids) => Some(verdict::extent(tx, ids).await?),
    };
    if let Some(extent) = &extent {
        judged.retain(|kind| extent.contains_key(kind));
    }
    let mut near = Near::default();
    for outline in [false, true] {
        for wanted in wanted(engine, (&judged, controls), extent.as_ref(), outline) {
            let namespaces = wanted.namespaces.map(Vec::from_iter);
            let (kinds, namespaces) = (&wanted.kinds, namespaces.as_deref());
            if outline {
                near.outlines.extend(verdict::outlines(tx, unit, kinds, namespaces, false).await?);
            } else {
                near.whole.extend(verdict::neighbours(tx, unit, place, kinds, namespaces).await?);
            }
        }
    }
    Ok(near)
}

/// The lists in which controls look for whole neighbours, or for outlines.
fn wanted(
    engine: &Engine,
    (judged, controls): (&BTreeSet<Kind>, &BTreeSet<&str>),
    extent: Option<&BTreeMap<Kind, BTreeSet<String>>>,
    outline: bool,
) -> Vec<Wanted> {
    let mut lists: Vec<Wanted> = Vec::new();
    for kind in engine.neighbour_kinds().into_keys() {
        let looks = engine.dependents(kind).filter(|it| it.outline == outline && controls.contains(it.control_id));
        let mut namespaces: Option<Option<BTreeSet<String>>> = None;
        for look in looks.filter(|it| it.judged.iter().any(|kind| judged.contains(kind))) {
            let places = namespaces.get_or_insert_with(|| Some(BTreeSet::new()));
            match (extent, look.within, places) {
                (Some(extent), Within::Namespace, Some(places)) => {
                    let there = look.judged.iter().filter_map(|kind| extent.get(kind));
                    places.extend(there.flatten().cloned());
                }
                (_, _, places) => *places = None,
            }
        }
        let Some(namespaces) = namespaces else { continue };
        match lists.iter_mut().find(|list| list.namespaces == namespaces) {
            Some(list) => list.kinds.push(kind),
            None => lists.push(Wanted { namespaces, kinds: vec![kind] }),
        }
    }
    lists
}

/// What the controls of a unit may look at besides the judged resource.
pub(crate) struct World {
    whole: Kinds,
    outlines: Kinds,
    coverage: Vec<CoverageRow>,
    place: UnitPlace,
}

impl World {
    pub(crate) fn new(near: Near, coverage: Vec<CoverageRow>, place: UnitPlace) -> Self {
        Self { whole: Kinds::of(near.whole), outlines: Kinds::of(near.outlines), coverage, place }
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

/// Resources by kind, those of a kind by namespace.
#[derive(Default)]
struct Kinds(HashMap<Kind, Named>);

#[derive(Default)]
struct Named {
    all: Vec<StoredResource>,
    /// Places in `all`.
    by_name: HashMap<String, Vec<usize>>,
}

impl Kinds {
    fn of(resources: Vec<StoredResource>) -> Self {
        let mut kinds: HashMap<Kind, Named> = HashMap::new();
        for resource in resources {
            let named = kinds.entry(resource.kind).or_default();
            named.by_name.entry(resource.name.clone()).or_default().push(named.all.len());
            named.all.push(resource);
        }
        Self(kinds)
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
            completeness = completeness.and(self.world.completeness(*kind, region));
            // Whoever has everything whole reads no outlines besides.
            let outlines = query.outline.then(|| self.world.outlines.0.get(kind)).flatten();
            let Some(Named { all, by_name }) = outlines.or_else(|| self.world.whole.0.get(kind)) else { continue };
            match query.name {
                Some(name) => {
                    let named = by_name.get(name).into_iter().flatten().map(|index| &all[*index]);
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
