//! Reads one Azure subscription: AKS, container registries, Arc, Defender plans and role assignments, as Azure Resource
//! Manager and the registries' data planes answer; and the subscriptions below a tenant or management group.
//!
//! ```text
//! AzureConfig ─▶ Session (credentials, one HTTP client)
//!                   │ draft: the SDK says what a call looks like ─▶ Arm: api-version, token, `Caller`, raw body
//!                   ▼
//!                Lister per kind ◀─ normalize (pure)
//! ```
//! A call that fails marks the listing that needs it and nothing else. What the SDK's models do not know is kept.

mod access;
mod acr;
mod aks;
mod any;
mod arc;
mod arm;
mod arm_id;
mod certificate;
mod cloud;
mod config;
mod connector;
mod credentials;
mod draft;
mod errors;
mod governance;
mod http;
mod kubeconfig;
mod normalize;
mod organization;
mod permissions;
mod preflight;
mod registry;
mod session;

pub use any::{is_user_kubeconfig, resources_of_anything};
pub use certificate::CertificateError;
pub use cloud::{AzureCloud, UnknownCloud};
pub use config::{AzureAuth, AzureConfig, AzureConfigError, AzureIdentity, LocalAccounts, default_limits};
pub use connector::AzureConnector;
pub use organization::{AzureOrganization, AzureRoot, organization_permissions};
pub use permissions::permissions;
