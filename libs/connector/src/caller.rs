use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use chrono::Utc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::pace::Pace;
use crate::{ConnectorError, ErrorKind, Limits, Usage};

/// Calls that a provider counts together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    /// Account, subscription, project, or a cluster's endpoint.
    pub account: Arc<str>,
    /// Region; empty where there is none.
    pub region: Arc<str>,
    /// API family, such as `eks` or `kubernetes`; also the label of the metrics.
    pub family: &'static str,
}

impl Bucket {
    /// The bucket of `family` in `region` of `account`.
    pub fn new(account: impl Into<Arc<str>>, region: impl Into<Arc<str>>, family: &'static str) -> Self {
        Self { account: account.into(), region: region.into(), family }
    }
}

/// The one layer through which every call to a provider goes: pace, concurrency, time-out, retry, cancellation.
///
/// Clones share their buckets, so that scans of one account that run side by side do not add up. Whatever lies below
/// (an SDK, an HTTP client) must not retry by itself.
#[derive(Debug, Clone)]
pub struct Caller {
    shared: Arc<Shared>,
    cancel: CancellationToken,
    usage: Usage,
}

#[derive(Debug)]
struct Shared {
    limits: Limits,
    paces: Mutex<HashMap<Bucket, Arc<Pace>>>,
    slots: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

impl Caller {
    /// A caller with empty buckets.
    pub fn new(limits: Limits, cancel: CancellationToken) -> Self {
        let shared = Shared { limits, paces: Mutex::default(), slots: Mutex::default() };
        Self { shared: Arc::new(shared), cancel, usage: Usage::default() }
    }

    /// The same buckets under another cancellation: one scan of many.
    #[must_use]
    pub fn with_cancel(&self, cancel: CancellationToken) -> Self {
        Self { shared: Arc::clone(&self.shared), cancel, usage: self.usage.clone() }
    }

    /// Notes that a permission was used which no call is named for.
    pub fn note(&self, family: &'static str, permission: &str) {
        self.usage.noted(family, permission, Utc::now());
    }

    /// The same buckets and cancellation, counting into `usage`: the calls of one connector.
    #[must_use]
    pub fn counting(&self, usage: Usage) -> Self {
        Self { usage, ..self.clone() }
    }

    /// The limits that hold for every call.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Fires when calls must end.
    pub fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Makes a call, repeating it while that can help and the budget lasts.
    ///
    /// `op` is run once per attempt. The error is that of the last attempt, or [`ErrorKind::Cancelled`].
    pub async fn call<T, F, Fut>(&self, bucket: &Bucket, api: &str, mut op: F) -> Result<T, ConnectorError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ConnectorError>>,
    {
        let limits = &self.shared.limits;
        let pace = self.pace(bucket);
        let slots = self.slots(&bucket.account);
        let mut backoff = ExponentialBuilder::new()
            .with_min_delay(limits.backoff_min)
            .with_max_delay(limits.backoff_max)
            .with_max_times(limits.attempts.saturating_sub(1))
            .with_jitter()
            .build();
        let mut budget = limits.wait_budget;
        loop {
            let result = self.unless_cancelled(api, self.attempt(bucket, &pace, &slots, api, &mut op)).await;
            count(bucket, &result);
            if let Err(error) = &result {
                self.usage.failed(bucket, api, error.kind);
            }
            let error = match result {
                Err(error) if error.is_retryable() => error,
                done => return done,
            };
            let asked = match error.kind {
                ErrorKind::Throttled { retry_after } => retry_after,
                _ => None,
            };
            if matches!(error.kind, ErrorKind::Throttled { .. }) {
                // A wait that this call will not sit out must not hold up the others either.
                pace.throttled(Instant::now(), asked.filter(|asked| *asked <= budget));
            }
            let Some(own) = backoff.next() else { return Err(error) };
            let delay = asked.map_or(own, |asked| asked.max(own.min(asked + limits.backoff_min)));
            let Some(left) = budget.checked_sub(delay) else { return Err(error) };
            budget = left;
            metrics::counter!("rampart_connector_retries_total", "family" => bucket.family).increment(1);
            tracing::debug!(api, error = %error, delay_ms = delay.as_millis() as u64, "repeating a failed call");
            self.sleep(api, delay).await?;
        }
    }

