//! The connector against a small Kubernetes API over TLS.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod conformance;
mod scan;
mod watch;
mod world;
