use secrecy::{ExposeSecret, SecretString};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};

use crate::StoreError;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Brings the schema up to date as the owner of the database and lets `app_login` in.
///
/// Creates the group roles `rampart_app` (rights of the application) and `rampart_search` (owner of the search view)
/// where they are missing, so the owner needs CREATEROLE once; later runs need it no more.
pub async fn migrate(owner_url: &SecretString, app_login: &str) -> Result<(), StoreError> {
    let mut conn = PgConnection::connect(owner_url.expose_secret()).await?;
    // Roles belong to the whole server: serialise against other databases that are being set up on it.
    sqlx::query("select pg_advisory_lock(7241870)").execute(&mut conn).await?;
    let outcome = prepare_roles(&mut conn, app_login).await;
    sqlx::query("select pg_advisory_unlock(7241870)").execute(&mut conn).await?;
    outcome?;
    MIGRATIONS.run(&mut conn).await?;
    // What the application compares itself with when it starts.
    sqlx::query("grant select on _sqlx_migrations to rampart_app").execute(&mut conn).await?;
    conn.close().await?;
    Ok(())
}

async fn prepare_roles(conn: &mut PgConnection, app_login: &str) -> Result<(), StoreError> {
    for role in ["rampart_app", "rampart_search"] {
        let exists: bool = sqlx::query_scalar("select exists (select from pg_roles where rolname = $1)")
            .bind(role)
            .fetch_one(&mut *conn)
            .await?;
        if !exists {
            sqlx::query(AssertSqlSafe(format!("create role {role} nologin"))).execute(&mut *conn).await?;
        }
    }
    grant_membership(conn, "rampart_search", "current_user").await?;
    let (login, member): (String, bool) = sqlx::query_as(
        "select quote_ident($1), exists (select from pg_roles where rolname = $1 and pg_has_role(oid, 'rampart_app', 'member'))",
    )
    .bind(app_login)
    .fetch_one(&mut *conn)
    .await?;
    if !member {
        grant_membership(conn, "rampart_app", &login).await?;
    }
    Ok(())
}

/// Only members of a role may make it the owner of something.
async fn grant_membership(conn: &mut PgConnection, role: &str, member: &str) -> Result<(), StoreError> {
    let already: bool = member == "current_user"
        && sqlx::query_scalar("select pg_has_role(current_user, $1::text, 'member')")
            .bind(role)
            .fetch_one(&mut *conn)
            .await?;
    if !already {
        sqlx::query(AssertSqlSafe(format!("grant {role} to {member}"))).execute(conn).await?;
    }
    Ok(())
}

/// Changes with every migration.
#[cfg(feature = "testing")]
pub(crate) fn fingerprint() -> u64 {
    MIGRATIONS
        .iter()
        .flat_map(|migration| migration.checksum.iter())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The versions of all migrations, the oldest first.
#[cfg(feature = "testing")]
pub(crate) fn versions() -> Vec<i64> {
    let mut versions: Vec<i64> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// Takes back every migration after `version`.
#[cfg(feature = "testing")]
pub(crate) async fn undo(owner_url: &SecretString, version: i64) -> Result<(), StoreError> {
    let mut conn = PgConnection::connect(owner_url.expose_secret()).await?;
    MIGRATIONS.undo(&mut conn, version).await?;
    conn.close().await?;
    Ok(())
}

/// Refuses a schema older than this binary. A newer one is fine: migrations expand before they contract.
pub(crate) async fn check_current(pool: &PgPool) -> Result<(), StoreError> {
    let needed = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or_default();
    let known: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(pool).await?;
    let found: i64 = if known {
        sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
            .fetch_one(pool)
            .await?
    } else {
        0
    };
    if found < needed { Err(StoreError::SchemaOutdated { found, needed }) } else { Ok(()) }
}
