//! The secure score: how much of what could be earned is earned.
//!
//! A group earns `points × healthy / (healthy + unhealthy)`. A scope's score is what its groups earn over what they
//! could earn; groups that judge nothing there are left out. Several scopes are weighted by their resources. Unknown
//! verdicts earn nothing and cost nothing, and stale ones count as they last stood, so that lost access never raises a
//! score: how many of both there are is stated beside the score, as coverage.

use std::iter::Sum;
use std::ops::Add;

use rampart_content::ScoreGroup;

/// Verdicts by what they mean for the score. What is not applicable or managed by the platform is not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Known to be as it should be.
    pub healthy: u64,
    /// Known not to be.
    pub unhealthy: u64,
    /// Not known.
    pub unknown: u64,
    /// Of the healthy and unhealthy ones, those that rest on a reading which could not be repeated.
    pub stale: u64,
    /// Exempt: neither earns nor costs anything, and is shown.
    pub exempt: u64,
}

impl Tally {
    const fn known(self) -> u64 {
        self.healthy + self.unhealthy
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            healthy: self.healthy + other.healthy,
            unhealthy: self.unhealthy + other.unhealthy,
            unknown: self.unknown + other.unknown,
            stale: self.stale + other.stale,
            exempt: self.exempt + other.exempt,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}

/// Verdicts of one control, with the group that it counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlTally<'a> {
    /// Id of the control's group.
    pub group: &'a str,
    /// Its verdicts in the scope.
    pub tally: Tally,
}

/// The score of one scope.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// 0 to 100; `None` when nothing is known that could earn a point.
    pub percent: Option<f64>,
    /// Points earned.
    pub current: f64,
    /// Points that could be earned.
    pub max: u32,
    /// Share of the verdicts that are known from a current reading, 0 to 1; `None` when there are none at all.
    pub coverage: Option<f64>,
    /// The groups that judge something here, in the order of the catalogue.
    pub groups: Vec<GroupScore>,
}

/// One group's part of a score.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupScore {
    /// Id of the group.
    pub group: String,
    /// Points earned.
    pub current: f64,
    /// Points that could be earned.
    pub max: u32,
    /// Verdicts.
    pub tally: Tally,
}

