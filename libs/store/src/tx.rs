use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rampart_domain::TenantId;
use secrecy::{ExposeSecret, SecretString};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool, Postgres, SqlSafeStr, Transaction};

use crate::audit::{self, Entry};
use crate::{StoreError, migrate};

/// The pool, and the only ways to a connection.
#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    patience: Duration,
}

/// How long work waits for a connection.
const PATIENCE: Duration = Duration::from_secs(15);

impl Store {
    /// Connects and refuses roles that could step around row-level security, and schemas older than this binary.
    pub async fn connect(url: &SecretString, max_connections: u32) -> Result<Self, StoreError> {
        let options: PgConnectOptions = url.expose_secret().parse()?;
        let options = options
            .application_name("rampart")
            // A statement that runs this long is a bug; give the connection back.
            .options([
                ("statement_timeout", "60000"),
                ("idle_in_transaction_session_timeout", "60000"),
                // A plan that was made for an empty table, or for one tenant, is wrong for the next.
                ("plan_cache_mode", "force_custom_plan"),
            ])
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(5));
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(PATIENCE)
            .connect_with(options)
            .await?;
        let store = Self { pool, patience: PATIENCE };
        store.refuse_unsafe_role().await?;
        migrate::check_current(&store.pool).await?;
        Ok(store)
    }

    async fn refuse_unsafe_role(&self) -> Result<(), StoreError> {
        let (role, superuser, bypass, owner): (String, bool, bool, bool) = sqlx::query_as(
            "select r.rolname::text, r.rolsuper, r.rolbypassrls,
                    exists (select from pg_class c join pg_namespace n on n.oid = c.relnamespace
                            where c.relowner = r.oid and n.nspname = current_schema())
             from pg_roles r where r.rolname = current_user",
        )
        .fetch_one(&self.pool)
        .await?;
        let problem = match (superuser, bypass, owner) {
            (true, _, _) => "is a superuser",
            (_, true, _) => "has BYPASSRLS",
            (_, _, true) => "owns tables",
            _ => return Ok(()),
        };
        Err(StoreError::UnsafeRole { role, problem })
    }

    /// The same pool for callers who wait: a transaction that cannot begin within `patience` fails as one for which
    /// there is no connection.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether Postgres answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }

    /// A transaction that sees one tenant.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        // One round trip for both; a UUID prints only hexadecimal digits and dashes.
        let begin = format!("begin; set local app.tenant = '{tenant}'");
        let tx = self.begin(AssertSqlSafe(begin)).await?;
        Ok(TenantTx { tx, tenant, note: None })
    }

    /// A transaction that sees one tenant as it is at its first statement, and writes nothing.
    pub async fn snapshot(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let begin = format!("begin isolation level repeatable read read only; set local app.tenant = '{tenant}'");
        let tx = self.begin(AssertSqlSafe(begin)).await?;
        Ok(TenantTx { tx, tenant, note: None })
    }

    /// A transaction that sees the work of every tenant, and nothing else of theirs.
    pub async fn worker(&self) -> Result<WorkerTx, StoreError> {
        let tx = self.begin("begin; set local app.worker = 'on'").await?;
        Ok(WorkerTx { tx })
    }

    /// Begins with a statement. A server that takes connections and does not answer is waited for no longer than one that
    /// has no connection left.
    pub(crate) async fn begin(&self, statement: impl SqlSafeStr) -> Result<Transaction<'static, Postgres>, StoreError> {
        let begun = tokio::time::timeout(self.patience, self.pool.begin_with(statement)).await;
        Ok(begun.unwrap_or(Err(sqlx::Error::PoolTimedOut))?)
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Waits for running statements and closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction bound to one tenant by row-level security. Dropping it rolls back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    tenant: TenantId,
    /// The entry in the audit log that is written with the change.
    note: Option<Box<Note>>,
}

impl TenantTx {
    /// The tenant whose rows this transaction sees.
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes the effects permanent, and with them the entry in the audit log, if there is to be one.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        let note = self.note.take();
        if let Some(note) = &note {
            audit::insert(&mut self, &note.entry).await?;
        }
        self.tx.commit().await?;
        if let Some(note) = note {
            note.written.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Has `entry` written when this transaction is committed, and `written` set once that is done.
    #[must_use]
    pub fn audited(mut self, entry: Entry, written: Arc<AtomicBool>) -> Self {
        self.note = Some(Box::new(Note { entry, written }));
        self
    }

    /// The entry that goes with this transaction, to say more in it.
    pub fn entry(&mut self) -> Option<&mut Entry> {
        self.note.as_mut().map(|note| &mut note.entry)
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    pub(crate) const fn tenant_uuid(&self) -> uuid::Uuid {
        self.tenant.0
    }
}

/// An entry of the audit log that waits for its transaction.
#[derive(Debug)]
struct Note {
    entry: Entry,
    written: Arc<AtomicBool>,
}

/// A transaction that may claim work for any tenant.
#[derive(Debug)]
pub struct WorkerTx {
    tx: Transaction<'static, Postgres>,
}

impl WorkerTx {
    /// Makes the effects permanent.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await?;
        Ok(())
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}
