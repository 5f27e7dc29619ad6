//! A running simulator, as clients see it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod aws;
mod azure;
mod gcp;
mod iam_logs;
mod kube;
mod organizations;
mod support;
mod web_identity;
