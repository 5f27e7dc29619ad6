use rampart_connector::Permission;
use rampart_domain::Kind;

use crate::auth::IMPERSONATE;
use crate::calls as api;
use crate::config::GcpConfig;

/// What the DNS endpoint of a cluster asks for, beside the rights inside: no call of a scan of the project needs it.
pub(crate) const CONNECT: &str = "container.clusters.connect";

/// Every kind that a project yields.
pub(crate) const KINDS: [Kind; 9] = [
    Kind::GcpProject,
    Kind::GcpGkeCluster,
    Kind::GcpGkeNodePool,
    Kind::GcpArtifactRegistryRepository,
    Kind::GcpArtifactRegistryImage,
    Kind::GcpIamPolicy,
    Kind::GcpService,
    Kind::GcpComputeSubnetwork,
    Kind::GcpComputeFirewall,
];

/// Every permission of a scan with the kinds that are lost without it.
const ACTIONS: &[(&str, &[Kind])] = &[
    (api::GET_PROJECT, &[Kind::GcpProject]),
    (api::LIST_CLUSTERS, &[Kind::GcpGkeCluster, Kind::GcpGkeNodePool]),
    (api::LIST_LOCATIONS, &[Kind::GcpArtifactRegistryRepository, Kind::GcpArtifactRegistryImage]),
    (api::LIST_REPOSITORIES, &[Kind::GcpArtifactRegistryRepository, Kind::GcpArtifactRegistryImage]),
    (api::GET_POLICY, &[Kind::GcpArtifactRegistryRepository]),
    (api::LIST_IMAGES, &[Kind::GcpArtifactRegistryImage]),
    (api::GET_PROJECT_POLICY, &[Kind::GcpIamPolicy]),
    (api::LIST_SERVICES, &[Kind::GcpService]),
    (api::LIST_SUBNETWORKS, &[Kind::GcpComputeSubnetwork]),
    (api::LIST_FIREWALLS, &[Kind::GcpComputeFirewall]),
    (CONNECT, &[Kind::K8sCluster]),
];

/// Every permission that a scan of a project and its clusters uses, on the project.
pub fn permissions() -> Vec<Permission> {
    ACTIONS.iter().map(declared).collect()
}

/// Every permission that reading an organisation or folder uses, on it.
pub fn organization_permissions() -> Vec<Permission> {
    let folders: &[Kind] = &[Kind::GcpFolder];
    [
        (api::GET_ORGANIZATION, folders),
        (api::GET_FOLDER, folders),
        (api::LIST_FOLDERS, folders),
        (api::LIST_PROJECTS, &[Kind::GcpProject]),
    ]
    .iter()
    .map(declared)
    .collect()
}

fn declared((name, kinds): &(&str, &[Kind])) -> Permission {
    Permission { name: (*name).to_owned(), kinds: kinds.to_vec() }
}

/// The permissions that a scan of this configuration uses. Acting as a service account is one on that account, all others
/// are on the project.
pub(crate) fn permissions_of(config: &GcpConfig) -> Vec<Permission> {
    let acting = config.login.impersonates().map(|_| declared(&(IMPERSONATE, &KINDS)));
    let used = ACTIONS.iter().filter(|(name, _)| *name != api::LIST_LOCATIONS || config.locations.is_none());
    acting.into_iter().chain(used.map(declared)).collect()
}

#[cfg(test)]
mod tests {
    use rampart_domain::Family;

    use super::*;

    #[test]
    fn every_kind_of_a_project_is_read_and_hangs_on_a_permission() {
        let known = Kind::ALL.iter().copied().filter(|kind| kind.family() == Family::Gcp);
        // Folders belong to an organisation.
        assert_eq!(known.filter(|kind| *kind != Kind::GcpFolder).collect::<Vec<_>>(), KINDS);
        for kind in KINDS {
            assert!(ACTIONS.iter().any(|(_, kinds)| kinds.contains(&kind)), "{kind}");
        }
    }
}
