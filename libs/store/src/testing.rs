//! Databases for tests: each a clone of a migrated template, dropped at the end. Not part of the product.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr as _;

use rampart_domain::TenantId;
use secrecy::SecretString;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};
use uuid::Uuid;

use crate::{Store, migrate};

/// Names a superuser URL of a Postgres on which databases and roles may be made.
pub const SERVER_VARIABLE: &str = "RAMPART_TEST_DATABASE_URL";

const OWNER: &str = "rampart_test_owner";
const LOGIN: &str = "rampart_test_login";
const PASSWORD: &str = "rampart";

/// A database of its own with the schema in place.
#[derive(Debug)]
pub struct TestDatabase {
    /// Connected as the application: a login that row-level security binds.
    pub store: Store,
    /// URL of the role that owns the tables, for set-up that the application may not do. Row-level security binds it too.
    pub owner_url: String,
    /// URL of a superuser, whom row-level security does not bind.
    pub super_url: String,
    /// URL that `store` is connected by, for a process under test.
    pub app_url: String,
    server_url: String,
    name: String,
}

/// Makes a database.
///
/// # Panics
/// With a clear message when there is no server to make it on.
pub async fn database() -> TestDatabase {
    let server_url = std::env::var(SERVER_VARIABLE).unwrap_or_else(|_| {
        panic!("{SERVER_VARIABLE} must hold the URL of a superuser on a Postgres for tests; `cargo xtask test` sets it")
    });
    database_on(server_url).await
}

/// Makes a database on the server that a superuser's URL names.
///
/// # Panics
/// When the server is not there.
pub async fn database_on(server_url: String) -> TestDatabase {
    let mut server = PgConnection::connect(&server_url).await.expect("the Postgres for tests must be reachable");
    let template = prepare_template(&mut server, &server_url).await;
    let name = format!("rampart_test_{}", Uuid::new_v4().simple());
    execute(&mut server, format!("create database {name} template {template} owner {OWNER}")).await;
    server.close().await.expect("an idle connection closes");
    let app_url = url(&server_url, &name, LOGIN);
    let store = Store::connect(&SecretString::from(app_url.clone()), 8).await.expect("the clone accepts the login");
    TestDatabase {
        store,
        owner_url: url(&server_url, &name, OWNER),
        super_url: with_database(&server_url, &name),
        app_url,
        server_url,
        name,
    }
}

/// Makes the template once per set of migrations; a lock lets one process do it while others wait.
async fn prepare_template(server: &mut PgConnection, server_url: &str) -> String {
    let template = format!("rampart_template_{:016x}", migrate::fingerprint());
    execute(server, "select pg_advisory_lock(7241873)".to_owned()).await;
    for (role, rights) in [(OWNER, "createrole"), (LOGIN, "")] {
        let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(role)
            .fetch_one(&mut *server)
            .await
            .expect("roles can be listed");
        if !exists {
            execute(server, format!("create role {role} login {rights} password '{PASSWORD}'")).await;
        }
    }
    let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&template)
        .fetch_one(&mut *server)
        .await
        .expect("databases can be listed");
    if !exists {
        // Roles that another installation on this server made belong to its owner.
        for role in ["rampart_app", "rampart_search"] {
            let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
                .bind(role)
                .fetch_one(&mut *server)
                .await
                .expect("roles can be listed");
            if !exists {
                execute(server, format!("create role {role} nologin")).await;
            }
        }
        execute(server, format!("grant rampart_search to {OWNER} with admin option")).await;
        execute(server, format!("grant rampart_app to {OWNER} with admin option")).await;
        execute(server, format!("grant rampart_app to {LOGIN}")).await;
        // Under a passing name, so that a half-made template is never cloned.
        let unfinished = format!("{template}_{}", Uuid::new_v4().simple());
        execute(server, format!("create database {unfinished} owner {OWNER}")).await;
        let owner = SecretString::from(url(server_url, &unfinished, OWNER));
        migrate(&owner, LOGIN).await.expect("migrations apply to an empty database");
        execute(server, format!("alter database {unfinished} rename to {template}")).await;
    }
    execute(server, "select pg_advisory_unlock(7241873)".to_owned()).await;
    template
}

async fn execute(conn: &mut PgConnection, statement: String) {
    if let Err(error) = sqlx::query(AssertSqlSafe(statement.clone())).execute(conn).await {
        panic!("{statement}: {error}");
    }
}

fn url(server_url: &str, database: &str, role: &str) -> String {
    let options = PgConnectOptions::from_str(server_url).expect("the server URL parses");
    options.database(database).username(role).password(PASSWORD).to_url_lossy().to_string()
}

