//! A private Postgres: installed server binaries, run on a data directory of our own, reachable by a Unix socket only.
//!
//! ```text
//! <data-dir>/postgres/            ours: configuration, log, lock
//! <data-dir>/postgres/data/       the server's: the cluster
//! <data-dir>/postgres/socket/     the server's: .s.PGSQL.5432, nobody else may enter
//! ```
//!
//! One process owns the server: it holds the lock, starts it, and stops it when it ends. A command that runs beside it
//! ([`attach`]) only connects. A server whose owner was killed is found by its pid file and stopped before a new start.

mod account;
mod binaries;
mod cluster;
mod place;
mod server;

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::SecretString;

pub use binaries::{Binaries, OLDEST_MAJOR};
pub use place::Place;

use account::Account;
use server::Server;

/// The role that owns the schema and runs migrations.
pub const OWNER_LOGIN: &str = "rampart_owner";
/// The role that the running process connects as: neither owner nor superuser, so that row-level security binds it.
pub const APP_LOGIN: &str = "rampart_app_login";
/// The database that both connect to.
pub const DATABASE: &str = "rampart";
/// The cluster's superuser; the product never connects as it, tests do to create and drop databases.
pub const SUPERUSER: &str = "postgres";

/// What the data is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A commit survives a power cut.
    Durable,
    /// Nothing needs to survive: tests and generated files. Any role may connect through the socket.
    Scratch,
}

/// The private Postgres could not be started, reached or stopped.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable server binaries on this machine.
    #[error("{}", binaries::install_hint())]
    NotInstalled,
    /// The data was written by a major version that is not installed.
    #[error(
        "{path} was written by PostgreSQL {needed}, which is not installed: install it, or upgrade the directory with pg_upgrade"
    )]
    OtherMajor {
        /// The cluster's directory.
        path: PathBuf,
        /// The major version that wrote it.
        needed: u32,
    },
    /// PostgreSQL refuses to run as root and there is no account to run it as.
    #[error(
        "PostgreSQL does not run as root and there is no `postgres` user: create it (useradd --system postgres), or start rampart as another user"
    )]
    NoAccount,
    /// Another process owns this data directory's server.
    #[error(
        "another rampart process already runs the private Postgres in {path}: give both DATABASE_URL, or use another --data-dir"
    )]
    Busy {
        /// The directory of the private Postgres.
        path: PathBuf,
    },
    /// Nobody runs a server here to attach to.
    #[error("no rampart process runs the private Postgres in {path}")]
    NotRunning {
        /// The directory of the private Postgres.
        path: PathBuf,
    },
    /// A directory or file could not be prepared.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A server program failed.
    #[error("{program} failed ({status}):\n{output}")]
    Program {
        /// `initdb` or `postgres`.
        program: &'static str,
        /// Its exit status.
        status: String,
        /// The last lines it wrote.
        output: String,
    },
    /// The server did not get ready, or did not stop, in time.
    #[error("PostgreSQL is not {state} after {} s; the last lines of its log:\n{log}", waited.as_secs())]
    Timeout {
        /// `ready` or `stopped`.
        state: &'static str,
        /// How long it was given.
        waited: Duration,
        /// The last lines of its log.
        log: String,
    },
}

impl PostgresError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A running private Postgres that this process owns. Dropped without [`PrivatePostgres::stop`], it is told to stop
/// but not waited for.
#[derive(Debug)]
pub struct PrivatePostgres {
    place: Place,
    server: Server,
}

impl PrivatePostgres {
    /// Creates the cluster under `data_dir` where there is none, and starts the server. Ready when this returns.
    pub async fn start(data_dir: &Path, durability: Durability) -> Result<Self, PostgresError> {
        let account = Account::for_server()?;
        let place = Place::prepare(data_dir, &account)?;
        let lock = place.lock()?;
        let binaries = Binaries::for_place(&place)?;
        server::stop_orphan(&place).await?;
        cluster::configure(&place, &account, &binaries, durability)?;
        if place.existing_major()?.is_none() {
            cluster::create(&place, &account, &binaries).await?;
        }
        let server = Server::start(&place, &account, &binaries, lock).await?;
        tracing::info!(path = %place.root.display(), postgres.major = binaries.major, "private Postgres is ready");
        Ok(Self { place, server })
    }

    /// URL of `database` for `login`, as the Postgres client library takes it.
    pub fn url(&self, login: &str, database: &str) -> SecretString {
        self.place.url(login, database)
    }

    /// Waits until the server ends, which it should not do before [`PrivatePostgres::stop`]. Cancel safe.
    pub async fn ended(&mut self) -> PostgresError {
        self.server.ended(&self.place).await
    }

    /// The server's process id; its workers are children of it.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Ends every connection, writes a checkpoint and waits for the server to be gone.
    pub async fn stop(self, timeout: Duration) -> Result<(), PostgresError> {
        self.server.stop(&self.place, timeout).await
    }
}

/// The place of a private Postgres that another process runs for `data_dir`, to connect beside it.
pub fn attach(data_dir: &Path) -> Result<Place, PostgresError> {
    let account = Account::for_server()?;
    let place = Place::prepare(data_dir, &account)?;
    match place.lock() {
        Err(PostgresError::Busy { .. }) if server::is_ready(&place) => Ok(place),
        Err(PostgresError::Busy { .. }) | Ok(_) => Err(PostgresError::NotRunning { path: place.root }),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    /// Tests of the server itself need its binaries; where there are none the product says so too.
    fn installed() -> bool {
        let found = Binaries::find(None);
        assert!(matches!(found, Ok(_) | Err(PostgresError::NotInstalled)));
        found.is_ok()
    }

    /// A directory that the server's account may enter when the tests run as root.
    fn open_dir() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        dir
    }

    #[tokio::test]
    async fn starts_stops_and_keeps_its_data() {
        if !installed() {
            return;
        }
        let dir = open_dir();
        for _ in 0..2 {
            let postgres = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap();
            let url = postgres.url(APP_LOGIN, DATABASE);
            assert!(url.expose_secret().starts_with("postgres://rampart_app_login@localhost:5432/rampart?host=%2F"));
            postgres.stop(Duration::from_secs(20)).await.unwrap();
        }
    }

    #[tokio::test]
    async fn one_owner_and_any_number_beside_it() {
        if !installed() {
            return;
        }
        let dir = open_dir();
        assert!(matches!(attach(dir.path()).unwrap_err(), PostgresError::NotRunning { .. }));
        let postgres = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap();
        let second = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap_err();
        assert!(matches!(second, PostgresError::Busy { .. }), "{second}");
        let beside = attach(dir.path()).unwrap();
        assert_eq!(
            beside.url(OWNER_LOGIN, DATABASE).expose_secret(),
            postgres.url(OWNER_LOGIN, DATABASE).expose_secret()
        );
        postgres.stop(Duration::from_secs(20)).await.unwrap();
    }

    #[tokio::test]
    async fn an_unexpected_end_is_noticed_and_an_orphan_replaced() {
        if !installed() {
            return;
        }
        let dir = open_dir();
        let mut postgres = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap();
        server::signal(postgres.pid(), nix::sys::signal::Signal::SIGKILL);
        let error = postgres.ended().await;
        assert!(matches!(error, PostgresError::Program { program: "postgres", .. }), "{error}");
        drop(postgres);

        let orphan = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap();
        let orphan_pid = orphan.pid();
        orphan.server.abandon();
        let next = PrivatePostgres::start(dir.path(), Durability::Scratch).await.unwrap();
        assert_ne!(next.pid(), orphan_pid);
        next.stop(Duration::from_secs(20)).await.unwrap();
    }
}
