//! What a trial of controls or policies is asked, and what comes out.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::custom::Format;

/// Failing and undecided resources that a trial names; of more only the number is told.
pub const SAMPLE: usize = 200;
/// Clusters, namespaces and owners that a trial counts by; of more only the worst.
pub const PLACES: usize = 200;

/// What is tried.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrialRequest {
    /// `control` or `policies`.
    pub format: String,
    /// Name of the bundle; empty for a control.
    #[serde(default)]
    pub name: String,
    /// The text.
    pub source: String,
    /// Where it is tried: an account.
    #[serde(default)]
    pub account: Option<String>,
    /// Where it is tried: a cluster.
    #[serde(default)]
    pub cluster_id: Option<Uuid>,
    /// A namespace of the cluster.
    #[serde(default)]
    pub namespace: Option<String>,
}

impl TrialRequest {
    /// What the source holds.
    pub fn format(&self) -> Format {
        if self.format == Format::Policies.as_str() { Format::Policies } else { Format::Control }
    }
}

/// Verdicts by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// As it should be.
    pub healthy: u64,
    /// Not as it should be.
    pub unhealthy: u64,
    /// The control says nothing.
    pub not_applicable: u64,
    /// It could not be decided.
    pub unknown: u64,
}

/// What came out of a trial.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TrialResult {
    /// Resources that were judged.
    pub resources: u64,
    /// All verdicts.
    pub counts: Counts,
    /// By control.
    pub controls: Vec<ControlTrial>,
    /// By cluster, account and namespace; the most unhealthy first.
    pub places: Vec<PlaceTrial>,
    /// By owner, as labels name it; the most unhealthy first.
    pub owners: Vec<OwnerTrial>,
    /// Resources that would fail, the worst severity first, at most [`SAMPLE`].
    pub failing: Vec<ResourceTrial>,
    /// Resources that could not be decided, at most [`SAMPLE`].
    pub undecided: Vec<ResourceTrial>,
    /// Examples of a control that do not come to what they state.
    pub examples: Vec<ExampleTrial>,
}

/// The verdicts of one control.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ControlTrial {
    /// Its id.
    pub control_id: String,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its verdicts.
    pub counts: Counts,
}

/// The verdicts of one place.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlaceTrial {
    /// Account of the resources.
    pub account: Option<String>,
    /// Cluster of the resources.
    pub cluster_id: Option<Uuid>,
    /// Namespace of the resources.
    pub namespace: Option<String>,
    /// Their verdicts.
    pub counts: Counts,
}

/// The verdicts of what one owner has.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnerTrial {
    /// The label that names the owner.
    pub label: String,
    /// What it says.
    pub owner: String,
    /// The verdicts.
    pub counts: Counts,
}

/// The verdict of one control on one resource.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResourceTrial {
    /// The control.
    pub control_id: String,
    /// Its severity.
    pub severity: String,
    /// The resource.
    pub resource_id: Uuid,
    /// What the provider calls it.
    pub native_id: String,
    /// What it is.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its account.
    pub account: Option<String>,
    /// Its cluster.
    pub cluster_id: Option<Uuid>,
    /// Its namespace.
    pub namespace: Option<String>,
    /// What is wrong, or why that is not known.
    pub message: String,
}

/// An example that does not come to what it states.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExampleTrial {
    /// Its name.
    pub name: String,
    /// What differs.
    pub message: String,
}
