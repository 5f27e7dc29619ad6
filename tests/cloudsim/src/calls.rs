use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How often each call was made.
#[derive(Debug, Default)]
pub struct Calls(Mutex<BTreeMap<String, u64>>);

impl Calls {
    pub(crate) fn count(&self, call: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(call).or_default() += 1;
    }

    /// All counts by call: `eks:ListClusters`, or `<cluster> GET /api/v1/pods`.
    pub fn all(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often this call was made.
    pub fn of(&self, call: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(call).copied().unwrap_or_default()
    }

    /// Calls of all sorts.
    pub fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Starts counting anew.
    pub fn reset(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
