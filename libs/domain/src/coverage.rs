use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// What became of the attempt to read one kind in one scope.
    pub enum CoverageState as "coverage state" {
        /// Listed to the end.
        Read = "read",
        /// The listing began and did not end: a page or a detail is missing.
        Partial = "partial",
        /// Credentials were refused (401, expired or unmapped identity).
        Unauthorized = "unauthorized",
        /// The identity is known and lacks the permission.
        Denied = "denied",
        /// The provider asked to slow down and the budget for waiting ran out.
        Throttled = "throttled",
        /// No connection: private endpoint, firewall, DNS, time-out.
        Unreachable = "unreachable",
        /// The provider does not offer this API here.
        Unsupported = "unsupported",
        /// The feature is switched off or has no meaning for this scope.
        NotApplicable = "not_applicable",
        /// The answer could not be used: malformed, too large, a server error.
        Failed = "failed",
        /// Not read by an operator's choice: the plan is off, or the account left its organisation. What was read before
        /// is kept and grows old.
        Disabled = "disabled",
    }
}

impl CoverageState {
    /// Whether what is stored for the kind is the whole truth as of the last attempt.
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Read | Self::NotApplicable)
    }
}

/// A missing permission or read and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Why it is missing.
    pub state: CoverageState,
    /// What the provider said, without secrets.
    pub message: String,
    /// What an operator can do about it.
    pub remedy: String,
}
