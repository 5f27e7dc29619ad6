use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

use crate::{Bucket, ErrorKind};

/// Names of calls that are told apart; what goes beyond is counted under [`OTHER_CALLS`]. Connectors have some tens.
const MOST_NAMES: usize = 2_000;
/// Stands for calls beyond the names that are told apart.
pub const OTHER_CALLS: &str = "other calls";

/// Calls of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallCount {
    /// The call in the cloud's own words, as it is named in errors.
    pub api: String,
    /// API family.
    pub family: &'static str,
    /// Attempts that were made.
    pub calls: u64,
    /// Attempts among them that were refused for want of a permission.
    pub refused: u64,
    /// When the first was made.
    pub first: DateTime<Utc>,
    /// When the last was made.
    pub last: DateTime<Utc>,
}

/// All calls of one API family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyCount {
    /// API family.
    pub family: &'static str,
    /// Attempts that were made.
    pub calls: u64,
    /// Attempts among them that were throttled.
    pub throttled: u64,
    /// Buckets that were asked.
    pub buckets: u64,
    /// Attempts in the bucket that was asked most.
    pub largest: u64,
}

/// Counts the calls that a [`crate::Caller`] makes for one connector. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Usage(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Not taken yet, by name.
    pending: HashMap<String, CallCount>,
    /// Since the beginning: calls and throttled calls.
    buckets: HashMap<Bucket, (u64, u64)>,
}

impl Usage {
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // Numbers only: a panic between two writes leaves nothing that could mislead.
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// An attempt is being made.
    pub(crate) fn made(&self, bucket: &Bucket, api: &str, now: DateTime<Utc>) {
        self.with(|state| match state.buckets.get_mut(bucket) {
            Some((calls, _)) => *calls += 1,
            None => drop(state.buckets.insert(bucket.clone(), (1, 0))),
        });
        self.noted(bucket.family, api, now);
    }

    /// A permission was used, by a call of its own or beside others.
    pub(crate) fn noted(&self, family: &'static str, api: &str, now: DateTime<Utc>) {
        self.with(|state| {
            let full = state.pending.len() >= MOST_NAMES && !state.pending.contains_key(api);
            let api = if full { OTHER_CALLS } else { api };
            let count = match state.pending.get_mut(api) {
                Some(count) => count,
                None => state.pending.entry(api.to_owned()).or_insert_with(|| CallCount {
                    api: api.to_owned(),
                    family,
                    calls: 0,
                    refused: 0,
                    first: now,
                    last: now,
                }),
            };
            count.calls += 1;
            count.last = now;
        });
    }

    /// The attempt failed.
    pub(crate) fn failed(&self, bucket: &Bucket, api: &str, kind: ErrorKind) {
        match kind {
            ErrorKind::Forbidden => self.with(|state| {
                if let Some(count) = state.pending.get_mut(api) {
                    count.refused += 1;
                }
            }),
            ErrorKind::Throttled { .. } => self.with(|state| {
                if let Some((_, throttled)) = state.buckets.get_mut(bucket) {
                    *throttled += 1;
                }
            }),
            _ => {}
        }
    }

    /// What was counted since the last time.
    pub fn take(&self) -> Vec<CallCount> {
        self.with(|state| std::mem::take(&mut state.pending).into_values().collect())
    }

    /// Counts again what was taken and could not be kept.
    pub fn give_back(&self, taken: Vec<CallCount>) {
        self.with(|state| {
            for count in taken {
                match state.pending.get_mut(&count.api) {
                    Some(newer) => {
                        newer.calls += count.calls;
                        newer.refused += count.refused;
                        newer.first = newer.first.min(count.first);
                    }
                    None => drop(state.pending.insert(count.api.clone(), count)),
                }
            }
        });
    }

    /// Calls since the beginning by API family, in the order of their names.
    pub fn families(&self) -> Vec<FamilyCount> {
        self.with(|state| {
            let mut families: Vec<FamilyCount> = Vec::new();
            for (bucket, (calls, throttled)) in &state.buckets {
                let index = families.iter().position(|known| known.family == bucket.family).unwrap_or_else(|| {
                    let family = bucket.family;
                    families.push(FamilyCount { family, calls: 0, throttled: 0, buckets: 0, largest: 0 });
                    families.len() - 1
                });
                let family = &mut families[index];
                family.calls += calls;
                family.throttled += throttled;
                family.buckets += 1;
                family.largest = family.largest.max(*calls);
            }
            families.sort_unstable_by_key(|family| family.family);
            families
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a time")
    }

    #[test]
    fn counts_are_taken_once_and_can_be_given_back() {
        let usage = Usage::default();
        let (one, two) = (Bucket::new("1", "a", "eks"), Bucket::new("1", "b", "eks"));
        usage.made(&one, "eks:ListClusters", at(1));
        usage.made(&two, "eks:ListClusters", at(2));
        usage.failed(&two, "eks:ListClusters", ErrorKind::Forbidden);
        usage.failed(&two, "eks:ListClusters", ErrorKind::Throttled { retry_after: None });
        let taken = usage.take();
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].calls, taken[0].refused, taken[0].first, taken[0].last), (2, 1, at(1), at(2)));
        assert!(usage.take().is_empty());
        usage.made(&one, "eks:ListClusters", at(3));
        usage.give_back(taken);
        let again = usage.take();
        assert_eq!((again[0].calls, again[0].first, again[0].last), (3, at(1), at(3)));
        let family = FamilyCount { family: "eks", calls: 3, throttled: 1, buckets: 2, largest: 2 };
        assert_eq!(usage.families(), [family], "the sums are not taken");
    }

    #[test]
    fn names_that_never_end_do_not_fill_the_memory() {
        let usage = Usage::default();
        let bucket = Bucket::new("1", "a", "eks");
        for n in 0..MOST_NAMES + 10 {
            usage.made(&bucket, &format!("eks:{n}"), at(1));
        }
        let taken = usage.take();
        assert!(taken.len() <= MOST_NAMES + 1);
        assert_eq!(taken.iter().find(|count| count.api == OTHER_CALLS).map(|count| count.calls), Some(10));
    }
}
