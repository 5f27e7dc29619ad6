//! The demo: a simulated estate, the production binary, and nothing between them but HTTP.

pub(crate) mod client;
pub(crate) mod estate;
pub(crate) mod process;
mod summary;

use std::time::Instant;

use anyhow::Context as _;
use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use secrecy::ExposeSecret as _;

use crate::postgres;
use crate::workspace::{Profile, build, target};
use client::Client;
use process::{Rampart, owner_token};

/// Any fixed number: the same estate at every start, so that a second start finds what it knows.
const SEED: u64 = 7;
const TENANT: &str = "demo";

/// Options of `cargo xtask demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// Stop after the summary instead of staying up until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Build and run the release profile.
    #[arg(long)]
    release: bool,
    /// Port of the API on the loopback; another free one is taken when it is in use.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

pub(crate) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    postgres::ensure_installed()?;
    println!("building …");
    let binary = build(if args.release { Profile::Release } else { Profile::Dev })?;

    let started = Instant::now();
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset: Preset::Estate }).await;
    let simulator = simulator.context("could not start the simulated clouds")?;
    let data_dir = target()?.join("demo");
    let mut rampart = Rampart::start(&binary, &data_dir, args.port, &estate::settings(&simulator)).await?;
    let token = owner_token(&rampart, TENANT).await?;
    let client = Client::new(&rampart.url, token.clone())?;
    println!("rampart and the simulated clouds are up ({:.1} s)", started.elapsed().as_secs_f64());

    let collector = rampart.collector();
    tokio::select! {
        shown = estate::discover(&client, &simulator, &collector) => shown?,
        error = rampart.ended() => return Err(error),
    }
    client.settle().await?;
    summary::print(&client).await?;
    println!("\nfrom start to summary: {:.1} s", started.elapsed().as_secs_f64());

    if !args.once {
        summary::print_next_steps(&rampart.url, token.expose_secret());
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("could not wait for Ctrl-C")?,
            error = rampart.ended() => return Err(error),
        }
        println!("\nstopping …");
    }
    rampart.stop().await?;
    simulator.shutdown().await
}
