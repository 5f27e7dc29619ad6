//! Why a resource counts otherwise in a score group than before: what the score's history attributes its moves to.

use rampart_domain::{Cause, ScoreCause, Status};

use crate::counting::Stand;

/// What happened to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Why it was looked at.
    pub(crate) cause: Cause,
    pub(crate) fate: Fate,
}

/// Whether a resource has verdicts of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It had none before.
    New,
    /// It had, and has.
    Known,
    /// It has none any more.
    Ended,
}

impl Turn {
    /// What a move of a group is attributed to. What is [`ScoreCause::AccessLost`] never earns: it takes a healthy resource
    /// away, makes one unhealthy, or only makes it old.
    pub(crate) fn cause(self, from: Stand, to: Stand) -> ScoreCause {
        let unhealthy = Some(Status::Unhealthy);
        let violates = to.worst == unhealthy;
        match (self.cause, self.fate) {
            (Cause::Gone, _) => ScoreCause::ResourceGone,
            (Cause::Control, _) => ScoreCause::Content,
            // The checks are the same, and so are their parameters.
            (Cause::Parameter, _) if from.exempt == to.exempt => ScoreCause::Content,
            (Cause::Coverage, Fate::New) => ScoreCause::AccessRegained,
            (Cause::Discovered | Cause::Resource | Cause::Neighbour, Fate::New) => ScoreCause::ResourceNew,
            (_, Fate::Ended) => ScoreCause::Changed,
            _ if to.exempt > from.exempt => ScoreCause::Exempted,
            (Cause::Exemption | Cause::Parameter, _) if to.exempt < from.exempt => ScoreCause::ExemptionEnded,
            _ if to.exempt < from.exempt && violates => ScoreCause::ExemptionEnded,
            (Cause::Coverage, _) => of_coverage(from, to),
            _ if violates && from.worst != unhealthy => ScoreCause::FindingNew,
            _ if !violates && (from.worst == unhealthy || to.exempt < from.exempt) => ScoreCause::Fixed,
            _ => ScoreCause::Changed,
        }
    }
}

fn of_coverage(from: Stand, to: Stand) -> ScoreCause {
    if known(to) >= known(from) {
        return ScoreCause::AccessRegained;
    }
    let healed = from.worst == Some(Status::Unhealthy) && to.worst != from.worst;
    let earned = to.worst == Some(Status::Healthy) && to.worst != from.worst;
    if healed || earned { ScoreCause::Changed } else { ScoreCause::AccessLost }
}

/// How much is known: nothing, what once was, what is.
const fn known(stand: Stand) -> u8 {
    match (stand.worst, stand.stale) {
        (Some(Status::Unknown), _) => 0,
        (_, true) => 1,
        (_, false) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Option<Status>; 4] = [None, Some(Status::Healthy), Some(Status::Unhealthy), Some(Status::Unknown)];

    fn stand(worst: Option<Status>, stale: bool, exempt: u32) -> Stand {
        Stand { worst, stale, exempt }
    }

    #[track_caller]
    fn check(cause: Cause, from: Stand, to: Stand, wanted: ScoreCause) {
        assert_eq!(Turn { cause, fate: Fate::Known }.cause(from, to), wanted);
    }

    #[test]
    fn a_move_is_attributed_to_what_brought_it() {
        let (none, healthy) = (stand(None, false, 0), stand(Some(Status::Healthy), false, 0));
        let (bad, unknown) = (stand(Some(Status::Unhealthy), false, 0), stand(Some(Status::Unknown), false, 0));
        let exempt = stand(None, false, 1);
        check(Cause::Resource, bad, healthy, ScoreCause::Fixed);
        check(Cause::Neighbour, healthy, bad, ScoreCause::FindingNew);
        check(Cause::Resource, unknown, healthy, ScoreCause::Changed);
        check(Cause::Control, bad, healthy, ScoreCause::Content);
        check(Cause::Parameter, bad, none, ScoreCause::Content);
        check(Cause::Parameter, bad, exempt, ScoreCause::Exempted);
        check(Cause::Exemption, exempt, bad, ScoreCause::ExemptionEnded);
        check(Cause::Resource, exempt, bad, ScoreCause::ExemptionEnded);
        check(Cause::Resource, exempt, healthy, ScoreCause::Fixed);
        check(Cause::Resource, bad, exempt, ScoreCause::Exempted);
        check(Cause::Coverage, unknown, bad, ScoreCause::AccessRegained);
        check(Cause::Coverage, healthy, unknown, ScoreCause::AccessLost);
        check(Cause::Coverage, bad, stand(bad.worst, true, 0), ScoreCause::AccessLost);
        check(Cause::Gone, bad, none, ScoreCause::ResourceGone);
        let turn = Turn { cause: Cause::Discovered, fate: Fate::New };
        assert_eq!(turn.cause(none, bad), ScoreCause::ResourceNew);
        let turn = Turn { cause: Cause::Resource, fate: Fate::Ended };
        assert_eq!(turn.cause(bad, none), ScoreCause::Changed, "it is judged through its owner");
    }

    #[test]
    fn lost_access_never_earns() {
        for (from, to) in ALL.iter().flat_map(|from| ALL.iter().map(move |to| (*from, *to))) {
            for old in [(false, false), (false, true), (true, false), (true, true)] {
                let (from, to) = (stand(from, old.0, 0), stand(to, old.1, 0));
                let cause = Turn { cause: Cause::Coverage, fate: Fate::Known }.cause(from, to);
                let is = |stand: Stand, status| i32::from(stand.worst == Some(status));
                let healthy = is(to, Status::Healthy) - is(from, Status::Healthy);
                let unhealthy = is(to, Status::Unhealthy) - is(from, Status::Unhealthy);
                assert!(cause != ScoreCause::AccessLost || (healthy <= 0 && unhealthy >= 0), "{from:?} {to:?}");
            }
        }
    }
}
