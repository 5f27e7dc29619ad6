//! Conditions: CEL, parsed by the `cel` crate and lowered to a small tree that runs on borrowed JSON.
//!
//! ```text
//! text ──cel parser──> AST ──lower──> Program ──run(variables)──> Val | EvalError
//! ```
//!
//! Lowering refuses whatever the tree cannot express, undeclared names included, with line and column: a typo fails when
//! content is loaded, never when an object is judged. Every node costs a step of a budget, so no condition can hang.

mod compare;
mod error;
mod eval;
mod functions;
mod ir;
mod lower;
mod macros;
mod operators;
mod patterns;
mod quantity;
mod strings;
#[cfg(test)]
mod tests;
mod time;
mod value;
mod vocabulary;

pub(crate) use error::{ErrorKind, EvalError, SyntaxError};
pub(crate) use eval::{Run, Variables};
pub(crate) use ir::{Program, Reads, Variable};
pub(crate) use lower::{Names, compile};
#[cfg(test)]
pub(crate) use quantity::parse as parse_quantity;
pub(crate) use value::Text;
#[cfg(test)]
pub(crate) use value::Val;
