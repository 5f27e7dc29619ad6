use rampart_content::Assessment;
use rampart_posture::compliance;
use rampart_posture::score::Tally;
use rampart_store::recommendation::ControlCounts;
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a requirement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum RequirementStatus {
    /// Something is healthy, and nothing is unhealthy or unknown.
    Passed,
    /// Something is unhealthy.
    Failed,
    /// Nothing is unhealthy, and a fact is missing; or all that one of the controls knows could not be read again.
    Unknown,
    /// People have to assess it.
    Manual,
    /// No verdict speaks of it.
    NotAssessed,
}

impl RequirementStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Manual => "manual",
            Self::NotAssessed => "not_assessed",
        }
    }

    /// The status that follows from the counts of the controls that answer the requirement.
    pub(super) fn of(assessment: Assessment, counts: &[&ControlCounts]) -> Self {
        let tallies: Vec<Tally> = counts.iter().map(|control| tally(control)).collect();
        match compliance::RequirementStatus::of(assessment, &tallies) {
            compliance::RequirementStatus::Passed => Self::Passed,
            compliance::RequirementStatus::Failed => Self::Failed,
            compliance::RequirementStatus::Unknown => Self::Unknown,
            compliance::RequirementStatus::Manual => Self::Manual,
            compliance::RequirementStatus::NotAssessed => Self::NotAssessed,
        }
    }
}

fn tally(counts: &ControlCounts) -> Tally {
    let count = |number: i64| number.max(0).unsigned_abs();
    Tally {
        healthy: count(counts.healthy),
        unhealthy: count(counts.unhealthy),
        unknown: count(counts.unknown),
        stale: count(counts.stale),
        exempt: count(counts.exempt),
    }
}