fn with_database(server_url: &str, database: &str) -> String {
    let options = PgConnectOptions::from_str(server_url).expect("the server URL parses");
    options.database(database).to_url_lossy().to_string()
}

/// The socket file of the server that a URL names; none where it is reached through TCP.
///
/// # Panics
/// When it is not the URL of a Postgres.
pub fn socket_file(database_url: &str) -> Option<PathBuf> {
    let options = PgConnectOptions::from_str(database_url).expect("the URL of a database");
    options.get_socket().map(|directory| directory.join(format!(".s.PGSQL.{}", options.get_port())))
}

impl TestDatabase {
    /// Another database with the same content. Nobody else may be connected to this one.
    ///
    /// # Panics
    /// When somebody is.
    pub async fn copy(&mut self) -> Self {
        self.store.close().await;
        let mut server =
            PgConnection::connect(&self.server_url).await.expect("the Postgres for tests must be reachable");
        let name = format!("rampart_test_{}", Uuid::new_v4().simple());
        execute(&mut server, format!("create database {name} template {} owner {OWNER}", self.name)).await;
        server.close().await.expect("an idle connection closes");
        let connect = async |url: &str| {
            Store::connect(&SecretString::from(url.to_owned()), 8).await.expect("the clone accepts the login")
        };
        self.store = connect(&self.app_url).await;
        let app_url = url(&self.server_url, &name, LOGIN);
        Self {
            store: connect(&app_url).await,
            owner_url: url(&self.server_url, &name, OWNER),
            super_url: with_database(&self.server_url, &name),
            app_url,
            server_url: self.server_url.clone(),
            name,
        }
    }

    /// The first column of what a superuser's query finds, which must be text.
    ///
    /// # Panics
    /// With the query when it fails.
    pub async fn rows(&self, query: &str) -> Vec<String> {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let rows = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_all(&mut conn).await;
        let rows = rows.unwrap_or_else(|error| panic!("{query}: {error}"));
        conn.close().await.expect("an idle connection closes");
        rows
    }

    /// Every row of every table, by table, in a fixed order. Of moments only whether they are there; `masked` names columns to
    /// leave out besides, as `table.column`, or whole tables.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn dump(&self, masked: &[&str]) -> BTreeMap<String, Vec<String>> {
        let tables = self
            .rows(
                "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
                 and not relispartition",
            )
            .await;
        let mut found = BTreeMap::new();
        for table in tables.into_iter().filter(|table| !masked.contains(&table.as_str())) {
            let columns = self
                .rows(&format!(
                    "select attname || ' ' || atttypid::regtype from pg_attribute
                     where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped order by attnum"
                ))
                .await;
            let shown = columns.iter().filter_map(|column| {
                let (name, sort) = column.split_once(' ')?;
                let whole = format!("{table}.{name}");
                let value =
                    if sort.starts_with("timestamp") { format!("t.{name} is not null") } else { format!("t.{name}") };
                (!masked.contains(&whole.as_str())).then(|| format!("'{name}', {value}"))
            });
            let shown: Vec<String> = shown.collect();
            let query = format!("select jsonb_build_object({})::text from {table} t order by 1", shown.join(", "));
            let rows = self.rows(&query).await;
            found.insert(table, rows);
        }
        found
    }

    /// Runs statements as a superuser: for rows that no function of this crate writes.
    ///
    /// # Panics
    /// With the statements when they fail.
    pub async fn run(&self, statements: &str) {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        if let Err(error) = sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut conn).await {
            panic!("{statements}: {error}");
        }
    }

    /// Runs a statement with the rights of the application, as one tenant; the text of the error when it is refused.
    ///
    /// # Panics
    /// When the database is not there.
    pub async fn as_application(&self, tenant: TenantId, statement: &str) -> Result<(), String> {
        let mut conn = PgConnection::connect(&self.app_url).await.expect("the database is there");
        let set = format!("set app.tenant = '{tenant}'; {statement}");
        sqlx::raw_sql(AssertSqlSafe(set)).execute(&mut conn).await.map(drop).map_err(|error| error.to_string())
    }

    /// Every row of one table as text.
    ///
    /// # Panics
    /// When there is no such table.
    pub async fn text_of(&self, table: &str) -> String {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let query = format!("select coalesce(string_agg(t::text, chr(10)), '') from {table} t");
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut conn).await.expect("the table is there")
    }

    /// A fingerprint of every table but some, to see whether anything was written.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn fingerprints(&self, but: &[&str]) -> BTreeMap<String, String> {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let tables: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
        )
        .fetch_all(&mut conn)
        .await
        .expect("tables can be listed");
        let mut found = BTreeMap::new();
        for table in tables.into_iter().filter(|table| !but.contains(&table.as_str())) {
            let query = format!("select coalesce(md5(string_agg(t::text, '\n' order by t::text)), '') from {table} t");
            let hash =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut conn).await.expect("a table can be read");
            found.insert(table, hash);
        }
        conn.close().await.expect("an idle connection closes");
        found
    }

    /// Every row of every table as text, bytes in hexadecimal.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn texts(&self) -> String {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let tables: Vec<String> = sqlx::query_scalar(
            "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
        )
        .fetch_all(&mut conn)
        .await
        .expect("tables can be listed");
        let mut text = String::new();
        for table in tables {
            let query = format!("select t::text from {table} t");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut conn).await.expect("a table can be read");
            for row in rows {
                text.extend([&table, ": ", &row, "\n"]);
            }
        }
        conn.close().await.expect("an idle connection closes");
        text
    }

    /// CPU time that the server has used: the postmaster, its backends, and those that have ended. Linux only.
    ///
    /// # Panics
    /// When the server is not on this machine.
    pub async fn server_cpu(&self) -> std::time::Duration {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut conn).await.expect("a pid");
        let stat = |pid: &str| -> Option<(i32, u64, u64)> {
            let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let fields: Vec<u64> =
                line.rsplit_once(") ")?.1.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
            Some((i32::try_from(fields[1]).ok()?, fields[11] + fields[12], fields[13] + fields[14]))
        };
        let (postmaster, ..) = stat(&backend.to_string()).expect("the server runs on this machine");
        let (_, own, ended) = stat(&postmaster.to_string()).expect("the server runs on this machine");
        let processes = std::fs::read_dir("/proc").expect("/proc is there").flatten();
        let children = processes.filter_map(|entry| stat(entry.file_name().to_str()?));
        let children: u64 = children.filter(|(parent, ..)| *parent == postmaster).map(|(_, ticks, _)| ticks).sum();
        std::time::Duration::from_millis((own + ended + children) * 10)
    }
}

