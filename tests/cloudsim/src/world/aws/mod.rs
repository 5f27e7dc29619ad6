//! AWS accounts with their roles, EKS clusters, log groups and ECR registries, in the shapes of the services' own APIs.

mod ecr;
mod eks;
mod iam;
mod logs;
pub(crate) mod organization;

use std::collections::BTreeMap;

use serde_json::Value;

use super::expected::{Expected, Status, Subject};
use super::plan::Cluster;
use super::seed::Seed;

pub(crate) use ecr::{registry, repository};
pub(crate) use eks::cluster;
pub use iam::Iam;
pub(crate) use iam::of as iam_of;
pub use organization::{Organization, OrganizationAccount, OrganizationUnit};

/// Role that Rampart is given in every account; it demands an external id.
pub(crate) const READER_ROLE: &str = "RampartReader";
/// Role whose trust policy forgot the external id.
pub(crate) const OPEN_ROLE: &str = "RampartReaderOpen";
/// User with static keys.
pub(crate) const READER_USER: &str = "rampart-scanner";

/// An AWS account.
#[derive(Debug, Clone)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// Regions that are enabled.
    pub regions: Vec<String>,
    /// Role that can be assumed with a trusted external id.
    pub role_arn: String,
    /// Role that anybody who is trusted at all can assume without one.
    pub open_role_arn: String,
    /// Access key of a user of this account.
    pub access_key_id: String,
    /// Its secret; worth nothing outside the simulator.
    pub secret_access_key: String,
}

impl Account {
    pub(crate) fn new(seed: Seed, id: &str, regions: &[&str]) -> Self {
        let keys = seed.child("keys").child(id);
        Self {
            id: id.to_owned(),
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            role_arn: format!("arn:aws:iam::{id}:role/{READER_ROLE}"),
            open_role_arn: format!("arn:aws:iam::{id}:role/{OPEN_ROLE}"),
            access_key_id: format!("AKIA{}", keys.upper(16)),
            secret_access_key: keys.child("secret").hex(40),
        }
    }

    /// ARN of the user whose static keys these are.
    pub fn user_arn(&self) -> String {
        format!("arn:aws:iam::{}:user/{READER_USER}", self.id)
    }
}

/// What EKS knows of a cluster; each value is an object as the API returns it.
#[derive(Debug, Clone)]
pub struct EksCluster {
    /// `DescribeCluster`'s `cluster`, without endpoint and certificate authority.
    pub cluster: Value,
    /// Node groups by name.
    pub nodegroups: BTreeMap<String, Value>,
    /// Fargate profiles by name.
    pub fargate_profiles: BTreeMap<String, Value>,
    /// Add-ons by name.
    pub addons: BTreeMap<String, Value>,
    /// Access entries by principal ARN, with the associated policies.
    pub access_entries: BTreeMap<String, (Value, Vec<Value>)>,
    /// OIDC identity providers by name.
    pub identity_providers: BTreeMap<String, Value>,
    /// Pod identity associations by id.
    pub pod_identities: BTreeMap<String, Value>,
    /// Log groups that are named after it, as `DescribeLogGroups` returns them.
    pub log_groups: Vec<Value>,
}

/// What ECR knows of a repository.
#[derive(Debug, Clone)]
pub struct Repository {
    /// As `DescribeRepositories` returns it.
    pub repository: Value,
    /// As `DescribeImages` returns them.
    pub images: Vec<Value>,
    /// Policy text, when one is set.
    pub policy: Option<String>,
    /// Lifecycle policy text, when one is set.
    pub lifecycle: Option<String>,
    /// As `ListTagsForResource` returns them.
    pub tags: Vec<Value>,
}

/// What ECR knows of an account's registry in a region.
#[derive(Debug, Clone)]
pub struct Registry {
    /// `BASIC` or `ENHANCED`, and its rules.
    pub scanning: Value,
    /// Repositories by name.
    pub repositories: BTreeMap<String, Repository>,
}

/// How a cluster is configured on the side of AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Nothing to complain about.
    Sound,
    /// Every setting as bad as it gets.
    Weak,
    /// Somewhere between, by chance.
    Mixed,
}

/// A planted EKS cluster's expected verdicts.
pub(crate) fn expected_cluster(cluster: &Cluster, care: Care) -> Vec<Expected> {
    let status = match care {
        Care::Sound => Status::Healthy,
        Care::Weak => Status::Unhealthy,
        Care::Mixed => return Vec::new(),
    };
    let Some(arn) = cluster.arn() else { return Vec::new() };
    [
        "cluster.api.public_any",
        "cluster.audit_logs",
        "cluster.secrets_kms",
        "cluster.api.private_endpoint",
        CONFIG_MAP_AUTH,
        OLD_VERSION,
    ]
    .map(|control| Expected::new(Subject::Native(arn.to_owned()), control, status))
    .into()
}

/// Expected verdicts of what lies around a planted EKS cluster: its nodes and the log group of its control plane.
pub(crate) fn expected_around(cluster: &EksCluster, care: Care) -> Vec<Expected> {
    let status = match care {
        Care::Sound => Status::Healthy,
        Care::Weak => Status::Unhealthy,
        Care::Mixed => return Vec::new(),
    };
    let nodes = cluster.nodegroups.values().map(|group| (&group["nodegroupArn"], NODES_PUSH));
    let of_control_plane =
        |group: &&Value| group["logGroupName"].as_str().is_some_and(|name| name.ends_with("/cluster"));
    let logs = cluster.log_groups.iter().filter(of_control_plane).map(|group| (&group["logGroupArn"], SHORT_LOGS));
    let known = nodes.chain(logs).filter_map(|(id, control)| Some((id.as_str()?.to_owned(), control)));
    known.map(|(id, control)| Expected::new(Subject::Native(id), control, status)).collect()
}

/// Expected verdicts of two roles that every account has.
pub(crate) fn expected_roles(account: &Account) -> [Expected; 2] {
    [(iam::PIPELINE, Status::Unhealthy), (iam::DEVELOPERS, Status::Healthy)].map(|(name, status)| {
        let arn = format!("arn:aws:iam::{}:role/{name}", account.id);
        Expected::new(Subject::Native(arn), "ecr.role_changes_every_image", status)
    })
}

/// Control on nodes whose role may push.
const NODES_PUSH: &str = "eks.node_role_registry_write";
/// Control on log groups that drop their events early.
const SHORT_LOGS: &str = "eks.log_retention";
/// Control on clusters whose identities come from the config map alone.
pub(crate) const CONFIG_MAP_AUTH: &str = "eks.authentication_mode";
/// Control on clusters whose version is out of standard support.
pub(crate) const OLD_VERSION: &str = "eks.unsupported_version";

/// Epoch seconds as AWS puts them into JSON.
pub(crate) fn epoch(seed: Seed, days: u64) -> Value {
    const REFERENCE: f64 = 1_790_812_800.0;
    let ago = seed.below(days * 86_400) as f64;
    Value::from(REFERENCE - ago + 0.25)
}
