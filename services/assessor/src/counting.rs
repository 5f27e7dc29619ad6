use std::collections::{BTreeMap, BTreeSet, HashMap};

use rampart_domain::{ScoreCause, Status};
use rampart_store::verdict::{CountDelta, ScoreDelta, VerdictWrite};

use crate::ledger::Turn;

/// A verdict as it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) ordinal: i32,
    pub(crate) status: Status,
    /// It stands only because what it rests on could not be read again.
    pub(crate) stale: bool,
    /// It is unknown because nobody could look for too long, and violated when somebody last did: it goes on costing.
    pub(crate) unverified: bool,
}

/// Moves of the counters of one unit, gathered over a batch.
#[derive(Default)]
pub(crate) struct Counting {
    counts: BTreeMap<i32, CountDelta>,
    scores: BTreeMap<String, ScoreDelta>,
    moves: BTreeMap<(String, ScoreCause), ScoreDelta>,
}

/// By ordinal.
pub(crate) type Groups = HashMap<i32, Member>;

/// A control that earns and costs.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its id.
    pub(crate) control: String,
    /// The score group that it belongs to.
    pub(crate) group: String,
}

impl Counting {
    /// Takes back what a resource counted before and adds what it counts now.
    pub(crate) fn replace(&mut self, groups: &Groups, before: &[Counted], after: &[Counted]) {
        self.shift(groups, before, after, None);
    }

    /// The same, and notes why the score moves.
    pub(crate) fn account(&mut self, groups: &Groups, (before, after): (&[Counted], &[Counted]), turn: Turn) {
        self.shift(groups, before, after, Some(turn));
    }

    fn shift(&mut self, groups: &Groups, before: &[Counted], after: &[Counted], turn: Option<Turn>) {
        self.count(before, -1);
        self.count(after, 1);
        for (verdicts, sign) in [(before, -1), (after, 1)] {
            for ordinal in decisive(groups, verdicts) {
                self.counts.entry(ordinal).or_default().decisive += sign;
            }
        }
        let (from, to) = (stands(groups, before), stands(groups, after));
        let names: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
        for name in names {
            let stand = |of: &BTreeMap<&str, Stand>| of.get(name).copied().unwrap_or_default();
            let (from, to) = (stand(&from), stand(&to));
            let mut delta = ScoreDelta::default();
            from.add_to(&mut delta, -1);
            to.add_to(&mut delta, 1);
            add(self.scores.entry(name.to_owned()).or_default(), delta);
            if let Some(turn) = turn.filter(|_| delta != ScoreDelta::default()) {
                add(self.moves.entry((name.to_owned(), turn.cause(from, to))).or_default(), delta);
            }
        }
    }

    fn count(&mut self, verdicts: &[Counted], sign: i64) {
        for Counted { ordinal, status, stale, .. } in verdicts {
            let delta = self.counts.entry(*ordinal).or_default();
            match status {
                Status::Healthy => delta.healthy += sign,
                Status::Exempt => delta.exempt += sign,
                Status::Unhealthy => delta.unhealthy += sign,
                Status::NotApplicable => delta.not_applicable += sign,
                Status::Unknown => delta.unknown += sign,
            }
            if matches!(status, Status::Healthy | Status::Unhealthy) {
                delta.stale += sign * i64::from(*stale);
            }
        }
    }

    /// Puts the moves where the store takes them from.
    pub(crate) fn hand_to(self, write: &mut VerdictWrite) {
        write.counts = self.counts.into_iter().collect();
        write.scores = self.scores.into_iter().collect();
        write.moves = self.moves.into_iter().map(|((group, cause), delta)| (group, cause, delta)).collect();
    }
}

fn add(sum: &mut ScoreDelta, delta: ScoreDelta) {
    sum.healthy += delta.healthy;
    sum.unhealthy += delta.unhealthy;
    sum.unknown += delta.unknown;
    sum.stale += delta.stale;
    sum.exempt += delta.exempt;
}

/// How a resource counts in one score group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    /// The worst verdict that earns or costs; `None` without any.
    pub(crate) worst: Option<Status>,
    /// Whether a verdict behind it is old.
    pub(crate) stale: bool,
    /// Exempt verdicts.
    pub(crate) exempt: u32,
}

impl Stand {
    fn add_to(self, delta: &mut ScoreDelta, sign: i64) {
        delta.exempt += sign * i64::from(self.exempt > 0);
        delta.stale += sign * i64::from(self.stale && self.worst != Some(Status::Unknown));
        match self.worst {
            Some(Status::Unhealthy) => delta.unhealthy += sign,
            Some(Status::Unknown) => delta.unknown += sign,
            Some(_) => delta.healthy += sign,
            None => {}
        }
    }
}

