//! Verdicts, findings and counters: what an assessment reads and writes.
//!
//! Most verdicts are healthy, so those are bitmaps in one row per resource; a finding row exists for what is or once was
//! not healthy and is rewritten only when it changes. Counters move by deltas in the same transaction.

mod bitmap;
mod check;
mod exempt;
mod input;
mod inventory;
mod stored;
mod subject;
mod write;

pub use bitmap::Bitmap;
pub use check::{CheckIdentity, check_controls, check_ordinals, ensure_checks};
pub use exempt::{ExemptionRow, elements_of, exemptible};
pub use input::{
    AssignmentRow, CoverageRow, DirtyRow, DisabledRow, News, PolicyInputs, UnitPlace, assessed_inputs, clusters_beside,
    coverage_of, dirty, policy_inputs, tell_clusters, unit_place,
};
pub use inventory::{
    StoredResource, children, existing, extent, neighbours, outlines, resource_page, resources_by_id, users_of_accounts,
};
pub use stored::{StoredFinding, StoredPack, counters, findings_of, has_verdicts, packs_of, packs_of_unit};
pub use subject::{Subject, binders, subjects};
pub use write::{
    CountDelta, FindingPlace, FindingWrite, PackWrite, ScoreDelta, VerdictWrite, clear_dirty, rebuild_counters,
    set_assessed, write,
};
