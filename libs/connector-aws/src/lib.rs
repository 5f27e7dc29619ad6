//! Reads one AWS account: its IAM roles, and EKS, ECR and the logs of control planes in its regions.
//!
//! ```text
//! AwsConfig ─▶ Session (role or keys, one HTTP client) ─▶ calls (SDK signs and sends, `Caller` paces and repeats)
//!                                                             │ the provider's own JSON
//!                                                             ▼
//!                        Lister per region and kind ◀─ normalize (pure)
//! ```
//! [`AwsOrganization`] reads who belongs to an organisation, through the same session and calls.
//!
//! A call that fails marks the listing that needs it and nothing else. What the SDK's models do not know is kept.

mod any;
mod calls;
mod config;
mod connector;
mod ecr;
mod eks;
mod errors;
mod http;
mod iam;
mod logs;
mod normalize;
mod organization;
mod partition;
mod permissions;
mod preflight;
mod raw;
mod regions;
mod role;
mod session;
mod token;

pub use any::resources_of_anything;
pub use config::{
    AwsAuth, AwsConfig, AwsConfigError, Federation, Regions, StaticKeys, WEB_IDENTITY_AUDIENCE, default_limits,
};
pub use connector::AwsConnector;
pub use organization::{AwsOrganization, organization_permissions};
pub use partition::{Partition, UnknownPartition};
pub use permissions::permissions;
