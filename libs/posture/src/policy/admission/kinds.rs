//! The resources that kinds are served as.

use crate::policy::validation::Scope;

/// The versions that a rule may name a resource by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum Versions {
    /// These and the object's own.
    Known(&'static [&'static str]),
    /// Any: the API server converts between those of a custom resource.
    Any,
}

/// What is known of a kind.
pub(in crate::policy) struct Known {
    pub(in crate::policy) resource: String,
    /// Empty for an object.
    pub(in crate::policy) subresource: &'static str,
    pub(in crate::policy) scope: Scope,
    pub(in crate::policy) versions: Versions,
}

/// Kinds of Kubernetes itself whose objects live in a namespace: group, kind, resource.
const NAMESPACED: &[(&str, &str, &str)] = &[
    ("", "Binding", "bindings"),
    ("", "ConfigMap", "configmaps"),
    ("", "Endpoints", "endpoints"),
    ("", "Event", "events"),
    ("", "LimitRange", "limitranges"),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims"),
    ("", "Pod", "pods"),
    ("", "PodTemplate", "podtemplates"),
    ("", "ReplicationController", "replicationcontrollers"),
    ("", "ResourceQuota", "resourcequotas"),
    ("", "Secret", "secrets"),
    ("", "Service", "services"),
    ("", "ServiceAccount", "serviceaccounts"),
    ("apps", "ControllerRevision", "controllerrevisions"),
    ("apps", "DaemonSet", "daemonsets"),
    ("apps", "Deployment", "deployments"),
    ("apps", "ReplicaSet", "replicasets"),
    ("apps", "StatefulSet", "statefulsets"),
    ("authorization.k8s.io", "LocalSubjectAccessReview", "localsubjectaccessreviews"),
    ("autoscaling", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
    ("batch", "CronJob", "cronjobs"),
    ("batch", "Job", "jobs"),
    ("coordination.k8s.io", "Lease", "leases"),
    ("discovery.k8s.io", "EndpointSlice", "endpointslices"),
    ("events.k8s.io", "Event", "events"),
    ("networking.k8s.io", "Ingress", "ingresses"),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies"),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "Role", "roles"),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings"),
    ("resource.k8s.io", "ResourceClaim", "resourceclaims"),
    ("resource.k8s.io", "ResourceClaimTemplate", "resourceclaimtemplates"),
    ("storage.k8s.io", "CSIStorageCapacity", "csistoragecapacities"),
];

/// Likewise those that live in none.
const CLUSTER: &[(&str, &str, &str)] = &[
    ("", "ComponentStatus", "componentstatuses"),
    ("", "Namespace", "namespaces"),
    ("", "Node", "nodes"),
    ("", "PersistentVolume", "persistentvolumes"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "APIService", "apiservices"),
    ("authentication.k8s.io", "TokenReview", "tokenreviews"),
    ("authorization.k8s.io", "SelfSubjectAccessReview", "selfsubjectaccessreviews"),
    ("authorization.k8s.io", "SubjectAccessReview", "subjectaccessreviews"),
    ("certificates.k8s.io", "CertificateSigningRequest", "certificatesigningrequests"),
    ("flowcontrol.apiserver.k8s.io", "FlowSchema", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", "prioritylevelconfigurations"),
    ("networking.k8s.io", "IngressClass", "ingressclasses"),
    ("networking.k8s.io", "IPAddress", "ipaddresses"),
    ("networking.k8s.io", "ServiceCIDR", "servicecidrs"),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses"),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings"),
    ("resource.k8s.io", "DeviceClass", "deviceclasses"),
    ("resource.k8s.io", "ResourceSlice", "resourceslices"),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses"),
    ("storage.k8s.io", "CSIDriver", "csidrivers"),
    ("storage.k8s.io", "CSINode", "csinodes"),
    ("storage.k8s.io", "StorageClass", "storageclasses"),
    ("storage.k8s.io", "VolumeAttachment", "volumeattachments"),
    ("storage.k8s.io", "VolumeAttributesClass", "volumeattributesclasses"),
];

