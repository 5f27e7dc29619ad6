//! The shipped catalogue and its frameworks.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod catalogue;
mod framework;
