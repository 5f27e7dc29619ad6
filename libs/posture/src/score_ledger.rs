//! How much of a change of the secure score came from what.
//!
//! A score is no sum of what happened: two fixes in one group earn otherwise than each alone. The parts of a change are
//! therefore worked out one after another, in the order of [`ScoreCause`]: what the score moves by when the moves of one
//! cause are laid over those before it is that cause's part. The parts add up to the change exactly, since each begins where
//! the one before ended, and since all is counted in whole steps.

use std::collections::BTreeMap;

use rampart_content::ScoreGroup;
use rampart_domain::ScoreCause;

use crate::score::{ControlTally, Score, Tally, score};

/// Steps to a percentage point: scores of a history have four decimals.
pub const STEPS: i64 = 10_000;

/// Counters of one score group, or how much they move, in resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Healthy.
    pub healthy: i64,
    /// Unhealthy.
    pub unhealthy: i64,
    /// Unknown.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, the stale.
    pub stale: i64,
    /// Exempt.
    pub exempt: i64,
}

impl Counts {
    fn plus(self, other: Self, sign: i64) -> Self {
        Self {
            healthy: self.healthy + sign * other.healthy,
            unhealthy: self.unhealthy + sign * other.unhealthy,
            unknown: self.unknown + sign * other.unknown,
            stale: self.stale + sign * other.stale,
            exempt: self.exempt + sign * other.exempt,
        }
    }

    /// Between two moves a counter may be below zero, when what one cause adds another takes away again.
    fn tally(self) -> Tally {
        let count = |number: i64| number.max(0).unsigned_abs();
        Tally {
            healthy: count(self.healthy),
            unhealthy: count(self.unhealthy),
            unknown: count(self.unknown),
            stale: count(self.stale),
            exempt: count(self.exempt),
        }
    }
}

/// A move of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move<'a> {
    /// Id of the group.
    pub group: &'a str,
    /// Why.
    pub cause: ScoreCause,
    /// By how much.
    pub by: Counts,
}

/// The counters of a scope at one moment, by group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<String, Counts>);

impl<'a> FromIterator<(&'a str, Counts)> for Standing {
    fn from_iter<I: IntoIterator<Item = (&'a str, Counts)>>(groups: I) -> Self {
        Self(groups.into_iter().map(|(group, counts)| (group.to_owned(), counts)).collect())
    }
}

impl Standing {
    /// What it was before some moves.
    pub fn undo<'a>(&mut self, moves: impl IntoIterator<Item = Move<'a>>) {
        moves.into_iter().for_each(|it| self.lay(it, -1));
    }

    fn lay(&mut self, it: Move<'_>, sign: i64) {
        let counts = self.0.entry(it.group.to_owned()).or_default();
        *counts = counts.plus(it.by, sign);
    }

    /// Scores it. Groups weigh as `groups` says, whenever it was.
    pub fn score(&self, groups: &[ScoreGroup]) -> Score {
        let tallies: Vec<ControlTally<'_>> =
            self.0.iter().map(|(group, counts)| ControlTally { group, tally: counts.tally() }).collect();
        score(groups, &tallies)
    }

    /// Lays moves over it and tells what each cause did to the score.
    pub fn apply<'a>(&mut self, groups: &[ScoreGroup], moves: impl IntoIterator<Item = Move<'a>>) -> Ledger {
        let mut by_cause: BTreeMap<ScoreCause, Vec<Move<'a>>> = BTreeMap::new();
        for it in moves {
            by_cause.entry(it.cause).or_default().push(it);
        }
        let before = steps(self.score(groups).percent);
        let (mut parts, mut last) = (Vec::new(), before);
        for (cause, moves) in by_cause {
            for it in moves {
                self.lay(it, 1);
            }
            let now = steps(self.score(groups).percent);
            parts.push((cause, now - last));
            last = now;
        }
        Ledger { change: last - before, parts }
    }
}

/// A change of a score, in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// By how much the score moved. No score counts as 0.
    pub change: i64,
    /// How much of it came from what; of what moved anything.
    pub parts: Vec<(ScoreCause, i64)>,
}

/// A score in steps; none counts as 0.
pub fn steps(percent: Option<f64>) -> i64 {
    percent.map_or(0, |percent| (percent * STEPS as f64).round() as i64)
}

