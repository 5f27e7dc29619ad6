/// A right inside a cluster, read from the name of a permission.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// A verb on all objects of a resource: `list deployments.apps`.
    Resource {
        /// `list`, `get` or `watch`.
        verb: String,
        /// API group; empty for the core group.
        group: String,
        /// Plural of the resource; `*` for every resource of the group.
        resource: String,
    },
    /// A verb on one object: `get namespaces/kube-system`.
    Object {
        /// `get`.
        verb: String,
        /// API group; empty for the core group.
        group: String,
        /// Plural of the resource.
        resource: String,
        /// Name of the object.
        name: String,
    },
    /// A path that is no resource: `get /version`.
    Path(String),
}

/// A permission that is no right inside a cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not of the form `list <resource>[.<group>]`, `get <resource>/<name>` or `get /<path>`")]
pub struct MalformedPermission(pub String);

impl std::str::FromStr for Right {
    type Err = MalformedPermission;

    fn from_str(name: &str) -> Result<Self, MalformedPermission> {
        let malformed = || MalformedPermission(name.to_owned());
        let (verb, target) = name.split_once(' ').ok_or_else(malformed)?;
        let is_word = |text: &str, extra: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
        };
        if !["get", "list", "watch"].contains(&verb) || !is_word(target, "./-_*") {
            return Err(malformed());
        }
        if target.starts_with('/') {
            return if verb == "get" { Ok(Self::Path(target.to_owned())) } else { Err(malformed()) };
        }
        let (kind, object) = target.split_once('/').map_or((target, None), |(kind, object)| (kind, Some(object)));
        let (resource, group) = kind.split_once('.').unwrap_or((kind, ""));
        let (verb, group, resource) = (verb.to_owned(), group.to_owned(), resource.to_owned());
        match object {
            None if resource == "*" && is_word(&group, ".-") => Ok(Self::Resource { verb, group, resource }),
            _ if !is_word(&resource, "") => Err(malformed()),
            None => Ok(Self::Resource { verb, group, resource }),
            Some(object) if is_word(object, "-.") => {
                Ok(Self::Object { verb, group, resource, name: object.to_owned() })
            }
            Some(_) => Err(malformed()),
        }
    }
}

/// The data action that gives the right in AKS clusters which authorise by Azure RBAC. Azure knows no rights on single
/// objects: one on a config map would be one on all of them, and is left out.
pub fn aks_data_action(right: &Right) -> Option<String> {
    let below = match right {
        Right::Path(path) => path.trim_start_matches('/').to_owned(),
        Right::Object { resource, .. } if resource == "configmaps" || resource == "secrets" => return None,
        Right::Resource { group, resource, .. } | Right::Object { group, resource, .. } if group.is_empty() => {
            resource.clone()
        }
        Right::Resource { group, resource, .. } | Right::Object { group, resource, .. } => {
            format!("{group}/{resource}")
        }
    };
    Some(format!("Microsoft.ContainerService/managedClusters/{below}/read"))
}

/// Resources that Google Cloud's IAM governs in GKE clusters, in its own spelling (reference of IAM permissions, 2026).
const GKE_RESOURCES: [&str; 31] = [
    "clusterRoleBindings",
    "clusterRoles",
    "configMaps",
    "cronJobs",
    "customResourceDefinitions",
    "daemonSets",
    "deployments",
    "endpoints",
    "endpointSlices",
    "horizontalPodAutoscalers",
    "ingresses",
    "jobs",
    "limitRanges",
    "mutatingWebhookConfigurations",
    "namespaces",
    "networkPolicies",
    "nodes",
    "persistentVolumeClaims",
    "persistentVolumes",
    "podDisruptionBudgets",
    "pods",
    "replicaSets",
    "replicationControllers",
    "resourceQuotas",
    "roleBindings",
    "roles",
    "serviceAccounts",
    "services",
    "statefulSets",
    "storageClasses",
    "validatingWebhookConfigurations",
];

/// What the DNS endpoint of a GKE cluster asks of everybody, before any right inside.
pub(crate) const GKE_CONNECT: &str = "container.clusters.connect";

/// The IAM permission that gives the right in GKE clusters; `None` where IAM has none, or has it for all objects only.
/// Paths that are no resources are open to everybody who is let in.
pub fn gke_permission(right: &Right) -> Option<String> {
    let (verb, resource) = match right {
        Right::Path(_) => return None,
        Right::Object { resource, .. } if resource == "configmaps" || resource == "secrets" => return None,
        Right::Resource { verb, resource, .. } | Right::Object { verb, resource, .. } => (verb, resource),
    };
    // IAM has no word for watching: it is part of listing.
    let verb = if verb == "watch" { "list" } else { verb };
    let known = GKE_RESOURCES.iter().find(|known| known.eq_ignore_ascii_case(resource))?;
    Some(format!("container.{known}.{verb}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, aks: Option<&str>, gke: Option<&str>) {
        let right: Right = name.parse().unwrap();
        let aks = aks.map(|below| format!("Microsoft.ContainerService/managedClusters/{below}/read"));
        assert_eq!((aks_data_action(&right), gke_permission(&right)), (aks, gke.map(str::to_owned)), "{name}");
    }

    #[test]
    fn each_cloud_spells_a_right_in_its_own_way() {
        check("list pods", Some("pods"), Some("container.pods.list"));
        check("list deployments.apps", Some("apps/deployments"), Some("container.deployments.list"));
        check(
            "list networkpolicies.networking.k8s.io",
            Some("networking.k8s.io/networkpolicies"),
            Some("container.networkPolicies.list"),
        );
        check("watch pods", Some("pods"), Some("container.pods.list"));
        check("get namespaces/kube-system", Some("namespaces"), Some("container.namespaces.get"));
        check("get configmaps/aws-auth", None, None);
        check("get /version", Some("version"), None);
        let constraints = "constraints.gatekeeper.sh";
        check(&format!("list *.{constraints}"), Some(&format!("{constraints}/*")), None);
        check(
            "list validatingadmissionpolicies.admissionregistration.k8s.io",
            Some("admissionregistration.k8s.io/validatingadmissionpolicies"),
            None,
        );
    }

    #[test]
    fn what_would_write_or_is_not_understood_is_refused() {
        for name in [
            "create pods",
            "list",
            "list pods; rm",
            "delete pods/x",
            "list /version",
            "get pods/",
            "pods list x",
            "list *",
            "get *.apps/x",
            "list p*ds",
        ] {
            assert!(name.parse::<Right>().is_err(), "{name}");
        }
    }
}
