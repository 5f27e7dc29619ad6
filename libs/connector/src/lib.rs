//! Ports between Rampart and the outside: what a connector is asked, what it answers, how it fails.
//!
//! ```text
//! discovery ── ScanContext ──▶ Connector::scan ── Event (bounded channel) ──▶ discovery ──▶ store
//!                                  │  every call through `Caller`: bucket, retry, cancellation, caps
//!                                  ▼
//!                               provider
//! ```
//! No cloud's SDK is named here. Adding a cloud adds a crate that implements these traits and runs the conformance suite.

mod access;
mod body;
mod caller;
pub mod conformance;
mod egress;
mod error;
mod event;
mod federation;
mod find;
mod limits;
mod lister;
mod organization;
mod pace;
mod paging;
mod port;
mod usage;

pub use access::{BearerToken, ClusterAccess, ClusterEndpoint};
pub use body::read_capped;
pub use caller::{Bucket, Caller};
pub use egress::{
    Authorities, AuthoritiesError, EGRESS_SETTING, Egress, EgressDenied, EgressError, EgressPolicy, is_local,
};
pub use error::{ConnectorError, ErrorKind, causes};
pub use event::{Event, Listing, Outcome, Sink, SinkClosed};
pub use federation::{IssuerUrl, NotAnIssuer, WorkloadIdentity};
pub use find::find_cluster;
pub use limits::Limits;
pub use lister::Lister;
pub use organization::{Member, MemberState, Membership, Organization, tried_together, untried};
pub use paging::{Page, paginate};
pub use port::{Connector, DiscoveredCluster, Permission, PermissionCheck, PermissionState, ScanContext};
pub use usage::{CallCount, FamilyCount, OTHER_CALLS, Usage};

/// Says who calls, in the providers' own logs. Sent with every request that leaves Rampart for a cloud or a cluster.
pub const USER_AGENT: &str = concat!("rampart/", env!("CARGO_PKG_VERSION"));
