//! The words of Rampart: ids, kinds, resources, verdicts.
//!
//! Everything here is plain data. No IO, no async, no clock: a function that needs the time takes it as an argument.

mod activity;
mod cloud;
mod coverage;
mod hash;
mod id;
mod image;
mod kind;
pub mod patch;
mod resource;
mod scope;
mod selector;
mod severity;
mod text_enum;
mod verdict;

pub use activity::is_active;
pub use cloud::Cloud;
pub use coverage::{CoverageState, Gap};
pub use hash::{ConfigHash, canonical_json, hash_json};
pub use id::{
    AssignmentId, ClusterId, ConnectorId, InitiativeId, JobId, NativeId, PreflightId, PreviewId, ResourceId, ScanId,
    TenantId, TokenId, UnitId,
};
pub use image::image_digest;
pub use kind::{Family, Kind};
pub use resource::{ManagedBy, Resource, strip_nulls};
pub use scope::Scope;
pub use selector::{selects, selects_pairs};
pub use severity::Severity;
pub use text_enum::UnknownWord;
pub use verdict::{Cause, Evidence, Fact, Status, UnknownReason, Verdict};
