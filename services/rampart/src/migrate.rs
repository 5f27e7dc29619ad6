use rampart_chassis::{Telemetry, TelemetryArgs};
use secrecy::SecretString;

use crate::database::{login_of, migrate_for};

/// Options of `rampart migrate`.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    /// Postgres URL of the role that owns the schema; needs CREATEROLE the first time.
    #[arg(long, env = "RAMPART_OWNER_DATABASE_URL", value_name = "URL")]
    owner_database_url: SecretString,
    /// Postgres URL of the application role; only its user name is read, to let it in.
    #[arg(long, env = "DATABASE_URL", value_name = "URL")]
    database_url: SecretString,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

pub(crate) async fn migrate(args: MigrateArgs) -> anyhow::Result<()> {
    let telemetry = Telemetry::install(&args.telemetry, "rampart-migrate")?;
    let outcome = migrate_for(&args.owner_database_url, &login_of(&args.database_url)?).await;
    telemetry.shutdown().await;
    outcome
}
