//! How often one caller may ask, over all replicas.
//!
//! Time is cut into windows of [`WINDOW`]. Of what a caller may do in a window, a replica takes slices of a tenth from one
//! row and spends them by itself, so that a busy caller costs ten writes a window and not one a request. Callers that ask
//! little cost none: a replica admits a twentieth of the limit before it takes its first slice, which then pays for them.
//! Over all replicas no more is admitted in a window than the limit and a twentieth of it for each replica.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rampart_domain::{ActorId, TenantId};
use rampart_store::rate_window::{self, Slice};
use rampart_store::{Store, StoreError};

/// How long a window is.
pub(crate) const WINDOW: Duration = Duration::from_secs(4);
/// Callers that are remembered before those of past windows are forgotten.
const MANY: usize = 10_000;

/// What every caller may do.
pub(crate) struct CallerLimits {
    limit: u32,
    callers: Mutex<HashMap<ActorId, Arc<Budget>>>,
}

/// How a request stands to the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Requests in a window.
    pub(crate) limit: u32,
    /// Those that are left of them, as far as this replica knows.
    pub(crate) remaining: u32,
    /// Seconds until the next window, rounded up.
    pub(crate) reset: u64,
    /// Whether this request is one of them.
    pub(crate) admitted: bool,
}

#[derive(Default)]
struct Budget {
    window: Mutex<Window>,
    /// Held by who takes a slice.
    taking: tokio::sync::Mutex<()>,
}

/// What this replica knows of the current window.
#[derive(Debug, Clone, Default)]
struct Window {
    ends: Option<Instant>,
    /// Admitted before any slice was taken.
    free: u32,
    /// Whether a slice was taken.
    taken: bool,
    /// Left of the slices.
    in_hand: u32,
    /// What no replica took, when this one last looked.
    left: u32,
    /// Whether there is no more to take.
    exhausted: bool,
}

enum Step {
    Done(Admission),
    /// A slice of so many is needed.
    Take(u32),
}

impl CallerLimits {
    /// `per_second` in the long run, four times as many at once.
    pub(crate) fn new(per_second: u32) -> Self {
        let limit = per_second.max(1).saturating_mul(WINDOW.as_secs() as u32);
        Self { limit, callers: Mutex::default() }
    }

    /// Counts a request of a caller.
    pub(crate) async fn admit(&self, store: &Store, tenant: TenantId, actor: ActorId) -> Result<Admission, StoreError> {
        let budget = self.budget(actor, Instant::now());
        if let Step::Done(admission) = budget.step(self.limit, Instant::now()) {
            return Ok(admission);
        }
        let _alone = budget.taking.lock().await;
        loop {
            // Who held the lock before may have taken enough for this request too.
            let want = match budget.step(self.limit, Instant::now()) {
                Step::Done(admission) => return Ok(admission),
                Step::Take(want) => want,
            };
            let mut tx = store.tenant(tenant).await?;
            let slice = rate_window::take(&mut tx, actor, want, self.limit, WINDOW).await?;
            tx.commit().await?;
            budget.put(want, slice, Instant::now());
        }
    }

    fn budget(&self, actor: ActorId, now: Instant) -> Arc<Budget> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MANY && !callers.contains_key(&actor) {
            callers.retain(|_, budget| Arc::strong_count(budget) > 1 || !budget.is_over(now));
        }
        Arc::clone(callers.entry(actor).or_default())
    }
}

impl Budget {
    fn is_over(&self, now: Instant) -> bool {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).ends.is_none_or(|ends| ends <= now)
    }

    fn step(&self, limit: u32, now: Instant) -> Step {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).step(limit, now)
    }

    fn put(&self, want: u32, slice: Slice, now: Instant) {
        self.window.lock().unwrap_or_else(PoisonError::into_inner).put(want, slice, now);
    }
}

