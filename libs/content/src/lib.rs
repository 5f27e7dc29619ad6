//! The product's knowledge: controls, frameworks, initiatives and score groups, read from YAML files.
//!
//! The files beside this crate are embedded in the binary; a folder given at start overrides or adds files. Loading is
//! strict: unknown fields, dangling references and controls without examples are errors that name file and field.
//! Conditions stay text here; the engine compiles them.

mod catalogue;
mod control;
mod error;
mod file;
mod framework;
mod group;
mod initiative;
mod lint;
mod source;
mod variant;
mod version;

pub use catalogue::Catalogue;
pub use control::{
    CisReference, Control, ControlType, Example, ExampleNeighbour, Parameter, ParameterType, References, Remediation,
};
pub use error::{ContentError, Problem};
pub use framework::{Assessment, Framework, ReferenceField, Requirement, UnknownReferenceField};
pub use group::ScoreGroup;
pub use initiative::{Choice, Initiative, handed_on};
pub use variant::{Guard, KindSelector, Needs, Neighbour, Through, Variant, Within};
pub use version::{NEWEST_MINOR, minor_version};