/// Scores a scope. Tallies of groups that the catalogue does not have are ignored.
pub fn score(groups: &[ScoreGroup], tallies: &[ControlTally<'_>]) -> Score {
    let scored = groups.iter().filter_map(|group| {
        let tally: Tally = tallies.iter().filter(|control| control.group == group.id).map(|c| c.tally).sum();
        (tally != Tally::default()).then(|| GroupScore {
            group: group.id.clone(),
            current: earned(group.points, tally),
            // A group of which nothing is known could neither earn nor lose anything.
            max: if tally.known() == 0 { 0 } else { group.points },
            tally,
        })
    });
    let groups: Vec<GroupScore> = scored.collect();
    let current = groups.iter().map(|group| group.current).sum();
    let max = groups.iter().map(|group| group.max).sum();
    let all: Tally = groups.iter().map(|group| group.tally).sum();
    Score {
        percent: (max > 0).then(|| percent(current, max)),
        current,
        max,
        coverage: (all.known() + all.unknown > 0)
            .then(|| all.known().saturating_sub(all.stale) as f64 / (all.known() + all.unknown) as f64),
        groups,
    }
}

fn earned(points: u32, tally: Tally) -> f64 {
    match tally.known() {
        0 => 0.0,
        known => f64::from(points) * tally.healthy as f64 / known as f64,
    }
}

fn percent(current: f64, max: u32) -> f64 {
    // Rounding in the sum may leave the range by the last bit.
    (100.0 * current / f64::from(max)).clamp(0.0, 100.0)
}

/// The score of several scopes, each weighted by its number of resources. Scopes without a score are left out; `None`
/// when no scope has one.
pub fn combined(scopes: impl IntoIterator<Item = (Option<f64>, u64)>) -> Option<f64> {
    let mut sum = 0.0;
    let mut weight = 0;
    for (percent, resources) in scopes {
        if let Some(percent) = percent {
            sum += percent * resources as f64;
            weight += resources;
        }
    }
    (weight > 0).then(|| (sum / weight as f64).clamp(0.0, 100.0))
}

/// Percentage points that a scope would gain if every unhealthy verdict of `control` (one of `tallies`) were healthy.
pub fn gain(groups: &[ScoreGroup], tallies: &[ControlTally<'_>], control: ControlTally<'_>) -> f64 {
    let score = score(groups, tallies);
    let Some(group) = score.groups.iter().find(|group| group.group == control.group) else { return 0.0 };
    let healed = control.tally.unhealthy.min(group.tally.unhealthy);
    let tally =
        Tally { healthy: group.tally.healthy + healed, unhealthy: group.tally.unhealthy - healed, ..group.tally };
    if score.max == 0 {
        return 0.0;
    }
    100.0 * (earned(group.max, tally) - group.current) / f64::from(score.max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rampart_content::ScoreGroup;

    use super::{ControlTally, Tally, combined, gain, score};

    fn groups() -> Vec<ScoreGroup> {
        [("a", 6), ("b", 4), ("c", 0)]
            .map(|(id, points)| ScoreGroup { id: id.into(), title: id.into(), points })
            .to_vec()
    }

    const fn tally(group: &str, healthy: u64, unhealthy: u64, unknown: u64) -> ControlTally<'_> {
        ControlTally { group, tally: Tally { healthy, unhealthy, unknown, stale: 0, exempt: 0 } }
    }

    #[track_caller]
    fn check(tallies: &[ControlTally<'_>], percent: Option<f64>, coverage: Option<f64>) {
        let score = score(&groups(), tallies);
        assert_eq!(score.percent.map(|p| (p * 100.0).round() / 100.0), percent, "percent of {score:?}");
        assert_eq!(score.coverage, coverage, "coverage of {score:?}");
    }

    #[test]
    fn groups_earn_by_their_healthy_share() {
        check(&[tally("a", 1, 1, 0), tally("b", 4, 0, 0)], Some(70.0), Some(1.0));
        check(&[tally("a", 1, 0, 0), tally("a", 0, 1, 0)], Some(50.0), Some(1.0));
    }

    #[test]
    fn groups_without_resources_are_left_out() {
        check(&[tally("b", 1, 3, 0)], Some(25.0), Some(1.0));
        check(&[], None, None);
        check(&[tally("c", 1, 1, 0)], None, Some(1.0));
    }

    #[test]
    fn unknown_is_coverage_and_never_health() {
        check(&[tally("a", 0, 0, 5)], None, Some(0.0));
        check(&[tally("a", 1, 1, 2), tally("b", 0, 0, 4)], Some(50.0), Some(0.25));
    }

    #[test]
    fn exempt_verdicts_are_shown_and_neither_earn_nor_cost() {
        let mut exempt = tally("a", 1, 1, 0);
        exempt.tally.exempt = 5;
        check(&[exempt], Some(50.0), Some(1.0));
        exempt.tally = Tally { exempt: 5, ..Tally::default() };
        check(&[exempt], None, None);
        assert_eq!(score(&groups(), &[exempt]).groups[0].tally.exempt, 5);
    }

    #[test]
    fn stale_verdicts_count_as_they_stood_and_lower_the_coverage() {
        let mut stale = tally("a", 1, 3, 0);
        stale.tally.stale = 2;
        check(&[stale], Some(25.0), Some(0.5));
    }

    #[test]
    fn scopes_are_weighted_by_resources() {
        assert_eq!(combined([(Some(100.0), 1), (Some(0.0), 3), (None, 50)]), Some(25.0));
        assert_eq!(combined([(None, 3)]), None);
    }

    proptest! {
        #[test]
        fn a_score_stays_in_range_and_healing_never_lowers_it(
            counts in prop::collection::vec((0..3_usize, 0..50_u64, 0..50_u64, 0..9_u64), 1..8),
            pick in any::<prop::sample::Index>(),
        ) {
            let names = ["a", "b", "c"];
            let tallies: Vec<_> = counts.iter().map(|(group, h, u, x)| tally(names[*group], *h, *u, *x)).collect();
            let before = score(&groups(), &tallies);
            prop_assert!(before.percent.is_none_or(|percent| (0.0..=100.0).contains(&percent)));
            prop_assert!(before.coverage.is_none_or(|coverage| (0.0..=1.0).contains(&coverage)));

            let index = pick.index(tallies.len());
            let mut healed = tallies.clone();
            let it = &mut healed[index].tally;
            *it = Tally { healthy: it.healthy + it.unhealthy, unhealthy: 0, ..*it };
            let after = score(&groups(), &healed);
            if let (Some(before), Some(after)) = (before.percent, after.percent) {
                let gain = gain(&groups(), &tallies, tallies[index]);
                prop_assert!(gain >= 0.0 && (after - before - gain).abs() < 1e-6, "{before} + {gain} != {after}");
            }
        }
    }
}
