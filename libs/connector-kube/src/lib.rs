//! Reads the inventory of one Kubernetes cluster: get and list only, nothing is written, nothing runs inside.
//!
//! ```text
//! ClusterAccess (a cloud's, or a kubeconfig's) ─▶ connect (egress guard, cluster CA) ─▶ client (token, Caller)
//!   ─▶ list (pages) ─▶ normalize (pure) ─▶ Event
//! ```

mod access;
mod any;
mod called;
mod client;
mod connect;
mod connector;
mod discover;
mod kinds;
mod kubeconfig;
mod list;
mod manifest;
mod normalize;
mod preflight;
mod scan;
mod watch;

pub use access::StaticAccess;
pub use any::resources_of_anything;
pub use called::permission_of;
pub use connector::{KubeConnector, KubeIdentity, Options, Positions};
pub use kinds::permissions;
pub use kubeconfig::{KUBECONFIG_LIMIT, KubeconfigError, parse_kubeconfig};
pub use manifest::Manifests;
pub use watch::{Change, Changes, ClusterWatch, Gone, Known, RolledUp, What};
