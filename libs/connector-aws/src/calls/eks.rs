use aws_config::SdkConfig;
use aws_sdk_eks::types::IdentityProviderConfig;
use rampart_connector::{ConnectorError, ErrorKind};
use serde_json::Value;

use super::{Line, PageOf, ask};

pub(crate) const LIST_CLUSTERS: &str = "eks:ListClusters";
pub(crate) const DESCRIBE_CLUSTER: &str = "eks:DescribeCluster";
pub(crate) const LIST_NODEGROUPS: &str = "eks:ListNodegroups";
pub(crate) const LIST_FARGATE_PROFILES: &str = "eks:ListFargateProfiles";
pub(crate) const LIST_ADDONS: &str = "eks:ListAddons";
pub(crate) const LIST_ACCESS_ENTRIES: &str = "eks:ListAccessEntries";
pub(crate) const LIST_IDENTITY_PROVIDER_CONFIGS: &str = "eks:ListIdentityProviderConfigs";
pub(crate) const LIST_POD_IDENTITY_ASSOCIATIONS: &str = "eks:ListPodIdentityAssociations";
pub(crate) const DESCRIBE_NODEGROUP: &str = "eks:DescribeNodegroup";
pub(crate) const DESCRIBE_FARGATE_PROFILE: &str = "eks:DescribeFargateProfile";
pub(crate) const DESCRIBE_ADDON: &str = "eks:DescribeAddon";
pub(crate) const DESCRIBE_ACCESS_ENTRY: &str = "eks:DescribeAccessEntry";
pub(crate) const DESCRIBE_POD_IDENTITY_ASSOCIATION: &str = "eks:DescribePodIdentityAssociation";
pub(crate) const LIST_ASSOCIATED_ACCESS_POLICIES: &str = "eks:ListAssociatedAccessPolicies";
pub(crate) const DESCRIBE_IDENTITY_PROVIDER_CONFIG: &str = "eks:DescribeIdentityProviderConfig";

/// The EKS API of one region.
#[derive(Debug)]
pub(crate) struct EksCalls {
    client: aws_sdk_eks::Client,
    pub(crate) line: Line,
}

/// Listings and descriptions of things inside a cluster differ in names only.
macro_rules! of_cluster {
    (list $name:ident, $api:ident, $operation:ident) => {
        pub(crate) async fn $name(&self, cluster: &str, page: PageOf) -> Result<Value, ConnectorError> {
            let request = || self.client.$operation().cluster_name(cluster);
            ask!(self.line, $api, request().set_next_token(page.token.clone()).set_max_results(page.size))
        }
    };
    (describe $name:ident, $api:ident, $operation:ident, $key:ident) => {
        pub(crate) async fn $name(&self, cluster: &str, $key: &str) -> Result<Value, ConnectorError> {
            ask!(self.line, $api, self.client.$operation().cluster_name(cluster).$key($key))
        }
    };
}

impl EksCalls {
    pub(crate) fn new(config: &SdkConfig, line: Line) -> Self {
        Self { client: aws_sdk_eks::Client::new(config), line }
    }

    pub(crate) async fn clusters(&self, page: PageOf) -> Result<Value, ConnectorError> {
        let request = || self.client.list_clusters().set_next_token(page.token.clone()).set_max_results(page.size);
        ask!(self.line, LIST_CLUSTERS, request())
    }

    pub(crate) async fn cluster(&self, name: &str) -> Result<Value, ConnectorError> {
        ask!(self.line, DESCRIBE_CLUSTER, self.client.describe_cluster().name(name))
    }

    of_cluster!(list nodegroups, LIST_NODEGROUPS, list_nodegroups);
    of_cluster!(list fargate_profiles, LIST_FARGATE_PROFILES, list_fargate_profiles);
    of_cluster!(list addons, LIST_ADDONS, list_addons);
    of_cluster!(list access_entries, LIST_ACCESS_ENTRIES, list_access_entries);
    of_cluster!(list identity_provider_configs, LIST_IDENTITY_PROVIDER_CONFIGS, list_identity_provider_configs);
    of_cluster!(list pod_identity_associations, LIST_POD_IDENTITY_ASSOCIATIONS, list_pod_identity_associations);
    of_cluster!(describe nodegroup, DESCRIBE_NODEGROUP, describe_nodegroup, nodegroup_name);
    of_cluster!(describe fargate_profile, DESCRIBE_FARGATE_PROFILE, describe_fargate_profile, fargate_profile_name);
    of_cluster!(describe addon, DESCRIBE_ADDON, describe_addon, addon_name);
    of_cluster!(describe access_entry, DESCRIBE_ACCESS_ENTRY, describe_access_entry, principal_arn);
    of_cluster!(describe pod_identity_association, DESCRIBE_POD_IDENTITY_ASSOCIATION, describe_pod_identity_association, association_id);

    pub(crate) async fn access_policies(
        &self,
        cluster: &str,
        principal_arn: &str,
        page: PageOf,
    ) -> Result<Value, ConnectorError> {
        let request =
            || self.client.list_associated_access_policies().cluster_name(cluster).principal_arn(principal_arn);
        let request = || request().set_next_token(page.token.clone()).set_max_results(page.size);
        ask!(self.line, LIST_ASSOCIATED_ACCESS_POLICIES, request())
    }

    /// `of_type` is the provider's word; `oidc` is the only one so far.
    pub(crate) async fn identity_provider_config(
        &self,
        cluster: &str,
        of_type: &str,
        name: &str,
    ) -> Result<Value, ConnectorError> {
        let config = IdentityProviderConfig::builder().r#type(of_type).name(name).build().map_err(|error| {
            ConnectorError::new(ErrorKind::Permanent, DESCRIBE_IDENTITY_PROVIDER_CONFIG, error.to_string())
        })?;
        let request = || self.client.describe_identity_provider_config().cluster_name(cluster);
        ask!(self.line, DESCRIBE_IDENTITY_PROVIDER_CONFIG, request().identity_provider_config(config.clone()))
    }
}
