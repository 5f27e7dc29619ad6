use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_domain::Status;
use rampart_store::verdict::{CountDelta, ScoreDelta, VerdictWrite};

/// A verdict as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) ordinal: i32,
    pub(crate) status: Status,
    /// It stands only because what it rests on could not be read again.
    pub(crate) stale: bool,
}

/// Moves of the counters of one unit, gathered over a batch.
#[derive(Default)]
pub(crate) struct Counting {
    counts: BTreeMap<i32, CountDelta>,
    scores: BTreeMap<String, ScoreDelta>,
}

/// Which score group the control of an ordinal belongs to.
pub(crate) type Groups = HashMap<i32, String>;

impl Counting {
    /// Takes back what a resource counted before and adds what it counts now.
    pub(crate) fn replace(&mut self, groups: &Groups, before: &[Counted], after: &[Counted]) {
        self.add(groups, before, -1);
        self.add(groups, after, 1);
    }

    fn add(&mut self, groups: &Groups, verdicts: &[Counted], sign: i64) {
        let mut by_group: BTreeMap<&str, (Status, bool)> = BTreeMap::new();
        let mut exempt: BTreeSet<&str> = BTreeSet::new();
        for Counted { ordinal, status, stale } in verdicts {
            let delta = self.counts.entry(*ordinal).or_default();
            match status {
                Status::Healthy => delta.healthy += sign,
                Status::Exempt => delta.exempt += sign,
                Status::Unhealthy => delta.unhealthy += sign,
                Status::NotApplicable => delta.not_applicable += sign,
                Status::Unknown => delta.unknown += sign,
            }
            if *status == Status::Exempt {
                exempt.extend(groups.get(ordinal).map(String::as_str));
            }
            // Neither earns nor costs.
            if matches!(status, Status::NotApplicable | Status::Exempt) {
                continue;
            }
            delta.stale += sign * i64::from(*stale && *status != Status::Unknown);
            let Some(group) = groups.get(ordinal) else { continue };
            let (worst, old) = by_group.entry(group).or_insert((*status, false));
            *old |= *stale;
            if weight(*status) > weight(*worst) {
                *worst = *status;
            }
        }
        for group in exempt {
            self.scores.entry(group.to_owned()).or_default().exempt += sign;
        }
        for (group, (status, stale)) in by_group {
            let delta = self.scores.entry(group.to_owned()).or_default();
            delta.stale += sign * i64::from(stale && status != Status::Unknown);
            match status {
                Status::Unhealthy => delta.unhealthy += sign,
                Status::Unknown => delta.unknown += sign,
                _ => delta.healthy += sign,
            }
        }
    }

    /// Puts the moves where the store takes them from.
    pub(crate) fn hand_to(self, write: &mut VerdictWrite) {
        write.counts = self.counts.into_iter().collect();
        write.scores = self.scores.into_iter().collect();
    }
}

/// A resource is unhealthy in a group when any verdict is, and healthy only when all of them are known to be.
const fn weight(status: Status) -> u8 {
    match status {
        Status::Unhealthy => 3,
        Status::Unknown => 2,
        Status::Healthy => 1,
        Status::NotApplicable | Status::Exempt => 0,
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::Status;
    use rampart_store::verdict::{CountDelta, ScoreDelta, VerdictWrite};

    use super::{Counted, Counting, Groups};

    fn fresh(verdicts: &[(i32, Status)]) -> Vec<Counted> {
        verdicts.iter().map(|(ordinal, status)| Counted { ordinal: *ordinal, status: *status, stale: false }).collect()
    }

    #[test]
    fn a_resource_counts_once_per_group_with_its_worst_verdict() {
        let groups: Groups = [(0, "a"), (1, "a"), (2, "b")].map(|(o, g)| (o, g.to_owned())).into();
        let mut counting = Counting::default();
        let verdicts = fresh(&[(0, Status::Healthy), (1, Status::Unknown), (2, Status::Unhealthy)]);
        counting.replace(&groups, &[], &verdicts);
        counting.replace(&groups, &verdicts, &fresh(&[(0, Status::Unhealthy), (2, Status::NotApplicable)]));
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        let (counts, scores) = (write.counts, write.scores);
        assert_eq!(counts[0], (0, CountDelta { unhealthy: 1, ..CountDelta::default() }));
        assert_eq!(counts[1], (1, CountDelta::default()));
        assert_eq!(scores[0], ("a".to_owned(), ScoreDelta { unhealthy: 1, ..ScoreDelta::default() }));
        assert_eq!(scores[1], ("b".to_owned(), ScoreDelta::default()));
    }

    #[test]
    fn an_exempt_verdict_counts_apart_and_leaves_the_rest_of_its_group_alone() {
        let groups: Groups = [(0, "a"), (1, "a"), (2, "b")].map(|(o, g)| (o, g.to_owned())).into();
        let mut counting = Counting::default();
        let unhealthy = fresh(&[(0, Status::Unhealthy), (1, Status::Healthy), (2, Status::Unhealthy)]);
        counting.replace(&groups, &[], &unhealthy);
        let exempt = fresh(&[(0, Status::Exempt), (1, Status::Healthy), (2, Status::Exempt)]);
        counting.replace(&groups, &unhealthy, &exempt);
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        assert_eq!(write.counts[0].1, CountDelta { exempt: 1, ..CountDelta::default() });
        assert_eq!(write.scores[0].1, ScoreDelta { healthy: 1, exempt: 1, ..ScoreDelta::default() });
        assert_eq!(write.scores[1].1, ScoreDelta { exempt: 1, ..ScoreDelta::default() });
    }

    #[test]
    fn a_stale_verdict_counts_as_it_stood_and_as_stale() {
        let groups: Groups = [(0, "a"), (1, "a")].map(|(o, g)| (o, g.to_owned())).into();
        let mut counting = Counting::default();
        let mut verdicts = fresh(&[(0, Status::Healthy), (1, Status::Unhealthy)]);
        verdicts[0].stale = true;
        counting.replace(&groups, &[], &verdicts);
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        assert_eq!(write.counts[0].1, CountDelta { healthy: 1, stale: 1, ..CountDelta::default() });
        assert_eq!(write.counts[1].1, CountDelta { unhealthy: 1, ..CountDelta::default() });
        assert_eq!(write.scores[0].1, ScoreDelta { unhealthy: 1, stale: 1, ..ScoreDelta::default() });
    }
}
