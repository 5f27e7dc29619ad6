//! Estates made from a seed: AWS accounts, EKS clusters, registries and everything inside the clusters. Pure: no server,
//! no clock. Objects are made one unit at a time, so that a world of any size fits into memory.

pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod draft;
mod expected;
pub(crate) mod gcp;
pub mod kinds;
mod mutate;
pub(crate) mod objects;
mod plan;
mod presets;
pub(crate) mod seed;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

pub use aws::{Account, EksCluster, Iam, Organization, OrganizationAccount, OrganizationUnit, Registry, Repository};
pub use azure::{AksCluster, Application, AzureRegistry, AzureRepository, Subscription};
pub use expected::{Expected, Status, Subject};
pub use gcp::{GcpProject, GcpRepository};
pub use kinds::{Feature, KindKey, Scoped};
pub use plan::{Access, Cluster, Home};
pub use presets::Preset;

use aws::Care;
use draft::{CHURN_TIME, CHURN_VERSION, Object};
use mutate::Round;
use seed::Seed;

/// What decides a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorldSpec {
    /// Same seed, same world.
    pub seed: u64,
    /// Size and shape.
    pub preset: Preset,
}

/// What was put into a cluster by hand, each with the number of rounds before it.
type Puts = HashMap<Subject, (Object, usize)>;

/// An estate. Every change makes a copy of it: what is large and seldom changes is shared.
#[derive(Debug)]
pub struct World {
    spec: WorldSpec,
    accounts: Vec<Account>,
    organization: Option<Organization>,
    subscriptions: Vec<Subscription>,
    clusters: Arc<Vec<Cluster>>,
    eks: Arc<BTreeMap<String, EksCluster>>,
    registries: Arc<BTreeMap<(String, String), Registry>>,
    planted: Vec<(String, String, String, Care)>,
    projects: Vec<GcpProject>,
    rounds: Vec<Round>,
    deleted: HashSet<Subject>,
    /// By cluster.
    puts: HashMap<String, Arc<Puts>>,
    reads: AtomicU64,
}

/// Resource versions from here on count reads and changes; those of the seed are smaller.
pub(crate) const FIRST_VERSION: u64 = 2_000_000_000;

impl Clone for World {
    fn clone(&self) -> Self {
        Self {
            spec: self.spec,
            accounts: self.accounts.clone(),
            organization: self.organization.clone(),
            subscriptions: self.subscriptions.clone(),
            clusters: Arc::clone(&self.clusters),
            eks: Arc::clone(&self.eks),
            registries: Arc::clone(&self.registries),
            planted: self.planted.clone(),
            projects: self.projects.clone(),
            rounds: self.rounds.clone(),
            deleted: self.deleted.clone(),
            puts: self.puts.clone(),
            reads: AtomicU64::new(self.reads.load(Ordering::Relaxed)),
        }
    }
}

/// A part of a cluster whose objects are made together.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Base,
    Nodes(u64),
    StaticPods,
    Operators,
    Plants,
    Space(usize),
    Workload(usize, u64),
}

impl World {
    /// Lays out the world. Objects inside clusters are made when they are asked for.
    pub fn new(spec: WorldSpec) -> Self {
        let presets::Layout { accounts, mut subscriptions, clusters, registries, planted, projects } =
            spec.preset.layout(Seed::new(spec.seed));
        let eks = clusters
            .iter()
            .filter_map(|cluster| Some((cluster.arn()?.to_owned(), aws::cluster(cluster, cluster.care)?)))
            .collect();
        for subscription in &mut subscriptions {
            for cluster in &clusters {
                subscription.place(cluster);
            }
        }
        Self {
            spec,
            organization: Organization::of(spec.preset, &accounts),
            accounts,
            subscriptions,
            clusters: Arc::new(clusters),
            eks: Arc::new(eks),
            registries: Arc::new(registries),
            planted,
            projects,
            rounds: Vec::new(),
            deleted: HashSet::new(),
            puts: HashMap::new(),
            reads: AtomicU64::new(0),
        }
    }

    /// What decided this world.
    pub const fn spec(&self) -> WorldSpec {
        self.spec
    }

    /// AWS accounts.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The organisation that the accounts belong to, if they do.
    pub const fn organization(&self) -> Option<&Organization> {
        self.organization.as_ref()
    }

    /// Changes who belongs to the organisation.
    pub fn reorganize(&mut self, change: impl FnOnce(&mut Organization)) {
        if let Some(organization) = &mut self.organization {
            change(organization);
        }
    }

    /// Changes which Azure subscriptions there are, and where they lie.
    pub fn resubscribe(&mut self, change: impl FnOnce(&mut Vec<Subscription>)) {
        change(&mut self.subscriptions);
    }

    /// Changes which Google Cloud projects there are, and where they lie.
    pub fn rearrange(&mut self, change: impl FnOnce(&mut Vec<GcpProject>)) {
        change(&mut self.projects);
    }

    /// Azure subscriptions.
    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// Google Cloud projects.
    pub fn projects(&self) -> &[GcpProject] {
        &self.projects
    }

