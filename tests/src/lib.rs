//! Support for the tests of the whole: an estate in a database of its own, driven step by step.

#![expect(clippy::missing_panics_doc, reason = "support of tests: a panic is a failed test")]

mod estate;

pub use estate::{Estate, Verdicts};
