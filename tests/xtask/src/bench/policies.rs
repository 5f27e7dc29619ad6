use crate::workspace::{cargo, root, run};

/// Runs the benchmark of the posture engine, which needs nothing around it.
pub(super) fn measure() -> anyhow::Result<()> {
    let mut bench = cargo();
    run(bench.args(["bench", "--quiet", "--package", "rampart-posture", "--bench", "policies"]).current_dir(root()))
}