    /// Clusters that were not deleted.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter().filter(|cluster| match cluster.native_id() {
            Some(id) => !self.deleted.contains(&Subject::Native(id)),
            None => true,
        })
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters().find(|cluster| cluster.name == name)
    }

    /// What EKS knows of a cluster, by the cluster's ARN.
    pub fn eks(&self, arn: &str) -> Option<&EksCluster> {
        self.eks.get(arn)
    }

    /// IAM of an account: roles of its clusters, its people and its services.
    pub fn iam(&self, account: &str) -> Option<Iam> {
        let account = self.accounts.iter().find(|one| one.id == account)?;
        let clusters = self.clusters().filter(|cluster| cluster.account() == Some(&account.id));
        Some(aws::iam_of(Seed::new(self.spec.seed), account, clusters))
    }

    /// The registry of an account and region.
    pub fn registry(&self, account: &str, region: &str) -> Option<&Registry> {
        self.registries.get(&(account.to_owned(), region.to_owned()))
    }

    /// Every object of a cluster, one unit at a time. Heartbeats, leases and resource versions of what changes by
    /// itself differ between two calls; nothing else does.
    pub fn kube_objects<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = (KindKey, Value)> + 'a {
        let read = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let time = draft::timestamp(0)
            .replace("00:00:00Z", &format!("{:02}:{:02}:{:02}Z", read / 3_600 % 24, read / 60 % 60, read % 60));
        let version = (FIRST_VERSION + read).to_string();
        self.raw_objects(cluster).map(move |(key, mut object)| {
            settle(&mut object, &time, &version);
            (key, object)
        })
    }

    /// Objects that the last round of [`World::mutate`] changed.
    pub fn changed_objects<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = (KindKey, Value)> + 'a {
        let last = self.rounds.last().copied();
        self.kube_objects(cluster)
            .filter(move |object| last.is_some_and(|round| mutate::chosen(round, &cluster.name, object).is_some()))
    }

    /// Like [`World::kube_objects`], with marks where the churn goes.
    pub(crate) fn raw_objects<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = Object> + 'a {
        let puts = self.puts.get(&cluster.name);
        let replaced = move |object: &Object| {
            let is_put = |subject: &Subject| puts.is_some_and(|puts| puts.contains_key(subject));
            (puts.is_some() || !self.deleted.is_empty()) && {
                let subject = subject(cluster, object);
                self.deleted.contains(&subject) || is_put(&subject)
            }
        };
        let made = units(cluster).flat_map(move |unit| make(cluster, unit)).filter(move |object| !replaced(object));
        let put = puts.into_iter().flat_map(|puts| puts.iter()).map(|(_, (object, rounds))| (object.clone(), *rounds));
        made.map(|object| (object, 0)).chain(put).map(move |(mut object, rounds)| {
            for round in &self.rounds[rounds..] {
                mutate::apply(*round, &cluster.name, &mut object);
            }
            object
        })
    }

    /// The object of a cluster as it is now, with marks where the churn goes.
    pub(crate) fn raw_object(&self, wanted: &Subject) -> Option<Object> {
        let Subject::Kube { cluster, .. } = wanted else { return None };
        let cluster = self.cluster(cluster)?;
        self.raw_objects(cluster).find(|object| subject(cluster, object) == *wanted)
    }

    /// Puts an object into a cluster, in place of the one with its name.
    pub(crate) fn put(&mut self, cluster: &str, object: Object) -> Option<Subject> {
        let subject = subject(self.cluster(cluster)?, &object);
        self.deleted.remove(&subject);
        let rounds = self.rounds.len();
        Arc::make_mut(self.puts.entry(cluster.to_owned()).or_default()).insert(subject.clone(), (object, rounds));
        Some(subject)
    }

    /// Changes about `fraction` of all Kubernetes objects in ways that matter to security; `seed` chooses them.
    pub fn mutate(&mut self, fraction: f64, seed: u64) {
        let version = FIRST_VERSION + self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        self.mutate_at(fraction, seed, version);
    }

    /// Like [`World::mutate`], with the resource version that what changed gets.
    pub(crate) fn mutate_at(&mut self, fraction: f64, seed: u64, version: u64) {
        self.rounds.push(Round { fraction, seed: Seed::new(seed).child("mutate"), version });
    }

    /// Objects of a cluster that the last round changed, with marks where the churn goes.
    pub(crate) fn last_changed<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = Object> + 'a {
        let last = self.rounds.last().copied();
        self.raw_objects(cluster)
            .filter(move |object| last.is_some_and(|round| mutate::chosen(round, &cluster.name, object).is_some()))
    }

    /// Takes a thing out of the world: an object of a cluster, or a cluster or repository of a cloud by its native id.
    pub fn delete(&mut self, subject: &Subject) {
        if let Subject::Native(arn) = subject {
            for registry in Arc::make_mut(&mut self.registries).values_mut() {
                registry.repositories.retain(|_, repository| repository.repository["repositoryArn"] != arn.as_str());
            }
            Arc::make_mut(&mut self.eks).remove(arn);
            for subscription in &mut self.subscriptions {
                let is_it =
                    |one: &AksCluster| one.cluster["id"].as_str().is_some_and(|id| id.eq_ignore_ascii_case(arn));
                subscription.clusters.retain(|_, one| !is_it(one));
            }
            for project in &mut self.projects {
                project.repositories.retain(|name, _| format!("//artifactregistry.googleapis.com/{name}") != *arn);
            }
        }
        if let Subject::Kube { cluster, .. } = subject
            && let Some(puts) = self.puts.get_mut(cluster)
        {
            Arc::make_mut(puts).remove(subject);
        }
        self.deleted.insert(subject.clone());
    }

    /// Makes a cluster anew under its name: its objects are others, and so is what tells it apart. Half of its teams are gone.
    pub(crate) fn recreate(&mut self, name: &str) {
        self.puts.remove(name);
        for cluster in Arc::make_mut(&mut self.clusters).iter_mut().filter(|cluster| cluster.name == name) {
            cluster.seed = cluster.seed.child("anew");
            cluster.spaces.truncate(cluster.spaces.len().div_ceil(2));
        }
    }

    /// Verdicts that are known beforehand. RBAC verdicts are about the binding, those of pod templates about the owner.
    pub fn expected(&self) -> Vec<Expected> {
        let mut expected: Vec<Expected> = self
            .clusters
            .iter()
            .filter(|cluster| cluster.plants)
            .flat_map(objects::plants::expected)
            .chain(
                self.clusters
                    .iter()
                    .filter(|cluster| cluster.access != Access::Unreachable)
                    .flat_map(|cluster| aws::expected_cluster(cluster, cluster.care)),
            )
            .chain(self.accounts.iter().flat_map(aws::expected_roles))
            .collect();
        for cluster in self.clusters().filter(|cluster| cluster.access != Access::Unreachable) {
            let around = cluster.arn().and_then(|arn| self.eks(arn));
            expected.extend(around.into_iter().flat_map(|around| aws::expected_around(around, cluster.care)));
        }
        for (account, region, name, care) in &self.planted {
            let arn = format!("arn:aws:ecr:{region}:{account}:repository/{name}");
            let status = if *care == Care::Weak { Status::Unhealthy } else { Status::Healthy };
            expected.extend(
                [
                    "registry.image_scanning",
                    "registry.tag_immutability",
                    "registry.public_policy",
                    "registry.customer_key",
                    "registry.lifecycle",
                ]
                .map(|control| Expected::new(Subject::Native(arn.clone()), control, status)),
            );
        }
        expected.retain(|expected| !self.deleted.contains(&expected.subject));
        expected
    }
}

