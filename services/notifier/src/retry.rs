use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rampart_store::webhook::Ending;

/// Attempts after which a delivery is given up: over about six hours.
pub(crate) const ATTEMPTS: i32 = 12;
/// The first wait; each is three times the one before.
const FIRST: f64 = 5.0;
/// The longest wait of our own choice.
const LONGEST: f64 = 3_600.0;
/// The longest wait that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_hours(6);

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The receiver answered so, and when it wants to be asked again.
    Answered(u16, Option<Duration>),
    /// There was no answer.
    Unanswered,
}

/// What becomes of a delivery. `attempts` of its own were made before and `failures` of its webhook one after the other;
/// `jitter` is 0 to 1.
pub(crate) fn ending(outcome: Outcome, attempts: i32, failures: i32, jitter: f64, now: DateTime<Utc>) -> Ending {
    let asked = match outcome {
        Outcome::Answered(200..=299, _) => return Ending::Delivered,
        Outcome::Answered(410, _) => return Ending::Gone,
        // The receiver read the message and will not take it; another may be fine.
        Outcome::Answered(400 | 413 | 414 | 415 | 422, _) => return Ending::Refused,
        Outcome::Answered(_, asked) => asked.map_or(Duration::ZERO, |asked| asked.min(LONGEST_ASKED)),
        Outcome::Unanswered => Duration::ZERO,
    };
    let own = (FIRST * 3_f64.powi(failures.clamp(0, 10))).min(LONGEST) * (0.8 + 0.4 * jitter);
    let wait = Duration::from_secs_f64(own).max(asked);
    let next = now + TimeDelta::from_std(wait).unwrap_or(TimeDelta::hours(1));
    if attempts + 1 >= ATTEMPTS { Ending::GivenUp(next) } else { Ending::Retry(next) }
}

/// `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?;
    (at.to_utc() - now).to_std().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[track_caller]
    fn check(outcome: Outcome, attempts: i32, failures: i32, expected: Ending) {
        assert_eq!(ending(outcome, attempts, failures, 0.5, now()), expected);
    }

    #[test]
    fn what_fails_is_tried_again_later_and_later_until_it_is_given_up() {
        let after = |seconds| now() + TimeDelta::seconds(seconds);
        check(Outcome::Answered(204, None), 3, 9, Ending::Delivered);
        check(Outcome::Answered(500, None), 0, 0, Ending::Retry(after(5)));
        check(Outcome::Unanswered, 1, 1, Ending::Retry(after(15)));
        check(Outcome::Unanswered, 2, 20, Ending::Retry(after(3_600)));
        check(Outcome::Answered(302, None), 10, 10, Ending::Retry(after(3_600)));
        check(Outcome::Answered(500, None), 11, 11, Ending::GivenUp(after(3_600)));
        let asked = |seconds| Some(Duration::from_secs(seconds));
        check(Outcome::Answered(429, asked(120)), 0, 0, Ending::Retry(after(120)));
        check(Outcome::Answered(503, asked(1)), 0, 0, Ending::Retry(after(5)));
        check(Outcome::Answered(503, asked(u64::MAX)), 0, 0, Ending::Retry(after(6 * 3_600)));
        check(Outcome::Answered(410, None), 0, 0, Ending::Gone);
        check(Outcome::Answered(422, None), 0, 0, Ending::Refused);
    }

    #[test]
    fn the_waits_of_a_delivery_add_up_to_hours() {
        let waits = (0..ATTEMPTS - 1).map(|n| match ending(Outcome::Unanswered, n, n, 0.5, now()) {
            Ending::Retry(at) => (at - now()).num_seconds(),
            other => panic!("{other:?}"),
        });
        let hours = waits.sum::<i64>() / 3_600;
        assert!((4..=8).contains(&hours), "{hours}");
        let at = |jitter| match ending(Outcome::Unanswered, 0, 0, jitter, now()) {
            Ending::Retry(at) => (at - now()).num_milliseconds(),
            other => panic!("{other:?}"),
        };
        assert_eq!((at(0.0), at(1.0)), (4_000, 6_000), "not all at once");
    }

    #[test]
    fn a_receiver_says_when_in_seconds_or_as_a_date() {
        assert_eq!(retry_after(" 120", now()), Some(Duration::from_mins(2)));
        let date = (now() + TimeDelta::seconds(90)).to_rfc2822();
        assert_eq!(retry_after(&date, now()), Some(Duration::from_secs(90)));
        for text in ["soon", "-5", "", "Wed, 21 Oct 2015 07:28:00 GMT"] {
            assert_eq!(retry_after(text, now()), None, "{text}");
        }
    }
}
