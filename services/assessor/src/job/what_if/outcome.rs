use std::collections::{BTreeMap, BTreeSet};

use rampart_content::{Catalogue, Framework};
use rampart_posture::compliance::{RequirementStatus, answers};
use rampart_posture::score::{ControlTally, Tally, score};
use rampart_store::job::what_if::{Capped, Counts, Fixed, FrameworkMoved, Moved, Outcome, Pair, Score, Standing};
use rampart_store::verdict::VerdictWrite;
use rampart_store::{TenantTx, recommendation, score as counters};

use super::Question;
use super::change::Fix;
use super::tally::Difference;
use crate::counting::Counting;
use crate::job::JobError;

/// Fixes told of.
const FIXES: usize = 500;

type Counted = BTreeMap<String, Counts>;

/// What the caller is told.
pub(super) async fn of(
    tx: &mut TenantTx,
    question: &Question<'_>,
    difference: Difference,
    fixes: Vec<Fix>,
) -> Result<Outcome, JobError> {
    let catalogue = &question.desk.knowledge.catalogue;
    let groups: Vec<(String, String)> =
        catalogue.controls().map(|control| (control.id.clone(), control.group.clone())).collect();
    let mut by_group = Counted::new();
    for row in counters::groups(tx, &question.reach, &groups).await? {
        let counts = Counts {
            healthy: row.healthy,
            unhealthy: row.unhealthy,
            not_applicable: 0,
            unknown: row.unknown,
            stale: row.stale,
            exempt: row.exempt,
        };
        by_group.insert(row.score_group, counts);
    }
    let mut by_control = Counted::new();
    for (control, row) in recommendation::counts(tx, &question.reach, &[]).await? {
        let counts = Counts {
            healthy: row.healthy,
            unhealthy: row.unhealthy,
            not_applicable: row.not_applicable,
            unknown: row.unknown,
            stale: row.stale,
            exempt: row.exempt,
        };
        by_control.insert(control, counts);
    }
    let Difference { before, after, healed, .. } = difference;
    let base = Totals { by_group, by_control };
    let (before, after) = (base.moved(question, before), base.moved(question, after));
    let fixes = Capped {
        total: fixes.len(),
        items: fixes
            .into_iter()
            .take(FIXES)
            .map(|fix| Fixed {
                change: fix.change,
                status: healed.get(&(fix.resource, fix.control.clone())).map(|status| status.as_str().to_owned()),
                control_id: fix.control,
                resource_id: fix.resource,
                method: fix.method,
            })
            .collect(),
    };
    let in_order = |id: &String| catalogue.groups().iter().position(|group| group.id == *id);
    let mut moved_groups = moved(&before.by_group, &after.by_group);
    moved_groups.sort_by_key(|group| in_order(&group.id));
    Ok(Outcome {
        as_of: question.now,
        units: difference.units,
        unsettled: difference.unsettled,
        judged: difference.judged,
        score: Pair { before: before.score(catalogue), after: after.score(catalogue) },
        groups: moved_groups,
        controls: moved(&before.by_control, &after.by_control),
        frameworks: catalogue.frameworks().filter_map(|it| framework(catalogue, it, &before, &after)).collect(),
        newly_failing: difference.newly_failing.told(),
        newly_passing: difference.newly_passing.told(),
        otherwise: difference.otherwise.told(),
        fixes,
    })
}

/// Counters of all that is compared.
#[derive(Clone)]
struct Totals {
    by_group: Counted,
    by_control: Counted,
}

impl Totals {
    fn moved(&self, question: &Question<'_>, counting: Counting) -> Self {
        let mut totals = self.clone();
        let mut write = VerdictWrite::default();
        counting.hand_to(&mut write);
        for (ordinal, delta) in write.counts {
            let Some(check) = question.policies.check(ordinal) else { continue };
            let counts = totals.by_control.entry(check.control_id.clone()).or_default();
            counts.healthy += delta.healthy;
            counts.unhealthy += delta.unhealthy;
            counts.not_applicable += delta.not_applicable;
            counts.unknown += delta.unknown;
            counts.stale += delta.stale;
            counts.exempt += delta.exempt;
        }
        for (group, delta) in write.scores {
            let counts = totals.by_group.entry(group).or_default();
            counts.healthy += delta.healthy;
            counts.unhealthy += delta.unhealthy;
            counts.unknown += delta.unknown;
            counts.stale += delta.stale;
            counts.exempt += delta.exempt;
        }
        totals
    }

    fn score(&self, catalogue: &Catalogue) -> Score {
        let tallies: Vec<ControlTally<'_>> =
            self.by_group.iter().map(|(group, counts)| ControlTally { group, tally: tally(counts) }).collect();
        let score = score(catalogue.groups(), &tallies);
        Score { percent: score.percent, current: score.current, max: score.max, coverage: score.coverage }
    }

    fn statuses(&self, catalogue: &Catalogue, framework: &Framework) -> Vec<(String, RequirementStatus)> {
        let of = |id: &str| self.by_control.get(id).map_or_else(Tally::default, tally);
        let answers = answers(catalogue, framework).into_iter();
        let statuses = answers.map(|(requirement, controls)| {
            let tallies: Vec<Tally> = controls.iter().map(|control| of(&control.id)).collect();
            (requirement.id.clone(), RequirementStatus::of(requirement.assessment, &tallies))
        });
        statuses.collect()
    }
}

fn tally(counts: &Counts) -> Tally {
    let count = |number: i64| number.max(0).unsigned_abs();
    Tally {
        healthy: count(counts.healthy),
        unhealthy: count(counts.unhealthy),
        unknown: count(counts.unknown),
        stale: count(counts.stale),
        exempt: count(counts.exempt),
    }
}

fn moved(before: &Counted, after: &Counted) -> Vec<Moved<Counts>> {
    let ids: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let of = |counted: &Counted, id: &String| counted.get(id).copied().unwrap_or_default();
    let pairs = ids.into_iter().map(|id| (id, Pair { before: of(before, id), after: of(after, id) }));
    pairs.filter(|(_, pair)| pair.before != pair.after).map(|(id, pair)| Moved { id: id.clone(), pair }).collect()
}

/// How a framework would be met otherwise; `None` when no requirement would.
fn framework(catalogue: &Catalogue, framework: &Framework, before: &Totals, after: &Totals) -> Option<FrameworkMoved> {
    let (before, after) = (before.statuses(catalogue, framework), after.statuses(catalogue, framework));
    let both = before.iter().zip(&after);
    let word = |status: &RequirementStatus| status.as_str().to_owned();
    let requirements: Vec<Moved<String>> = both
        .filter(|((_, before), (_, after))| before != after)
        .map(|((id, before), (_, after))| Moved {
            id: id.clone(),
            pair: Pair { before: word(before), after: word(after) },
        })
        .collect();
    let pair = Pair { before: standing(&before), after: standing(&after) };
    (!requirements.is_empty()).then(|| FrameworkMoved { id: framework.id.clone(), pair, requirements })
}

fn standing(statuses: &[(String, RequirementStatus)]) -> Standing {
    let count = |wanted| statuses.iter().filter(|(_, status)| *status == wanted).count();
    let (passed, failed) = (count(RequirementStatus::Passed), count(RequirementStatus::Failed));
    let decided = passed + failed;
    Standing {
        percent: (decided > 0).then(|| passed as f64 * 100.0 / decided as f64),
        passed,
        failed,
        unknown: count(RequirementStatus::Unknown),
        manual: count(RequirementStatus::Manual),
        not_assessed: count(RequirementStatus::NotAssessed),
    }
}
