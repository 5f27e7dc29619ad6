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

/// Why Postgres did not do what it was asked, where that passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transient {
    /// It cannot be reached, is starting or stopping, or has no connection left.
    Unavailable,
    /// Another transaction was in the way: a deadlock, a serialisation failure, a lock that was not given.
    Contended,
}

impl Transient {
    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Some(Self::Unavailable),
            sqlx::Error::Database(error) => match error.code()?.as_ref() {
                "40001" | "40P01" | "55P03" => Some(Self::Contended),
                // The classes: connection, insufficient resources, operator intervention; of the last not a statement
                // that was cancelled because it took too long, which would do so again.
                code if code.starts_with("08") || code.starts_with("53") => Some(Self::Unavailable),
                code if code.starts_with("57P") || code == "25P03" => Some(Self::Unavailable),
                _ => None,
            },
            _ => None,
        }
    }

    /// What of a failure passes by itself, looked for in everything that caused it.
    pub fn behind(failure: &(dyn std::error::Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(failure), |error| error.source())
            .find_map(|error| Self::of(error.downcast_ref::<sqlx::Error>()?))
    }
}

impl StoreError {
    /// Whether Postgres gave the statement up because it ran too long.
    pub fn took_too_long(&self) -> bool {
        self.code().as_deref() == Some("57014")
    }

    /// Whether a value of the caller's cannot be stored as it is: a text with a NUL, a number or a time out of range.
    pub fn is_unstorable(&self) -> bool {
        self.code().is_some_and(|code| matches!(code.as_ref(), "22021" | "22P05" | "22003" | "22008" | "22P03"))
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code(),
            _ => None,
        }
    }

    /// Turns a violated unique constraint into [`StoreError::Exists`].
    pub(crate) fn on_conflict(error: sqlx::Error, what: &'static str, name: &str) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() => Self::Exists { what, name: name.to_owned() },
            _ => Self::Database(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn what_passes_is_found_behind_what_wraps_it() {
        let refused = || StoreError::from(sqlx::Error::Io(std::io::ErrorKind::ConnectionRefused.into()));
        assert_eq!(Transient::behind(&refused()), Some(Transient::Unavailable));
        assert_eq!(Transient::behind(&Arc::new(refused())), Some(Transient::Unavailable));
        assert_eq!(Transient::behind(&StoreError::from(sqlx::Error::PoolTimedOut)), Some(Transient::Unavailable));
        assert_eq!(Transient::behind(&StoreError::from(sqlx::Error::RowNotFound)), None);
        assert_eq!(Transient::behind(&StoreError::LeaseLost), None);
    }
}
