use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rampart_domain::{Kind, Resource, Scope};
use tokio_util::sync::CancellationToken;

use crate::{ConnectorError, ErrorKind, Event, Listing, Outcome, Sink};

/// Resources that are handed over together.
const PAGE: usize = 100;
/// Failures of one API in a row after which a listing stops asking it: every further refusal would be one more line in the
/// customer's audit log and tell nothing new.
const ENOUGH: u32 = 3;

/// One listing of a cloud API while it is read: collects pages, remembers the first failure, and says how it ended.
#[derive(Debug)]
pub struct Lister<'a> {
    sink: &'a Sink,
    listing: Listing,
    /// Fired when nobody takes results any more.
    cancel: CancellationToken,
    wanted: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    page: Vec<Resource>,
    failure: Option<ConnectorError>,
    in_a_row: HashMap<String, u32>,
    closed: bool,
}

impl<'a> Lister<'a> {
    /// Begins a listing; one of a kind that is not wanted stays silent.
    pub async fn start(sink: &'a Sink, scope: Scope, kind: Kind, wanted: &[Kind], cancel: CancellationToken) -> Self {
        let wanted = wanted.is_empty() || wanted.contains(&kind);
        let lister =
            Self { sink, listing: Listing { scope, kind }, cancel, wanted, state: Mutex::new(State::default()) };
        if wanted {
            lister.send(Event::Started { listing: lister.listing.clone() }).await;
        }
        lister
    }

    /// Whether there is a reason to make another call for it.
    pub fn is_open(&self) -> bool {
        self.wanted && !self.state().closed
    }

    /// Whether it is read at all.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Takes a resource that `api` returned; `None` means that the answer had no id.
    pub async fn push(&self, api: &str, resource: Option<Resource>) {
        let Some(resource) = resource else {
            self.fail(ConnectorError::new(ErrorKind::Permanent, api, "an object without an id was returned"));
            return;
        };
        let full = {
            let mut state = self.state();
            state.page.push(resource);
            (state.page.len() >= PAGE).then(|| std::mem::take(&mut state.page))
        };
        if let Some(resources) = full {
            self.page(resources).await;
        }
    }

    /// Notes that a call of `api` was answered.
    pub fn succeed(&self, api: &str) {
        if let Some(count) = self.state().in_a_row.get_mut(api) {
            *count = 0;
        }
    }

    /// Notes that something is missing now: the listing will not be complete.
    pub fn fail(&self, error: ConnectorError) {
        let mut state = self.state();
        let in_a_row = state.in_a_row.entry(error.api.clone()).or_default();
        *in_a_row += 1;
        // These say something about the API, not about the one object that was asked for.
        let of_api = matches!(
            error.kind,
            ErrorKind::Throttled { .. }
                | ErrorKind::Unauthorized
                | ErrorKind::Unsupported
                | ErrorKind::Unreachable
                | ErrorKind::Cancelled
        );
        state.closed |= of_api || *in_a_row >= ENOUGH;
        tracing::debug!(error = %error, kind = %self.listing.kind, scope = %self.listing.scope, "listing is incomplete");
        state.failure.get_or_insert(error);
    }

    /// Ends the listing: incomplete after any failure or cancellation, else as `otherwise` says.
    pub async fn finish(self, otherwise: Outcome) {
        if !self.wanted {
            return;
        }
        let (rest, failure) = {
            let mut state = self.state();
            (std::mem::take(&mut state.page), state.failure.take())
        };
        if !rest.is_empty() {
            self.page(rest).await;
        }
        let stopped = || ConnectorError::new(ErrorKind::Cancelled, "scan", "the scan was told to stop");
        let failure = failure.or_else(|| self.cancel.is_cancelled().then(stopped));
        let outcome = failure.map_or(otherwise, Outcome::Incomplete);
        self.send(Event::Finished { listing: self.listing.clone(), outcome }).await;
    }

    async fn page(&self, resources: Vec<Resource>) {
        self.send(Event::Page { listing: self.listing.clone(), resources, remaining: None }).await;
    }

    async fn send(&self, event: Event) {
        if self.sink.send(event).await.is_err() {
            self.state().closed = true;
            self.cancel.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::Cloud;

    use super::*;

    async fn outcome(act: impl AsyncFnOnce(&Lister<'_>)) -> Option<Outcome> {
        let (sink, mut events) = Sink::new(16);
        let scope = Scope::Region { cloud: Cloud::Aws, account: "1".into(), region: "r".into() };
        let lister = Lister::start(&sink, scope, Kind::AwsEksAddon, &[], CancellationToken::new()).await;
        act(&lister).await;
        lister.finish(Outcome::Complete).await;
        drop(sink);
        let mut last = None;
        while let Some(event) = events.recv().await {
            last = if let Event::Finished { outcome, .. } = event { Some(outcome) } else { None };
        }
        last
    }

    fn error(kind: ErrorKind) -> ConnectorError {
        ConnectorError::new(kind, "eks:DescribeAddon", "no")
    }

    #[tokio::test]
    async fn one_failure_makes_a_listing_incomplete_and_the_first_is_told() {
        assert_eq!(outcome(async |_| ()).await, Some(Outcome::Complete));
        let seen = outcome(async |lister| {
            lister.fail(error(ErrorKind::Forbidden));
            lister.fail(error(ErrorKind::Transient));
            lister.succeed("eks:DescribeAddon");
        });
        assert_eq!(seen.await, Some(Outcome::Incomplete(error(ErrorKind::Forbidden))));
        let nameless = outcome(async |lister| lister.push("eks:DescribeAddon", None).await).await;
        assert!(matches!(nameless, Some(Outcome::Incomplete(_))));
        let stopped = outcome(async |lister| lister.cancel.cancel()).await;
        assert!(matches!(stopped, Some(Outcome::Incomplete(e)) if e.kind == ErrorKind::Cancelled));
    }

    #[tokio::test]
    async fn an_api_that_keeps_refusing_is_left_alone() {
        outcome(async |lister| {
            for _ in 0..2 {
                lister.fail(error(ErrorKind::Forbidden));
                lister.fail(error(ErrorKind::Forbidden));
                assert!(lister.is_open());
                lister.succeed("eks:DescribeAddon");
            }
            lister.fail(error(ErrorKind::Unsupported));
            assert!(!lister.is_open());
        })
        .await;
    }
}