impl Window {
    fn step(&mut self, limit: u32, now: Instant) -> Step {
        if self.ends.is_none_or(|ends| ends <= now) {
            *self = Self { ends: Some(now + until_next(SystemTime::now())), ..Self::default() };
        }
        let admitted = if self.in_hand > 0 {
            self.in_hand -= 1;
            true
        } else if !self.taken && self.free < (limit / 20).max(1) {
            self.free += 1;
            true
        } else if self.exhausted {
            false
        } else {
            return Step::Take((limit / 10).max(1) + self.free);
        };
        let remaining = if self.taken { self.in_hand + self.left } else { limit.saturating_sub(self.free) };
        let reset = self.ends.map_or(Duration::ZERO, |ends| ends.saturating_duration_since(now));
        Step::Done(Admission { limit, remaining, reset: reset.as_secs_f64().ceil().max(1.0) as u64, admitted })
    }

    fn put(&mut self, want: u32, slice: Slice, now: Instant) {
        // The database says when the window ends, so that replicas need not agree on the time.
        self.ends = Some(now + slice.ends_in.max(Duration::from_millis(1)));
        self.in_hand += slice.granted.saturating_sub(self.free);
        self.free = 0;
        self.taken = true;
        self.left = slice.left;
        self.exhausted = slice.granted < want;
    }
}

/// What is left of the window that this is in, by our own clock.
fn until_next(now: SystemTime) -> Duration {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
    let length = WINDOW.as_millis() as u64;
    Duration::from_millis(length - since % length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row that replicas share.
    fn take(pool: &mut u32, want: u32) -> Slice {
        let granted = want.min(*pool);
        *pool -= granted;
        Slice { granted, left: *pool, ends_in: Duration::from_secs(3) }
    }

    /// Requests that are admitted when so many come in turn to so many replicas, and the writes that this took.
    fn admitted(limit: u32, replicas: usize, requests: usize) -> (usize, usize) {
        let (now, mut pool, mut writes) = (Instant::now(), limit, 0);
        let mut windows = vec![Window::default(); replicas];
        let mut admitted = 0;
        for request in 0..requests {
            let window = &mut windows[request % replicas];
            let admission = loop {
                match window.step(limit, now) {
                    Step::Done(admission) => break admission,
                    Step::Take(want) => {
                        writes += 1;
                        let slice = take(&mut pool, want);
                        window.put(want, slice, now);
                    }
                }
            };
            admitted += usize::from(admission.admitted);
        }
        (admitted, writes)
    }

    #[test]
    fn one_replica_admits_the_limit_to_the_letter() {
        assert_eq!(admitted(200, 1, 500), (200, 10));
        assert_eq!(admitted(4, 1, 9).0, 4);
        assert_eq!(admitted(1, 1, 9).0, 1);
    }

    #[test]
    fn replicas_together_admit_the_limit_and_a_twentieth_each_at_most() {
        for replicas in [2, 4, 10] {
            let (sum, writes) = admitted(200, replicas, 2000);
            assert!((180..=200 + 10 * replicas).contains(&sum), "{replicas}: {sum}");
            assert!(writes <= 10 + replicas, "{replicas}: {writes}");
        }
    }

    #[test]
    fn who_asks_little_costs_no_write() {
        assert_eq!(admitted(200, 2, 20), (20, 0));
    }

    #[test]
    fn a_request_beyond_the_limit_says_when_to_come_again() {
        let (now, mut window) = (Instant::now(), Window::default());
        window.step(1, now);
        let Step::Take(want) = window.step(1, now) else { panic!("a slice is needed") };
        window.put(want, Slice { granted: 1, left: 0, ends_in: Duration::from_millis(2500) }, now);
        let Step::Done(refused) = window.step(1, now) else { panic!("there is nothing to take") };
        assert_eq!(refused, Admission { limit: 1, remaining: 0, reset: 3, admitted: false });
        let Step::Done(next) = window.step(1, now + Duration::from_secs(3)) else { panic!("a new window") };
        assert!(next.admitted);
    }
}
