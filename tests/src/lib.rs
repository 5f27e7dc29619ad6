//! Support for the tests of the whole: an estate driven step by step, and the product running against simulated clouds.

#![expect(clippy::missing_panics_doc, reason = "whatever goes wrong here fails the test")]

mod client;
mod collector;
mod estate;
mod member;
mod platform;
mod process;
mod receiver;
mod replica;
mod talk;
mod tap;
mod wait;

pub use client::Client;
pub use collector::Collector;
pub use estate::{Estate, Verdicts};
pub use member::{Member, is_ready};
pub use platform::Platform;
pub use process::Process;
pub use receiver::{Received, Receiver, Reply};
pub use replica::Replica;
pub use tap::{Claim, Places, Tap};
pub use wait::eventually;
