//! The API over its router and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod admission_policy;
mod authorisation;
mod compliance;
mod conditional;
mod custom;
mod document;
mod exemptions;
mod federation;
mod fix_units;
mod governance;
mod isolation;
mod onboarding;
mod paging;
mod pod_security_readiness;
mod problems;
mod reads;
mod support;
mod what_if;