fn stands<'g>(groups: &'g Groups, verdicts: &[Counted]) -> BTreeMap<&'g str, Stand> {
    let mut stands: BTreeMap<&str, Stand> = BTreeMap::new();
    for Counted { ordinal, status, stale, unverified } in verdicts {
        let Some(Member { group, .. }) = groups.get(ordinal) else { continue };
        match status {
            // Neither earns nor costs.
            Status::NotApplicable => {}
            Status::Exempt => stands.entry(group).or_default().exempt += 1,
            _ => {
                let stand = stands.entry(group).or_default();
                let status = if *unverified { Status::Unhealthy } else { *status };
                stand.stale |= *stale || *unverified;
                if stand.worst.is_none_or(|worst| weight(status) > weight(worst)) {
                    stand.worst = Some(status);
                }
            }
        }
    }
    stands
}

/// Of each group in which one control alone is violated, by whatever parameters, the first check that tells.
fn decisive(groups: &Groups, verdicts: &[Counted]) -> impl Iterator<Item = i32> {
    // By group: the only violated control, if it is the only one.
    let mut alone: BTreeMap<&str, Option<(&str, i32)>> = BTreeMap::new();
    for Counted { ordinal, .. } in verdicts.iter().filter(|counted| counted.status == Status::Unhealthy) {
        let Some(Member { control, group }) = groups.get(ordinal) else { continue };
        let seen = alone.entry(group).or_insert(Some((control, *ordinal)));
        if seen.is_some_and(|(other, _)| other != control) {
            *seen = None;
        }
    }
    alone.into_values().flatten().map(|(_, ordinal)| ordinal)
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

    use super::{Counted, Counting, Groups, Member};

    /// Ordinals by group, each of a control of its own.
    fn groups<const N: usize>(of: [(i32, &str); N]) -> Groups {
        of.map(|(ordinal, group)| (ordinal, Member { control: format!("c{ordinal}"), group: group.to_owned() })).into()
    }

    fn fresh(verdicts: &[(i32, Status)]) -> Vec<Counted> {
        let fresh = |(ordinal, status): &(i32, Status)| Counted {
            ordinal: *ordinal,
            status: *status,
            stale: false,
            unverified: false,
        };
        verdicts.iter().map(fresh).collect()
    }

    #[test]
    fn a_resource_counts_once_per_group_with_its_worst_verdict() {
        let groups = groups([(0, "a"), (1, "a"), (2, "b")]);
        let mut counting = Counting::default();
        let verdicts = fresh(&[(0, Status::Healthy), (1, Status::Unknown), (2, Status::Unhealthy)]);
        counting.replace(&groups, &[], &verdicts);
        counting.replace(&groups, &verdicts, &fresh(&[(0, Status::Unhealthy), (2, Status::NotApplicable)]));
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        let (counts, scores) = (write.counts, write.scores);
        assert_eq!(counts[0], (0, CountDelta { unhealthy: 1, decisive: 1, ..CountDelta::default() }));
        assert_eq!(counts[1], (1, CountDelta::default()));
        assert_eq!(scores[0], ("a".to_owned(), ScoreDelta { unhealthy: 1, ..ScoreDelta::default() }));
        assert_eq!(scores[1], ("b".to_owned(), ScoreDelta::default()));
    }

    #[test]
    fn an_exempt_verdict_counts_apart_and_leaves_the_rest_of_its_group_alone() {
        let groups = groups([(0, "a"), (1, "a"), (2, "b")]);
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
        let groups = groups([(0, "a"), (1, "a")]);
        let mut counting = Counting::default();
        let mut verdicts = fresh(&[(0, Status::Healthy), (1, Status::Unhealthy)]);
        verdicts[0].stale = true;
        counting.replace(&groups, &[], &verdicts);
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        assert_eq!(write.counts[0].1, CountDelta { healthy: 1, stale: 1, ..CountDelta::default() });
        assert_eq!(write.counts[1].1, CountDelta { unhealthy: 1, decisive: 1, ..CountDelta::default() });
        assert_eq!(write.scores[0].1, ScoreDelta { unhealthy: 1, stale: 1, ..ScoreDelta::default() });
    }

    #[test]
    fn what_would_heal_a_group_alone_is_one_control_by_whatever_parameters() {
        let mut groups = groups([(0, "a"), (1, "a"), (2, "a")]);
        groups.insert(3, Member { control: "c0".into(), group: "a".into() });
        let decisive = |verdicts: &[(i32, Status)]| super::decisive(&groups, &fresh(verdicts)).collect::<Vec<_>>();
        assert_eq!(decisive(&[(0, Status::Unhealthy), (1, Status::Healthy), (2, Status::Exempt)]), [0]);
        assert_eq!(decisive(&[(0, Status::Unhealthy), (3, Status::Unhealthy)]), [0]);
        assert_eq!(decisive(&[(0, Status::Unhealthy), (1, Status::Unhealthy), (3, Status::Unhealthy)]), [0_i32; 0]);
        assert_eq!(decisive(&[(0, Status::Unknown), (9, Status::Unhealthy)]), [0_i32; 0]);
    }
}
