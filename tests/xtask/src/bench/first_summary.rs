use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use crate::workspace::run;

/// `cargo xtask demo --once`, twice: the first start builds and creates the database, the second is what is measured.
pub(super) fn measure() -> anyhow::Result<()> {
    let own = std::env::current_exe().context("could not find this program's own path")?;
    for label in ["first start", "second start"] {
        let started = Instant::now();
        run(Command::new(&own).args(["demo", "--once"]))?;
        println!("demo · {label}: wall {:.2} s", started.elapsed().as_secs_f64());
    }
    Ok(())
}
