//! Organisations: the accounts below a connector, which of them are read, and the connectors that read them.
//!
//! ```text
//! whole reading ─▶ record ─▶ organization_members ─┐
//! rules (settings), choices of operators ──────────┴▶ settle ─▶ a connector per account: made, retired, revived
//! ```
//! Nothing is settled from a reading that is not whole. An account that is not read any more keeps what was read before.

mod decide;
mod member;
mod settle;

pub use decide::{Choice, Decision, IsActive, Selection, decide};
pub(crate) use member::all as known;
pub use member::{Filter, Member, Seen, choose, get, list, record};
pub use settle::{Settled, retire_expired, scan_all, settle};
pub(crate) use settle::{abandon, follow};
