use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::measure::Meter;
use crate::demo::process::{Rampart, owner_token};

/// Until what is done at the start is over.
const SETTLED: Duration = Duration::from_secs(15);
/// For how long it is watched.
const WATCHED: Duration = Duration::from_mins(1);

/// `rampart serve` in every role, with a tenant that has nothing yet: what it costs to be there.
pub(super) async fn measure(binary: &Path) -> anyhow::Result<()> {
    let data_dir = tempfile::Builder::new().prefix("rampart-bench").tempdir().context("no temporary directory")?;
    let rampart = Rampart::start(binary, data_dir.path(), 0, &[]).await?;
    let _token = owner_token(&rampart, "idle").await?;
    tokio::time::sleep(SETTLED).await;
    let meter = Meter::start(rampart.pid()?)?;
    tokio::time::sleep(WATCHED).await;
    let cost = meter.stop()?;
    let share = cost.own_cpu.as_secs_f64() / cost.wall.as_secs_f64() * 100.0;
    println!("idle · {share:.2} % of a core · {cost}");
    rampart.stop().await
}
