use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text_enum::text_enum;
use crate::{CoverageState, Kind};

text_enum! {
    /// The word for a verdict in the API and the database.
    pub enum Status as "status" {
        /// The configuration is as the control wants it.
        Healthy = "healthy",
        /// It is not.
        Unhealthy = "unhealthy",
        /// The control has no meaning for this resource.
        NotApplicable = "not_applicable",
        /// A fact that the verdict needs was never read.
        Unknown = "unknown",
        /// An operator accepted the deviation.
        Exempt = "exempt",
    }
}

text_enum! {
    /// What made a finding change its status.
    pub enum Cause as "cause" {
        /// The resource was seen for the first time.
        Discovered = "discovered",
        /// Its configuration changed.
        Resource = "resource",
        /// A new version of the control judges otherwise.
        Control = "control",
        /// A parameter or an assignment changed.
        Parameter = "parameter",
        /// Another resource that the control looks at changed.
        Neighbour = "neighbour",
        /// A fact became readable or unreadable.
        Coverage = "coverage",
        /// An exemption began or ended.
        Exemption = "exemption",
        /// The resource is gone.
        Gone = "gone",
    }
}

/// One control's judgement of one resource.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// As it should be.
    Healthy,
    /// Not as it should be, and where.
    Unhealthy(Evidence),
    /// The control says nothing about this resource; the text says why.
    NotApplicable(String),
    /// A fact could not be had.
    Unknown(UnknownReason),
}

impl Verdict {
    /// The word for this verdict.
    pub const fn status(&self) -> Status {
        match self {
            Self::Healthy => Status::Healthy,
            Self::Unhealthy(_) => Status::Unhealthy,
            Self::NotApplicable(_) => Status::NotApplicable,
            Self::Unknown(_) => Status::Unknown,
        }
    }
}

/// Why a verdict could not be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum UnknownReason {
    /// A kind that the control looks at was not read completely; `None` means that no attempt was made yet.
    Unread {
        /// The kind.
        kind: Kind,
        /// State of its coverage row.
        state: Option<CoverageState>,
        /// Whether the last complete reading is too old for a verdict to rest on it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        expired: bool,
    },
    /// The configuration itself does not tell (a uid that the image decides, for example).
    Undetermined {
        /// What would have to be known.
        needs: String,
    },
    /// The condition failed to evaluate.
    Error {
        /// The evaluator's message.
        message: String,
    },
}

/// What an unhealthy verdict rests on: enough to recompute it offline, with control, version and parameters beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// One sentence for people, naming the element and value.
    pub message: String,
    /// The fields that decided, in document order.
    pub facts: Vec<Fact>,
    /// The elements that violate, as [`Fact::element`] names them; `pod` is the pod itself. Empty when the object violates as
    /// a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<String>,
}

/// One field that decided a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// JSON pointer (RFC 6901) into the resource's configuration.
    pub pointer: String,
    /// Name of the element that the pointer lies in, such as `container web`; identity of the fact across reorderings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
    /// The value found; `None` when the field is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Native id of the resource that the pointer is into, when it is not the judged one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// When that resource was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<DateTime<Utc>>,
}
