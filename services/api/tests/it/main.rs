//! The API over its router and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod authorisation;
mod compliance;
mod conditional;
mod document;
mod federation;
mod onboarding;
mod paging;
mod problems;
mod reads;
mod support;
mod what_if;
