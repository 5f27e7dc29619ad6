//! Pods that come one by one: where each belongs, and what the pods of one owner make of it. The outcome is what a list of
//! all of them would come to.

use rampart_domain::{NativeId, Resource};
use serde_json::Value;

use super::Cluster;
use super::meta::OwnerRef;
use super::pods::{Component, Owners, Pods, Top, workload};

/// Where a pod belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing controls it.
    Alone,
    /// To something that is in the inventory by itself.
    Listed(NativeId),
    /// To something that only its pods tell about.
    Derived(NativeId),
    /// To something whose own owner is not known.
    Unseen,
}

fn controller(pod: &Resource) -> Option<OwnerRef> {
    pod.config.get("metadata").and_then(Value::as_object).and_then(OwnerRef::controller)
}

/// The objects that tell where a pod belongs and on what it runs.
pub(crate) fn links(cluster: &Cluster, pod: &Resource) -> Vec<NativeId> {
    let node = pod.config.pointer("/spec/nodeName").and_then(Value::as_str);
    let node = node.map(|name| cluster.id("", "Node", None, name));
    let owner = controller(pod).filter(OwnerRef::is_indexed);
    let owner = owner.map(|owner| cluster.owner_id(&owner, pod.namespace.as_deref()));
    node.into_iter().chain(owner).collect()
}

/// Finds where a normalised pod belongs.
pub(crate) fn place(cluster: &Cluster, owners: &Owners, pod: &Resource) -> Place {
    let Some(owner) = controller(pod) else { return Place::Alone };
    if owner.is("", "Node") {
        return Component::of(cluster, owners, pod).map_or(Place::Unseen, |component| Place::Derived(component.id));
    }
    if owner.is_indexed() && !owners.knows(&owner.uid) {
        return Place::Unseen;
    }
    guess(cluster, owners, &owner, pod)
}

/// Finds where a pod belongs whose links will not become known any more, as a list without them would.
pub(crate) fn last_resort(cluster: &Cluster, owners: &Owners, pod: &Resource) -> Place {
    match controller(pod) {
        None => Place::Alone,
        // Without its node the pool is unknown and the pod stands alone.
        Some(owner) if owner.is("", "Node") => {
            Component::of(cluster, owners, pod).map_or(Place::Alone, |component| Place::Derived(component.id))
        }
        Some(owner) => guess(cluster, owners, &owner, pod),
    }
}

fn guess(cluster: &Cluster, owners: &Owners, owner: &OwnerRef, pod: &Resource) -> Place {
    match owners.top(owner, &pod.labels) {
        Top::Listed(top) => Place::Listed(cluster.owner_id(&top, pod.namespace.as_deref())),
        Top::Unlisted(top) => Place::Derived(cluster.owner_id(&top, pod.namespace.as_deref())),
    }
}

/// What `pods`, all that belong to one derived owner, make of it: the first that runs shows the template, else the first.
pub(crate) fn derived(cluster: &Cluster, owners: &Owners, pods: &[Resource]) -> Option<Resource> {
    let mut ordered: Vec<&Resource> = pods.iter().collect();
    // Lists come in the order of namespace and name.
    ordered.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let shown = ordered.iter().find(|pod| pod.active).or_else(|| ordered.first())?;
    let owner = controller(shown)?;
    if owner.is("", "Node") {
        return Component::of(cluster, owners, shown).map(|component| component.resource(cluster, shown));
    }
    match owners.top(&owner, &shown.labels) {
        Top::Listed(_) => None,
        Top::Unlisted(top) => {
            let id = cluster.owner_id(&top, shown.namespace.as_deref());
            Some(workload(cluster, id, &top, shown))
        }
    }
}

/// The images that run in `pods`, and whether there are more than are remembered.
pub(crate) fn images<'a>(
    cluster: &Cluster,
    owners: &Owners,
    pods: impl IntoIterator<Item = &'a Resource>,
) -> (Vec<Resource>, bool) {
    let mut seen = Pods::default();
    for pod in pods.into_iter().filter(|pod| pod.active) {
        seen.note_images(owners, pod);
    }
    seen.images(cluster)
}
