//! Whether requirements of frameworks are met, from the verdicts of the controls that answer them.

use rampart_content::{Assessment, Catalogue, Control, Framework, Requirement};

use crate::score::Tally;

/// Whether a requirement is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RequirementStatus {
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
    /// The one spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Manual => "manual",
            Self::NotAssessed => "not_assessed",
        }
    }

    /// The status that follows from the tallies of the controls that answer the requirement.
    pub fn of(assessment: Assessment, tallies: &[Tally]) -> Self {
        if assessment == Assessment::Manual {
            return Self::Manual;
        }
        let any = |test: fn(&Tally) -> bool| tallies.iter().any(test);
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

/// The requirements in the publisher's order, each with the controls that answer it, by id.
pub fn answers<'c>(catalogue: &'c Catalogue, framework: &'c Framework) -> Vec<(&'c Requirement, Vec<&'c Control>)> {
    let mut answers: Vec<(&Requirement, Vec<&Control>)> =
        framework.requirements.iter().map(|requirement| (requirement, Vec::new())).collect();
    for control in catalogue.controls() {
        for answered in framework.answered_by(control) {
            if let Some((_, controls)) = answers.iter_mut().find(|(requirement, _)| requirement.id == answered.id) {
                controls.push(control);
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use rampart_content::Assessment;

    use super::RequirementStatus;
    use crate::score::Tally;

    #[test]
    fn unknown_never_passes_and_unhealthy_always_fails() {
        let tally = |healthy, unhealthy, unknown, stale| Tally { healthy, unhealthy, unknown, stale, exempt: 1 };
        for (tallies, expected) in [
            (vec![], RequirementStatus::NotAssessed),
            (vec![tally(0, 0, 0, 0)], RequirementStatus::NotAssessed),
            (vec![tally(1, 0, 0, 0)], RequirementStatus::Passed),
            (vec![tally(1, 0, 0, 0), tally(0, 0, 0, 0)], RequirementStatus::Passed),
            (vec![tally(2, 0, 0, 1)], RequirementStatus::Passed),
            (vec![tally(2, 0, 0, 2), tally(1, 0, 0, 0)], RequirementStatus::Unknown),
            (vec![tally(9, 0, 1, 0)], RequirementStatus::Unknown),
            (vec![tally(9, 0, 0, 0), tally(0, 0, 1, 0)], RequirementStatus::Unknown),
            (vec![tally(9, 0, 9, 0), tally(9, 1, 0, 1)], RequirementStatus::Failed),
        ] {
            assert_eq!(RequirementStatus::of(Assessment::Automated, &tallies), expected, "{tallies:?}");
            assert_eq!(RequirementStatus::of(Assessment::Manual, &tallies), RequirementStatus::Manual);
        }
    }
}
