use std::process::ExitCode;

use anyhow::Context as _;
use rampart_chassis::{Signals, Telemetry, TelemetryArgs};
use rampart_collector::Collected;
use tokio_util::sync::CancellationToken;

/// Status of a run that delivered less than there is.
const PARTIAL: u8 = 3;

/// Options of `rampart collect`.
///
/// Exits with 0 when everything was read and delivered, 1 when nothing was, 2 for a wrong command line, and 3 when it was
/// delivered but something could not be read: the log and the coverage say what.
#[derive(Debug, clap::Args)]
pub(crate) struct CollectArgs {
    #[command(flatten)]
    collector: rampart_collector::Args,
    #[command(flatten, next_help_heading = "Operations")]
    telemetry: TelemetryArgs,
}

/// Collects on one thread and in little memory: a collector shares a node with its cluster's own work.
pub(crate) fn collect(args: &CollectArgs) -> anyhow::Result<ExitCode> {
    rampart_chassis::decline_huge_pages();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build()?;
    runtime.block_on(async {
        let telemetry = Telemetry::install(&args.telemetry, "rampart-collect")?;
        let mut signals = Signals::listen().context("could not listen for signals")?;
        let cancel = CancellationToken::new();
        let mut run = Box::pin(rampart_collector::run(&args.collector, &cancel));
        let outcome = tokio::select! {
            outcome = &mut run => outcome,
            signal = signals.next() => {
                tracing::info!(signal, "stopping");
                cancel.cancel();
                run.await
            }
        };
        telemetry.shutdown().await;
        Ok(match outcome? {
            Collected::Whole => ExitCode::SUCCESS,
            Collected::Partial(_) => ExitCode::from(PARTIAL),
        })
    })
}
