use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Limits;

/// Time in which a lowered rate climbs from nothing back to its ceiling.
const RECOVERY: Duration = Duration::from_mins(1);
/// A burst of throttled answers comes from one cause: the rate is halved at most this often.
const CUT_EVERY: Duration = Duration::from_secs(1);
/// The rate never falls below its ceiling divided by this.
const FLOOR: f64 = 64.0;

/// A token bucket whose rate halves when the provider throttles and climbs back with time.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<State>);

#[derive(Debug)]
struct State {
    ceiling: f64,
    burst: f64,
    rate: f64,
    /// Negative while callers wait for tokens that were promised to them.
    tokens: f64,
    at: Instant,
    held_until: Option<Instant>,
    cut_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(limits: &Limits, now: Instant) -> Self {
        let burst = f64::from(limits.burst.max(1));
        let ceiling = limits.rate.max(0.01);
        Self(Mutex::new(State {
            ceiling,
            burst,
            rate: ceiling,
            tokens: burst,
            at: now,
            held_until: None,
            cut_at: None,
        }))
    }

    /// Takes a token and says how long to wait before using it.
    pub(crate) fn reserve(&self, now: Instant) -> Duration {
        self.with(now, |state| {
            state.tokens -= 1.0;
            if state.tokens >= 0.0 { Duration::ZERO } else { Duration::from_secs_f64(-state.tokens / state.rate) }
        })
    }

    /// How long the provider wants to be left alone.
    pub(crate) fn held(&self, now: Instant) -> Duration {
        self.with(now, |state| state.held_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)))
    }

    /// The provider throttled: slow down, and let nobody ask again before `hold` is over.
    pub(crate) fn throttled(&self, now: Instant, hold: Option<Duration>) {
        self.with(now, |state| {
            if state.cut_at.is_none_or(|at| now.saturating_duration_since(at) >= CUT_EVERY) {
                state.rate = (state.rate / 2.0).max(state.ceiling / FLOOR);
                state.tokens = state.tokens.min(0.0);
                state.cut_at = Some(now);
            }
            if let Some(hold) = hold {
                state.held_until = state.held_until.max(Some(now + hold));
            }
        });
    }

    fn with<T>(&self, now: Instant, act: impl FnOnce(&mut State) -> T) -> T {
        // The state is numbers only: a panic between two writes leaves nothing that could mislead.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(state.at);
        state.at = state.at.max(now);
        state.tokens = elapsed.as_secs_f64().mul_add(state.rate, state.tokens).min(state.burst);
        let regained = state.ceiling * elapsed.as_secs_f64() / RECOVERY.as_secs_f64();
        state.rate = (state.rate + regained).min(state.ceiling);
        act(&mut state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: f64, burst: u32) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(&Limits { rate, burst, ..Limits::default() }, now), now)
    }

    #[test]
    fn a_burst_passes_and_the_rest_queues_at_the_rate() {
        let (pace, now) = pace(10.0, 2);
        assert_eq!(pace.reserve(now), Duration::ZERO);
        assert_eq!(pace.reserve(now), Duration::ZERO);
        assert_eq!(pace.reserve(now), Duration::from_millis(100));
        assert_eq!(pace.reserve(now), Duration::from_millis(200));
        assert_eq!(pace.reserve(now + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn throttling_halves_the_rate_once_a_second_and_time_restores_it() {
        let (pace, now) = pace(10.0, 2);
        for _ in 0..5 {
            pace.throttled(now, None);
        }
        assert_eq!(pace.reserve(now), Duration::from_millis(200), "one cut, and no burst left");
        let later = now + RECOVERY * 2;
        assert_eq!((pace.reserve(later), pace.reserve(later)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(pace.reserve(later), Duration::from_millis(100));
    }

    #[test]
    fn a_hold_counts_for_the_whole_bucket_and_is_never_shortened() {
        let (pace, now) = pace(10.0, 2);
        pace.throttled(now, Some(Duration::from_secs(3)));
        pace.throttled(now, Some(Duration::from_secs(1)));
        assert_eq!(pace.held(now + Duration::from_secs(1)), Duration::from_secs(2));
        assert_eq!(pace.held(now + Duration::from_secs(4)), Duration::ZERO);
    }
}
