use std::sync::{Arc, Mutex, PoisonError};

use rampart_domain::TenantId;

use super::Versions;

/// Tenants whose sources are kept as what was made of them.
const TENANTS: usize = 32;

/// What was made of the sources of the tenants that were asked for last.
#[derive(Debug)]
pub struct Recent<T> {
    /// The latest last.
    kept: Mutex<Vec<(TenantId, Versions, Arc<T>)>>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { kept: Mutex::default() }
    }
}

impl<T> Recent<T> {
    /// What was made of these versions.
    pub fn get(&self, tenant: TenantId, versions: &Versions) -> Option<Arc<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(other, known, _)| *other == tenant && known == versions)?;
        let entry = kept.remove(at);
        let made = Arc::clone(&entry.2);
        kept.push(entry);
        Some(made)
    }

    /// Keeps what was made of these versions, in place of what was made of others of the tenant.
    pub fn keep(&self, tenant: TenantId, versions: Versions, made: T) -> Arc<T> {
        let made = Arc::new(made);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(other, ..)| *other != tenant);
        if kept.len() >= TENANTS {
            kept.remove(0);
        }
        kept.push((tenant, versions, Arc::clone(&made)));
        made
    }
}
