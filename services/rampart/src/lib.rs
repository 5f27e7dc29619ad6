//! `rampart`: the one production binary. It parses the command line, finds the database and runs the roles; what they
//! do is in their own crates.

mod admin;
mod check;
mod cli;
mod collect;
mod database;
mod keys;
mod migrate;
mod openapi;
mod serve;

use std::io::Write as _;
use std::process::ExitCode;

use clap::FromArgMatches as _;

use cli::{Cli, Command, command};

/// Parses the command line, runs the command and reports its error on standard error.
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    let outcome = Cli::from_arg_matches(&matches).map_err(anyhow::Error::from).and_then(run);
    match outcome {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(std::io::stderr(), "rampart: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    if let Command::Openapi = cli.command {
        return openapi::print().map(|()| ExitCode::SUCCESS);
    }
    if let Command::JudgePolicies = cli.command {
        rampart_assessor::judge_policies()?;
        return Ok(ExitCode::SUCCESS);
    }
    rampart_chassis::install_crypto_provider();
    match cli.command {
        Command::Collect(args) => return collect::collect(&args),
        Command::Check(args) => return Ok(check::run(|terminal| rampart_checker::check(&args, terminal))),
        Command::Policy(check::PolicyArgs { command: check::PolicyCommand::Test(args) }) => {
            return Ok(check::run(|terminal| rampart_checker::policy_test(&args, terminal)));
        }
        Command::VerifyFinding(args) => {
            return Ok(check::run(|terminal| rampart_checker::verify_finding(&args, terminal)));
        }
        Command::Serve(_) | Command::Migrate(_) | Command::Openapi | Command::JudgePolicies | Command::Admin(_) => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::serve(*args).await,
            Command::Migrate(args) => migrate::migrate(args).await,
            Command::Openapi
            | Command::JudgePolicies
            | Command::Collect(_)
            | Command::Check(_)
            | Command::VerifyFinding(_)
            | Command::Policy(_) => Ok(()),
            Command::Admin(args) => admin::admin(args).await,
        }
    });
    // What still blocks after the drain has had its time.
    runtime.shutdown_background();
    outcome.map(|()| ExitCode::SUCCESS)
}
