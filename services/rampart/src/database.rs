use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rampart_chassis::postgres::{APP_LOGIN, DATABASE, Durability, OWNER_LOGIN, PostgresError, PrivatePostgres, attach};
use rampart_store::Store;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the data is.
#[derive(Debug, clap::Args)]
pub(crate) struct DatabaseArgs {
    /// Postgres URL of the application role, which must be neither superuser nor owner of the tables. Without it,
    /// rampart runs installed Postgres binaries on a private directory below the data directory.
    #[arg(long, env = "DATABASE_URL", value_name = "URL")]
    pub(crate) database_url: Option<SecretString>,
    /// Postgres URL of the role that owns the schema. Where it is given, the schema is brought up to date first.
    #[arg(long, env = "RAMPART_OWNER_DATABASE_URL", value_name = "URL")]
    pub(crate) owner_database_url: Option<SecretString>,
    /// Directory for the private Postgres and the generated key [default: `rampart` in `$XDG_DATA_HOME` where that is
    /// set, else `.rampart` where the process is started].
    #[arg(
        long,
        env = "RAMPART_DATA_DIR",
        default_value_os_t = default_data_dir(),
        hide_default_value = true,
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// Most connections this process opens.
    #[arg(long, env = "RAMPART_DATABASE_CONNECTIONS", default_value_t = 20, value_name = "NUMBER")]
    pub(crate) database_connections: u32,
}

/// A migrated database that is ready to be connected to.
#[derive(Debug)]
pub(crate) struct Database {
    url: SecretString,
    connections: u32,
    /// Present when this process runs the server.
    pub(crate) private: Option<PrivatePostgres>,
}

impl Database {
    /// The database that `serve` owns: given, or private and started here.
    pub(crate) async fn open(args: &DatabaseArgs) -> anyhow::Result<Self> {
        let connections = args.database_connections;
        if let Some(url) = &args.database_url {
            if let Some(owner) = &args.owner_database_url {
                migrate_for(owner, &login_of(url)?).await?;
            }
            return Ok(Self { url: url.clone(), connections, private: None });
        }
        let postgres = PrivatePostgres::start(&args.data_dir, Durability::Durable).await?;
        migrate_for(&postgres.url(OWNER_LOGIN, DATABASE), APP_LOGIN).await?;
        Ok(Self { url: postgres.url(APP_LOGIN, DATABASE), connections, private: Some(postgres) })
    }

    /// The database for a command that may run beside `serve`: its private server is used when it runs already.
    pub(crate) async fn open_beside(args: &DatabaseArgs) -> anyhow::Result<Self> {
        if args.database_url.is_none() {
            match attach(&args.data_dir) {
                Ok(place) => {
                    let url = place.url(APP_LOGIN, DATABASE);
                    return Ok(Self { url, connections: args.database_connections, private: None });
                }
                Err(PostgresError::NotRunning { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Self::open(args).await
    }

    pub(crate) async fn connect(&self) -> anyhow::Result<Store> {
        Store::connect(&self.url, self.connections).await.context("could not open the database")
    }

    /// Closes the pool, then stops the server where this process runs it.
    pub(crate) async fn close(self, store: Store) -> anyhow::Result<()> {
        store.close().await;
        stop(self.private).await
    }
}

/// Stops a server that this process runs.
pub(crate) async fn stop(postgres: Option<PrivatePostgres>) -> anyhow::Result<()> {
    match postgres {
        Some(postgres) => Ok(postgres.stop(STOP_TIMEOUT).await?),
        None => Ok(()),
    }
}

pub(crate) async fn migrate_for(owner: &SecretString, app_login: &str) -> anyhow::Result<()> {
    rampart_store::migrate(owner, app_login).await.context("could not bring the database schema up to date")
}

/// The role that a URL connects as, which the migration lets in.
pub(crate) fn login_of(url: &SecretString) -> anyhow::Result<String> {
    // The parser's error is dropped on purpose: it may repeat a part of the URL, and with it the password.
    let parsed = Url::parse(url.expose_secret()).ok().context("DATABASE_URL is not a URL")?;
    let login = parsed.username();
    anyhow::ensure!(!login.is_empty(), "DATABASE_URL names no user; the migration must know which role to let in");
    Ok(login.to_owned())
}

/// `$XDG_DATA_HOME/rampart`, or `.rampart` where the process was started.
fn default_data_dir() -> PathBuf {
    let xdg = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    xdg.map_or_else(|| PathBuf::from(".rampart"), |dir| dir.join("rampart"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expected: Option<&str>) {
        assert_eq!(login_of(&url.into()).ok().as_deref(), expected, "{url}");
    }

    #[test]
    fn the_login_comes_from_the_url() {
        check("postgres://app:secret@db/rampart", Some("app"));
        check("postgres://app@localhost:5432/rampart?host=%2Frun", Some("app"));
        check("postgres://db/rampart", None);
        check("not a url", None);
    }

    #[test]
    fn a_bad_url_is_not_repeated() {
        let error = login_of(&"postgres//app:hunter2@db".into()).unwrap_err();
        assert!(!format!("{error:#}").contains("hunter2"));
    }
}
