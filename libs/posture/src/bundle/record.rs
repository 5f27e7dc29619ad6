use std::cell::RefCell;

use super::{Incomplete, Outcome, Read, ReadItem, ResourceRecord};
use crate::{Check, Completeness, Engine, Facts, Input, NeighbourQuery, NeighbourSet, Neighbours};

/// A verdict with all that it was reached from.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What was judged.
    pub resource: ResourceRecord,
    /// What was read beside it.
    pub reads: Vec<Read>,
    /// What came out.
    pub verdict: Outcome,
}

/// Judges a resource by one check and keeps what that looked at.
pub fn record(engine: &Engine, check: &Check, input: &Input<'_>) -> Recorded {
    let recorder = Recorder { inner: input.neighbours, reads: RefCell::default() };
    let facts = input.facts;
    let observed = Input { facts, config: input.config, live: input.live, neighbours: &recorder, now: input.now };
    let verdict = engine.judge(check, &observed).into();
    Recorded { resource: resource(&facts, input), reads: recorder.reads.into_inner(), verdict }
}

fn resource(facts: &Facts<'_>, input: &Input<'_>) -> ResourceRecord {
    ResourceRecord {
        kind: facts.kind,
        native_id: facts.native_id.to_owned(),
        name: facts.name.to_owned(),
        namespace: facts.namespace.map(str::to_owned),
        cloud: facts.cloud,
        account: facts.account.map(str::to_owned),
        region: facts.region.map(str::to_owned),
        labels: facts.labels.clone(),
        managed_by: facts.managed_by,
        active: facts.active,
        config: input.config.clone(),
        live: input.live.cloned(),
    }
}

/// Passes questions on and keeps the answers.
struct Recorder<'a> {
    inner: &'a dyn Neighbours,
    reads: RefCell<Vec<Read>>,
}

impl Neighbours for Recorder<'_> {
    fn get(&self, query: &NeighbourQuery<'_>) -> NeighbourSet<'_> {
        let set = self.inner.get(query);
        let mut reads = self.reads.borrow_mut();
        if !reads.iter().any(|read| read.answers(query)) {
            reads.push(read(query, &set));
        }
        set
    }
}

fn read(query: &NeighbourQuery<'_>, set: &NeighbourSet<'_>) -> Read {
    let items = set.items.iter();
    Read {
        label: query.label.to_owned(),
        kinds: query.kinds.to_vec(),
        within: query.within,
        name: query.name.map(str::to_owned),
        items: items
            .map(|item| ReadItem { native_id: item.native_id.to_owned(), config: item.config.clone() })
            .collect(),
        incomplete: match set.completeness {
            Completeness::Complete => None,
            Completeness::Incomplete { kind, state, expired } => Some(Incomplete { kind, state, expired }),
        },
    }
}
