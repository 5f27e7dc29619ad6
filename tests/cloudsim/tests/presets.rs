//! Presets have the size and mix that they promise, and the same seed gives the same world.

use std::collections::BTreeMap;

use cloudsim::world::{Cluster, KindKey, Preset, World, WorldSpec, kinds};
use serde_json::Value;

fn world(preset: Preset) -> World {
    World::new(WorldSpec { seed: 42, preset })
}

/// Count and sizes by kind.
fn measure(world: &World, cluster: &Cluster) -> BTreeMap<KindKey, Vec<usize>> {
    let mut sizes: BTreeMap<KindKey, Vec<usize>> = BTreeMap::new();
    for (key, object) in world.kube_objects(cluster) {
        sizes.entry(key).or_default().push(object.to_string().len());
    }
    sizes
}

fn count(sizes: &BTreeMap<KindKey, Vec<usize>>, key: KindKey) -> usize {
    sizes.get(&key).map_or(0, Vec::len)
}

fn print(sizes: &BTreeMap<KindKey, Vec<usize>>) {
    for (key, sizes) in sizes {
        println!(
            "{:>6} {:<36} {:>7} bytes on average",
            sizes.len(),
            key.plural,
            sizes.iter().sum::<usize>() / sizes.len()
        );
    }
}

#[test]
fn ten_thousand_pods_make_about_twenty_five_thousand_objects() {
    let world = world(Preset::Pods10k);
    let sizes = measure(&world, world.cluster("big").unwrap());
    print(&sizes);
    let total: usize = sizes.values().map(Vec::len).sum();
    let pods = count(&sizes, kinds::POD);
    assert!((10_000..10_300).contains(&pods), "{pods} pods");
    assert!((24_000..26_500).contains(&total), "{total} objects");
}

#[test]
fn a_hundred_thousand_resources_are_large_and_mostly_judged() {
    let world = world(Preset::Resources100k);
    let clusters: Vec<&Cluster> = world.clusters().collect();
    assert_eq!(clusters.len(), 10);
    let sizes = measure(&world, clusters[0]);
    print(&sizes);
    let mut all: Vec<usize> = sizes.values().flatten().copied().collect();
    all.sort_unstable();
    let median = all[all.len() / 2];
    assert!(median >= 4_000, "median object has {median} bytes");
    assert!((10_000..10_400).contains(&all.len()), "{} objects in a tenth of the world", all.len());
    let workloads: usize = [kinds::DEPLOYMENT, kinds::STATEFUL_SET, kinds::DAEMON_SET, kinds::CRON_JOB]
        .map(|key| count(&sizes, key))
        .iter()
        .sum();
    assert!(workloads * 100 >= all.len() * 30, "{workloads} workloads among {} objects", all.len());
}

#[test]
fn workloads_have_three_weaknesses_on_average() {
    let world = world(Preset::Resources100k);
    let cluster = world.clusters().next().unwrap();
    let (mut workloads, mut weaknesses) = (0, 0);
    for (_, object) in world.kube_objects(cluster).take(3_000) {
        let spec = match object["kind"].as_str() {
            Some("Deployment" | "StatefulSet" | "DaemonSet") => &object["spec"]["template"]["spec"],
            Some("CronJob") => &object["spec"]["jobTemplate"]["spec"]["template"]["spec"],
            _ => continue,
        };
        workloads += 1;
        weaknesses += weak(spec);
    }
    assert!(workloads > 500);
    assert!(weaknesses >= workloads * 3, "{weaknesses} weaknesses in {workloads} workloads");
}

/// Counts what five controls of the restricted Pod Security Standard and three of hygiene would say.
fn weak(spec: &Value) -> usize {
    let container = &spec["containers"][0];
    let context = &container["securityContext"];
    let own = |field: &str| [&context[field], &spec["securityContext"][field]].iter().any(|value| !value.is_null());
    [
        !own("seccompProfile"),
        !own("runAsNonRoot"),
        context["capabilities"]["drop"].is_null(),
        context["allowPrivilegeEscalation"] != Value::Bool(false),
        context["readOnlyRootFilesystem"] != Value::Bool(true),
        container["resources"]["limits"]["cpu"].is_null(),
        container["livenessProbe"].is_null(),
        !container["image"].as_str().unwrap().contains("@sha256:"),
    ]
    .iter()
    .filter(|weak| **weak)
    .count()
}

#[test]
fn five_hundred_clusters_have_a_thousand_repositories() {
    let world = world(Preset::Clusters500);
    assert_eq!(world.clusters().count(), 500);
    let account = &world.accounts()[0];
    let repositories: usize =
        account.regions.iter().map(|region| world.registry(&account.id, region).unwrap().repositories.len()).sum();
    assert_eq!((account.regions.len(), repositories), (3, 1_000));
    let (small, _) = (measure(&world, world.clusters().nth(7).unwrap()), ());
    assert!(small.values().map(Vec::len).sum::<usize>() < 250);
}

#[test]
fn one_seed_makes_one_world() {
    let all = |seed| {
        let world = World::new(WorldSpec { seed, preset: Preset::Demo });
        let objects: Vec<String> = world
            .clusters()
            .flat_map(|cluster| world.kube_objects(cluster))
            .map(|(_, object)| object.to_string())
            .collect();
        let repositories = format!("{:?}", world.registry(&world.accounts()[0].id, "eu-west-1"));
        (objects, repositories)
    };
    assert_eq!(all(1), all(1));
    assert_ne!(all(1), all(2));
}

#[test]
fn reading_again_changes_heartbeats_and_nothing_else() {
    let world = world(Preset::Demo);
    let cluster = world.cluster("factory-floor").unwrap();
    let changed: Vec<String> = world
        .kube_objects(cluster)
        .zip(world.kube_objects(cluster))
        .filter(|((_, before), (_, after))| before != after)
        .map(|((key, _), _)| key.plural.to_owned())
        .collect();
    assert!(changed.iter().filter(|kind| *kind == "nodes").count() == 5);
    assert!(changed.iter().all(|kind| ["nodes", "leases", "services"].contains(&kind.as_str())), "{changed:?}");
}

#[test]
fn the_demo_shows_what_real_estates_have() {
    let world = world(Preset::Demo);
    assert!(world.expected().len() >= 80, "{} verdicts are known", world.expected().len());
    let total: usize = world.clusters().map(|cluster| world.kube_objects(cluster).count()).sum();
    assert!((500..5_000).contains(&total), "{total} objects");
    let shop = world.cluster("storefront-prod").unwrap();
    let owned_by_rollout = world
        .kube_objects(shop)
        .filter(|(key, object)| {
            *key == kinds::REPLICA_SET && object["metadata"]["ownerReferences"][0]["kind"] == "Rollout"
        })
        .count();
    assert!(owned_by_rollout > 0);
    let factory = world.cluster("factory-floor").unwrap();
    let mirrors = world
        .kube_objects(factory)
        .filter(|(_, object)| object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string())
        .count();
    assert_eq!(mirrors, 4);
}