impl TestDatabase {
    /// Whether no work runs and none waits, but for repetitions, expiries and further attempts at webhooks that are not due
    /// yet. Watches run for ever and do not count.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn is_idle(&self) -> bool {
        let mut conn = PgConnection::connect(&self.super_url).await.expect("the database is there");
        let idle = sqlx::query_scalar(
            "select not exists (select from work where kind <> 'watch'
                 and (lease_until is not null or want > done and (every_s is null and kind not in ('expire', 'notify') or run_at <= now())))",
        );
        let idle = idle.fetch_one(&mut conn).await.expect("work can be read");
        conn.close().await.expect("an idle connection closes");
        idle
    }
}

/// A URL as Postgres' own programs take it: without what only the driver understands.
pub fn for_libpq(url: &str) -> String {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("statement-cache-capacity")).collect();
    format!("{address}?{}", pairs.join("&"))
}

/// The versions of all migrations, the oldest first.
pub fn migrations() -> Vec<i64> {
    migrate::versions()
}

impl TestDatabase {
    /// Takes back every migration after `version`; 0 takes back all.
    ///
    /// # Panics
    /// When one of them fails.
    pub async fn down_to(&self, version: i64) {
        let undone = migrate::undo(&SecretString::from(self.owner_url.clone()), version).await;
        undone.unwrap_or_else(|error| panic!("down to {version}: {error}"));
    }

    /// Brings the schema up to date again.
    ///
    /// # Panics
    /// When a migration fails.
    pub async fn up(&self) {
        migrate(&SecretString::from(self.owner_url.clone()), LOGIN).await.expect("the migrations apply again");
    }

    /// The schema as `pg_dump` writes it down.
    ///
    /// # Panics
    /// When that fails.
    pub fn schema(&self) -> String {
        let output =
            std::process::Command::new("pg_dump").args(["--schema-only", &for_libpq(&self.super_url)]).output();
        let output = output.expect("pg_dump is there");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("a schema is text");
        // Newer versions of the program put a random word into every dump; when history begins is when it was migrated.
        let differs = |line: &&str| {
            line.starts_with("\\restrict") || line.starts_with("\\unrestrict") || line.ends_with("'::timestamptz$$;")
        };
        text.lines().filter(|line| !differs(line)).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server_url, name) = (self.server_url.clone(), self.name.clone());
        // A runtime of its own: the test's may be shutting down.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut server = PgConnection::connect(&server_url).await.ok()?;
                let statement = format!("drop database if exists {name} with (force)");
                sqlx::query(AssertSqlSafe(statement)).execute(&mut server).await.ok()
            })
        });
        if dropped.join().ok().flatten().is_none() {
            tracing::warn!(database = self.name, "a test database was left behind");
        }
    }
}
