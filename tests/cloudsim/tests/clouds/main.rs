//! A running simulator, as clients see it.
#![expect(clippy::unwrap_used, reason = "tests")]

mod aws;
mod gcp;
mod kube;
mod support;
