//! How Rampart gets out of its own network. All of it is the operator's choice, none of it a tenant's.
//!
//! Proxies are those of the process: `HTTPS_PROXY`, `NO_PROXY` and their like, read by each client's own library.

mod authorities;
mod policy;

use url::{Host, Url};

pub use authorities::{Authorities, AuthoritiesError};
pub use policy::{EGRESS_SETTING, EgressDenied, EgressError, EgressPolicy};

/// Where connections may go, and whose certificates are believed there.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// Which addresses may be connected to on behalf of a tenant.
    pub policy: EgressPolicy,
    /// Authorities that are believed beside the system's.
    pub authorities: Authorities,
}

impl From<EgressPolicy> for Egress {
    fn from(policy: EgressPolicy) -> Self {
        Self { policy, authorities: Authorities::default() }
    }
}

/// Whether the address is on this machine, where no proxy could reach it.
pub fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
