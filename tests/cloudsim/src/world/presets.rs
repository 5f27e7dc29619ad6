//! The worlds that can be asked for.

use std::collections::BTreeMap;

use serde_json::json;

use super::aws::{Account, Care, Registry, registry, repository};
use super::azure::{self, Subscription};
use super::gcp::GcpProject;
use super::kinds::Feature;
use super::objects::images::{COMPONENTS, OWN};
use super::plan::{Access, Cluster, Home, Mix, Space};
use super::seed::Seed;

/// A size and shape of world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Two AWS accounts in three regions, five EKS clusters, two dozen repositories, a cluster on premises.
    Demo,
    /// Three clouds and a data centre: the demo, the Azure and the Google Cloud estate in one, and a second cluster on
    /// premises, which nobody reaches from outside.
    Estate,
    /// An organisation of seven small AWS accounts in four units, one of them suspended, and one EKS cluster.
    Organization,
    /// One EKS cluster with 10,000 pods and about 25,000 objects.
    Pods10k,
    /// 500 EKS clusters and 1,000 repositories in three regions.
    Clusters500,
    /// An organisation of 500 AWS accounts with four EKS clusters each; each cluster has about 500 objects.
    Fleet,
    /// Ten EKS clusters with 100,000 objects, most of them large.
    Resources100k,
    /// Two Azure subscriptions: six AKS clusters that are read, denied, stopped or refused in ways of their own, four
    /// registries, a cluster connected through Arc; Defender for Containers and roles of its own in one of them.
    Azure,
    /// One Google Cloud project in two locations with four GKE clusters, of which one is private, one does not know the
    /// reader and one is mostly private to its team; and a project marked for deletion.
    GoogleCloud,
}

/// What a preset lays out.
#[derive(Default)]
pub(super) struct Layout {
    pub(super) accounts: Vec<Account>,
    pub(super) subscriptions: Vec<Subscription>,
    pub(super) clusters: Vec<Cluster>,
    /// By account and region.
    pub(super) registries: BTreeMap<(String, String), Registry>,
    /// Repositories whose verdicts are known: account, region, name and care.
    pub(super) planted: Vec<(String, String, String, Care)>,
    pub(super) projects: Vec<GcpProject>,
}

const MAIN: &str = "111122223333";
const PARTNER: &str = "444455556666";
const REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "ap-southeast-2"];
const TEAMS: [&str; 4] = ["payments", "shop", "data", "platform"];
const MIX: Mix =
    Mix { cron_jobs: 10, stateful_sets: 10, daemon_sets: 2, rollouts: 0, services: 60, replicas: (1, 3), revisions: 1 };

impl Preset {
    pub(super) fn layout(self, seed: Seed) -> Layout {
        match self {
            Self::Demo => demo(seed),
            Self::Estate => estate(seed),
            Self::Organization => organization(seed),
            Self::Pods10k => pods_10k(seed),
            Self::Clusters500 => clusters_500(seed),
            Self::Fleet => fleet(seed),
            Self::Resources100k => resources_100k(seed),
            Self::Azure => subscriptions(seed),
            Self::GoogleCloud => google_cloud(seed),
        }
    }
}

fn spaces(count: usize, workloads: u64, suffixes: &[&str]) -> Vec<Space> {
    (0..count)
        .map(|i| {
            let team = TEAMS[i % TEAMS.len()];
            let suffix = suffixes[(i / TEAMS.len()) % suffixes.len()];
            let round = i / (TEAMS.len() * suffixes.len());
            let name = if round == 0 { format!("{team}-{suffix}") } else { format!("{team}-{suffix}-{round}") };
            Space { name, team: team.to_owned(), workloads, guarded: suffix == "prod" }
        })
        .collect()
}

fn eks(world: Seed, account: &str, region: &str, name: &str) -> Cluster {
    let arn = format!("arn:aws:eks:{region}:{account}:cluster/{name}");
    Cluster {
        name: name.to_owned(),
        version: "1.33".to_owned(),
        home: Home::Eks { account: account.to_owned(), region: region.to_owned(), arn },
        access: Access::Reader,
        features: Vec::new(),
        world,
        seed: world.child("cluster").child(account).child(region).child(name),
        nodes: 3,
        spaces: spaces(4, 5, &["prod"]),
        mix: MIX,
        registry: format!("{account}.dkr.ecr.{region}.amazonaws.com"),
        operators: false,
        plants: false,
        care: Care::Mixed,
    }
}

