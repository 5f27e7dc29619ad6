use std::collections::{BTreeSet, HashMap};

use rampart_domain::{Kind, NativeId, UnitId};
use rampart_graph::{Edge, EdgeKind, Node};
use rampart_store::edge::{self, EdgeWrite, Ends};
use rampart_store::fix_unit;
use rampart_store::verdict::{self, StoredResource, UnitPlace};
use rampart_store::work::Lease;
use rampart_store::{Store, StoreError};
use uuid::Uuid;

use crate::sources;

/// Kinds that take in workloads by their labels.
const SELECTORS: [Kind; 2] = [Kind::K8sService, Kind::K8sNetworkPolicy];

/// Edges that a resource alone determines. That a cluster contains a resource is a column, not an edge.
const OWN: [&str; 5] = [
    EdgeKind::Owner.as_str(),
    EdgeKind::Mounts.as_str(),
    EdgeKind::UsesServiceAccount.as_str(),
    EdgeKind::Binds.as_str(),
    EdgeKind::RunsImage.as_str(),
];

/// Derives the edges and sources of resources that changed. Those of resources that are gone went with them.
pub(crate) async fn derive(
    store: &Store,
    lease: &Lease,
    (unit, place): (UnitId, &UnitPlace),
    ids: &[Uuid],
) -> Result<(), StoreError> {
    let mut tx = store.tenant(lease.tenant).await?;
    let changed = verdict::resources_by_id(&mut tx, unit, ids).await?;
    let owners: Vec<Uuid> = changed.iter().filter_map(|resource| resource.owner_id).collect();
    let owners = edge::native_ids(&mut tx, &owners).await?;
    let (selectors, workloads): (Vec<_>, Vec<_>) = changed
        .iter()
        .filter(|r| r.kind.is_workload() && r.owner_id.is_none() || SELECTORS.contains(&r.kind))
        .partition(|resource| SELECTORS.contains(&resource.kind));
    let workload_kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| kind.is_workload()).collect();
    // The labels of pods are all that a selector looks at.
    let beside = verdict::outlines(&mut tx, unit, &workload_kinds, Some(&namespaces(&selectors)), true).await?;
    let taking = verdict::neighbours(&mut tx, unit, place, &SELECTORS, Some(&namespaces(&workloads))).await?;
    drop(tx);

    let mut own = Vec::new();
    for resource in &changed {
        let owner = resource.owner_id.and_then(|owner| owners.get(&owner));
        let edges = of(resource, owner);
        own.extend(edges.into_iter().filter(|e| e.kind != EdgeKind::Contains).map(|e| write(resource.id, e)));
    }
    let sources = sources::of(&changed, &owners)?;
    let from_selectors = selected(&selectors, &beside.iter().collect::<Vec<_>>());
    let to_workloads = selected(&taking.iter().collect::<Vec<_>>(), &workloads);

    let ids_of = |list: &[&StoredResource]| list.iter().map(|resource| resource.id).collect::<Vec<_>>();
    let all: Vec<Uuid> = changed.iter().map(|resource| resource.id).collect();
    let selects = [EdgeKind::Selects.as_str()];
    let mut tx = store.fenced(lease).await?;
    edge::replace(&mut tx, unit, Ends::From(&all), &OWN, &own).await?;
    edge::replace(&mut tx, unit, Ends::From(&ids_of(&selectors)), &selects, &from_selectors).await?;
    edge::replace(&mut tx, unit, Ends::To(&ids_of(&workloads)), &selects, &to_workloads).await?;
    fix_unit::replace(&mut tx, ids, &sources).await?;
    tx.commit().await
}

/// The edges that a resource alone determines.
pub(crate) fn of(resource: &StoredResource, owner: Option<&NativeId>) -> Vec<Edge> {
    let native = NativeId::new(resource.native_id.as_str());
    rampart_graph::derive(&node(resource, &native, owner))
}

fn namespaces(resources: &[&StoredResource]) -> Vec<String> {
    let names: BTreeSet<&String> = resources.iter().filter_map(|resource| resource.namespace.as_ref()).collect();
    names.into_iter().cloned().collect()
}

/// The `selects` edges between two lists, namespace by namespace.
fn selected(selectors: &[&StoredResource], workloads: &[&StoredResource]) -> Vec<EdgeWrite> {
    let natives: Vec<NativeId> = workloads.iter().map(|w| NativeId::new(w.native_id.as_str())).collect();
    let mut by_namespace: HashMap<Option<&str>, Vec<Node<'_>>> = HashMap::new();
    for (workload, native) in workloads.iter().zip(&natives) {
        by_namespace.entry(workload.namespace.as_deref()).or_default().push(node(workload, native, None));
    }
    let mut edges = Vec::new();
    for selector in selectors {
        let native = NativeId::new(selector.native_id.as_str());
        let near = by_namespace.get(&selector.namespace.as_deref()).into_iter().flatten().copied();
        let found = rampart_graph::select(&node(selector, &native, None), near);
        edges.extend(found.into_iter().map(|edge| write(selector.id, edge)));
    }
    edges
}

fn write(from: Uuid, edge: Edge) -> EdgeWrite {
    EdgeWrite { kind: edge.kind.as_str(), from, to: edge.to }
}

pub(crate) fn node<'a>(resource: &'a StoredResource, native_id: &'a NativeId, owner: Option<&'a NativeId>) -> Node<'a> {
    let uid = resource.native_id.strip_prefix("k8s://").and_then(|rest| rest.split('/').next());
    Node {
        kind: resource.kind,
        native_id,
        cluster_uid: uid.unwrap_or_default(),
        namespace: resource.namespace.as_deref(),
        owner,
        config: &resource.config,
    }
}
