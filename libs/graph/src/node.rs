use rampart_domain::{Kind, NativeId};
use serde_json::{Map, Value};

/// A resource as far as edges need it, borrowed from wherever it is stored.
#[derive(Debug, Clone, Copy)]
pub struct Node<'a> {
    /// What it is.
    pub kind: Kind,
    /// The provider's name.
    pub native_id: &'a NativeId,
    /// Uid of the cluster's kube-system namespace; empty for what belongs to no cluster.
    pub cluster_uid: &'a str,
    /// Kubernetes namespace.
    pub namespace: Option<&'a str>,
    /// Native id of the controlling owner.
    pub owner: Option<&'a NativeId>,
    /// Configuration in the provider's shape.
    pub config: &'a Value,
}

impl<'a> Node<'a> {
    /// The pod spec, for workloads.
    pub fn pod_spec(&self) -> Option<&'a Value> {
        self.config.pointer(self.kind.pod_spec_pointer()?)
    }

    /// The labels by which its pods are selected: a pod's own, a template's otherwise. `None` for what has no pods.
    pub fn pod_labels(&self) -> Option<&'a Map<String, Value>> {
        let pointer = match self.kind {
            Kind::K8sPod => "/metadata/labels",
            Kind::K8sCronJob => "/spec/jobTemplate/spec/template/metadata/labels",
            kind if kind.is_workload() => "/spec/template/metadata/labels",
            _ => return None,
        };
        self.config.pointer(pointer)?.as_object()
    }

    /// The id of an object beside this one.
    pub(crate) fn sibling(&self, group: &str, kind: &str, name: &str) -> NativeId {
        self.object(group, kind, self.namespace.unwrap_or_default(), name)
    }

    /// The id of an object in the same cluster; `namespace` is empty for cluster-wide ones.
    pub(crate) fn object(&self, group: &str, kind: &str, namespace: &str, name: &str) -> NativeId {
        NativeId::kubernetes(self.cluster_uid, group, kind, namespace, name)
    }
}
