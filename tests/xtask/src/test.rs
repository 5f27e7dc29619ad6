use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rampart_chassis::postgres::SUPERUSER;
use secrecy::ExposeSecret as _;

use crate::contract::Tool;
use crate::workspace::{cargo, has, root, run};
use crate::{contract, postgres};

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Fail where a test would be skipped because something it needs is missing.
    #[arg(long)]
    require_contract: bool,
    /// Run the long tests too.
    #[arg(long)]
    full: bool,
    /// Passed on to the test runner, after `--`.
    #[arg(last = true)]
    runner: Vec<String>,
}

/// Sets up Postgres and the tools of the contract tests, then hands over to the test runner, whose summary is the last thing
/// printed.
pub(crate) async fn test(args: TestArgs) -> anyhow::Result<()> {
    let mut run_tests = runner(&args.runner);
    let mut skipped = Vec::new();
    for Tool { tests, variable, installed } in contract::tools() {
        match installed {
            Ok(path) => {
                run_tests.env(variable, path);
            }
            Err(error) => skipped.push(format!("{tests}: {error:#}")),
        }
    }
    let server = postgres::start_scratch("test-postgres").await?;
    for line in &skipped {
        println!("skipped: {line}");
    }
    if args.require_contract && !skipped.is_empty() {
        bail!("--require-contract: nothing may be skipped");
    }
    if !args.full {
        println!("skipped: long tests (--full runs them)");
    }

    run_tests.env("RAMPART_TEST_DATABASE_URL", server.url(SUPERUSER, "postgres").expose_secret());
    if args.require_contract {
        run_tests.env("RAMPART_REQUIRE_CONTRACT", "1");
    }
    if args.full {
        run_tests.env("RAMPART_TEST_FULL", "1");
    }
    // The runner blocks for minutes; the server's supervision goes on beside it.
    let outcome = tokio::task::spawn_blocking(move || run(&mut run_tests)).await.context("the test run was lost")?;
    server.stop(Duration::from_secs(20)).await?;
    outcome
}

/// nextest runs every test in a process of its own and prints one summary; plain cargo does too, per crate.
fn runner(extra: &[String]) -> Command {
    let mut command = cargo();
    if has("cargo-nextest", &["nextest", "--version"]) {
        command.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    } else {
        command.args(["test", "--workspace", "--no-fail-fast"]);
    }
    command.current_dir(root()).args(extra);
    command
}
