//! Reads the inventory of one Kubernetes cluster.

mod access;
mod client;
mod connect;
mod kubeconfig;

pub use access::StaticAccess;
pub use kubeconfig::{KUBECONFIG_LIMIT, KubeconfigError, parse_kubeconfig};
