use chrono::{DateTime, SecondsFormat, Utc};

fn time(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// What a store operation can fail with.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres could not be reached or refused the statement.
    #[error("database: {0}")]
    Database(#[source] sqlx::Error),
    /// A migration failed.
    #[error("migration")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The role that Rampart connects as could step around row-level security.
    #[error("refusing to run as database role `{role}`: it {problem}; connect as a member of rampart_app instead")]
    UnsafeRole {
        /// The role.
        role: String,
        /// What it could do.
        problem: &'static str,
    },
    /// The schema is missing or older than this binary.
    #[error("the database schema is at {found}, this binary needs {needed}; run `rampart migrate`")]
    SchemaOutdated {
        /// Latest applied migration, 0 for none.
        found: i64,
        /// Latest migration of this binary.
        needed: i64,
    },
    /// The row does not exist, or the caller may not see it.
    #[error("{what} not found")]
    NotFound {
        /// Noun for messages.
        what: &'static str,
    },
    /// A unique name is taken.
    #[error("{what} `{name}` exists already")]
    Exists {
        /// Noun for messages.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The row is at another version than the caller saw.
    #[error("{what} was changed meanwhile: it is at version {current}")]
    VersionMismatch {
        /// Noun for messages.
        what: &'static str,
        /// Version now.
        current: i64,
    },
    /// The lease was lost: another worker may own the subject by now, so the effect was not written.
    #[error("the lease on this work was lost")]
    LeaseLost,
    /// A value in the database is not one this binary knows.
    #[error("stored value is not understood: {0}")]
    Corrupt(String),
    /// A cursor that this list, with these filters, did not give out.
    #[error("the cursor does not belong to this list and its filters")]
    Cursor,
    /// History does not reach back so far.
    #[error("history begins at {}", time(oldest))]
    NotKept {
        /// The earliest moment that can be read.
        oldest: DateTime<Utc>,
    },
    /// Something that began to be written before the moment may still come.
    #[error("what happened until then is not complete yet: the latest moment that can be read is {}", time(watermark))]
    NotSettled {
        /// The latest moment that can be read.
        watermark: DateTime<Utc>,
    },
    /// The row is still needed by others.
    #[error("{what} is in use by {by}")]
    InUse {
        /// Noun for messages.
        what: &'static str,
        /// Who uses it.
        by: String,
    },
    /// Its state does not allow this.
    #[error("{what} {why}")]
    WrongState {
        /// Noun for messages.
        what: &'static str,
        /// What its state is, and what to do instead.
        why: &'static str,
    },
    /// A credential could not be sealed or opened.
    #[error("credential: {0}")]
    Seal(&'static str),
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<rampart_domain::UnknownWord> for StoreError {
    fn from(error: rampart_domain::UnknownWord) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl StoreError {
    /// Turns a violated unique constraint into [`StoreError::Exists`].
    pub(crate) fn on_conflict(error: sqlx::Error, what: &'static str, name: &str) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Exists { what, name: name.to_owned() },
            _ => Self::Database(error),
        }
    }
}
