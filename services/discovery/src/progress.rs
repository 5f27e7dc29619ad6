use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rampart_store::inventory::Applied;
use serde_json::{Value, json};

/// How far a scan is, shared by its pipelines. Counts only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    phases: BTreeMap<String, Phase>,
    applied: Applied,
    removed: u64,
    incomplete: u64,
    clusters: u64,
    clusters_done: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Phase {
    listings: u64,
    finished: u64,
    resources: u64,
    /// Resources that providers announced as still to come.
    remaining: u64,
}

impl Progress {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn planned(&self, phase: &str, listings: u64) {
        self.with(|s| s.phases.entry(phase.to_owned()).or_default().listings += listings);
    }

    pub(crate) fn page(&self, phase: &str, applied: Applied, resources: u64, remaining: Option<u64>) {
        self.with(|s| {
            s.applied += applied;
            let phase = s.phases.entry(phase.to_owned()).or_default();
            phase.resources += resources;
            if let Some(remaining) = remaining {
                phase.remaining = remaining;
            }
        });
    }

    pub(crate) fn finished(&self, phase: &str, removed: u64, complete: bool) {
        self.with(|s| {
            s.removed += removed;
            s.incomplete += u64::from(!complete);
            let phase = s.phases.entry(phase.to_owned()).or_default();
            phase.finished += 1;
            phase.listings = phase.listings.max(phase.finished);
        });
    }

    pub(crate) fn cluster_found(&self) {
        self.with(|s| s.clusters += 1);
    }

    pub(crate) fn cluster_done(&self) {
        self.with(|s| s.clusters_done += 1);
    }

    /// Listings that are not the whole truth.
    pub(crate) fn incomplete(&self) -> u64 {
        self.with(|s| s.incomplete)
    }

    pub(crate) fn applied(&self) -> (Applied, u64) {
        self.with(|s| (s.applied, s.removed))
    }

    /// As stored in the scan's row.
    pub(crate) fn to_json(&self) -> Value {
        self.with(|s| {
            let phases: Vec<Value> = s
                .phases
                .iter()
                .map(|(name, p)| {
                    json!({
                        "phase": name, "listings": p.listings, "finished": p.finished, "resources": p.resources,
                        "expected": p.resources + p.remaining,
                    })
                })
                .collect();
            json!({
                "phases": phases, "added": s.applied.added, "changed": s.applied.changed,
                "unchanged": s.applied.unchanged, "removed": s.removed, "incomplete": s.incomplete,
                "clusters": s.clusters, "clusters_done": s.clusters_done,
            })
        })
    }
}
