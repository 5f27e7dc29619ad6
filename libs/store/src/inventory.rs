//! The inventory: what is there now, and what was.
//!
//! A listing arrives in pages ([`apply`]) and ends with an outcome ([`finish_listing`]). Only what changed is written; only
//! a complete listing ends what it did not see, and only what its own source had put there before it began.
//!
//! What a watch tells comes one by one ([`follow`], [`end`]) and beside listings that began before it: the provider's version
//! decides within one uid, else the time at which the reading began.

mod apply;
mod cluster;
mod expiry;
mod listing;
mod order;
mod prepare;
mod removal;

pub use apply::{Applied, apply, follow};
pub use cluster::{ClusterRow, ClusterSeen, resolve_cluster};
pub use expiry::expire;
pub use listing::{Ending, ListingEnd, fail_scope, finish_listing};
pub use order::{Ended, end};
pub use prepare::{Placed, Prepared, prepare};
pub use removal::{
    cluster_of_scope, cluster_scopes, fail_untouched, forget_empty_places, remove_connector, retire_other_clusters,
};

use rampart_domain::ConnectorId;

/// Who reports: a connector and the scope it lists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Source {
    /// The connector.
    pub connector: ConnectorId,
    /// Key of the scope, `rampart_domain::Scope` as text.
    pub scope: String,
}
