//! The API over its router and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod admission_policy;
mod audit;
mod authorisation;
mod compliance;
mod conditional;
mod custom;
mod document;
mod exemptions;
mod exports;
mod federation;
mod fix_units;
mod governance;
mod history;
mod hostile_bodies;
mod hostile_queries;
mod identity_providers;
mod isolation;
mod onboarding;
mod paging;
mod pod_security_readiness;
mod problems;
mod rate_limits;
mod reads;
mod refusals;
mod support;
mod tls;
mod webhooks;
mod what_if;
