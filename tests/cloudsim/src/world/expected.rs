use std::fmt;

use super::kinds::KindKey;

/// The thing that a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A resource of a cloud, by its native id (an ARN).
    Native(String),
    /// An object of a cluster.
    Kube {
        /// Name of the cluster.
        cluster: String,
        /// Kind.
        kind: KindKey,
        /// Namespace, when the kind has one.
        namespace: Option<String>,
        /// Name.
        name: String,
    },
}

/// What a control must say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// As it should be.
    Healthy,
    /// Planted weakness.
    Unhealthy,
    /// The control has no meaning here.
    NotApplicable,
    /// What is there cannot decide it: a network plugin's own policies may or may not reach the pods.
    Unknown,
}

impl Status {
    /// The word used in verdicts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::NotApplicable => "not_applicable",
            Self::Unknown => "unknown",
        }
    }
}

/// A verdict known beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expected {
    /// What it is about.
    pub subject: Subject,
    /// Canonical id of the control.
    pub control_id: &'static str,
    /// What the control must say.
    pub status: Status,
}

impl Expected {
    pub(crate) const fn new(subject: Subject, control_id: &'static str, status: Status) -> Self {
        Self { subject, control_id, status }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.status.as_str();
        match &self.subject {
            Subject::Native(id) => write!(f, "{id}: {} {status}", self.control_id),
            Subject::Kube { cluster, kind, namespace, name } => {
                let namespace = namespace.as_deref().unwrap_or("-");
                write!(f, "{cluster} {} {namespace}/{name}: {} {status}", kind.kind, self.control_id)
            }
        }
    }
}
