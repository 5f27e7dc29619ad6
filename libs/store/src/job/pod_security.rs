//! What a Pod Security readiness job is asked and leaves behind, as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Which namespaces to look at, and by which version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The cluster.
    pub cluster_id: Uuid,
    /// Namespaces; every one that the caller sees where none is named.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// `latest` or `v1.N`.
    pub version: String,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version that the cluster says it is.
    pub cluster_version: Option<String>,
    /// The version of the standards that was judged by, `v1.N`: what was asked for, as far as the cluster knows it.
    pub judged_version: String,
    /// In numbers.
    pub summary: Summary,
    /// By name.
    pub namespaces: Vec<Namespace>,
    /// Running pods that would be refused, by namespace and owner.
    pub will_not_come_back: Vec<Stranded>,
    /// What has a say in the creation of pods and could not be asked.
    pub may_also_refuse: Vec<Unjudged>,
    /// Kinds that were not read to the end: what they hold was not judged.
    pub unread: Vec<String>,
    /// Namespaces that were asked for and are not there.
    pub not_found: Vec<String>,
}

/// A report in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Namespaces by the highest level that they could enforce: `privileged`, `baseline`, `restricted` or `unknown`. Without
    /// those of the platform.
    pub namespaces: BTreeMap<String, u64>,
    /// Of these, how many could enforce more than they do.
    pub could_rise: u64,
    /// Of these, how many enforce more than their pods conform to.
    pub overstretched: u64,
    /// Running pods.
    pub pods: u64,
    /// Running pods that would be refused.
    pub will_not_come_back: u64,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub namespace: String,
    /// Whether the platform manages it: then there is no command.
    pub system: bool,
    /// Its labels of Pod Security admission, without their common beginning.
    pub labels: BTreeMap<String, String>,
    /// The level that it enforces.
    pub enforced: String,
    /// The highest level that it could enforce; `None` when that could not be told.
    pub level: Option<String>,
    /// `below`, `met` or `above`: what it enforces against what it could; `None` when that could not be told.
    pub standing: Option<String>,
    /// The level above; `None` at the top.
    pub next_level: Option<String>,
    /// What stands against it.
    pub blockers: Vec<Blocker>,
    /// What kept a level from being told.
    pub unknown: Vec<String>,
    /// What would change beside the creation of pods.
    pub cautions: Vec<String>,
    /// Labels it; `None` where that cannot be advised, or nothing would change.
    pub command: Option<String>,
}

/// A workload that stands against a level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blocker {
    /// Its resource.
    pub resource_id: Uuid,
    /// Its kind in Kubernetes' own spelling.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whether it runs: what is suspended or scaled to zero would break when it starts.
    pub running: bool,
    /// Whether its template violates the level. Otherwise admission put the violation into its pods.
    pub template: bool,
    /// Running pods of it that violate the level.
    pub pods: u64,
    /// What is violated, by control.
    pub controls: Vec<Violation>,
}

/// A control that is violated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// The control.
    pub control: String,
    /// What is wrong.
    pub message: String,
}

/// Pods of one owner that would be refused for the same reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stranded {
    /// Where.
    pub namespace: String,
    /// The owner, or the pod itself.
    pub resource_id: Uuid,
    /// Kind of the owner.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many pods.
    pub pods: u64,
    /// How many pods of it run.
    pub running: u64,
    /// By what.
    pub refused_by: Vec<Refuser>,
}

/// What refuses a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Refuser {
    /// `pod_security`, `validating_admission_policy` or `gatekeeper`.
    pub r#type: String,
    /// Level and version; policy and binding; kind and name of the constraint.
    pub name: String,
    /// In its own words.
    pub message: String,
}

/// What may refuse pods.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unjudged {
    /// As of a refuser, or `validating_webhook` or `mutating_webhook`.
    pub r#type: String,
    /// As of a refuser, or configuration and webhook.
    pub name: String,
    /// Why it could not be asked.
    pub reason: String,
    /// Namespaces whose running pods it would be asked about; empty when that could not be told.
    pub namespaces: Vec<String>,
}
