//! The engine, its policies and every example of the content.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod admission;
mod custom;
mod engine;
mod examples;
mod framework;
mod gatekeeper;
mod pod_security;
mod properties;
mod sources;
