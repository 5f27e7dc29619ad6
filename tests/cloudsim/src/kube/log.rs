use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::watch;

use crate::world::KindKey;

/// Changes of a cluster that are kept; a watch that comes from before them has to list again.
const KEPT: usize = 20_000;

/// A change that watches are told.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) cluster: String,
    pub(crate) key: KindKey,
    pub(crate) version: u64,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(crate) sort: &'static str,
    /// The object with its `apiVersion` and `kind`.
    pub(crate) object: Value,
}

/// Changes by cluster, since each was first read.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<HashMap<String, Log>>);

#[derive(Debug)]
struct Log {
    /// Everything after this version is there.
    floor: u64,
    /// Streams that were open when this rose are cut.
    cuts: u64,
    events: VecDeque<Arc<Logged>>,
    changed: watch::Sender<()>,
}

/// What a watch reads of a log.
pub(crate) enum Read {
    /// What came after the version it had, and until where that is everything.
    Events(Vec<Arc<Logged>>),
    /// It comes from before what is kept.
    Expired,
    /// Its connection is to break.
    Cut,
}

impl Logs {
    fn with<T>(&self, cluster: &str, act: impl FnOnce(&mut Log) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(cluster).map(act)
    }

    /// Begins to keep the changes of a cluster.
    pub(crate) fn keep(&self, cluster: &str, version: u64) {
        let mut logs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !logs.contains_key(cluster) {
            let log = Log { floor: version, cuts: 0, events: VecDeque::new(), changed: watch::Sender::new(()) };
            logs.insert(cluster.to_owned(), log);
        }
    }

    /// Clusters whose changes are kept.
    pub(crate) fn clusters(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    pub(crate) fn append(&self, events: Vec<Logged>) {
        for event in events {
            self.with(&event.cluster.clone(), |log| {
                log.events.push_back(Arc::new(event));
                if log.events.len() > KEPT
                    && let Some(dropped) = log.events.pop_front()
                {
                    log.floor = dropped.version;
                }
                log.changed.send_replace(());
            });
        }
    }

    /// Forgets everything up to `version`, as etcd's compaction does.
    pub(crate) fn compact(&self, cluster: &str, version: u64) {
        self.with(cluster, |log| {
            log.events.clear();
            log.floor = version;
            log.changed.send_replace(());
        });
    }

    /// Breaks the connections of all watches.
    pub(crate) fn cut(&self, cluster: &str) {
        self.with(cluster, |log| {
            log.cuts += 1;
            log.changed.send_replace(());
        });
    }

    /// The number of cuts so far, and what tells of changes.
    pub(crate) fn follow(&self, cluster: &str) -> Option<(u64, watch::Receiver<()>)> {
        self.with(cluster, |log| (log.cuts, log.changed.subscribe()))
    }

    /// What happened to a kind after `version`, for a watch that began after `cuts` cuts.
    pub(crate) fn read(&self, cluster: &str, key: KindKey, version: u64, cuts: u64) -> Read {
        let read = self.with(cluster, |log| {
            if log.cuts > cuts {
                return Read::Cut;
            }
            if version < log.floor {
                return Read::Expired;
            }
            let after = log.events.partition_point(|event| event.version <= version);
            Read::Events(log.events.range(after..).filter(|event| event.key == key).cloned().collect())
        });
        read.unwrap_or(Read::Expired)
    }
}
