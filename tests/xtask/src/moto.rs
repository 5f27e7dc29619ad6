use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::workspace::{has, run, target};

/// The third-party AWS API that the contract tests run against.
const PACKAGE: &str = "moto[server]==5.2.*";

/// Installs moto into a virtual environment below `target` unless it is there, and returns its server program.
pub(crate) fn ensure_installed() -> anyhow::Result<PathBuf> {
    let venv = target()?.join("venv");
    let server = venv.join("bin/moto_server");
    // Written last, so that an interrupted installation is done again.
    let marker = venv.join("moto-installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(server);
    }
    anyhow::ensure!(has("python3", &["--version"]), "there is no python3");
    println!("installing {PACKAGE} into {} …", venv.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .context("python3 cannot make a virtual environment")?;
    run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]))
        .context("pip cannot install moto")?;
    std::fs::write(&marker, PACKAGE).context("could not mark moto as installed")?;
    Ok(server)
}
