use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use nix::unistd::geteuid;
use rampart_chassis::postgres::{Binaries, Durability, PostgresError, PrivatePostgres};

use crate::workspace::{has, run, target};

/// Finds the server binaries, or installs them where that needs no question: as root on Debian and its kin.
pub(crate) fn ensure_installed() -> anyhow::Result<()> {
    match Binaries::find(None) {
        Err(PostgresError::NotInstalled) if geteuid().is_root() && has("apt-get", &["--version"]) => {
            println!("installing PostgreSQL with apt-get …");
            run(apt().arg("update"))?;
            run(apt().args(["install", "--yes", "--no-install-recommends", "postgresql"]))?;
            Binaries::find(None)?;
            Ok(())
        }
        found => Ok(found.map(drop)?),
    }
}

/// A server for tests and generated files, on a directory of its own below `target`, whose data nobody keeps.
pub(crate) async fn start_scratch(name: &str) -> anyhow::Result<PrivatePostgres> {
    ensure_installed()?;
    let dir = target()?.join(name);
    PrivatePostgres::start(Path::new(&dir), Durability::Scratch).await.context("could not start a private Postgres")
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet");
    command
}
