//! What a what-if job is asked and what it answers, as both are stored.

use chrono::{DateTime, Utc};
use rampart_domain::patch::Operation;
use rampart_domain::{AssignmentId, ClusterId, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::AccessScope;

/// What would be changed, and for which part of the tenant the difference is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The part of the tenant that is compared.
    pub scope: Place,
    /// In the order in which they happen.
    pub changes: Vec<Change>,
}

/// One hypothetical change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Change {
    /// A JSON patch of a resource's configuration.
    Patch {
        /// The resource.
        resource_id: Uuid,
        /// The operations.
        patch: Vec<Operation>,
    },
    /// A merge patch of a resource's configuration.
    MergePatch {
        /// The resource.
        resource_id: Uuid,
        /// The patch.
        patch: Value,
    },
    /// A resource goes, with all that goes with it.
    Delete {
        /// The resource.
        resource_id: Uuid,
    },
    /// A control's remediation is carried out.
    Fix {
        /// The control.
        control: String,
        /// Where; everywhere that it is unhealthy when left out.
        #[serde(default)]
        resources: Option<Vec<Uuid>>,
    },
    /// An initiative is assigned.
    Assign {
        /// What to which scope.
        #[serde(flatten)]
        assignment: Assigned,
    },
    /// An assignment is replaced by another.
    Reassign {
        /// The assignment.
        assignment_id: AssignmentId,
        /// What to which scope.
        #[serde(flatten)]
        assignment: Assigned,
    },
    /// An assignment ends.
    Unassign {
        /// The assignment.
        assignment_id: AssignmentId,
    },
    /// A custom initiative is made, or selects something else.
    Initiative {
        /// Its name.
        name: String,
        /// What it selects, as the store keeps it.
        controls: Value,
    },
}

/// What a hypothetical assignment says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    /// Built-in or custom initiative.
    pub initiative: String,
    /// Where it holds.
    pub scope: Place,
    /// `{control id: {parameter: value}}`.
    #[serde(default)]
    pub params: Value,
    /// Namespaces that it leaves out.
    #[serde(default)]
    pub excluded_namespaces: Vec<String>,
}

/// A part of the tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Place {
    /// All of it.
    Tenant,
    /// An account with its clusters.
    Account {
        /// The account.
        account: String,
    },
    /// A cluster.
    Cluster {
        /// Its id.
        cluster_id: ClusterId,
    },
    /// A namespace of a cluster.
    Namespace {
        /// The cluster's id.
        cluster_id: ClusterId,
        /// The namespace.
        namespace: String,
    },
}

impl From<Place> for AccessScope {
    fn from(place: Place) -> Self {
        match place {
            Place::Tenant => Self::Tenant,
            Place::Account { account } => Self::Account(account),
            Place::Cluster { cluster_id } => Self::Cluster(cluster_id),
            Place::Namespace { cluster_id, namespace } => Self::Namespace(cluster_id, namespace),
        }
    }
}

/// What would differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When the tenant was as it was compared with.
    pub as_of: DateTime<Utc>,
    /// Clusters and accounts in which something was judged.
    pub units: usize,
    /// Of these, those that had changes waiting for an assessment: what is stored of them is older than `before`.
    pub unsettled: usize,
    /// Resources judged.
    pub judged: usize,
    /// The secure score.
    pub score: Pair<Score>,
    /// Score groups that differ, in the order of the catalogue.
    pub groups: Vec<Moved<Counts>>,
    /// Controls whose counts differ, by id.
    pub controls: Vec<Moved<Counts>>,
    /// Frameworks of which a requirement differs, by id.
    pub frameworks: Vec<FrameworkMoved>,
    /// Verdicts that would become unhealthy.
    pub newly_failing: Capped<VerdictMoved>,
    /// Unhealthy verdicts that would become healthy.
    pub newly_passing: Capped<VerdictMoved>,
    /// Any other verdict that would differ, or begin or end.
    pub otherwise: Capped<VerdictMoved>,
    /// What became of the fixes that were asked for.
    pub fixes: Capped<Fixed>,
}

/// The same before and after the changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair<T> {
    /// As it is.
    pub before: T,
    /// As it would be.
    pub after: T,
}

/// Something by name, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved<T> {
    /// Its id.
    pub id: String,
    /// As it is and as it would be.
    #[serde(flatten)]
    pub pair: Pair<T>,
}

/// A secure score.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// 0 to 100; `None` when nothing is known that could earn a point.
    pub percent: Option<f64>,
    /// Points earned.
    pub current: f64,
    /// Points that could be earned.
    pub max: u32,
    /// Share of the verdicts that are known from a current reading, 0 to 1.
    pub coverage: Option<f64>,
}

/// How many verdicts, or resources, of each status count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// As they should be.
    pub healthy: i64,
    /// Not as they should be.
    pub unhealthy: i64,
    /// Without meaning; always 0 for score groups.
    pub not_applicable: i64,
    /// Of which a fact is missing.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those that could not be judged again.
    pub stale: i64,
    /// Accepted as they are.
    #[serde(default)]
    pub exempt: i64,
}

/// A framework that would be met otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameworkMoved {
    /// Its id.
    pub id: String,
    /// How far it is met.
    #[serde(flatten)]
    pub pair: Pair<Standing>,
    /// The requirements whose status differs, in the publisher's order.
    pub requirements: Vec<Moved<String>>,
}

/// How far a framework is met.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// 0 to 100: passed, of those that passed or failed.
    pub percent: Option<f64>,
    /// Requirements by status.
    pub passed: usize,
    /// Requirements by status.
    pub failed: usize,
    /// Requirements by status.
    pub unknown: usize,
    /// Requirements by status.
    pub manual: usize,
    /// Requirements by status.
    pub not_assessed: usize,
}

/// The beginning of a list, and how long it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capped<T> {
    /// How many there are.
    pub total: usize,
    /// The first of them.
    pub items: Vec<T>,
}

impl<T> Default for Capped<T> {
    fn default() -> Self {
        Self { total: 0, items: Vec::new() }
    }
}

/// A verdict that would differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictMoved {
    /// What is judged.
    pub resource: Judged,
    /// The control.
    pub control_id: String,
    /// Its parameters.
    pub params: Value,
    /// The effective one.
    pub severity: Severity,
    /// The status; `None` where there is no verdict.
    pub from: Option<String>,
    /// The status; `None` where there would be no verdict.
    pub to: Option<String>,
    /// `{message, facts}` of an unhealthy verdict.
    pub evidence: Option<Value>,
    /// Why a verdict would be unknown.
    pub reason: Option<Value>,
    /// Whether it counts.
    pub scored: bool,
}

/// The resource of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Its id.
    pub id: Uuid,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its account.
    pub account: Option<String>,
    /// Its cluster.
    pub cluster_id: Option<Uuid>,
    /// Its namespace.
    pub namespace: Option<String>,
}

/// What became of a fix at one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fixed {
    /// Which of the changes asked for it, from 0.
    pub change: usize,
    /// The control.
    pub control_id: String,
    /// The resource.
    pub resource_id: Uuid,
    /// How it was done.
    pub method: Method,
    /// The verdict with all changes; `None` where there would be none. The worst, for several sets of parameters.
    pub status: Option<String>,
}

/// How a fix was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The control's remediation patch was applied, and the result judged.
    Patched,
    /// No patch can do it: the verdict is taken as healthy.
    Assumed,
    /// The control does not find the resource unhealthy, or does not apply to it.
    NotNeeded,
}
