use std::time::Duration;

use rampart_chassis::postgres::SUPERUSER;
use secrecy::ExposeSecret as _;

use crate::postgres;
use crate::workspace::{cargo, root, run};

/// Runs the benchmark that assesses in its own process, on a Postgres of its own. The benchmark makes it sync as in
/// production.
pub(super) async fn measure() -> anyhow::Result<()> {
    let server = postgres::start_scratch("bench-postgres").await?;
    let mut bench = cargo();
    bench
        .args(["bench", "--quiet", "--workspace", "--bench", "assessment"])
        .current_dir(root())
        .env("RAMPART_TEST_DATABASE_URL", server.url(SUPERUSER, "postgres").expose_secret());
    let outcome = tokio::task::spawn_blocking(move || run(&mut bench)).await?;
    server.stop(Duration::from_secs(20)).await?;
    outcome
}
