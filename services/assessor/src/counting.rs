use std::collections::{BTreeMap, HashMap};

use rampart_domain::Status;
use rampart_store::verdict::{CountDelta, ScoreDelta, VerdictWrite};

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
    pub(crate) fn replace(&mut self, groups: &Groups, before: &[(i32, Status)], after: &[(i32, Status)]) {
        self.add(groups, before, -1);
        self.add(groups, after, 1);
    }

    fn add(&mut self, groups: &Groups, verdicts: &[(i32, Status)], sign: i64) {
        let mut by_group: BTreeMap<&str, Status> = BTreeMap::new();
        for (ordinal, status) in verdicts {
            let delta = self.counts.entry(*ordinal).or_default();
            match status {
                Status::Healthy | Status::Exempt => delta.healthy += sign,
                Status::Unhealthy => delta.unhealthy += sign,
                Status::NotApplicable => delta.not_applicable += sign,
                Status::Unknown => delta.unknown += sign,
            }
            if *status == Status::NotApplicable {
                continue;
            }
            let Some(group) = groups.get(ordinal) else { continue };
            let worst = by_group.entry(group).or_insert(*status);
            if weight(*status) > weight(*worst) {
                *worst = *status;
            }
        }
        for (group, status) in by_group {
            let delta = self.scores.entry(group.to_owned()).or_default();
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
        Status::Healthy | Status::Exempt => 1,
        Status::NotApplicable => 0,
    }
}

#[cfg(test)]
mod tests {
    use rampart_domain::Status;
    use rampart_store::verdict::{CountDelta, ScoreDelta, VerdictWrite};

    use super::{Counting, Groups};

    #[test]
    fn a_resource_counts_once_per_group_with_its_worst_verdict() {
        let groups: Groups = [(0, "a"), (1, "a"), (2, "b")].map(|(o, g)| (o, g.to_owned())).into();
        let mut counting = Counting::default();
        let verdicts = [(0, Status::Healthy), (1, Status::Unknown), (2, Status::Unhealthy)];
        counting.replace(&groups, &[], &verdicts);
        counting.replace(&groups, &verdicts, &[(0, Status::Unhealthy), (2, Status::NotApplicable)]);
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        let (counts, scores) = (write.counts, write.scores);
        assert_eq!(counts[0], (0, CountDelta { unhealthy: 1, ..CountDelta::default() }));
        assert_eq!(counts[1], (1, CountDelta::default()));
        assert_eq!(scores[0], ("a".to_owned(), ScoreDelta { unhealthy: 1, ..ScoreDelta::default() }));
        assert_eq!(scores[1], ("b".to_owned(), ScoreDelta::default()));
    }
}