    async fn attempt<T, F, Fut>(
        &self,
        bucket: &Bucket,
        pace: &Pace,
        slots: &Semaphore,
        api: &str,
        op: &mut F,
    ) -> Result<T, ConnectorError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, ConnectorError>>,
    {
        let mut wait = pace.reserve(Instant::now());
        while !wait.is_zero() {
            tokio::time::sleep(wait).await;
            wait = pace.held(Instant::now());
        }
        let _slot = slots.acquire().await.expect("the semaphore is never closed");
        let limit = self.shared.limits.attempt_timeout;
        self.usage.made(bucket, api, Utc::now());
        // On the heap: an SDK's call is tens of kilobytes, and callers hold several side by side.
        let call = Box::pin(op());
        tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
            let message = format!("no answer within {} s", limit.as_secs_f64());
            Err(ConnectorError::new(ErrorKind::Unreachable, api, message))
        })
    }

    async fn sleep(&self, api: &str, delay: Duration) -> Result<(), ConnectorError> {
        self.unless_cancelled(api, async {
            tokio::time::sleep(delay).await;
            Ok(())
        })
        .await
    }

    async fn unless_cancelled<T>(
        &self,
        api: &str,
        work: impl Future<Output = Result<T, ConnectorError>>,
    ) -> Result<T, ConnectorError> {
        match self.cancel.run_until_cancelled(work).await {
            Some(result) if !self.cancel.is_cancelled() => result,
            _ => Err(cancelled(api)),
        }
    }

    fn pace(&self, bucket: &Bucket) -> Arc<Pace> {
        let mut paces = self.shared.paces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(bucket) {
            return Arc::clone(pace);
        }
        let pace = Arc::new(Pace::new(&self.shared.limits, Instant::now()));
        paces.insert(bucket.clone(), Arc::clone(&pace));
        pace
    }

    fn slots(&self, account: &Arc<str>) -> Arc<Semaphore> {
        let mut slots = self.shared.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || Arc::new(Semaphore::new(self.shared.limits.concurrency.max(1)));
        Arc::clone(slots.entry(Arc::clone(account)).or_insert_with(fresh))
    }
}

/// The error of a call that was not made, or not finished, because the scan was told to stop.
pub(crate) fn cancelled(api: &str) -> ConnectorError {
    ConnectorError::new(ErrorKind::Cancelled, api, "the scan was told to stop")
}

