//! Presets have the size and mix that they promise, and the same seed gives the same world.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, HashMap, HashSet};

use cloudsim::world::{Cluster, KindKey, Preset, Status, Subject, World, WorldSpec, kinds};
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

#[test]
fn ten_thousand_pods_make_about_twenty_five_thousand_objects() {
    let world = world(Preset::Pods10k);
    let sizes = measure(&world, world.cluster("big").unwrap());
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
    let small = measure(&world, world.clusters().nth(7).unwrap());
    assert!(small.values().map(Vec::len).sum::<usize>() < 250);
}

#[test]
fn a_fleet_has_two_thousand_clusters_of_five_hundred_objects() {
    let world = world(Preset::Fleet);
    assert_eq!((world.accounts().len(), world.clusters().count()), (500, 2_000));
    let objects = measure(&world, world.clusters().nth(7).unwrap()).values().map(Vec::len).sum::<usize>();
    assert!((450..=550).contains(&objects), "{objects}");
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

#[test]
fn what_verdicts_are_known_of_exists() {
    let world = world(Preset::Demo);
    let mut present: HashSet<Subject> = HashSet::new();
    for cluster in world.clusters() {
        present.extend(cluster.arn().map(|arn| Subject::Native(arn.to_owned())));
        let around = cluster.arn().and_then(|arn| world.eks(arn)).into_iter();
        let around = around.flat_map(|eks| {
            let nodes = eks.nodegroups.values().map(|group| &group["nodegroupArn"]);
            nodes.chain(eks.log_groups.iter().map(|group| &group["logGroupArn"]))
        });
        present.extend(around.map(|arn| Subject::Native(arn.as_str().unwrap().to_owned())));
        present.extend(world.kube_objects(cluster).map(|(kind, object)| Subject::Kube {
            cluster: cluster.name.clone(),
            kind,
            namespace: object["metadata"]["namespace"].as_str().map(ToOwned::to_owned),
            name: object["metadata"]["name"].as_str().unwrap().to_owned(),
        }));
    }
    for account in world.accounts() {
        let roles = world.iam(&account.id).unwrap().roles;
        present.extend(roles.iter().map(|role| Subject::Native(role["Arn"].as_str().unwrap().to_owned())));
        for region in &account.regions {
            for repository in world.registry(&account.id, region).unwrap().repositories.values() {
                present.insert(Subject::Native(repository.repository["repositoryArn"].as_str().unwrap().to_owned()));
            }
        }
    }
    let mut verdicts: HashMap<(Subject, &str), Status> = HashMap::new();
    for expected in world.expected() {
        assert!(present.contains(&expected.subject), "{expected}");
        assert_eq!(
            verdicts.insert((expected.subject.clone(), expected.control_id), expected.status),
            None,
            "{expected}"
        );
    }
}

#[test]
fn weaknesses_have_healthy_counterparts() {
    let expected = world(Preset::Demo).expected();
    let with = |status: Status| -> HashSet<&str> {
        expected.iter().filter(|expected| expected.status == status).map(|expected| expected.control_id).collect()
    };
    let (weak, sound) = (with(Status::Unhealthy), with(Status::Healthy));
    assert!(weak.len() >= 60, "{} controls have a plant", weak.len());
    let alone: Vec<&&str> = weak.difference(&sound).collect();
    assert_eq!(alone, [&"k8s.pod.naked"], "a naked pod's counterpart is every other pod");
}

#[test]
fn a_weak_workload_is_the_sound_one_with_one_thing_changed() {
    let world = world(Preset::Demo);
    let cluster = world.cluster("payments-prod").unwrap();
    let spec = |name: &str| {
        let found = world
            .kube_objects(cluster)
            .find(|(key, object)| *key == kinds::DEPLOYMENT && object["metadata"]["name"] == name);
        found.unwrap().1["spec"]["template"]["spec"].clone()
    };
    let changed = |name: &str| {
        let (weak, sound) = (spec(name), spec("signer"));
        let text = |value: &Value| value.to_string().replace(name, "signer");
        let sound: HashMap<&String, String> =
            sound.as_object().unwrap().iter().map(|(key, value)| (key, text(value))).collect();
        let mut fields: Vec<String> = weak
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, value)| sound.get(key) != Some(&text(value)))
            .map(|(key, _)| key.clone())
            .collect();
        fields.retain(|field| field != "containers");
        fields
    };
    assert_eq!(changed("node-tuner"), [] as [String; 0]);
    assert_eq!(changed("process-viewer"), ["hostPID"]);
    assert_eq!(changed("free-syscalls"), ["securityContext"]);
    assert_eq!(changed("log-archiver"), ["volumes"]);
    assert_eq!(spec("process-viewer")["hostPID"], Value::Bool(true));
    assert_eq!(spec("node-tuner")["containers"][0]["securityContext"]["privileged"], Value::Bool(true));
}
