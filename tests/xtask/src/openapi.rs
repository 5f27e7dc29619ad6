use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::workspace::{Profile, build, root};

/// Options of `cargo xtask openapi`.
#[derive(Debug, clap::Args)]
pub(crate) struct OpenapiArgs {
    /// Write nothing; fail when the committed file is not what the code says.
    #[arg(long)]
    check: bool,
}

pub(crate) fn openapi(args: &OpenapiArgs) -> anyhow::Result<()> {
    let rampart = build(Profile::Dev)?;
    let output = Command::new(rampart).arg("openapi").output().context("could not run `rampart openapi`")?;
    ensure!(output.status.success(), "`rampart openapi` failed: {}", String::from_utf8_lossy(&output.stderr));

    let path = root().join("openapi/v1.json");
    let committed = std::fs::read(&path).unwrap_or_default();
    if committed == output.stdout {
        println!("openapi/v1.json is up to date");
        return Ok(());
    }
    ensure!(!args.check, "openapi/v1.json is stale: run `cargo xtask openapi` and commit it");
    std::fs::create_dir_all(root().join("openapi")).context("could not create openapi/")?;
    std::fs::write(&path, output.stdout).context("could not write openapi/v1.json")?;
    println!("openapi/v1.json written");
    Ok(())
}
