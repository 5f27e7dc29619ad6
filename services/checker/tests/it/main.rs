//! Whole runs of the commands over files of a temporary directory.
#![expect(clippy::unwrap_used, reason = "tests")]

mod check;
mod limits;
mod run;
mod suites;
