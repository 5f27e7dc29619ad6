//! `rampart check`, `rampart policy test` and `rampart verify-finding`: the engine without a server, for build pipelines and
//! auditors.
//!
//! ```text
//! files ──find──> bytes ──document──> documents ──object──> objects ──subject──> resources
//! initiatives, controls, parameters ──select──> CheckSet      policies ──load──> dyn Policy
//! resources + CheckSet + policies + neighbours ──judge──> findings ──output──> table, JSON, SARIF, JUnit
//! ```
//!
//! Objects become what a scan of a cluster would store of them, and are judged by the same controls. What else a cluster
//! holds is not known from files: a verdict that rests on it is unknown, unless a kubeconfig lets it be read.

mod args;
mod check;
mod document;
mod find;
mod hide;
mod input;
mod judge;
mod live;
mod neighbours;
mod object;
mod output;
mod parallel;
mod policies;
pub mod report;
mod select;
mod subject;
mod suite;
mod template;
mod verify;

use std::io::{Read, Write};

pub use args::{CheckArgs, EngineChoice, Output, PolicyTestArgs};
pub use check::check;
pub use suite::policy_test;
pub use verify::{VerifyArgs, verify_finding};

/// Where a command reads and writes.
pub struct Terminal<'t> {
    /// Standard input.
    pub stdin: &'t mut dyn Read,
    /// Standard output.
    pub stdout: &'t mut dyn Write,
    /// Standard error.
    pub stderr: &'t mut dyn Write,
    /// Whether people read standard output, in colours.
    pub colours: bool,
}

impl Terminal<'_> {
    /// Says something on standard error. Nobody is left to tell when that is closed.
    pub(crate) fn say(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "rampart: {text}");
    }
}

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Nothing failed.
    Passed,
    /// Something did.
    Failed,
    /// The command line or an input could not be used.
    Unusable,
}

impl Exit {
    /// The status of the process.
    pub const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Unusable => 2,
        }
    }
}
