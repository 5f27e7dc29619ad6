use std::collections::HashMap;

use rampart_domain::Kind;
use rampart_store::verdict::StoredResource;
use serde_json::Value;
use uuid::Uuid;

/// What makes pods in a namespace, each with the pods that run of it.
pub(super) struct Members<'a> {
    members: Vec<Member<'a>>,
}

/// A workload that nothing else owns, or a pod on its own.
pub(super) struct Member<'a> {
    pub(super) resource: &'a StoredResource,
    /// Pods that have not ended. A pod on its own is one of itself.
    pub(super) pods: Vec<&'a StoredResource>,
}

impl<'a> Members<'a> {
    /// Arranges everything that a namespace holds. What has ended for good makes no pods any more and is left out.
    pub(super) fn of(held: &'a [StoredResource]) -> Self {
        let is_there: HashMap<Uuid, &StoredResource> = held.iter().map(|it| (it.id, it)).collect();
        let owner = |it: &StoredResource| it.owner_id.filter(|owner| is_there.contains_key(owner));
        let mut pods: HashMap<Uuid, Vec<&StoredResource>> = HashMap::new();
        for pod in held.iter().filter(|it| it.kind == Kind::K8sPod && it.active) {
            pods.entry(owner(pod).unwrap_or(pod.id)).or_default().push(pod);
        }
        let tops = held.iter().filter(|it| owner(it).is_none() && !has_ended(it));
        let members = tops.map(|resource| Member { resource, pods: pods.remove(&resource.id).unwrap_or_default() });
        let mut members: Vec<_> = members.collect();
        // Pods whose owner has ended are still there.
        for (owner, pods) in pods {
            members.extend(is_there.get(&owner).map(|resource| Member { resource, pods }));
        }
        members.sort_by(|a, b| (a.resource.kind, &a.resource.name).cmp(&(b.resource.kind, &b.resource.name)));
        Self { members }
    }

    pub(super) fn owners(&self) -> impl Iterator<Item = &Member<'a>> {
        self.members.iter()
    }
}

impl Member<'_> {
    /// Its kind in Kubernetes' own spelling.
    pub(super) fn kind(&self) -> String {
        let own = self.resource.config.get("kind").and_then(Value::as_str);
        own.unwrap_or(self.resource.kind.as_str()).to_owned()
    }
}

/// Whether no pod will come of it again: a pod or a job that ran to its end.
fn has_ended(resource: &StoredResource) -> bool {
    match resource.kind {
        Kind::K8sPod => !resource.active,
        Kind::K8sJob => {
            let conditions = resource.config.pointer("/status/conditions").and_then(Value::as_array);
            conditions.into_iter().flatten().any(|condition| {
                matches!(condition["type"].as_str(), Some("Complete" | "Failed")) && condition["status"] == "True"
            })
        }
        _ => false,
    }
}
