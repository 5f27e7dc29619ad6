//! Postgres: the only SQL in Rampart.
//!
//! ```text
//! Store ─ tenant(id) ─▶ TenantTx ─▶ one module per aggregate: free functions over `&mut TenantTx`
//!       └ worker()   ─▶ WorkerTx ─▶ `work`: claim, renew, finish, across tenants
//! ```
//! A tenant's data is reached only through [`TenantTx`], which sets the tenant that row-level security checks. Functions
//! that answer a caller take an [`Access`] and filter by what its grants make visible.

pub mod access;
pub mod admin;
pub mod assignment;
pub mod audit;
pub mod batch;
pub mod bundle_key;
pub mod cluster;
pub mod collector;
pub mod compliance;
pub mod connector;
pub mod context;
pub mod coverage;
pub mod criticality_rule;
pub mod custom;
pub mod disabled_control;
pub mod edge;
mod error;
pub mod exemption;
pub mod finding;
pub mod fix_unit;
pub mod governance;
pub mod governance_rule;
pub mod hold;
pub mod idempotency;
pub mod identity_provider;
pub mod image;
pub mod initiative;
pub mod inventory;
pub mod issuer_key;
pub mod job;
pub mod keyring;
mod migrate;
pub mod moment;
pub mod not_applicable;
pub mod organization;
pub mod page;
pub mod permission_use;
pub mod plan;
pub mod preflight;
pub mod preview;
pub mod rate_window;
pub mod recommendation;
pub mod resource;
pub mod retention;
pub mod scan;
pub mod scan_calls;
pub mod scan_feed;
pub mod scan_run;
pub mod score;
pub mod score_history;
pub mod sealed;
pub mod tenant;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
mod tx;
pub mod verdict;
pub mod watch;
pub mod webhook;
pub mod work;
pub mod worker;

pub use access::{Access, AccessScope, Actor, Grant, Identity, Role, Visible};
pub use error::{StoreError, Transient};
pub use migrate::migrate;
pub use tx::{Store, TenantTx, WorkerTx};
