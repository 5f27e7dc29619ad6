//! The published figures, measured from outside on a release build: the production binary does the work, simulated
//! clouds answer it, and `/proc` says what it cost. One file per figure.

mod assessment;
mod check;
mod collect;
mod estate;
mod exports;
mod filled;
mod first_summary;
mod fleet;
mod idle;
mod measure;
mod policies;
mod reads;
mod third_party;
mod watch;

use std::time::Duration;

use clap::ValueEnum;
use cloudsim::world::Preset;

use crate::postgres;
use crate::workspace::{Profile, build};

/// Options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Which figures to measure; all of them without a name.
    #[arg(value_enum)]
    figures: Vec<Figure>,
    /// Measure a build with assertions and without optimisation: quicker to make, and no figure to publish.
    #[arg(long)]
    dev: bool,
    /// For exports and reads: how many resources there are, with three findings each. Without it 333,334 for exports, so that
    /// there are a million findings, and 100,000 for reads.
    #[arg(long)]
    resources: Option<u64>,
    /// For reads: 1,000,000 resources at 50 requests a second, in place of 100,000 at 200.
    #[arg(long)]
    large: bool,
    /// For reads: for how many seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl BenchArgs {
    fn load(&self) -> reads::Load {
        let (resources, rate) = if self.large { (1_000_000, 50) } else { (100_000, 200) };
        let time = Duration::from_secs(self.seconds);
        reads::Load { resources: self.resources.unwrap_or(resources), rate, time }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// 500 EKS clusters and 1,000 repositories in three regions, answered by moto: AWS kinds only, as moto has no clusters.
    Moto,
    /// 500 EKS clusters with their Kubernetes APIs and 1,000 repositories in three regions.
    Clusters,
    /// An organisation of 500 accounts with 2,000 Kubernetes APIs of 500 objects each: read twice, nothing assessed.
    Fleet,
    /// One cluster with 10,000 pods: first scan, then a second one with nothing changed.
    Pods,
    /// `rampart collect` on one cluster with 10,000 pods, pushed twice.
    Collect,
    /// 100,000 resources with every control: from nothing, 1 % changed, nothing changed.
    Resources,
    /// `rampart check` on 1,400 manifests by every control.
    Check,
    /// 40 conditions of the house on one pod; 1,000 pods by 44 Gatekeeper templates, in Rego and in CEL.
    Policies,
    /// From a changed object to its new finding, with 500 watched clusters.
    Watch,
    /// Mixed reads of 100,000 resources and 300,000 findings, 200 requests a second.
    Reads,
    /// 1,000,000 findings with their evidence, exported in every form.
    Exports,
    /// `rampart serve` in every role with nothing to do.
    Idle,
    /// From `cargo xtask demo --once` to its summary, once built.
    Demo,
}

pub(crate) async fn bench(args: BenchArgs) -> anyhow::Result<()> {
    postgres::ensure_installed()?;
    let binary = build(if args.dev { Profile::Dev } else { Profile::Release })?;
    let figures = if args.figures.is_empty() { Figure::value_variants() } else { args.figures.as_slice() };
    for figure in figures {
        match figure {
            Figure::Moto => third_party::measure(&binary).await?,
            Figure::Clusters => estate::measure(&binary, "clusters", Preset::Clusters500, &[]).await?,
            Figure::Fleet => fleet::measure(&binary).await?,
            Figure::Pods => estate::measure(&binary, "pods", Preset::Pods10k, &[estate::UNCHANGED]).await?,
            Figure::Collect => collect::measure(&binary).await?,
            Figure::Resources => assessment::measure().await?,
            Figure::Check => check::measure(&binary).await?,
            Figure::Policies => policies::measure()?,
            Figure::Watch => watch::measure(&binary).await?,
            Figure::Reads => reads::measure(&binary, args.load()).await?,
            Figure::Exports => exports::measure(&binary, args.resources.unwrap_or(333_334)).await?,
            Figure::Idle => idle::measure(&binary).await?,
            Figure::Demo => first_summary::measure()?,
        }
    }
    Ok(())
}
