use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// What the binaries were compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Built in minutes, with assertions.
    Dev,
    /// What is shipped and measured.
    Release,
}

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("the manifest is two directories below the root").to_owned()
}

/// The directory that cargo builds into.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    // This program is `<target>/<profile>/xtask`, wherever CARGO_TARGET_DIR or a configuration file put it.
    let own = std::env::current_exe().context("could not find this program's own path")?;
    own.ancestors().nth(2).map(Path::to_owned).context("this program is not in a target directory")
}

/// The cargo that runs this task, in the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Runs a command with its output going to the terminal.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("could not run {program}"))?;
    ensure!(status.success(), "{program} failed ({status})");
    Ok(())
}

/// Whether a program answers when it is asked for its version.
pub(crate) fn has(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|output| output.status.success())
}

/// Builds every crate and returns the path of the production binary.
///
/// Always the whole workspace: a part of it would select other features and compile the dependencies once more.
pub(crate) fn build(profile: Profile) -> anyhow::Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--workspace"]);
    let dir = match profile {
        Profile::Dev => "debug",
        Profile::Release => {
            build.arg("--release");
            "release"
        }
    };
    run(&mut build)?;
    Ok(target()?.join(dir).join("rampart"))
}
