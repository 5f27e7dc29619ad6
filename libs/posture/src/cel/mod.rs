//! Conditions: CEL, parsed by the `cel` crate and lowered to a small tree that runs on borrowed JSON.
//!
//! ```text
//! text ──cel parser──> AST ──lower──> Program ──run(variables)──> Val | EvalError
//! ```
//!
//! Our controls and the admission policies that others wrote share the tree. They differ in what they may name, and only
//! policies have the functions that Kubernetes adds (`library`); where Kubernetes' evaluator differs from the one that
//! controls are tested against, a policy runs as Kubernetes runs it.
//!
//! Lowering refuses whatever the tree cannot express, undeclared names included, with line and column: a typo fails when
//! content is loaded, never when an object is judged. Every node costs a step of a budget, so no condition can hang.

mod calls;
mod compare;
mod error;
mod eval;
mod functions;
mod inputs;
mod ir;
mod library;
mod lower;
mod macros;
mod names;
mod operators;
mod pairs;
mod patterns;
mod pending;
mod quantity;
mod re2;
mod strings;
#[cfg(test)]
mod tests;
mod time;
mod value;
mod vocabulary;

pub(crate) use error::{ErrorKind, EvalError, Missing, SyntaxError};
pub(crate) use eval::Run;
pub(crate) use inputs::{Admission, Variables};
pub(crate) use ir::{Program, Reads, Slot, Variable};
pub(crate) use lower::compile;
pub(crate) use names::{Member, Names, Vocabulary};
pub(crate) use patterns::{Syntax, compile as compile_pattern, with as with_pattern};
#[cfg(test)]
pub(crate) use quantity::parse as parse_quantity;
pub(crate) use re2::translate as translate_re2;
pub(crate) use value::{Text, Val};