/// Steps in percentage points.
pub fn points(steps: i64) -> f64 {
    steps as f64 / STEPS as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 3] = ["a", "b", "c"];

    fn groups() -> Vec<ScoreGroup> {
        [("a", 6), ("b", 4), ("c", 0)]
            .map(|(id, points)| ScoreGroup { id: id.into(), title: id.into(), points })
            .to_vec()
    }

    /// Where a resource stands in a group: not at all, healthy, unhealthy or unknown; and whether that is stale.
    type Place = (usize, bool);

    fn counts((at, stale): Place) -> Counts {
        let one = |place| i64::from(at == place);
        Counts {
            healthy: one(1),
            unhealthy: one(2),
            unknown: one(3),
            stale: i64::from(stale && (at == 1 || at == 2)),
            exempt: 0,
        }
    }

    fn moved(group: usize, cause: ScoreCause, from: Place, to: Place) -> Move<'static> {
        Move { group: NAMES[group], cause, by: counts(to).plus(counts(from), -1) }
    }

    #[test]
    fn parts_follow_one_another() {
        let mut standing: Standing =
            [("a", Counts { healthy: 1, unhealthy: 3, ..Counts::default() })].into_iter().collect();
        let fixed = moved(0, ScoreCause::Fixed, (2, false), (1, false));
        let new = moved(0, ScoreCause::ResourceNew, (0, false), (2, false));
        let ledger = standing.apply(&groups(), [fixed, new, fixed]);
        // 1 of 4, then 1 of 5, then 3 of 5.
        let parts = vec![(ScoreCause::ResourceNew, -50_000), (ScoreCause::Fixed, 400_000)];
        assert_eq!(ledger, Ledger { change: 350_000, parts });
        standing.undo([fixed, new, fixed]);
        assert_eq!(standing.score(&groups()).percent, Some(25.0));
    }

    proptest! {
        #[test]
        fn parts_add_up_and_the_past_comes_back(
            resources in prop::collection::vec((0..3_usize, 0..4_usize), 0..40),
            turns in prop::collection::vec(
                (any::<prop::sample::Index>(), 0..4_usize, any::<bool>(), 0..ScoreCause::ALL.len()), 0..60),
        ) {
            let mut at: Vec<(usize, Place)> = resources.iter().map(|(group, place)| (*group, (*place, false))).collect();
            let mut standing = Standing::default();
            standing.undo(at.iter().map(|(group, place)| moved(*group, ScoreCause::Changed, *place, (0, false))));
            let (start, before) = (standing.clone(), steps(standing.score(&groups()).percent));
            let mut moves = Vec::new();
            for (index, place, stale, cause) in turns.into_iter().filter(|_| !resources.is_empty()) {
                let (group, from) = &mut at[index.index(resources.len())];
                moves.push(moved(*group, ScoreCause::ALL[cause], *from, (place, stale)));
                *from = (place, stale);
            }
            let ledger = standing.apply(&groups(), moves.iter().copied());
            let after = steps(standing.score(&groups()).percent);
            prop_assert_eq!(ledger.change, after - before);
            prop_assert_eq!(ledger.parts.iter().map(|(_, part)| part).sum::<i64>(), ledger.change);
            // In points, as people add them up with four decimals.
            let sum: f64 = ledger.parts.iter().map(|(_, part)| points(*part)).sum();
            prop_assert_eq!((sum * STEPS as f64).round() as i64, ledger.change);
            standing.undo(moves);
            prop_assert_eq!(standing.score(&groups()), start.score(&groups()));
        }

        /// Lost access makes things old; what was healthy may become unknown, and what was unhealthy goes on costing.
        #[test]
        fn lost_access_never_raises_a_score(
            resources in prop::collection::vec((0..3_usize, 1..4_usize, any::<bool>()), 1..40),
            lost in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..40),
        ) {
            let mut at: Vec<(usize, Place)> = resources.iter().map(|(group, place, stale)| (*group, (*place, *stale))).collect();
            let mut standing = Standing::default();
            standing.undo(at.iter().map(|(group, place)| moved(*group, ScoreCause::Changed, *place, (0, false))));
            let mut moves = Vec::new();
            for (index, expired) in lost {
                let (group, from) = &mut at[index.index(resources.len())];
                let to = if expired && from.0 == 1 { (3, false) } else { (from.0, true) };
                moves.push(moved(*group, ScoreCause::AccessLost, *from, to));
                *from = to;
            }
            let ledger = standing.apply(&groups(), moves);
            prop_assert!(ledger.change <= 0, "{:?}", ledger);
        }
    }
}