fn aks(world: Seed, subscription: &Subscription, registry: &str, name: &str) -> Cluster {
    let id = subscription.id_of("clusters", "Microsoft.ContainerService/managedClusters", name);
    let (subscription, region) = (subscription.id.clone(), "westeurope".to_owned());
    Cluster {
        seed: world.child("cluster").child(&subscription).child(name),
        home: Home::Aks { subscription, region, id, entra: true, stopped: false },
        registry: format!("{registry}.azurecr.io"),
        ..eks(world, "", "", name)
    }
}

fn on_premises(world: Seed, name: &str) -> Cluster {
    Cluster {
        home: Home::OnPremises,
        registry: "registry.corp.example".to_owned(),
        seed: world.child("cluster").child(name),
        features: vec![Feature::Calico, Feature::AdminNetworkPolicy, Feature::Gateway],
        ..eks(world, "", "", name)
    }
}

fn registries(accounts: &[Account]) -> BTreeMap<(String, String), Registry> {
    let mut registries = BTreeMap::new();
    for account in accounts {
        for region in &account.regions {
            registries.insert((account.id.clone(), region.clone()), registry());
        }
    }
    registries
}

fn demo(seed: Seed) -> Layout {
    let accounts = vec![Account::new(seed, MAIN, &REGIONS), Account::new(seed, PARTNER, &REGIONS)];
    let operators = vec![Feature::ArgoRollouts, Feature::CertManager, Feature::Prometheus];
    let clusters = vec![
        Cluster {
            features: operators.clone(),
            operators: true,
            care: Care::Sound,
            version: "1.34".to_owned(),
            mix: Mix { rollouts: 20, ..MIX },
            spaces: spaces(8, 5, &["prod", "dev"]),
            ..eks(seed, MAIN, "eu-west-1", "storefront-prod")
        },
        Cluster {
            features: operators,
            operators: true,
            plants: true,
            care: Care::Weak,
            version: "1.30".to_owned(),
            ..eks(seed, MAIN, "us-east-1", "payments-prod")
        },
        Cluster { access: Access::NoRbacObjects, ..eks(seed, MAIN, "eu-west-1", "data-staging") },
        Cluster { access: Access::Unmapped, ..eks(seed, MAIN, "ap-southeast-2", "analytics") },
        Cluster {
            access: Access::Unreachable,
            care: Care::Sound,
            version: "1.34".to_owned(),
            ..eks(seed, MAIN, "us-east-1", "vaulted")
        },
        Cluster {
            features: vec![Feature::Cilium, Feature::Gatekeeper],
            ..eks(seed, PARTNER, "eu-west-1", "partner-exchange")
        },
        Cluster {
            nodes: 5,
            plants: true,
            spaces: spaces(8, 4, &["prod", "dev"]),
            ..on_premises(seed, "factory-floor")
        },
    ];
    let mut registries = registries(&accounts);
    let filters = ["golden/*", "shop/*"].map(|filter| json!({ "filter": filter, "filterType": "WILDCARD" }));
    registries.get_mut(&(MAIN.to_owned(), REGIONS[0].to_owned())).expect("made for every region above").scanning =
        json!({ "scanType": "BASIC", "rules": [{ "scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": filters }] });
    let mut planted = Vec::new();
    let mut place = |account: &str, region: &str, name: &str, care: Care| {
        let registry =
            registries.get_mut(&(account.to_owned(), region.to_owned())).expect("made for every region above");
        registry.repositories.insert(name.to_owned(), repository(seed, account, region, name, care));
        if care != Care::Mixed {
            planted.push((account.to_owned(), region.to_owned(), name.to_owned(), care));
        }
    };
    for (region, team) in
        [(REGIONS[0], "shop"), (REGIONS[0], "platform"), (REGIONS[1], "payments"), (REGIONS[1], "platform")]
    {
        for component in &COMPONENTS[..OWN] {
            place(MAIN, region, &format!("{team}/{component}"), Care::Mixed);
        }
    }
    place(MAIN, REGIONS[0], "sandbox/playground", Care::Weak);
    place(MAIN, REGIONS[0], "golden/base", Care::Sound);
    place(PARTNER, REGIONS[0], "exchange/api", Care::Mixed);
    Layout { accounts, clusters, registries, planted, ..Layout::default() }
}

/// The estate's other Google Cloud project, and how many repositories it has.
const SECOND_PROJECT: &str = "shop-models-7";
const SECOND_REPOSITORIES: usize = 18;

