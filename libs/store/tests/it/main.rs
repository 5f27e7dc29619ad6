//! The store on a real Postgres.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod history;
mod isolation;
mod issuer_key;
mod organization;
mod plans;
mod worker;
