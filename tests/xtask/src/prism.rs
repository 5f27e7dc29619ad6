use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::workspace::{has, run, target};

/// The third-party mock of API documents that the Azure contract test runs against.
const PACKAGE: &str = "@stoplight/prism-cli@5.16";

/// Installs prism below `target` unless it is there, and returns its program.
pub(crate) fn ensure_installed() -> anyhow::Result<PathBuf> {
    let folder = target()?.join("prism");
    let program = folder.join("node_modules/.bin/prism");
    // Written last, so that an interrupted installation is done again.
    let marker = folder.join("prism-installed");
    if std::fs::read_to_string(&marker).is_ok_and(|installed| installed == PACKAGE) {
        return Ok(program);
    }
    anyhow::ensure!(has("npm", &["--version"]), "there is no npm");
    println!("installing {PACKAGE} into {} …", folder.display());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-fund", "--no-audit", "--loglevel=error", "--prefix"]).arg(&folder).arg(PACKAGE);
    run(&mut npm).context("npm cannot install prism")?;
    std::fs::write(&marker, PACKAGE).context("could not mark prism as installed")?;
    Ok(program)
}
