//! Simulated clouds: AWS, Azure and Google Cloud over HTTP and Kubernetes APIs over TLS, served from a world that a seed
//! decides.
//!
//! ```text
//! WorldSpec ─▶ World (pure) ─┬─▶ aws: EKS, ECR, STS, Account          ┐
//!                            ├─▶ azure: Entra ID, ARM, registries     ┤
//!                            ├─▶ gcp: GKE, registry, projects, tokens ┤
//!                            └─▶ kube: one API per cluster, own CA ┴─▶ faults ─▶ calls ─▶ loopback
//! ```

mod answer;
mod aws;
mod azure;
mod calls;
mod edit;
mod faults;
mod federation;
mod gcp;
mod kube;
mod kubeconfig;
pub mod models;
pub mod openapi;
pub mod schemas;
mod shared;
mod simulator;
pub mod world;

pub use aws::sigv4::Keys;
pub use calls::Calls;
pub use faults::{Fault, FaultKind, Faults, Target};
pub use simulator::Simulator;
