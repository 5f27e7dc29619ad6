//! Reads one Google Cloud project: GKE, Artifact Registry and subnetworks in all its locations, its IAM policy, enabled
//! APIs and firewall rules; and what an organisation consists of.
//!
//! ```text
//! GcpConfig ─▶ Tokens (key, federation, impersonation) ─▶ Calls (one HTTP client; `Caller` paces and repeats)
//!                                                             │ the provider's own JSON
//!                                                             ▼
//!                          Lister per kind of the project ◀─ normalize (pure)
//! ```
//! A call that fails marks the listing that needs it and nothing else.
//!
//! Google's own client crates are not used. They speak JSON over HTTP, but build their HTTP client themselves (no cap on a
//! body, no choice of proxy), ask for enumerations as numbers, retry below our one layer, and hand out typed messages only:
//! neither the names of enumerations nor fields newer than the crate would reach the inventory.

mod access;
mod any;
mod auth;
mod calls;
mod config;
mod connector;
mod errors;
mod gke;
mod http;
mod network;
mod normalize;
mod organization;
mod permissions;
mod preflight;
mod project;
mod registry;

pub use any::resources_of_anything;
pub use auth::{InvalidKey, ServiceAccountKey};
pub use config::{GcpAuth, GcpConfig, GcpConfigError, Login, Parent};
pub use connector::{GcpConnector, GcpSetupError};
pub use organization::GcpOrganization;
pub use permissions::{organization_permissions, permissions};
