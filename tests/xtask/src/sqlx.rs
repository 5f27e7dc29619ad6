use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use ::sqlx::migrate::Migrator;
use ::sqlx::{Connection as _, Executor as _, PgConnection};
use anyhow::{Context as _, ensure};
use rampart_chassis::postgres::{PrivatePostgres, SUPERUSER};
use secrecy::{ExposeSecret as _, SecretString};

use crate::postgres::start_scratch;
use crate::workspace::{cargo, root, run};

const SCRATCH: &str = "query_cache";
/// The group roles that the migrations grant to; outside of this tool the store creates them.
const GROUP_ROLES: [&str; 2] = ["rampart_app", "rampart_search"];

/// Options of `cargo xtask sqlx`.
#[derive(Debug, clap::Args)]
pub(crate) struct SqlxArgs {
    /// Write nothing; fail when a cached query is missing, stale or no longer used.
    #[arg(long)]
    check: bool,
}

/// Compiles the store against a live, migrated database; its macros then describe every query into a directory.
pub(crate) async fn sqlx(args: &SqlxArgs) -> anyhow::Result<()> {
    let postgres = start_scratch("sqlx").await?;
    let described = describe(&postgres).await;
    postgres.stop(Duration::from_secs(20)).await?;
    let described = described?;

    let path = root().join(".sqlx");
    let committed = read_queries(&path)?;
    let differing: Vec<_> = described
        .keys()
        .chain(committed.keys())
        .filter(|name| described.get(*name) != committed.get(*name))
        .map(String::as_str)
        .collect();
    if differing.is_empty() {
        println!(".sqlx is up to date ({} queries)", described.len());
        return Ok(());
    }
    ensure!(!args.check, ".sqlx is stale, run `cargo xtask sqlx` and commit it:\n  {}", differing.join("\n  "));
    write_queries(&path, &described, &committed)?;
    println!(".sqlx written ({} queries)", described.len());
    Ok(())
}

async fn describe(postgres: &PrivatePostgres) -> anyhow::Result<BTreeMap<String, String>> {
    let url = prepare_database(postgres).await?;
    let fresh = tempfile::tempdir().context("could not create a directory for the queries")?;
    // Checked macros run when the crate is compiled, and the crate is compiled when a source is newer than its output.
    let source = File::options().append(true).open(root().join("libs/store/src/lib.rs"));
    source.and_then(|file| file.set_modified(SystemTime::now())).context("could not touch the store's sources")?;
    let mut check = cargo();
    check.args(["check", "--package", "rampart-store"]);
    check.env("SQLX_OFFLINE", "false").env("SQLX_OFFLINE_DIR", fresh.path());
    check.env("DATABASE_URL", url.expose_secret());
    run(&mut check)?;
    read_queries(fresh.path())
}

/// An empty database with every migration applied. Connects as the superuser: who owns what is the store's business.
async fn prepare_database(postgres: &PrivatePostgres) -> anyhow::Result<SecretString> {
    let server = postgres.url(SUPERUSER, "postgres");
    let mut conn = PgConnection::connect(server.expose_secret()).await.context("could not connect to Postgres")?;
    conn.execute(::sqlx::AssertSqlSafe(format!("drop database if exists {SCRATCH}"))).await?;
    conn.execute(::sqlx::AssertSqlSafe(format!("create database {SCRATCH}"))).await?;
    for role in GROUP_ROLES {
        let exists = ::sqlx::query("select from pg_roles where rolname = $1").bind(role).fetch_optional(&mut conn);
        if exists.await?.is_none() {
            conn.execute(::sqlx::AssertSqlSafe(format!("create role {role} nologin"))).await?;
        }
    }
    conn.close().await?;

    let url = postgres.url(SUPERUSER, SCRATCH);
    let migrations = Migrator::new(root().join("migrations")).await.context("could not read migrations/")?;
    let mut conn = PgConnection::connect(url.expose_secret()).await?;
    migrations.run(&mut conn).await.context("a migration failed")?;
    conn.close().await?;
    Ok(url)
}

/// The cached queries of a directory by file name; none when there is no directory.
fn read_queries(dir: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(BTreeMap::new()) };
    let mut queries = BTreeMap::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("query-") {
            queries
                .insert(name, fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?);
        }
    }
    Ok(queries)
}

fn write_queries(
    dir: &Path,
    described: &BTreeMap<String, String>,
    committed: &BTreeMap<String, String>,
) -> anyhow::Result<()> {
    fs::create_dir_all(dir).context("could not create .sqlx")?;
    for unused in committed.keys().filter(|name| !described.contains_key(*name)) {
        fs::remove_file(dir.join(unused)).with_context(|| format!("could not remove {unused}"))?;
    }
    for (name, query) in described {
        fs::write(dir.join(name), query).with_context(|| format!("could not write {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queries(names: &[&str]) -> BTreeMap<String, String> {
        names.iter().map(|name| (format!("query-{name}.json"), format!("{{\"{name}\":1}}"))).collect()
    }

    #[test]
    fn what_is_no_longer_used_goes() {
        let dir = tempfile::tempdir().unwrap();
        let old = queries(&["a", "b"]);
        write_queries(dir.path(), &old, &BTreeMap::new()).unwrap();
        assert_eq!(read_queries(dir.path()).unwrap(), old);
        let new = queries(&["b", "c"]);
        write_queries(dir.path(), &new, &old).unwrap();
        assert_eq!(read_queries(dir.path()).unwrap(), new);
    }

    #[test]
    fn no_directory_holds_no_queries() {
        assert!(read_queries(Path::new("/nowhere/at/all")).unwrap().is_empty());
    }
}
