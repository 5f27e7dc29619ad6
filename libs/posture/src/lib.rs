//! The control engine: judges configuration by the controls of the catalogue. Pure: no IO, no clock, no store.
//!
//! ```text
//! Catalogue ──compile──> Engine
//! Initiative + parameters ──resolve──> Selections ──checks──> CheckSet
//! Engine + CheckSet + Input ──evaluate──> (Check, Verdict)…
//! verdict counts ──score──> secure score
//! pods and templates ──pod_security──> the level that their namespace could enforce
//! ```
//!
//! The same engine serves assessment, admission and CI. Unknown is never healthy: whatever a verdict needs and cannot
//! have makes it unknown, with the reason.

// The module that makes inputs from examples is shared with the tests outside, which know this crate by its name.
#[cfg(test)]
extern crate self as rampart_posture;

pub mod bundle;
mod cel;
mod check;
mod compile;
pub mod compliance;
pub mod custom;
#[cfg(test)]
mod differential;
mod element;
mod engine;
mod evaluate;
mod evidence;
pub mod examples;
pub mod governance;
mod imported;
mod input;
pub mod live;
#[cfg(test)]
mod oracle;
pub mod pod_security;
mod pointer;
pub mod policy;
pub mod risk;
pub mod score;
pub mod score_ledger;
#[cfg(test)]
#[path = "../tests/it/sources.rs"]
mod sources;

pub use check::{Check, CheckSet, Selection, SelectionError, resolve};
pub use engine::{CompileError, CompileProblem, Dependent, Engine};
pub use evaluate::Meter;
pub use input::{Completeness, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, NoNeighbours};
