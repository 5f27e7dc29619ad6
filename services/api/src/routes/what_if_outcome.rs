use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What would differ, among what the token sees.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfOutcome)]
pub(super) struct OutcomeView {
    /// When the inventory was as it was judged.
    as_of: DateTime<Utc>,
    /// Clusters and accounts in which something was judged.
    units: usize,
    /// Of these, those in which changes were waiting for an assessment: `before` counts them in, findings do not yet.
    unsettled: usize,
    /// Resources judged.
    judged: usize,
    score: ScorePair,
    /// Score groups that would differ, in resources.
    groups: Vec<CountsPair>,
    /// Controls whose counts would differ, by id.
    controls: Vec<CountsPair>,
    /// Frameworks of which a requirement would differ, by id.
    frameworks: Vec<FrameworkPair>,
    /// Verdicts that would become unhealthy.
    newly_failing: VerdictList,
    /// Unhealthy verdicts that would become healthy.
    newly_passing: VerdictList,
    /// Any other verdict that would differ, begin or end.
    otherwise: VerdictList,
    /// What became of the fixes that were asked for.
    fixes: FixList,
}

/// A secure score, as it is and as it would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfScore)]
struct ScorePair {
    before: ScorePart,
    after: ScorePart,
}

/// A secure score.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfScorePart)]
struct ScorePart {
    /// 0 to 100; null when nothing is known that could earn a point.
    #[schema(minimum = 0, maximum = 100, example = 71.5)]
    percent: Option<f64>,
    /// Points earned.
    current: f64,
    /// Points that could be earned.
    max: u32,
    /// Share of the verdicts that are known from a current reading, 0 to 1; null when there are none.
    coverage: Option<f64>,
}

/// Counts of a control or a score group, as they are and as they would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfCounts)]
struct CountsPair {
    #[schema(example = "k8s.pod.privileged")]
    id: String,
    before: CountsPart,
    after: CountsPart,
}

/// Resources that count, by their verdict.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfCountsPart)]
struct CountsPart {
    healthy: i64,
    unhealthy: i64,
    /// Always 0 for score groups.
    not_applicable: i64,
    unknown: i64,
    /// Of the healthy and unhealthy ones, those whose last reading could not be repeated.
    stale: i64,
    /// Accepted as they are; they neither earn nor cost score.
    exempt: i64,
}

/// How far a framework is met, and would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfFramework)]
struct FrameworkPair {
    #[schema(example = "cis-eks-1.8.0")]
    id: String,
    before: FrameworkPart,
    after: FrameworkPart,
    /// The requirements whose status would differ, in the publisher's order.
    requirements: Vec<RequirementPair>,
}

/// Requirements by status.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfFrameworkPart)]
struct FrameworkPart {
    /// 0 to 100: requirements that passed, of those that passed or failed; null when none did either.
    #[schema(minimum = 0, maximum = 100, example = 71.5)]
    percent: Option<f64>,
    passed: usize,
    failed: usize,
    unknown: usize,
    manual: usize,
    not_assessed: usize,
}

/// The status of a requirement, and what it would be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfRequirement)]
struct RequirementPair {
    /// The publisher's id.
    #[schema(example = "4.2.1")]
    id: String,
    /// `passed`, `failed`, `unknown`, `manual` or `not_assessed`.
    #[schema(example = "failed")]
    before: String,
    #[schema(example = "passed")]
    after: String,
}

/// Verdicts that would differ, the most severe first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfVerdicts)]
struct VerdictList {
    /// How many there are.
    total: usize,
    /// The first 500.
    items: Vec<VerdictPair>,
}

/// A verdict that would differ.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfVerdict)]
struct VerdictPair {
    resource: ResourcePart,
    #[schema(example = "k8s.pod.privileged")]
    control_id: String,
    /// Effective parameters of the control.
    params: Value,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    severity: String,
    /// The status; null where there is no verdict.
    #[schema(example = "unhealthy")]
    from: Option<String>,
    /// The status; null where there would be no verdict.
    #[schema(example = "healthy")]
    to: Option<String>,
    /// `{message, facts}` of what would be unhealthy.
    evidence: Option<Value>,
    /// Why the verdict would be unknown.
    reason: Option<Value>,
    /// Whether it counts in the score.
    scored: bool,
}

/// The resource of a verdict.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfResource)]
struct ResourcePart {
    id: Uuid,
    #[schema(example = "k8s.deployment")]
    kind: String,
    name: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
}

/// What became of fixes.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfFixes)]
struct FixList {
    /// How many there are.
    total: usize,
    /// The first 500.
    items: Vec<FixPart>,
}

/// What became of a fix at one resource.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WhatIfFix)]
struct FixPart {
    /// Which of the changes asked for it, from 0.
    change: usize,
    #[schema(example = "k8s.pod.privileged")]
    control_id: String,
    resource_id: Uuid,
    /// `patched`: the control's remediation patch was applied and the result judged. `assumed`: no patch can do it, and the
    /// verdict is taken as healthy. `not_needed`: the control does not find the resource unhealthy.
    #[schema(example = "patched")]
    method: String,
    /// The control's verdict with all changes made; null where there would be none, or none that is compared.
    #[schema(example = "healthy")]
    status: Option<String>,
}
