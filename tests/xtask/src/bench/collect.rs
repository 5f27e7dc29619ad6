use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use serde_json::json;
use tokio::process::Command;

use super::measure::LastSeen;
use crate::demo::client::{Client, NewConnector};
use crate::demo::process::{Rampart, owner_token};

const SEED: u64 = 11;
const CONNECTOR: &str = "pushed";
/// How often the collector is looked at.
const LOOK: Duration = Duration::from_millis(3);

/// Lets the collector push a cluster with 10,000 pods twice, and into a file once, and measures the collector alone.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset: Preset::Pods10k }).await?;
    let cluster = simulator.world().clusters().next().context("the estate has no cluster")?.name.clone();
    simulator.warm(&[&cluster]).await;
    let dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let rampart = Rampart::start(binary, &dir.path().join("platform"), 0, &[]).await?;
    let client = Client::new(&rampart.url, owner_token(&rampart, "collect").await?)?;
    let source = json!({ "provider": "kubernetes", "delivery": "push", "cluster_name": cluster, "cloud": "aws" });
    let new = NewConnector { name: CONNECTOR.to_owned(), source, kinds: Vec::new() };
    let token = client.create_connector(&new).await?.collector_token.context("the API gave no collector token")?;
    let kubeconfig = dir.path().join("kubeconfig");
    fs::write(&kubeconfig, simulator.inside_kubeconfig(&cluster).context("the cluster has no kubeconfig")?)?;
    let file = dir.path().join("cluster.rampart");

    for (label, output) in [("first push", None), ("second push", None), ("into a file", Some(&file))] {
        let mut command = Command::new(binary);
        command.arg("collect").arg("--kubeconfig").arg(&kubeconfig).args(["--cloud", "aws", "--log", "warn"]);
        match output {
            Some(file) => command.arg("--output").arg(file),
            None => command.args(["--server", &rampart.url, "--connector", CONNECTOR]),
        };
        command.env("RAMPART_COLLECTOR_TOKEN", &token).stdin(Stdio::null()).kill_on_drop(true);
        let began = Instant::now();
        let mut collector = command.spawn().context("could not start the collector")?;
        let pid = i32::try_from(collector.id().context("the collector has ended")?)?;
        let mut seen = LastSeen::default();
        let status = loop {
            seen.look(pid);
            if let Some(status) = collector.try_wait().context("could not look at the collector")? {
                break status;
            }
            tokio::time::sleep(LOOK).await;
        };
        // 3: delivered, with gaps. The collector of this estate may not read secrets.
        ensure!(matches!(status.code(), Some(0 | 3)), "the collector ended with {status}");
        println!("collect · {label}: wall {:.2} s · {seen}", began.elapsed().as_secs_f64());
    }
    let bytes = fs::metadata(&file).context("the file is not there")?.len();
    println!("collect · the file has {:.1} MB", bytes as f64 / 1e6);
    client.settle().await?;
    rampart.stop().await?;
    simulator.shutdown().await
}