fn subject(cluster: &Cluster, (key, object): &Object) -> Subject {
    let text = |field: &str| object["metadata"][field].as_str().map(ToOwned::to_owned);
    Subject::Kube {
        cluster: cluster.name.clone(),
        kind: *key,
        namespace: text("namespace"),
        name: text("name").unwrap_or_default(),
    }
}

fn units(cluster: &Cluster) -> impl Iterator<Item = Unit> {
    let fixed = [
        Some(Unit::Base),
        matches!(cluster.home, Home::OnPremises).then_some(Unit::StaticPods),
        cluster.operators.then_some(Unit::Operators),
        cluster.plants.then_some(Unit::Plants),
    ];
    let spaces = cluster.spaces.iter().enumerate().flat_map(|(index, space)| {
        std::iter::once(Unit::Space(index))
            .chain((0..space.workloads).map(move |workload| Unit::Workload(index, workload)))
    });
    fixed.into_iter().flatten().chain((0..cluster.nodes).map(Unit::Nodes)).chain(spaces)
}

fn make(cluster: &Cluster, unit: Unit) -> Vec<Object> {
    match unit {
        Unit::Base => {
            let mut all = objects::base::objects(cluster);
            all.extend(objects::rbac::objects(cluster));
            all.extend(objects::addons::objects(cluster));
            all.extend(objects::team::shared(cluster));
            all.extend(objects::gatekeeper::objects(cluster));
            all
        }
        Unit::Nodes(index) => objects::node::objects(cluster, index).into(),
        Unit::StaticPods => objects::static_pods::objects(cluster),
        Unit::Operators => objects::operators::objects(cluster),
        Unit::Plants => objects::plants::objects(cluster),
        Unit::Space(index) => objects::team::objects(cluster, &cluster.spaces[index]),
        Unit::Workload(space, index) => objects::workload::of_team(cluster, &cluster.spaces[space], index),
    }
}

/// Puts a time and a version where the marks are.
pub(crate) fn settle(value: &mut Value, time: &str, version: &str) {
    match value {
        Value::String(text) if text == CHURN_VERSION => version.clone_into(text),
        Value::String(text) if text.contains(CHURN_TIME) => *text = text.replace(CHURN_TIME, time),
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, time, version)),
        Value::Object(fields) => fields.values_mut().for_each(|item| settle(item, time, version)),
        _ => {}
    }
}
