use serde::{Deserialize, Serialize};

/// A control group of the secure score: recommendations that earn points together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreGroup {
    /// Stable name, referred to by controls.
    pub id: String,
    /// Name shown to people.
    pub title: String,
    /// Points that a scope earns when every resource in the group is healthy; 0 = shown, never scored.
    pub points: u32,
}