fn estate(seed: Seed) -> Layout {
    let mut estate = demo(seed);
    for cloud in [subscriptions(seed), google_cloud(seed)] {
        estate.subscriptions.extend(cloud.subscriptions);
        estate.projects.extend(cloud.projects);
        estate.clusters.extend(cloud.clusters);
    }
    estate.clusters.push(Cluster { nodes: 2, spaces: spaces(3, 3, &["prod"]), ..on_premises(seed, "cold-store") });
    // A second project, whose one cluster is too busy to answer.
    let busy = Cluster { access: Access::Throttled, ..gke(seed, SECOND_PROJECT, "europe-west1", "models") };
    let mut second = GcpProject::new(seed, SECOND_PROJECT, &["europe-west1"], Care::Sound);
    for (index, team) in TEAMS.iter().cycle().take(SECOND_REPOSITORIES).enumerate() {
        let images = [format!("{team}/model-{index}")];
        second = second.with_repository(seed, "europe-west1", &format!("{team}-{index}"), &images, Care::Mixed);
    }
    estate.clusters.push(busy);
    estate.projects.push(second);
    estate
}

fn organization(seed: Seed) -> Layout {
    let region = REGIONS[0];
    let ids = std::iter::once(MAIN).chain(super::aws::organization::members());
    let accounts: Vec<_> = ids.map(|id| Account::new(seed, id, &[region])).collect();
    let mut registries = registries(&accounts);
    for ((account, region), registry) in &mut registries {
        let name = format!("shop/{account}");
        registry.repositories.insert(name.clone(), repository(seed, account, region, &name, Care::Weak));
    }
    let shop = Cluster { nodes: 1, spaces: spaces(1, 2, &["prod"]), ..eks(seed, "222200000003", region, "shop") };
    Layout { accounts, clusters: vec![shop], registries, ..Layout::default() }
}

fn gke(world: Seed, project: &str, location: &str, name: &str) -> Cluster {
    Cluster {
        home: Home::Gke { project: project.to_owned(), location: location.to_owned() },
        registry: format!("europe-docker.pkg.dev/{project}/apps"),
        seed: world.child("cluster").child(project).child(location).child(name),
        ..eks(world, "", "", name)
    }
}

fn google_cloud(seed: Seed) -> Layout {
    const PROJECT: &str = "shop-prod-4711";
    let clusters = vec![
        Cluster {
            care: Care::Sound,
            version: "1.34".to_owned(),
            ..gke(seed, PROJECT, "europe-west1", "checkout-prod")
        },
        Cluster { care: Care::Weak, plants: true, ..gke(seed, PROJECT, "us-east4", "legacy-prod") },
        Cluster { access: Access::Unmapped, ..gke(seed, PROJECT, "europe-west1", "sealed") },
        Cluster { access: Access::Unreachable, ..gke(seed, PROJECT, "us-east4", "hidden") },
    ];
    let own: Vec<String> = TEAMS
        .iter()
        .flat_map(|team| COMPONENTS[..OWN].iter().map(move |component| format!("{team}/{component}")))
        .collect();
    let project = GcpProject::new(seed, PROJECT, &["europe", "europe-west1", "us-east4"], Care::Weak)
        .with_repository(seed, "europe", "apps", &own, Care::Sound)
        .with_repository(seed, "us-east4", "sandbox", &["playground".to_owned()], Care::Weak)
        .with_repository(seed, "europe-west1", "gcr.io", &[], Care::Mixed);
    let retired = GcpProject::new(seed, "shop-retired-42", &["europe-west1"], Care::Sound).deleted();
    let projects = vec![project, retired];
    Layout { clusters, projects, ..Layout::default() }
}

fn pods_10k(seed: Seed) -> Layout {
    let accounts = vec![Account::new(seed, MAIN, &REGIONS)];
    let cluster = Cluster {
        nodes: 200,
        spaces: spaces(60, 50, &["prod", "dev", "staging"]),
        mix: Mix { replicas: (3, 4), services: 75, ..MIX },
        features: vec![Feature::ArgoRollouts, Feature::CertManager, Feature::Prometheus],
        operators: true,
        ..eks(seed, MAIN, REGIONS[0], "big")
    };
    let registries = registries(&accounts);
    Layout { accounts, clusters: vec![cluster], registries, ..Layout::default() }
}

