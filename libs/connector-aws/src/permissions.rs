use rampart_connector::Permission;
use rampart_domain::Kind;

use crate::calls::{account, ecr, eks, iam, logs};
use crate::config::Regions;

/// Every kind that an AWS account yields; those of the whole account come first.
pub(crate) const KINDS: [Kind; 13] = [
    Kind::AwsAccount,
    Kind::AwsIamRole,
    Kind::AwsEksCluster,
    Kind::AwsEksNodegroup,
    Kind::AwsEksFargateProfile,
    Kind::AwsEksAddon,
    Kind::AwsEksAccessEntry,
    Kind::AwsEksIdentityProviderConfig,
    Kind::AwsEksPodIdentityAssociation,
    Kind::AwsEcrRegistry,
    Kind::AwsEcrRepository,
    Kind::AwsEcrImage,
    Kind::AwsLogsLogGroup,
];

/// Kinds of the whole account, and those of each region.
pub(crate) const REACHES: (&[Kind], &[Kind]) = KINDS.split_at(2);

/// Kinds that are listed per cluster, and the cluster itself.
const EKS_KINDS: &[Kind] = REACHES.1.split_at(7).0;

/// Every action of a scan with the kinds that are lost without it. Identity comes first: nothing works without.
const ACTIONS: &[(&str, &[Kind])] = &[
    (account::GET_CALLER_IDENTITY, &KINDS),
    (account::LIST_REGIONS, &[Kind::AwsAccount]),
    (iam::GET_ACCOUNT_AUTHORIZATION_DETAILS, &[Kind::AwsIamRole]),
    (eks::LIST_CLUSTERS, EKS_KINDS),
    (eks::DESCRIBE_CLUSTER, &[Kind::AwsEksCluster]),
    (eks::LIST_NODEGROUPS, &[Kind::AwsEksNodegroup]),
    (eks::DESCRIBE_NODEGROUP, &[Kind::AwsEksNodegroup]),
    (eks::LIST_FARGATE_PROFILES, &[Kind::AwsEksFargateProfile]),
    (eks::DESCRIBE_FARGATE_PROFILE, &[Kind::AwsEksFargateProfile]),
    (eks::LIST_ADDONS, &[Kind::AwsEksAddon]),
    (eks::DESCRIBE_ADDON, &[Kind::AwsEksAddon]),
    (eks::LIST_ACCESS_ENTRIES, &[Kind::AwsEksAccessEntry]),
    (eks::DESCRIBE_ACCESS_ENTRY, &[Kind::AwsEksAccessEntry]),
    (eks::LIST_ASSOCIATED_ACCESS_POLICIES, &[Kind::AwsEksAccessEntry]),
    (eks::LIST_IDENTITY_PROVIDER_CONFIGS, &[Kind::AwsEksIdentityProviderConfig]),
    (eks::DESCRIBE_IDENTITY_PROVIDER_CONFIG, &[Kind::AwsEksIdentityProviderConfig]),
    (eks::LIST_POD_IDENTITY_ASSOCIATIONS, &[Kind::AwsEksPodIdentityAssociation]),
    (eks::DESCRIBE_POD_IDENTITY_ASSOCIATION, &[Kind::AwsEksPodIdentityAssociation]),
    (ecr::GET_REGISTRY_SCANNING_CONFIGURATION, &[Kind::AwsEcrRegistry]),
    (ecr::DESCRIBE_REPOSITORIES, &[Kind::AwsEcrRepository, Kind::AwsEcrImage]),
    (ecr::GET_REPOSITORY_POLICY, &[Kind::AwsEcrRepository]),
    (ecr::GET_LIFECYCLE_POLICY, &[Kind::AwsEcrRepository]),
    (ecr::DESCRIBE_IMAGES, &[Kind::AwsEcrImage]),
    (logs::DESCRIBE_LOG_GROUPS, &[Kind::AwsLogsLogGroup]),
];

/// The actions that a scan of these regions uses.
pub fn permissions(regions: &Regions) -> Vec<Permission> {
    let used = ACTIONS.iter().filter(|(name, _)| *name != account::LIST_REGIONS || *regions == Regions::Enabled);
    used.map(|(name, kinds)| Permission { name: (*name).to_owned(), kinds: kinds.to_vec() }).collect()
}

#[cfg(test)]
mod tests {
    use rampart_domain::Family;

    use super::*;

    #[test]
    fn every_aws_kind_is_read_and_hangs_on_an_action() {
        let known: Vec<_> = Kind::ALL.iter().copied().filter(|kind| kind.family() == Family::Aws).collect();
        // Who belongs to an organisation is read apart from the accounts.
        let of_account: Vec<_> = known.into_iter().filter(|kind| *kind != Kind::AwsOrganization).collect();
        assert_eq!(of_account, KINDS);
        for kind in KINDS {
            assert!(ACTIONS[1..].iter().any(|(_, kinds)| kinds.contains(&kind)), "{kind}");
        }
        assert_eq!(
            (EKS_KINDS.first(), EKS_KINDS.last()),
            (Some(&Kind::AwsEksCluster), Some(&Kind::AwsEksPodIdentityAssociation))
        );
    }

    #[test]
    fn regions_are_only_asked_for_when_they_are_not_chosen() {
        let has = |regions| permissions(&regions).iter().any(|p| p.name == account::LIST_REGIONS);
        assert!(has(Regions::Enabled));
        assert!(!has(Regions::Chosen(vec!["eu-west-1".into()])));
    }
}
