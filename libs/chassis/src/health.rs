use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// A check that has not answered by then counts as failed: a probe must not hang with what it probes.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send + Sync>;

/// The register of what must hold for this process to take requests and work.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    checks: BTreeMap<&'static str, Check>,
    draining: bool,
}

/// The answer of `/readyz`: names only, because a check's error may speak of hosts and users (the log has it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Every check passed, and the process is not draining.
    pub ready: bool,
    /// The process was asked to stop and takes no new work.
    pub draining: bool,
    /// Each registered check by name, true when it passed.
    pub checks: BTreeMap<&'static str, bool>,
}

impl Health {
    /// Registers a check under a name; a second check of the same name replaces the first.
    pub fn register<F, Fut>(&self, name: &'static str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.lock().checks.insert(name, Arc::new(move || Box::pin(check())));
    }

    /// From now on not ready, whatever the checks say: load balancers stop sending before the listener closes.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Runs every check at the same time.
    pub async fn readiness(&self) -> Readiness {
        let (checks, draining) = {
            let state = self.lock();
            (state.checks.clone(), state.draining)
        };
        let running: Vec<_> = checks.into_iter().map(|(name, check)| (name, tokio::spawn(run(name, check)))).collect();
        let mut checks = BTreeMap::new();
        for (name, task) in running {
            checks.insert(name, task.await.unwrap_or(false));
        }
        Readiness { ready: !draining && checks.values().all(|passed| *passed), draining, checks }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Health").field("checks", &state.checks.keys()).field("draining", &state.draining).finish()
    }
}

async fn run(name: &'static str, check: Check) -> bool {
    match tokio::time::timeout(CHECK_TIMEOUT, check()).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(health.check = name, error = format!("{error:#}"), "readiness check failed");
            false
        }
        Err(_) => {
            let timeout_ms = CHECK_TIMEOUT.as_millis();
            tracing::warn!(health.check = name, timeout_ms, "readiness check did not answer in time");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn ready_without_checks() {
        assert!(Health::default().readiness().await.ready);
    }

    #[tokio::test]
    async fn one_failing_check_is_enough() {
        let health = Health::default();
        health.register("database", || async { Ok(()) });
        health.register("queue", || async { anyhow::bail!("no lease") });
        let readiness = health.readiness().await;
        assert!(!readiness.ready);
        assert_eq!(readiness.checks, BTreeMap::from([("database", true), ("queue", false)]));
    }

    #[tokio::test]
    async fn a_panicking_check_counts_as_failed() {
        let health = Health::default();
        health.register("database", || async { panic!("broken check") });
        assert!(!health.readiness().await.ready);
    }

    #[tokio::test]
    async fn a_hanging_check_counts_as_failed() {
        let health = Health::default();
        health.register("database", std::future::pending);
        assert!(!health.readiness().await.ready);
    }

    #[tokio::test]
    async fn draining_is_not_ready() {
        let health = Health::default();
        health.drain();
        let readiness = health.readiness().await;
        assert!(!readiness.ready && readiness.draining);
    }
}