fn count<T>(bucket: &Bucket, result: &Result<T, ConnectorError>) {
    let outcome = match result {
        Ok(_) => "ok",
        Err(error) => error.kind.as_str(),
    };
    metrics::counter!("rampart_connector_calls_total", "family" => bucket.family, "outcome" => outcome).increment(1);
    if matches!(result, Err(ConnectorError { kind: ErrorKind::Throttled { .. }, .. })) {
        metrics::counter!("rampart_connector_throttles_total", "family" => bucket.family).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn caller(edit: impl FnOnce(&mut Limits)) -> Caller {
        let ms = Duration::from_millis;
        let mut limits = Limits { backoff_min: ms(1), backoff_max: ms(4), attempts: 4, ..Limits::default() };
        edit(&mut limits);
        Caller::new(limits, CancellationToken::new())
    }

    /// Fails with `kind` the first `failures` times; returns the result and the number of attempts.
    async fn run(caller: &Caller, failures: usize, kind: ErrorKind) -> (Result<usize, ErrorKind>, usize) {
        let tries = AtomicUsize::new(0);
        let result = caller
            .call(&Bucket::new("1", "r", "test"), "test:Call", || async {
                let n = tries.fetch_add(1, Ordering::SeqCst);
                if n < failures { Err(ConnectorError::new(kind, "test:Call", "no")) } else { Ok(n) }
            })
            .await;
        (result.map_err(|e| e.kind), tries.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn only_what_may_pass_is_repeated_and_not_forever() {
        let caller = caller(|_| ());
        assert_eq!(run(&caller, 2, ErrorKind::Transient).await, (Ok(2), 3));
        assert_eq!(run(&caller, 9, ErrorKind::Unreachable).await, (Err(ErrorKind::Unreachable), 4));
        for kind in [ErrorKind::Forbidden, ErrorKind::NotFound, ErrorKind::TooLarge, ErrorKind::Expired] {
            assert_eq!(run(&caller, 1, kind).await, (Err(kind), 1));
        }
    }

    #[tokio::test]
    async fn retry_after_is_honoured_within_the_budget_and_refused_beyond_it() {
        let caller = caller(|limits| limits.wait_budget = Duration::from_millis(200));
        let began = Instant::now();
        let short = ErrorKind::Throttled { retry_after: Some(Duration::from_millis(80)) };
        assert_eq!(run(&caller, 1, short).await, (Ok(1), 2));
        assert!(began.elapsed() >= Duration::from_millis(80));
        let long = ErrorKind::Throttled { retry_after: Some(Duration::from_mins(1)) };
        let began = Instant::now();
        assert_eq!(run(&caller, 1, long).await, (Err(long), 1));
        assert_eq!(run(&caller, 0, long).await, (Ok(0), 1), "nobody else waits for what nobody waits for");
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn an_attempt_that_hangs_is_unreachable() {
        let caller = caller(|limits| (limits.attempt_timeout, limits.attempts) = (Duration::from_millis(10), 2));
        let hang = || std::future::pending::<Result<(), ConnectorError>>();
        let error = caller.call(&Bucket::new("1", "r", "test"), "test:Call", hang).await.unwrap_err();
        assert_eq!((error.kind, error.api.as_str()), (ErrorKind::Unreachable, "test:Call"));
    }

    #[tokio::test]
    async fn cancellation_ends_a_hanging_call_and_forbids_the_next() {
        let caller = caller(|_| ());
        let cancel = caller.cancel().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            cancel.cancel();
        });
        let hang = || std::future::pending::<Result<(), ConnectorError>>();
        let error = caller.call(&Bucket::new("1", "r", "test"), "test:Call", hang).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Cancelled);
        assert_eq!(run(&caller, 0, ErrorKind::Transient).await, (Err(ErrorKind::Cancelled), 0));
        let other = caller.with_cancel(CancellationToken::new());
        assert_eq!(run(&other, 0, ErrorKind::Transient).await, (Ok(0), 1));
    }

    #[tokio::test]
    async fn every_attempt_is_counted_for_its_connector_only() {
        let shared = caller(|_| ());
        let (mine, other) = (Usage::default(), Usage::default());
        run(&shared.counting(mine.clone()), 2, ErrorKind::Transient).await.0.unwrap();
        run(&shared.counting(other.clone()).with_cancel(CancellationToken::new()), 1, ErrorKind::Forbidden)
            .await
            .0
            .unwrap_err();
        let count =
            |usage: &Usage| usage.take().into_iter().map(|it| (it.api, it.calls, it.refused)).collect::<Vec<_>>();
        assert_eq!(count(&mine), [("test:Call".to_owned(), 3, 0)]);
        assert_eq!(count(&other), [("test:Call".to_owned(), 1, 1)]);
        let stopped = shared.counting(mine.clone());
        stopped.cancel().cancel();
        run(&stopped, 0, ErrorKind::Transient).await.0.unwrap_err();
        assert_eq!(count(&mine), [], "a call that was not made is not counted");
        shared.counting(mine.clone()).note("test", "test:Connect");
        assert_eq!(count(&mine), [("test:Connect".to_owned(), 1, 0)], "a permission that is used beside the calls is");
    }

    #[tokio::test]
    async fn concurrency_is_bounded_per_account() {
        let caller = caller(|limits| limits.concurrency = 3);
        let (now, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let calls = (0..20).map(|n| {
            let bucket = Bucket::new("1", format!("region-{n}"), "test");
            let (caller, now, peak) = (&caller, &now, &peak);
            async move {
                let op = || async {
                    peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                };
                caller.call(&bucket, "test:Call", op).await
            }
        });
        futures::future::try_join_all(calls).await.unwrap();
        assert_eq!(peak.load(Ordering::SeqCst), 3);
    }
}
