//! The behaviour that every connector owes, checked over real HTTP against a world with faults.
//!
//! ```text
//! Connector::permissions() × Fault::ALL ──▶ Harness::start ──▶ Connector::scan ──▶ Recording ──▶ verdict per listing
//! ```
//! The table of calls and faults is made from the connector's own list of permissions: a call that is added to the list is
//! tested without another line. A cloud takes part by implementing [`Harness`]; nothing here knows any cloud.

mod recording;
pub mod server;
mod suite;

use std::sync::Arc;

use async_trait::async_trait;

use crate::{Connector, Listing, Permission};

pub use recording::{Recorded, Recording, collect, context, record};
pub use suite::{Violation, run};

/// What goes wrong with one API of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The first call is answered 429 with `Retry-After` of at most a second; later calls succeed.
    ThrottledOnce,
    /// Every call is answered 429 with `Retry-After`.
    Throttled,
    /// Every call is answered 403 in the provider's own words.
    Forbidden,
    /// The first call succeeds (with a further page, where the API has pages), all later ones are answered 500. An API
    /// that is called once per scan fails from the first call.
    ServerError,
    /// As `ServerError`, but the connection is cut in the middle of the body.
    Cut,
    /// Every answer has a body larger than the connector's cap.
    Oversized,
    /// The API is unknown to the provider.
    Unsupported,
    /// Every call is accepted and never answered.
    Hang,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 8] = [
        Self::ThrottledOnce,
        Self::Throttled,
        Self::Forbidden,
        Self::ServerError,
        Self::Cut,
        Self::Oversized,
        Self::Unsupported,
        Self::Hang,
    ];
}

/// A running world and the connector that looks at it.
pub struct World {
    /// Built against the world, with short back-offs and a wait budget of a few seconds at most.
    pub connector: Arc<dyn Connector>,
    /// Keeps the world alive; dropping it stops its servers.
    pub guard: Box<dyn Send>,
}

/// What a listing holds when nothing goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The listing.
    pub listing: Listing,
    /// How many resources it has, over all pages.
    pub resources: usize,
}

/// How the suite gets a world for a connector. The same objects must be in every world.
///
/// At least one listing must have more objects than one page holds.
#[async_trait]
pub trait Harness: Send + Sync {
    /// Starts a world in which the API behind `permission` has `fault`; a sound world for `None`.
    async fn start(&self, broken: Option<(&Permission, Fault)>) -> World;

    /// Every listing of the world.
    fn expected(&self) -> Vec<Expected>;

    /// Whether the fault can happen to this call at all: a call that has no answer of its own size, for example, cannot be
    /// oversized. Every exception is a row missing from the table, so there should be next to none.
    fn applies(&self, permission: &Permission, fault: Fault) -> bool {
        let _ = (permission, fault);
        true
    }
}
