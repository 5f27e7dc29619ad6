use std::fmt::Write as _;
use std::fs;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::account::Account;
use super::{APP_LOGIN, Binaries, DATABASE, Durability, OWNER_LOGIN, Place, PostgresError, SUPERUSER, place};

const TAIL_LINES: usize = 20;
/// PostgreSQL 16 made CREATEROLE powerless over the roles it creates unless this is said.
const GRANTS_ITSELF_FROM: u32 = 16;

/// Writes the three configuration files. They are ours and written at every start, so that a new release's settings
/// reach an old data directory.
pub(super) fn configure(
    place: &Place,
    account: &Account,
    binaries: &Binaries,
    durability: Durability,
) -> Result<(), PostgresError> {
    let files = [
        ("postgresql.conf", settings(place, binaries.major, durability)),
        ("pg_hba.conf", access(durability).to_owned()),
        ("pg_ident.conf", identities(account)),
    ];
    for (name, text) in files {
        let path = place.root.join(name);
        fs::write(&path, text).map_err(PostgresError::io("write", &path))?;
    }
    Ok(())
}

/// Creates the cluster, its roles and its database beside the final path and moves it there: an interrupted first
/// start leaves nothing that looks like a cluster.
pub(super) async fn create(place: &Place, account: &Account, binaries: &Binaries) -> Result<(), PostgresError> {
    let fresh = place.root.join("data.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(PostgresError::io("remove", &fresh))?;
    }
    place::give(&fresh, account)?;

    let mut initdb = account.command(&binaries.dir.join("initdb"));
    initdb.arg("--pgdata").arg(&fresh).args(["--username", SUPERUSER, "--auth", "peer", "--encoding", "UTF8"]);
    initdb.args(LOCALE).arg("--no-instructions");
    run(initdb, "initdb", "").await?;

    let mut single = account.command(&binaries.dir.join("postgres"));
    single.arg("--single").args(["-c", "exit_on_error=on", "-D"]).arg(&fresh).arg("postgres");
    run(single, "postgres", &bootstrap_sql()).await?;

    fs::rename(&fresh, place.data()).map_err(PostgresError::io("move into place", &fresh))
}

/// Byte order in every index, UTF-8 in every function; macOS has no locale that is both.
const LOCALE: &[&str] = if cfg!(target_os = "macos") { &["--locale", "C"] } else { &["--locale", "C.UTF-8"] };

/// One statement a line: that is how the single-user server reads them.
fn bootstrap_sql() -> String {
    format!(
        "create role {OWNER_LOGIN} login nosuperuser nobypassrls createrole;\n\
         create role {APP_LOGIN} login nosuperuser nobypassrls nocreaterole nocreatedb;\n\
         create database {DATABASE} owner {OWNER_LOGIN};\n\
         revoke connect on database postgres from public;\n"
    )
}

fn settings(place: &Place, major: u32, durability: Durability) -> String {
    let mut text = format!(
        "# Written by rampart at every start.\n\
         listen_addresses = ''\n\
         port = 5432\n\
         unix_socket_directories = '{socket}'\n\
         unix_socket_permissions = 0700\n\
         hba_file = '{root}/pg_hba.conf'\n\
         ident_file = '{root}/pg_ident.conf'\n\
         max_connections = 120\n\
         shared_buffers = 256MB\n\
         effective_cache_size = 1GB\n\
         work_mem = 16MB\n\
         maintenance_work_mem = 128MB\n\
         max_wal_size = 2GB\n\
         random_page_cost = 1.1\n\
         jit = off\n\
         timezone = 'UTC'\n\
         log_timezone = 'UTC'\n\
         log_line_prefix = '%m [%p] %q%u@%d '\n\
         idle_in_transaction_session_timeout = 5min\n",
        socket = quoted(&place.socket_dir.to_string_lossy()),
        root = quoted(&place.root.to_string_lossy()),
    );
    if major >= GRANTS_ITSELF_FROM {
        text.push_str("createrole_self_grant = 'set, inherit'\n");
    }
    if durability == Durability::Scratch {
        text.push_str("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n");
    }
    text
}

/// Only through the socket. The kernel says which account connects, and that account must be one of [`identities`].
fn access(durability: Durability) -> &'static str {
    match durability {
        Durability::Durable => "local all all peer map=rampart\n",
        Durability::Scratch => "local all all trust\n",
    }
}

fn identities(account: &Account) -> String {
    let mut text = String::new();
    for system in [Some(&account.name), account.started_by.as_ref()].into_iter().flatten() {
        for login in [SUPERUSER, OWNER_LOGIN, APP_LOGIN] {
            let _ = writeln!(text, "rampart \"{system}\" {login}");
        }
    }
    text
}

/// A value inside single quotes in `postgresql.conf`.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "''")
}

async fn run(mut command: Command, program: &'static str, input: &str) -> Result<(), PostgresError> {
    let path = std::path::PathBuf::from(command.as_std().get_program());
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(PostgresError::io("start", &path))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ended early closes the pipe; its status and output say more than this error would.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let Output { status, stdout, stderr } =
        child.wait_with_output().await.map_err(PostgresError::io("wait for", &path))?;
    if status.success() {
        return Ok(());
    }
    let output = tail(&[stdout, stderr].concat());
    Err(PostgresError::Program { program, status: status.to_string(), output })
}

/// The last lines of what a program wrote.
pub(super) fn tail(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(durability: Durability, major: u32) -> String {
        let place = Place { root: "/srv/o'hara/postgres".into(), socket_dir: "/srv/s".into() };
        settings(&place, major, durability)
    }

    #[test]
    fn durable_unless_told_otherwise() {
        assert!(!check(Durability::Durable, 15).contains("fsync"));
        assert!(check(Durability::Scratch, 15).contains("fsync = off"));
    }

    #[test]
    fn never_on_the_network() {
        assert!(check(Durability::Scratch, 15).contains("listen_addresses = ''\n"));
    }

    #[test]
    fn paths_are_quoted_and_versions_respected() {
        assert!(check(Durability::Durable, 15).contains("'/srv/o''hara/postgres/pg_hba.conf'"));
        assert!(!check(Durability::Durable, 15).contains("createrole_self_grant"));
        assert!(check(Durability::Durable, 16).contains("createrole_self_grant"));
    }

    #[test]
    fn durable_clusters_ask_who_connects() {
        assert!(access(Durability::Durable).contains("peer"));
        let own = Account { uid: 1.into(), gid: 1.into(), name: "me".into(), started_by: None };
        assert_eq!(identities(&own).lines().count(), 3);
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let long: String = (0..100).fold(String::new(), |mut text, n| {
            let _ = writeln!(text, "line {n}");
            text
        });
        assert!(tail(long.as_bytes()).starts_with("line 80"));
    }
}
