//! Simulated clouds: AWS over HTTP and Kubernetes APIs over TLS, served from a world that a seed decides.
//!
//! ```text
//! WorldSpec ─▶ World (pure) ─┬─▶ aws: EKS, ECR, STS, Account      ┐
//!                            └─▶ kube: one API per cluster, own CA ┴─▶ faults ─▶ calls ─▶ loopback
//! ```

pub mod world;
