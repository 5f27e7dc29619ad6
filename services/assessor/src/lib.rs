//! The assessor: judges what changed and keeps verdicts, findings, counters, edges and sources in step with the inventory.
//!
//! ```text
//! work(assess, unit) ─▶ policy: which checks apply ─▶ targets: what must be judged again
//!                      ─▶ judge: engine over batches ─▶ diff against what is stored ─▶ store::verdict (fenced)
//!                      ─▶ surroundings, rules ─▶ standing: risk, owner and days of findings (same transaction)
//! work(job, id) ─▶ what a caller asked: it reads what that caller may see, and writes a result, never a verdict
//! ```
//! A run is idempotent and takes no input but the unit: what changed stands in `dirty`, what applies in assignments, and what
//! of it is exempt in exemptions. An exemption that expires makes its units due at that moment.

mod assess;
mod counting;
mod diff;
mod edges;
mod exempt;
mod identities;
mod isolation;
mod job;
mod judge;
mod ledger;
mod policy;
mod rights;
mod rules;
mod sources;
mod standing;
mod stopwatch;
mod surroundings;
mod targets;
mod tenant;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rampart_chassis::Ctx;
use rampart_content::Catalogue;
use rampart_posture::Engine;
use rampart_store::work::{Lease, WorkKind};
use rampart_store::worker;
use rampart_store::{Store, exemption};
use tokio_util::sync::CancellationToken;

pub use crate::assess::{Summary, assess};
pub use crate::isolation::{Isolation, run as judge_policies};
pub use crate::job::run as run_job;

/// Options of the assessor role.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Clusters and accounts assessed at once in this process; the default is one per core.
    #[arg(long, env = "RAMPART_ASSESSMENTS")]
    pub assessments: Option<usize>,
    /// Clusters and accounts of one tenant assessed at once, over all processes.
    #[arg(long, env = "RAMPART_ASSESSMENTS_PER_TENANT", default_value_t = 8)]
    pub assessments_per_tenant: usize,
    /// Jobs that callers asked for, such as what-if questions, at once in this process.
    #[arg(long, env = "RAMPART_ASSESSOR_JOBS", default_value_t = 1)]
    pub jobs: usize,
    /// Folder with controls and initiatives that override or add to the built-in ones.
    #[arg(long = "content-dir", env = "RAMPART_CONTENT_DIR", id = "assessor_content_dir")]
    pub content_dir: Option<PathBuf>,
}

/// The catalogue and its compiled form, shared by all assessments of a process.
#[derive(Debug)]
pub struct Knowledge {
    /// Controls, initiatives, score groups.
    pub catalogue: Catalogue,
    /// The controls, ready to judge.
    pub engine: Engine,
    /// How policies of customers are kept apart.
    isolation: Isolation,
    /// What tenants wrote, laid over this.
    tenants: tenant::Tenants,
}

impl Knowledge {
    /// Compiles a catalogue.
    pub fn new(catalogue: Catalogue) -> anyhow::Result<Self> {
        let engine = Engine::compile(&catalogue)?;
        Ok(Self { catalogue, engine, isolation: Isolation::default(), tenants: tenant::Tenants::default() })
    }

    /// The same, with another program to run policies of customers in.
    #[must_use]
    pub fn with_isolation(self, isolation: Isolation) -> Self {
        Self { isolation, ..self }
    }

    /// Compiles the built-in catalogue.
    pub fn embedded() -> anyhow::Result<Self> {
        Self::new(Catalogue::embedded().context("built-in content")?)
    }
}

/// Works until the context is cancelled.
pub async fn run(config: Config, ctx: Ctx, store: Store) -> anyhow::Result<()> {
    let catalogue = match &config.content_dir {
        Some(dir) => Catalogue::with_overrides(dir).with_context(|| format!("content in {}", dir.display()))?,
        None => Catalogue::embedded().context("built-in content")?,
    };
    let knowledge = Arc::new(Knowledge::new(catalogue)?);
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let options = worker::Options {
        kinds: vec![WorkKind::Assess, WorkKind::Expire],
        concurrency: config.assessments.unwrap_or(cores).max(1),
        per_tenant: config.assessments_per_tenant,
        grace: Duration::from_secs(15),
    };
    let (db, shared) = (store.clone(), knowledge.clone());
    let handler = move |lease: Lease, cancel: CancellationToken| {
        let (db, knowledge) = (db.clone(), shared.clone());
        async move {
            if lease.kind == WorkKind::Expire {
                return Ok(exemption::expire(&db, &lease).await?);
            }
            let started = std::time::Instant::now();
            let summary = assess(&db, &knowledge, &lease, &cancel).await?;
            if summary.judged > 0 {
                tracing::info!(tenant.id = %lease.tenant, unit.id = %lease.subject, judged = summary.judged,
                    findings = summary.findings, duration_ms = started.elapsed().as_millis() as u64, "assessed");
            }
            Ok(())
        }
    };
    tokio::try_join!(
        worker::run(&store, &options, &ctx.cancel, handler),
        job::work(&store, &knowledge, config.jobs, &ctx.cancel)
    )?;
    Ok(())
}
