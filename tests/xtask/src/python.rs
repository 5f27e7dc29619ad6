use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::workspace::{has, run, target};

/// Installs packages into a virtual environment of their own below `target` unless they are there, and returns the folder
/// of its programs.
pub(crate) fn environment(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let venv = target()?.join(name);
    let wanted = packages.join(" ");
    // Written last, so that an interrupted installation is done again.
    let marker = venv.join("installed");
    let programs = venv.join("bin");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(programs);
    }
    anyhow::ensure!(has("python3", &["--version"]), "there is no python3");
    println!("installing {wanted} into {} …", venv.display());
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .context("python3 cannot make a virtual environment")?;
    let mut pip = Command::new(programs.join("pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(packages);
    run(&mut pip).with_context(|| format!("pip cannot install {wanted}"))?;
    std::fs::write(&marker, wanted).context("could not mark the packages as installed")?;
    Ok(programs)
}
