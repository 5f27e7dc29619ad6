//! Who mends which finding, by when, and how urgent it is.
//!
//! The assessor works out risk, owner and days by the rules and stores them with the finding (`standing`); people may
//! overrule owner and date (`finding_assignments`, by resource and control, so that no re-evaluation loses it). The database
//! derives from both, as columns of the finding: its owner, `due_at` and `overdue_at`. So what reads never evaluates a rule,
//! and filters, sorting and sums are served by indexes; a rule that changes costs one pass over the findings it reaches.
//!
//! A finding is `on_time` before `due_at`, in `grace` from then until `overdue_at`, and `overdue` from then on. `due_at` is
//! the date that was set by hand, else the rule's days after the finding turned unhealthy; a time in which it could not be
//! judged does not start it anew, one in which it was healthy, exempt or gone does. `overdue_at` is the grace period later.

mod assigned;
mod standing;
mod summary;

pub use assigned::{FindingAssignment, NewFindingAssignment, assign, assignment_of, unassign};
pub use standing::{Graded, Standing, applied_rules, copy_assignments, grade, graded, judged, set_applied_rules};
pub use summary::{Numbers, Part, SUMMARY_OWNERS, numbers};

/// Where a finding `f` stands with its due date; null without one.
pub(crate) const STATE: &str = "case when f.due_at is null then null when now() < f.due_at then 'on_time'
    when now() < f.overdue_at then 'grace' else 'overdue' end";
