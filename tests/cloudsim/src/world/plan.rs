use super::aws::Care;
use super::kinds::{Feature, KindKey};
use super::seed::Seed;

/// Where a cluster lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Home {
    /// Amazon EKS.
    Eks {
        /// Twelve digits.
        account: String,
        /// Region.
        region: String,
        /// ARN of the cluster.
        arn: String,
    },
    /// Azure Kubernetes Service.
    Aks {
        /// UUID of the subscription.
        subscription: String,
        /// Region.
        region: String,
        /// Id in Azure Resource Manager.
        id: String,
        /// Whether it knows Entra ID.
        entra: bool,
        /// Whether its owner stopped it.
        stopped: bool,
    },
    /// Google Kubernetes Engine.
    Gke {
        /// Id of the project.
        project: String,
        /// Region or zone.
        location: String,
    },
    /// A cluster of one's own, reached by kubeconfig.
    OnPremises,
}

/// How a reader that comes with the account's credentials or the kubeconfig fares at this cluster's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// May read everything but secrets and config maps, and the identity map.
    Reader,
    /// Like [`Access::Reader`], without the RBAC objects.
    NoRbacObjects,
    /// Known, without any right: 403.
    NoRights,
    /// Not mapped: 401.
    Unmapped,
    /// The API cannot be reached from here.
    Unreachable,
    /// The cloud does not tell this reader how to reach it.
    NoCredential,
    /// Every call is one too many: 429.
    Throttled,
}

/// How often what occurs among a team's workloads, in percent, and how large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mix {
    pub(crate) cron_jobs: u64,
    pub(crate) stateful_sets: u64,
    pub(crate) daemon_sets: u64,
    pub(crate) rollouts: u64,
    pub(crate) services: u64,
    /// Least and most pods of a workload.
    pub(crate) replicas: (u64, u64),
    /// Replica sets kept from earlier revisions.
    pub(crate) revisions: u64,
}

/// A team's namespace.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) name: String,
    pub(crate) team: String,
    pub(crate) workloads: u64,
    /// Whether a default-deny policy, quota, limits and an enforced Pod Security level are in place.
    pub(crate) guarded: bool,
}

/// A simulated cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Unique name in the world.
    pub name: String,
    /// Kubernetes minor version: `1.33`.
    pub version: String,
    /// Where it lives.
    pub home: Home,
    /// What a reader may do there.
    pub access: Access,
    pub(crate) features: Vec<Feature>,
    pub(crate) world: Seed,
    pub(crate) seed: Seed,
    pub(crate) nodes: u64,
    pub(crate) spaces: Vec<Space>,
    pub(crate) mix: Mix,
    /// Host and path before the repositories of the teams' own images.
    pub(crate) registry: String,
    pub(crate) operators: bool,
    pub(crate) plants: bool,
    pub(crate) care: Care,
}

impl Cluster {
    /// Account id, for EKS clusters.
    pub fn account(&self) -> Option<&str> {
        match &self.home {
            Home::Eks { account, .. } => Some(account),
            Home::Aks { .. } | Home::Gke { .. } | Home::OnPremises => None,
        }
    }

    /// Region, for clusters of a cloud.
    pub fn region(&self) -> Option<&str> {
        match &self.home {
            Home::Eks { region, .. } | Home::Gke { location: region, .. } => Some(region),
            Home::Aks { .. } | Home::OnPremises => None,
        }
    }

    /// ARN, for EKS clusters.
    pub fn arn(&self) -> Option<&str> {
        match &self.home {
            Home::Eks { arn, .. } => Some(arn),
            Home::Aks { .. } | Home::Gke { .. } | Home::OnPremises => None,
        }
    }

    /// Project and location, for GKE clusters.
    pub fn gke_place(&self) -> Option<(&str, &str)> {
        match &self.home {
            Home::Gke { project, location } => Some((project, location)),
            _ => None,
        }
    }

    /// What its cloud calls it: ARN, id in Azure Resource Manager, or full resource name; `None` on premises.
    pub fn native_id(&self) -> Option<String> {
        match &self.home {
            Home::Eks { arn, .. } => Some(arn.clone()),
            Home::Aks { id, .. } => Some(id.clone()),
            Home::Gke { project, location } => {
                let path = format!("projects/{project}/locations/{location}/clusters/{}", self.name);
                Some(format!("//container.googleapis.com/{path}"))
            }
            Home::OnPremises => None,
        }
    }

    /// Whether this cluster serves the kind.
    pub fn serves(&self, key: KindKey) -> bool {
        key.feature == Feature::Builtin || self.features.contains(&key.feature)
    }

    /// How EKS authenticates callers: `API`, `API_AND_CONFIG_MAP` or `CONFIG_MAP`.
    pub const fn authentication_mode(&self) -> &'static str {
        match self.care {
            Care::Sound => "API",
            Care::Mixed => "API_AND_CONFIG_MAP",
            Care::Weak => "CONFIG_MAP",
        }
    }

    /// Whether the reader is known to this cluster at all.
    pub(crate) fn maps_reader(&self) -> bool {
        self.access != Access::Unmapped
    }

    /// `v1.33.4-eks-…` or `v1.33.4`.
    pub fn git_version(&self) -> String {
        match self.home {
            Home::Eks { .. } => format!("v{}.4-eks-{}", self.version, self.seed.child("build").hex(7)),
            Home::Gke { .. } => format!("v{}.4-gke.1000{:03}", self.version, self.seed.child("build").below(1_000)),
            Home::Aks { .. } | Home::OnPremises => format!("v{}.4", self.version),
        }
    }
}
