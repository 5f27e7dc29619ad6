use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use chrono::DateTime;
use rampart_domain::{Kind, NativeId, Resource};
use tokio_util::sync::CancellationToken;

use crate::{Connector, ConnectorError, DiscoveredCluster, Event, Listing, Outcome, ScanContext, Sink};

/// What a scan reported, with the breaches of the order of events that were seen on the way.
#[derive(Debug)]
pub struct Recording {
    /// What `scan` returned.
    pub result: Result<(), ConnectorError>,
    /// Every listing that was planned, started or reported on.
    pub listings: HashMap<Listing, Recorded>,
    /// Breaches of the contract that need no expectation, in words.
    pub breaches: Vec<String>,
    /// How long the scan took to return after it was told to stop.
    pub ended_after: Option<Duration>,
}

/// One listing as it was reported.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Ids over all pages.
    pub ids: HashSet<NativeId>,
    /// Resources over all pages; more than ids when one came twice.
    pub resources: usize,
    /// How it ended.
    pub outcome: Option<Outcome>,
    started: bool,
}

/// Runs a whole scan. With `cancel_after`, the scan is told to stop after that time.
pub async fn record(connector: &dyn Connector, cancel_after: Option<Duration>) -> Recording {
    let cancel = CancellationToken::new();
    let cx = ScanContext { cancel: cancel.clone(), kinds: Vec::new(), started_at: DateTime::UNIX_EPOCH };
    // Room for everything: an event that had to wait would look as if it had been decided later.
    let (sink, mut events) = Sink::new(4096);
    let mut recording = Recording { result: Ok(()), listings: HashMap::new(), breaches: Vec::new(), ended_after: None };
    let scan = async {
        let result = connector.scan(&cx, &sink).await;
        let ended = Instant::now();
        drop(sink);
        (result, ended)
    };
    let read = async {
        if let Some(after) = cancel_after {
            let until_then = async {
                while let Some(event) = events.recv().await {
                    recording.take(event, false);
                }
            };
            // Whether it hangs, as it should, or has ended already, is told by what comes after.
            let _ = tokio::time::timeout(after, until_then).await;
            while let Ok(event) = events.try_recv() {
                recording.take(event, false);
            }
            cancel.cancel();
        }
        let stopped = Instant::now();
        while let Some(event) = events.recv().await {
            recording.take(event, cancel.is_cancelled());
        }
        stopped
    };
    // One task: nothing is sent between the last look into the channel and the cancellation.
    let ((result, ended), stopped) = tokio::join!(scan, read);
    recording.result = result;
    recording.ended_after = cancel_after.map(|_| ended.saturating_duration_since(stopped));
    recording
}

impl Recording {
    fn take(&mut self, event: Event, cancelled: bool) {
        match event {
            Event::Planned { listings } => {
                for listing in listings {
                    self.listings.entry(listing).or_default();
                }
            }
            Event::Started { listing } => {
                let seen = self.listings.entry(listing.clone()).or_default();
                if std::mem::replace(&mut seen.started, true) {
                    self.breaches.push(format!("{listing:?} was started twice"));
                }
            }
            Event::Page { listing, resources, .. } => {
                let seen = self.listings.entry(listing.clone()).or_default();
                if !seen.started || seen.outcome.is_some() {
                    self.breaches.push(format!("a page of {listing:?} came outside of its listing"));
                }
                seen.resources += resources.len();
                for resource in resources {
                    if resource.kind != listing.kind {
                        self.breaches.push(format!("{} came in a page of {listing:?}", resource.native_id));
                    }
                    seen.ids.insert(resource.native_id);
                }
            }
            Event::Finished { listing, outcome } => {
                let seen = self.listings.entry(listing.clone()).or_default();
                if !seen.started || seen.outcome.is_some() {
                    self.breaches.push(format!("{listing:?} was finished without a start, or twice"));
                }
                if cancelled && outcome == Outcome::Complete {
                    self.breaches.push(format!("{listing:?} was reported complete after the scan was told to stop"));
                }
                seen.outcome = Some(outcome);
            }
            Event::Cluster(_) => {}
        }
    }
}

/// What a scan of these kinds is told; of all kinds without any.
pub fn context(kinds: Vec<Kind>) -> ScanContext {
    ScanContext { cancel: CancellationToken::new(), kinds, started_at: DateTime::UNIX_EPOCH }
}

/// Everything that a scan of these kinds finds.
///
/// # Panics
/// When the scan fails as a whole.
pub async fn collect(connector: &dyn Connector, kinds: Vec<Kind>) -> (Vec<Resource>, Vec<DiscoveredCluster>) {
    let (sink, mut events) = Sink::new(4);
    let cx = context(kinds);
    let scan = async {
        let result = connector.scan(&cx, &sink).await;
        drop(sink);
        result
    };
    let mut found = (Vec::new(), Vec::new());
    let read = async {
        while let Some(event) = events.recv().await {
            match event {
                Event::Page { resources, .. } => found.0.extend(resources),
                Event::Cluster(cluster) => found.1.push(cluster),
                _ => {}
            }
        }
    };
    tokio::join!(scan, read).0.expect("the scan ends well");
    found
}
