use rampart_domain::{Kind, Resource, Scope};
use tokio::sync::mpsc;

use crate::{ConnectorError, DiscoveredCluster};

/// What a listing of one kind in one scope came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every page and detail was read: what was not seen is gone.
    Complete,
    /// Something is missing; nothing may be deleted. The error says what.
    Incomplete(ConnectorError),
    /// The feature is off or has no meaning here; the text says why. What was stored before is gone.
    NotApplicable(String),
}

/// One listing: a kind in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Listing {
    /// Where.
    pub scope: Scope,
    /// What.
    pub kind: Kind,
}

/// What a running scan reports, in this order per listing: `Started`, any number of `Page`, one `Finished`.
#[derive(Debug)]
pub enum Event {
    /// All listings known so far, for progress; may be sent again when more become known.
    Planned {
        /// The listings added to the plan.
        listings: Vec<Listing>,
    },
    /// The first call of a listing is about to be made.
    Started {
        /// The listing.
        listing: Listing,
    },
    /// Resources of a listing.
    Page {
        /// The listing.
        listing: Listing,
        /// Normalised resources; a page may be empty.
        resources: Vec<Resource>,
        /// How many are still to come, when the provider says.
        remaining: Option<u64>,
    },
    /// A listing ended, well or not.
    Finished {
        /// The listing.
        listing: Listing,
        /// How.
        outcome: Outcome,
    },
    /// A cluster whose Kubernetes API can be scanned through this connector.
    Cluster(DiscoveredCluster),
}

/// The receiver went away: the scan was cancelled or lost its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scan no longer takes results")]
pub struct SinkClosed;

/// Where a connector puts what it finds. Bounded: a slow store slows the listing down.
#[derive(Debug, Clone)]
pub struct Sink(mpsc::Sender<Event>);

impl Sink {
    /// A sink and its receiving end; `capacity` events may wait.
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(capacity);
        (Self(sender), receiver)
    }

    /// Hands over an event, waiting for room.
    pub async fn send(&self, event: Event) -> Result<(), SinkClosed> {
        self.0.send(event).await.map_err(|_| SinkClosed)
    }
}
