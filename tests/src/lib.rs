//! Support for the tests of the whole: an estate in a database of its own, driven step by step.

mod estate;

pub use estate::{Estate, Verdicts};