/// What is asked of an object rather than stored as one: group, kind, resource, subresource.
const SUBRESOURCES: &[(&str, &str, &str, &str)] = &[
    ("", "NodeProxyOptions", "nodes", "proxy"),
    ("", "PodAttachOptions", "pods", "attach"),
    ("", "PodExecOptions", "pods", "exec"),
    ("", "PodPortForwardOptions", "pods", "portforward"),
    ("", "PodProxyOptions", "pods", "proxy"),
    ("", "ServiceProxyOptions", "services", "proxy"),
    ("authentication.k8s.io", "TokenRequest", "serviceaccounts", "token"),
    ("policy", "Eviction", "pods", "eviction"),
];

/// Groups of Kubernetes itself that serve more than one version.
const VERSIONS: &[(&str, &[&str])] = &[
    ("admissionregistration.k8s.io", &["v1", "v1beta1", "v1alpha1"]),
    ("autoscaling", &["v1", "v2"]),
    ("certificates.k8s.io", &["v1", "v1beta1", "v1alpha1"]),
    ("coordination.k8s.io", &["v1", "v1beta1"]),
    ("networking.k8s.io", &["v1", "v1beta1"]),
    ("resource.k8s.io", &["v1", "v1beta1", "v1beta2"]),
    ("storage.k8s.io", &["v1", "v1beta1"]),
];

/// The resource of a kind: looked up, or else guessed as kubectl guesses.
pub(in crate::policy) fn find(group: &str, kind: &str) -> Known {
    let built_in = |table: &[(&str, &str, &'static str)]| {
        table.iter().find(|(known, name, _)| (*known, *name) == (group, kind)).map(|(_, _, resource)| *resource)
    };
    let versions = VERSIONS.iter().find(|(known, _)| *known == group).map_or(&[][..], |(_, versions)| versions);
    let known = |resource: &str, scope| Known {
        resource: resource.to_owned(),
        subresource: "",
        scope,
        versions: Versions::Known(versions),
    };
    if let Some(resource) = built_in(NAMESPACED) {
        return known(resource, Scope::Namespaced);
    }
    if let Some(resource) = built_in(CLUSTER) {
        return known(resource, Scope::Cluster);
    }
    if let Some((_, _, resource, subresource)) = SUBRESOURCES.iter().find(|known| (known.0, known.1) == (group, kind)) {
        let scope = if *resource == "nodes" { Scope::Cluster } else { Scope::Namespaced };
        return Known { subresource, ..known(resource, scope) };
    }
    Known { versions: Versions::Any, ..known(&plural(kind), Scope::Unknown) }
}

/// The kind in lower case and more than one of it.
fn plural(kind: &str) -> String {
    let name = kind.to_ascii_lowercase();
    let vowel = |c: char| "aeiou".contains(c);
    if name.is_empty() || name.ends_with("endpoints") {
        return name;
    }
    match name.strip_suffix('y') {
        Some(stem) if !stem.ends_with(vowel) => format!("{stem}ies"),
        _ if ["s", "x", "ch", "sh"].iter().any(|end| name.ends_with(end)) => format!("{name}es"),
        _ => format!("{name}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, find};

    #[test]
    fn kinds_have_their_resources() {
        let resource = |group: &str, kind: &str| find(group, kind).resource;
        assert_eq!(resource("", "Endpoints"), "endpoints");
        assert_eq!(resource("networking.k8s.io", "NetworkPolicy"), "networkpolicies");
        assert_eq!(resource("networking.k8s.io", "Ingress"), "ingresses");
        assert_eq!(resource("gateway.networking.k8s.io", "Gateway"), "gateways");
        assert_eq!(resource("kyverno.io", "ClusterPolicy"), "clusterpolicies");
        assert_eq!(resource("example.com", "Widget"), "widgets");
        assert_eq!((resource("", "PodExecOptions"), find("", "PodExecOptions").subresource), ("pods".into(), "exec"));
        assert_eq!(find("apps", "Deployment").scope, Scope::Namespaced);
        assert_eq!(find("", "Node").scope, Scope::Cluster);
        assert_eq!(find("example.com", "Node").scope, Scope::Unknown);
    }
}