fn clusters_500(seed: Seed) -> Layout {
    let accounts = vec![Account::new(seed, MAIN, &REGIONS)];
    let clusters = (0..500)
        .map(|i| Cluster {
            nodes: 2,
            spaces: spaces(1, 3, &["prod"]),
            care: if i % 50 == 0 { Care::Weak } else { Care::Mixed },
            ..eks(seed, MAIN, REGIONS[i % REGIONS.len()], &format!("fleet-{i:03}"))
        })
        .collect();
    let mut registries = registries(&accounts);
    for i in 0..1_000 {
        let region = REGIONS[i % REGIONS.len()];
        let team = TEAMS[i % TEAMS.len()];
        let name = match COMPONENTS.get(i / 12) {
            Some(component) if i % 12 < TEAMS.len() => format!("{team}/{component}"),
            _ => format!("{team}/service-{i:04}"),
        };
        let registry = registries.get_mut(&(MAIN.to_owned(), region.to_owned())).expect("made for every region above");
        registry.repositories.insert(name.clone(), repository(seed, MAIN, region, &name, Care::Mixed));
    }
    Layout { accounts, clusters, registries, ..Layout::default() }
}

fn fleet(seed: Seed) -> Layout {
    let region = REGIONS[0];
    let accounts: Vec<_> = (0..500).map(|i| Account::new(seed, &format!("3333{i:08}"), &[region])).collect();
    let cluster = |account: &Account, i: usize| Cluster {
        spaces: spaces(6, 9, &["prod", "dev"]),
        ..eks(seed, &account.id, region, &format!("fleet-{}-{i}", account.id))
    };
    let clusters = accounts.iter().flat_map(|account| (0..4).map(|i| cluster(account, i))).collect();
    let mut registries = registries(&accounts);
    for ((account, region), registry) in &mut registries {
        for name in TEAMS.map(|team| format!("{team}/{}", COMPONENTS[0])) {
            registry.repositories.insert(name.clone(), repository(seed, account, region, &name, Care::Mixed));
        }
    }
    Layout { accounts, clusters, registries, ..Layout::default() }
}

fn resources_100k(seed: Seed) -> Layout {
    let accounts = vec![Account::new(seed, MAIN, &REGIONS)];
    let clusters = (0..10)
        .map(|i| Cluster {
            nodes: 30,
            spaces: spaces(40, 79, &["prod", "dev", "staging"]),
            mix: Mix {
                cron_jobs: 32,
                stateful_sets: 15,
                daemon_sets: 3,
                services: 8,
                replicas: (1, 1),
                revisions: 0,
                ..MIX
            },
            ..eks(seed, MAIN, REGIONS[i % REGIONS.len()], &format!("estate-{i}"))
        })
        .collect();
    let registries = registries(&accounts);
    Layout { accounts, clusters, registries, ..Layout::default() }
}

fn subscriptions(seed: Seed) -> Layout {
    let (mut shop, mut lab) = (Subscription::new(seed, "Shop"), Subscription::new(seed, "Lab"));
    let home = |cluster: Cluster, is_entra: bool, is_stopped: bool| match cluster.home {
        Home::Aks { subscription, region, id, .. } => {
            let home = Home::Aks { subscription, region, id, entra: is_entra, stopped: is_stopped };
            Cluster { home, ..cluster }
        }
        _ => cluster,
    };
    let clusters = vec![
        Cluster { plants: true, care: Care::Weak, ..aks(seed, &shop, "shopimages", "shop-prod") },
        Cluster { care: Care::Sound, version: "1.34".to_owned(), ..aks(seed, &shop, "shopimages", "shop-test") },
        Cluster { access: Access::NoRights, ..aks(seed, &shop, "shopimages", "shop-denied") },
        home(aks(seed, &shop, "shopimages", "shop-paused"), true, true),
        home(aks(seed, &lab, "labimages", "lab-local"), false, false),
        Cluster { access: Access::NoCredential, ..aks(seed, &lab, "labimages", "lab-sealed") },
    ];
    let own = |team: &str| COMPONENTS[..OWN].iter().map(|component| format!("{team}/{component}")).collect::<Vec<_>>();
    let teams: Vec<String> = TEAMS.iter().flat_map(|team| own(team)).collect();
    for (name, care) in [("shopimages", Care::Weak), ("shopgolden", Care::Sound), ("shopempty", Care::Sound)] {
        let repositories = if name == "shopimages" { &teams[..] } else { &[] };
        let registry = azure::registry(seed, &shop, name, repositories, care);
        shop.registries.insert(name.to_owned(), registry);
    }
    shop.connect(seed, "warehouse");
    shop.defend();
    shop.assign_roles(seed, "shopimages", &clusters[0]);
    lab.registries.insert("labimages".to_owned(), azure::registry(seed, &lab, "labimages", &own("data"), Care::Mixed));
    Layout { subscriptions: vec![shop, lab], clusters, ..Layout::default() }
}
