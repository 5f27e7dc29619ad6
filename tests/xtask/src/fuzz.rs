use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::workspace::{cargo, has, root, run, target};

/// Most memory of a target in MiB, and the longest time for one input in seconds.
const MEMORY: u32 = 2048;
const LONGEST: u32 = 10;

/// Options of `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// Targets by name; all, one after the other, when none is named.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 300)]
    seconds: u32,
}

/// Runs targets with their seeds; what breaks one is kept in `tests/fuzz/artifacts`, what reaches new code below `target`.
pub(crate) fn fuzz(args: &FuzzArgs) -> anyhow::Result<()> {
    ensure!(
        has("cargo-fuzz", &["--version"]),
        "there is no cargo-fuzz: install it with `cargo install cargo-fuzz --locked`"
    );
    let folder = root().join("tests/fuzz");
    let all = targets(&folder)?;
    let wanted = if args.targets.is_empty() { &all } else { &args.targets };
    for name in wanted {
        ensure!(all.contains(name), "there is no target {name}; there are {}", all.join(", "));
    }
    for name in wanted {
        println!("fuzzing {name} for {} s …", args.seconds);
        let built = target()?.join("fuzz");
        let corpus = built.join("corpus").join(name);
        std::fs::create_dir_all(&corpus).with_context(|| format!("could not make {}", corpus.display()))?;
        let mut command = cargo();
        // No nightly compiler is needed, and no sanitizer: there is no unsafe code of ours to watch.
        command.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--dev", "--sanitizer", "none", "--fuzz-dir"]);
        command.arg(&folder).arg("--target-dir").arg(&built).arg(name).arg(&corpus);
        command.arg(folder.join("seeds").join(name));
        let limits = [format!("-max_total_time={}", args.seconds), format!("-rss_limit_mb={MEMORY}")];
        command.arg("--").args(limits).args([&format!("-timeout={LONGEST}"), "-max_len=65536", "-print_final_stats=1"]);
        run(&mut command)
            .with_context(|| format!("{name} found something; see {}", folder.join("artifacts").display()))?;
    }
    Ok(())
}

/// The targets, by their files.
fn targets(folder: &Path) -> anyhow::Result<Vec<String>> {
    let files = std::fs::read_dir(folder.join("fuzz_targets")).context("could not list the targets")?;
    let mut names = Vec::new();
    for file in files {
        let path = file.context("could not list the targets")?.path();
        names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
