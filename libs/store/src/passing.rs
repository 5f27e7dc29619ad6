use std::error::Error;

/// SQLSTATEs after which the same work, done again, succeeds: a serialisation failure and a deadlock.
const CONFLICTS: [&str; 2] = ["40001", "40P01"];
/// A server that ends or starts: it ended the connection, crashed, or does not take any yet.
const RESTARTS: [&str; 3] = ["57P01", "57P02", "57P03"];

/// Whether a failure says nothing about what was worked on: the database chose this transaction to give way to another, or
/// was away. Looks through everything that the failure came from.
pub fn is_passing(failure: &(dyn Error + 'static)) -> bool {
    let mut link = Some(failure);
    while let Some(error) = link {
        if error.downcast_ref::<sqlx::Error>().is_some_and(passes) {
            return true;
        }
        link = error.source();
    }
    false
}

fn passes(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => refusal.code().is_some_and(|code| {
            // Class 08: the connection failed.
            CONFLICTS.contains(&&*code) || RESTARTS.contains(&&*code) || code.starts_with("08")
        }),
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::is_passing;
    use crate::StoreError;

    #[test]
    fn what_passes_is_found_wherever_it_came_from() {
        let away = || StoreError::Database(sqlx::Error::PoolTimedOut);
        assert!(is_passing(&away()));
        assert!(is_passing(&Arc::new(away())), "a failure that was shared");
        assert!(!is_passing(&StoreError::Database(sqlx::Error::RowNotFound)));
        assert!(!is_passing(&StoreError::LeaseLost));
        assert!(!is_passing(&*Box::<dyn std::error::Error + Send + Sync>::from("the credentials are wrong")));
    }
}
