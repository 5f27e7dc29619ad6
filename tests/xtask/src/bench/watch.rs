use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::Utc;
use cloudsim::Simulator;
use cloudsim::world::kinds::{self, KindKey};
use cloudsim::world::{Preset, WorldSpec};
use serde_json::{Value, json};

use super::measure::Meter;
use crate::demo::client::{Client, NewConnector};
use crate::demo::estate::settings;
use crate::demo::process::{Rampart, owner_token};

const SEED: u64 = 11;
const CONNECTOR: &str = "watched";
const CLUSTERS: usize = 500;
const CONTROL: &str = "k8s.pod.privileged";
/// Changes, each in a cluster of its own as long as there are enough, and the time between two of them.
const CHANGES: usize = 600;
const EVERY: Duration = Duration::from_millis(100);
/// How often it is looked for findings; the figures hold up to this much waiting of our own.
const LOOK: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_mins(10);

/// From a changed object to its new finding in the REST API, through the watches of 500 clusters.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset: Preset::Clusters500 }).await?;
    let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let rampart = Rampart::start(binary, data_dir.path(), 0, &settings(&simulator)).await?;
    let client = Client::new(&rampart.url, owner_token(&rampart, "watch").await?)?;
    let account = simulator.accounts().into_iter().next().context("the estate has no AWS account")?;
    let source = json!({ "provider": "aws", "role_arn": account.role_arn, "regions": "enabled" });
    let created =
        client.create_connector(&NewConnector { name: CONNECTOR.to_owned(), source, kinds: Vec::new() }).await?;
    simulator.trust(&account.role_arn, &created.external_id.context("the API gave no external id")?);
    // Switching it on asks for the first scan, with which every watch begins.
    client.watch(CONNECTOR).await?;
    let begun = Instant::now();
    wait_until_watched(&client).await?;
    client.settle().await?;
    println!("watch · {CLUSTERS} clusters watched and assessed after {:.1} s", begun.elapsed().as_secs_f64());

    let idle = Meter::start(rampart.pid()?)?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    println!("watch · nothing changes for 20 s: {}", idle.stop()?);

    let changes = tokio::task::block_in_place(|| changes(&simulator))?;
    let wanted = changes.len();
    let meter = Meter::start(rampart.pid()?)?;
    // A task of its own: the simulator works for a while on a change, and what is looked for must not wait for that.
    let look = tokio::spawn(found(client.clone(), Utc::now().to_rfc3339(), wanted));
    let mut tick = tokio::time::interval(EVERY);
    let mut begun_at = Vec::new();
    for Change { native_id, cluster, kind, object } in changes {
        tick.tick().await;
        begun_at.push((native_id, Instant::now()));
        tokio::task::block_in_place(|| simulator.put(&cluster, kind, object)).context("the cluster is gone")?;
    }
    let found = look.await.context("looking for findings panicked")??;
    let cost = meter.stop()?;

    let mut took: Vec<Duration> = Vec::new();
    for (native_id, at) in &begun_at {
        let seen = found.get(native_id).with_context(|| format!("{native_id} got no finding"))?;
        took.push(seen.saturating_duration_since(*at));
    }
    took.sort_unstable();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64();
    println!(
        "watch · {} changes, one every {} ms · from change to finding: p50 {:.2} s · p95 {:.2} s · worst {:.2} s",
        took.len(),
        EVERY.as_millis(),
        at(50),
        at(95),
        at(100)
    );
    println!("watch · {cost}");
    ensure!(at(95) <= 5.0, "p95 is above 5 s");
    rampart.stop().await?;
    simulator.shutdown().await
}

async fn wait_until_watched(client: &Client) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let watched = client.watched().await?;
        if watched == CLUSTERS {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "only {watched} clusters are watched");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// One object to be changed, and what it becomes.
struct Change {
    native_id: String,
    cluster: String,
    kind: KindKey,
    object: Value,
}

/// Deployments that are not privileged yet and become so, the first of every cluster before the second of any.
fn changes(simulator: &Simulator) -> anyhow::Result<Vec<Change>> {
    let world = simulator.world();
    let mut by_round: Vec<Vec<Change>> = Vec::new();
    for cluster in world.clusters() {
        let objects: Vec<_> = world.kube_objects(cluster).collect();
        let text = |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let system =
            objects.iter().find(|(key, object)| *key == kinds::NAMESPACE && text(object, "name") == "kube-system");
        let uid = text(&system.context("a cluster without kube-system")?.1, "uid");
        let plain = objects.iter().filter(|(key, object)| {
            let context = &object["spec"]["template"]["spec"]["containers"][0]["securityContext"];
            *key == kinds::DEPLOYMENT
                && !text(object, "namespace").starts_with("kube-")
                && context["privileged"] != true
        });
        for (round, (kind, object)) in plain.enumerate() {
            let (namespace, name) = (text(object, "namespace"), text(object, "name"));
            let native_id = format!("k8s://{uid}/apps/Deployment/{namespace}/{name}");
            let mut object = object.clone();
            object["spec"]["template"]["spec"]["containers"][0]["securityContext"]["privileged"] = true.into();
            if by_round.len() <= round {
                by_round.push(Vec::new());
            }
            by_round[round].push(Change { native_id, cluster: cluster.name.clone(), kind: *kind, object });
        }
    }
    Ok(by_round.into_iter().flatten().take(CHANGES).collect())
}

/// Waits until so many resources have a new finding. When each was first seen to have one, by native id.
async fn found(client: Client, since: String, wanted: usize) -> anyhow::Result<HashMap<String, Instant>> {
    let mut found = HashMap::new();
    let (begun, mut since) = (Instant::now(), since);
    while found.len() < wanted {
        ensure!(begun.elapsed() < PATIENCE, "only {} of {wanted} changes have a finding", found.len());
        tokio::time::sleep(LOOK).await;
        for finding in client.findings_since(CONTROL, &since).await? {
            // The next look begins a little before the latest seen: transactions may end out of order.
            let at = finding.changed_at - chrono::TimeDelta::seconds(3);
            since = since.max(at.to_rfc3339());
            if let Some(native_id) = finding.resource_native_id {
                found.entry(native_id).or_insert_with(Instant::now);
            }
        }
    }
    Ok(found)
}
