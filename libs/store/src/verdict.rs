//! Verdicts, findings and counters: what an assessment reads and writes.
//!
//! Most verdicts are healthy, so those are bitmaps in one row per resource; a finding row exists for what is or once was
//! not healthy and is rewritten only when it changes. Counters move by deltas in the same transaction.

mod bitmap;
mod check;
mod input;
mod write;

pub use bitmap::Bitmap;
pub use check::{CheckIdentity, check_controls, ensure_checks};
pub use input::{
    AssignmentRow, CoverageRow, DirtyRow, PolicyInputs, StoredFinding, StoredPack, StoredResource, UnitPlace,
    assessed_inputs, children, counters, coverage_of, dirty, existing, findings_of, neighbours, packs_of,
    packs_of_unit, policy_inputs, resource_page, resources_by_id, unit_place,
};
pub use write::{
    CountDelta, FindingPlace, FindingWrite, PackWrite, ScoreDelta, VerdictWrite, clear_dirty, rebuild_counters,
    set_assessed, write,
};
