use rampart_content::Assessment;
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
        if assessment == Assessment::Manual {
            return Self::Manual;
        }
        let any = |test: fn(&ControlCounts) -> bool| counts.iter().any(|control| test(control));
        if any(|control| control.unhealthy > 0) {
            Self::Failed
        } else if any(|control| control.unknown > 0 || (control.healthy > 0 && control.stale >= control.healthy)) {
            Self::Unknown
        } else if any(|control| control.healthy > 0) {
            Self::Passed
        } else {
            Self::NotAssessed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_never_passes_and_unhealthy_always_fails() {
        let counts = |healthy, unhealthy, unknown, stale| ControlCounts {
            healthy,
            unhealthy,
            not_applicable: 1,
            unknown,
            stale,
            exempt: 1,
        };
        for (controls, expected) in [
            (vec![], RequirementStatus::NotAssessed),
            (vec![counts(0, 0, 0, 0)], RequirementStatus::NotAssessed),
            (vec![counts(1, 0, 0, 0)], RequirementStatus::Passed),
            (vec![counts(1, 0, 0, 0), counts(0, 0, 0, 0)], RequirementStatus::Passed),
            (vec![counts(2, 0, 0, 1)], RequirementStatus::Passed),
            (vec![counts(2, 0, 0, 2), counts(1, 0, 0, 0)], RequirementStatus::Unknown),
            (vec![counts(9, 0, 1, 0)], RequirementStatus::Unknown),
            (vec![counts(9, 0, 0, 0), counts(0, 0, 1, 0)], RequirementStatus::Unknown),
            (vec![counts(9, 0, 9, 0), counts(9, 1, 0, 1)], RequirementStatus::Failed),
        ] {
            let counts: Vec<&ControlCounts> = controls.iter().collect();
            assert_eq!(RequirementStatus::of(Assessment::Automated, &counts), expected, "{controls:?}");
            assert_eq!(RequirementStatus::of(Assessment::Manual, &counts), RequirementStatus::Manual);
        }
    }
}
