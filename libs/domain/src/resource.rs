use std::collections::BTreeMap;

use serde_json::Value;

use crate::text_enum::text_enum;
use crate::{Cloud, Kind, NativeId};

text_enum! {
    /// Who keeps a resource as it is, and so who can act on a finding.
    pub enum ManagedBy as "manager" {
        /// The cloud or the Kubernetes distribution; shown apart, never scored.
        Platform = "platform",
        /// An add-on installed through the cloud's add-on API.
        Addon = "addon",
        /// An operator or controller inside the cluster.
        Operator = "operator",
        /// The customer.
        Customer = "customer",
    }
}

/// One thing in the inventory, as a connector normalised it.
///
/// `config` keeps the provider's field names and nesting so that evidence points at the exact API field. Nulls, churn
/// (managed fields, resource versions, heartbeats) and secrets are gone before a resource exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// What the provider calls it; unique in a tenant.
    pub native_id: NativeId,
    /// What it is.
    pub kind: Kind,
    /// Short name shown to people.
    pub name: String,
    /// Where it runs.
    pub cloud: Cloud,
    /// Account, subscription or project; `None` for a cluster that belongs to none.
    pub account: Option<String>,
    /// Region as the cloud spells it.
    pub region: Option<String>,
    /// Native id of the cluster that it is part of, as its source names the cluster.
    pub cluster: Option<NativeId>,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Kubernetes labels or cloud tags.
    pub labels: BTreeMap<String, String>,
    /// Who manages it.
    pub managed_by: ManagedBy,
    /// Native id of the controlling owner (the top of the chain for pods).
    pub owner: Option<NativeId>,
    /// Whether anything runs or answers now; false for templates at zero, suspended or finished.
    pub active: bool,
    /// Provider's uid that tells a recreated object of the same name apart.
    pub uid: Option<String>,
    /// The provider's version of the object, which rises with every change within one `uid`; `None` where there is none or
    /// it has no order. It decides which of two readings is newer and is no part of what is compared.
    pub version: Option<i64>,
    /// Whether details are missing because a read failed; `config.unread` lists the fields. Such a resource enters an
    /// inventory that has nothing better and never replaces what was read in full.
    pub partial: bool,
    /// Configuration in the provider's own shape.
    pub config: Value,
}

/// JSON object without nulls, recursively: absent and null mean the same to every control.
pub fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, item| !item.is_null());
            map.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}
