//! The words of Rampart: ids, kinds, resources, verdicts.
//!
//! Everything here is plain data. No IO, no async, no clock: a function that needs the time takes it as an argument.

mod activity;
mod cloud;
mod coverage;
pub mod exemption;
mod hash;
mod id;
mod image;
mod kind;
mod outline;
pub mod patch;
mod resource;
mod risk;
mod scope;
mod score_cause;
mod selector;
mod severity;
mod source;
mod text_enum;
mod verdict;

pub use activity::is_active;
pub use cloud::Cloud;
pub use coverage::{CoverageState, Gap};
pub use exemption::ExemptionCategory;
pub use hash::{ConfigHash, canonical_json, hash_json};
pub use id::{
    ActorId, AssignmentId, ClusterId, ConnectorId, CriticalityRuleId, DeliveryId, DisabledControlId, ExemptionId,
    FixUnitId, GovernanceRuleId, IdentityProviderId, InitiativeId, JobId, NativeId, PreflightId, PreviewId, ResourceId,
    ScanId, TenantId, TokenId, UnitId, WebhookId,
};
pub use image::image_digest;
pub use kind::{Family, Kind};
pub use outline::outline;
pub use resource::{ManagedBy, Resource, strip_nulls};
pub use risk::{Criticality, Factor, Risk};
pub use scope::Scope;
pub use score_cause::ScoreCause;
pub use selector::{glob_matches, selects, selects_pairs};
pub use severity::Severity;
pub use source::{Deliverer, SourceType};
pub use text_enum::UnknownWord;
pub use verdict::{Cause, Evidence, Fact, Status, UnknownReason, Verdict};
