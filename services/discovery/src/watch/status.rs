use std::collections::{BTreeMap, BTreeSet};

use rampart_domain::{Gap, Kind};
use rampart_store::watch::State;

use super::streams::Step;
use crate::gap::gap_of;

/// How the watches of one cluster's kinds fare, as it is told to callers.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// Kinds whose watch was never open since the session began.
    pub(super) unopened: BTreeSet<Kind>,
    broken: BTreeMap<Kind, String>,
    /// Kinds that only scans read, and why.
    pub(super) polled: BTreeMap<Kind, Gap>,
    /// What was told last.
    told: Option<(State, Option<String>, BTreeMap<Kind, Gap>)>,
}

impl Status {
    /// Notes a step of a kind's watch.
    pub(super) fn note(&mut self, kind: Kind, step: &Step) {
        match step {
            Step::Opened | Step::Change(_) => {
                self.unopened.remove(&kind);
                self.broken.remove(&kind);
                self.polled.remove(&kind);
            }
            Step::Broken(error) => {
                self.broken.insert(kind, error.to_string());
            }
            Step::Refused(error) => {
                self.unopened.remove(&kind);
                self.broken.remove(&kind);
                self.polled.insert(kind, gap_of(error));
            }
            Step::Expired(_) => {}
        }
    }

    fn now(&self) -> (State, Option<String>, BTreeMap<Kind, Gap>) {
        let state = match (self.broken.is_empty(), self.unopened.is_empty()) {
            (false, _) => State::Failing,
            (true, false) => State::Starting,
            (true, true) => State::Watching,
        };
        (state, self.broken.values().next().cloned(), self.polled.clone())
    }

    /// What is to be told now, when it differs from what was told last.
    pub(super) fn news(&mut self) -> Option<(State, Option<String>, BTreeMap<Kind, Gap>)> {
        let now = self.now();
        if self.told.as_ref() == Some(&now) {
            return None;
        }
        self.told = Some(now.clone());
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use rampart_connector::{ConnectorError, ErrorKind};

    use super::*;

    #[test]
    fn one_broken_kind_makes_the_watch_fail_and_a_refused_one_does_not() {
        let mut status = Status { unopened: [Kind::K8sPod, Kind::K8sNode].into(), ..Status::default() };
        let mut after = |kind, step: Step| {
            status.note(kind, &step);
            status.news().map(|(state, message, polled)| (state, message.is_some(), polled.len()))
        };
        let error = |kind| ConnectorError::new(kind, "WATCH /api/v1/pods", "no");
        assert_eq!(after(Kind::K8sNode, Step::Opened), Some((State::Starting, false, 0)));
        assert_eq!(after(Kind::K8sPod, Step::Opened), Some((State::Watching, false, 0)));
        assert_eq!(after(Kind::K8sPod, Step::Opened), None);
        let broken = Step::Broken(error(ErrorKind::Transient));
        assert_eq!(after(Kind::K8sPod, broken), Some((State::Failing, true, 0)));
        let refused = Step::Refused(error(ErrorKind::Forbidden));
        assert_eq!(after(Kind::K8sPod, refused), Some((State::Watching, false, 1)));
    }
}
