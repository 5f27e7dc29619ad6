use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use serde_json::json;

use super::measure::Meter;
use crate::demo::client::{Client, NewConnector};
use crate::demo::estate::settings;
use crate::demo::process::{Rampart, owner_token};

const SEED: u64 = 11;
const ORGANIZATION: &str = "fleet";
const PATIENCE: Duration = Duration::from_mins(30);

/// Onboards an organisation of 500 accounts with four clusters each, and measures its first discovery and a second one
/// that finds nothing new. Nothing is assessed: the figure is what listing, normalising and storing cost.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset: Preset::Fleet }).await?;
    let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let mut settings = settings(&simulator);
    settings.extend([("RAMPART_ROLES", "api,discovery".to_owned()), ("RAMPART_RATE_LIMIT", "1000".to_owned())]);
    let rampart = Rampart::start(binary, data_dir.path(), 0, &settings).await?;
    let client = Client::new(&rampart.url, owner_token(&rampart, ORGANIZATION).await?)?;
    let accounts = simulator.accounts();
    let management = accounts.first().context("the estate has no AWS account")?;
    let source = json!({
        "provider": "aws", "role_arn": management.role_arn, "regions": "enabled", "organization": {},
    });
    let new = NewConnector { name: ORGANIZATION.to_owned(), source, kinds: Vec::new() };
    let external_id = client.create_connector(&new).await?.external_id.context("the API gave no external id")?;
    for account in &accounts {
        simulator.trust(&account.role_arn, &external_id);
    }

    // The scan of the organisation asks for the first scan of every account.
    let meter = Meter::start(rampart.pid()?)?;
    let ended = client.watch_scan(&client.start_scan(ORGANIZATION).await?.id, |_| {}).await?;
    ensure!(ended.status == "succeeded", "the scan of the organisation {}: {:?}", ended.status, ended.error);
    let names: Vec<String> = accounts.iter().map(|account| format!("{ORGANIZATION}:{}", account.id)).collect();
    let first = round(&client, &meter, "first scan", &names).await?;

    for name in &names {
        client.start_scan(name).await?;
    }
    let meter = Meter::start(rampart.pid()?)?;
    let second = round(&client, &meter, "nothing changed", &names).await?;
    println!("fleet · the second costs {:.2} of the first", second / first);
    rampart.stop().await?;
    simulator.shutdown().await
}

/// Waits until every scan that was asked for has ended, and prints what they came to. Returns the CPU seconds.
async fn round(client: &Client, meter: &Meter, label: &str, names: &[String]) -> anyhow::Result<f64> {
    let begun = Instant::now();
    while client.pending_scans().await? > 0 {
        ensure!(begun.elapsed() < PATIENCE, "the scans do not end");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let cost = meter.stop()?;
    let (mut read, mut written, mut broken) = (0, 0, 0);
    for name in names {
        let scan = client.last_scan(name).await?.with_context(|| format!("{name} was never scanned"))?;
        read += scan.progress.added + scan.progress.changed + scan.progress.unchanged;
        written += scan.progress.added + scan.progress.changed;
        broken += u32::from(scan.status != "succeeded");
    }
    let cpu = (cost.own_cpu + cost.postgres_cpu).as_secs_f64();
    println!(
        "fleet · {label}: {} accounts ({broken} not whole), {read} resources, {written} written · {cost}",
        names.len()
    );
    println!("fleet · {label}: {:.0} resources a second and core, Postgres included", read as f64 / cpu);
    Ok(cpu)
}
