//! `cargo xtask`: what a developer, a visitor and the build server type. One file per command.
//!
//! It depends on no crate with checked SQL, because `cargo xtask sqlx` has to work when the cached queries are stale.
#![expect(clippy::print_stdout, reason = "a command-line tool speaks on standard output")]

mod moto;
mod openapi;
mod postgres;
mod sqlx;
mod test;
mod workspace;

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
    /// Set up what the tests need and run all of them
    Test(test::TestArgs),
    /// Regenerate openapi/v1.json from the code
    Openapi(openapi::OpenapiArgs),
    /// Regenerate the cached query descriptions in .sqlx against a freshly migrated database
    Sqlx(sqlx::SqlxArgs),
}

fn main() -> anyhow::Result<()> {
    rampart_chassis::install_crypto_provider();
    let task = Cli::parse().task;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("could not start the runtime")?.block_on(async {
        match task {
            Task::Test(args) => test::test(args).await,
            Task::Openapi(args) => openapi::openapi(&args),
            Task::Sqlx(args) => sqlx::sqlx(&args).await,
        }
    })
}
