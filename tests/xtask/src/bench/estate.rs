use std::path::Path;

use anyhow::{Context as _, ensure};
use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use serde_json::json;

use super::measure::Meter;
use crate::demo::client::{Client, NewConnector};
use crate::demo::estate::settings;
use crate::demo::process::{Rampart, owner_token};

const SEED: u64 = 11;
const CONNECTOR: &str = "measured";

/// What happens to the estate between two scans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    label: &'static str,
}

/// A scan that finds nothing new.
pub(super) const UNCHANGED: Round = Round { label: "nothing changed" };

/// Onboards the first account of a simulated estate and measures its first scan and the `rounds` after it, each from
/// the request to the end of the assessment, on a database that starts empty.
pub(super) async fn measure(binary: &Path, name: &str, preset: Preset, rounds: &[Round]) -> anyhow::Result<()> {
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset }).await?;
    let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let rampart = Rampart::start(binary, data_dir.path(), 0, &settings(&simulator)).await?;
    let client = Client::new(&rampart.url, owner_token(&rampart, name).await?)?;
    onboard(&client, &simulator).await?;

    let first = Round { label: "first scan" };
    for round in std::iter::once(&first).chain(rounds) {
        let world = simulator.world();
        let clusters: Vec<_> = world.clusters().map(|cluster| cluster.name.as_str()).collect();
        simulator.warm(&clusters).await;
        let meter = Meter::start(rampart.pid()?)?;
        let scan = client.start_scan(CONNECTOR).await?;
        let ended = client.watch_scan(&scan.id, |_| {}).await?;
        let read = meter.stop()?;
        client.settle().await?;
        let measured = meter.stop()?;
        let usable = matches!(ended.status.as_str(), "succeeded" | "partial");
        ensure!(usable, "the scan {}: {}", ended.status, ended.error.unwrap_or_default());
        let resources: u64 = ended.progress.phases.iter().map(|phase| phase.resources).sum();
        println!("{name} · {} · read and stored: {resources} resources · {read}", round.label);
        println!("{name} · {} · with assessment: {measured}", round.label);
    }
    rampart.stop().await?;
    simulator.shutdown().await
}

async fn onboard(client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
    let account = simulator.accounts().into_iter().next().context("the estate has no AWS account")?;
    let source = json!({ "provider": "aws", "role_arn": account.role_arn, "regions": "enabled" });
    let created =
        client.create_connector(&NewConnector { name: CONNECTOR.to_owned(), source, kinds: Vec::new() }).await?;
    simulator.trust(&account.role_arn, &created.external_id.context("the API gave no external id")?);
    Ok(())
}
