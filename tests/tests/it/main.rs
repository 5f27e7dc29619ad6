//! The whole platform, driven from outside: one program, so that it links once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends where it stands")]

mod answers;
mod architecture;
mod assessment;
mod azure;
mod batches;
mod cloud_watch;
mod clusters;
mod collect;
mod collector_manifest;
mod contracts;
mod crash;
mod custom_policies;
mod deployment;
mod egress;
mod exemptions;
mod federation;
mod fix_units;
mod google_cloud;
mod lost_access;
mod ordering;
mod organizations;
mod other_organizations;
mod pod_security;
mod rescan;
mod standing;
mod tenants;
mod verdicts;
mod watch;
mod what_if;
