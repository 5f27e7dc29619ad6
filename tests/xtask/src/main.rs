//! `cargo xtask`: what a developer, a visitor and the build server type. One file per command.
//!
//! It depends on no crate with checked SQL, because `cargo xtask sqlx` has to work when the cached queries are stale.
#![expect(clippy::print_stdout, reason = "a command-line tool speaks on standard output")]

mod bench;
mod contract;
mod demo;
mod fuzz;
mod npm;
mod openapi;
mod postgres;
mod python;
mod sqlx;
mod templates;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Tasks of the workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Show Rampart at work on a simulated estate, from discovery to recommendations
    Demo(demo::DemoArgs),
    /// Set up what the tests need and run all of them
    Test(test::TestArgs),
    /// Hand strangers' input to what reads it, for as long as wanted, and report what breaks
    Fuzz(fuzz::FuzzArgs),
    /// Measure the published figures on a release build
    Bench(bench::BenchArgs),
    /// Regenerate openapi/v1.json from the code
    Openapi(openapi::OpenapiArgs),
    /// Regenerate infra/onboarding from the permissions that the connectors declare
    Templates(templates::TemplatesArgs),
    /// Regenerate the cached query descriptions in .sqlx against a freshly migrated database
    Sqlx(sqlx::SqlxArgs),
}

fn main() -> ExitCode {
    rampart_chassis::install_crypto_provider();
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("could not start the runtime")?.block_on(async {
        match task {
            Task::Demo(args) => demo::demo(args).await,
            Task::Bench(args) => bench::bench(args).await,
            Task::Test(args) => test::test(args).await,
            Task::Fuzz(args) => fuzz::fuzz(&args),
            Task::Openapi(args) => openapi::openapi(&args),
            Task::Templates(args) => templates::templates(&args),
            Task::Sqlx(args) => sqlx::sqlx(&args).await,
        }
    })
}
