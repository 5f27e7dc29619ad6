//! The control engine: judges configuration by the controls of the catalogue. Pure: no IO, no clock, no store.
//!
//! ```text
//! Catalogue ──compile──> Engine
//! Initiative + parameters ──resolve──> Selections ──checks──> CheckSet
//! Engine + CheckSet + Input ──evaluate──> (Check, Verdict)…
//! verdict counts ──score──> secure score
//! ```
//!
//! The same engine serves assessment, admission and CI. Unknown is never healthy: whatever a verdict needs and cannot
//! have makes it unknown, with the reason.

mod cel;
mod check;
mod element;
mod engine;
mod evaluate;
mod evidence;
mod input;
pub mod live;
mod pointer;
pub mod score;

pub use check::{Check, CheckSet, Selection, SelectionError, resolve};
pub use engine::{CompileError, CompileProblem, Dependent, Engine};
pub use input::{Completeness, Facts, Input, NeighbourItem, NeighbourQuery, NeighbourSet, Neighbours, NoNeighbours};
