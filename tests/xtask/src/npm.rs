use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::workspace::{has, run, target};

/// Installs packages into a folder below `target` unless they are there, and returns that folder.
pub(crate) fn folder(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = target()?.join(name);
    let wanted = packages.join(" ");
    // Written last, so that an interrupted installation is done again.
    let marker = folder.join("installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    anyhow::ensure!(has("npm", &["--version"]), "there is no npm");
    println!("installing {wanted} into {} …", folder.display());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix"]).arg(&folder).args(packages);
    run(&mut npm).with_context(|| format!("npm cannot install {wanted}"))?;
    std::fs::write(&marker, wanted).context("could not mark the packages as installed")?;
    Ok(folder)
}
