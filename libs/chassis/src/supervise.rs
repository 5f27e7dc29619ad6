use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::{Ctx, Signals};

/// One long-running part of the process, such as `api` or `assessor`.
pub struct Role {
    name: &'static str,
    run: Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>,
}

/// Why the process did not end well.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The signal handlers could not be installed.
    #[error("could not listen for signals")]
    Signals(#[source] std::io::Error),
    /// A role failed.
    #[error("role {role} failed")]
    Failed {
        /// The role's name.
        role: &'static str,
        /// What it said.
        #[source]
        source: anyhow::Error,
    },
    /// A role returned although nobody had asked the process to stop.
    #[error("role {role} ended before it was asked to")]
    Ended {
        /// The role's name.
        role: &'static str,
    },
    /// A role panicked; the panic itself is in the log.
    #[error("role {role} panicked")]
    Panicked {
        /// The role's name.
        role: &'static str,
    },
    /// Work was still running when the time to drain was over.
    #[error("{unfinished} did not stop within {} s", timeout.as_secs())]
    DrainTimeout {
        /// The roles that were still running, or "background tasks".
        unfinished: String,
        /// The time they were given.
        timeout: Duration,
    },
    /// A second signal came while draining.
    #[error("stopped by a second {signal} before everything was drained")]
    Forced {
        /// The signal's name.
        signal: &'static str,
    },
}

impl Role {
    /// A role that runs until its context is cancelled.
    pub fn new(name: &'static str, run: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Self {
        Self { name, run: Box::pin(run) }
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Role").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs the roles until a signal asks to stop, then drains them and the context's tasks.
///
/// Roles are not restarted inside the process: what made one panic may have left shared state behind, and every
/// orchestrator restarts a process with back-off. So the first role that ends by itself cancels the others, they
/// drain, and the error makes the process exit with a failure. Work that must survive an error retries inside its role.
pub async fn supervise(
    ctx: &Ctx,
    roles: Vec<Role>,
    signals: &mut Signals,
    timeout: Duration,
) -> Result<(), SuperviseError> {
    let mut running = Running::start(roles);
    let failure = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, timeout_ms = timeout.as_millis(), "stopping: draining running work");
            None
        }
        () = ctx.cancel.cancelled() => None,
        failure = running.next_failure(ctx) => failure,
    };
    ctx.health.drain();
    ctx.cancel.cancel();
    ctx.tasks.close();

    let drained = tokio::select! {
        drained = tokio::time::timeout(timeout, running.drain(ctx)) => drained,
        signal = signals.next() => return Err(failure.unwrap_or(SuperviseError::Forced { signal })),
    };
    match (failure, drained) {
        (Some(first), _) | (None, Ok(Some(first))) => Err(first),
        (None, Ok(None)) => Ok(()),
        (None, Err(_)) => Err(SuperviseError::DrainTimeout { unfinished: running.unfinished(), timeout }),
    }
}

struct Running {
    set: JoinSet<anyhow::Result<()>>,
    names: Vec<(Id, &'static str)>,
}

impl Running {
    fn start(roles: Vec<Role>) -> Self {
        let mut set = JoinSet::new();
        let names = roles.into_iter().map(|role| (set.spawn(role.run).id(), role.name)).collect();
        Self { set, names }
    }

    /// The first role that ends, as a failure unless the process was being stopped. `None` when no role is left.
    async fn next_failure(&mut self, ctx: &Ctx) -> Option<SuperviseError> {
        while let Some(ended) = self.set.join_next_with_id().await {
            if let Some(failure) = self.judge(ended, ctx.cancel.is_cancelled()) {
                tracing::error!(error = %failure, "stopping: a role ended by itself");
                return Some(failure);
            }
        }
        None
    }

    /// Waits for the rest; a role may still fail while it drains, the first such failure is kept.
    async fn drain(&mut self, ctx: &Ctx) -> Option<SuperviseError> {
        let mut first = None;
        while let Some(ended) = self.set.join_next_with_id().await {
            let failure = self.judge(ended, true);
            first = first.or(failure);
        }
        ctx.tasks.wait().await;
        first
    }

    fn judge(
        &mut self,
        ended: Result<(Id, anyhow::Result<()>), JoinError>,
        asked_to_stop: bool,
    ) -> Option<SuperviseError> {
        match ended {
            Ok((id, Ok(()))) => {
                let role = self.take_name(id);
                (!asked_to_stop).then_some(SuperviseError::Ended { role })
            }
            Ok((id, Err(source))) => Some(SuperviseError::Failed { role: self.take_name(id), source }),
            Err(error) => Some(SuperviseError::Panicked { role: self.take_name(error.id()) }),
        }
    }

    fn take_name(&mut self, id: Id) -> &'static str {
        let index = self.names.iter().position(|(known, _)| *known == id);
        index.map_or("unknown", |index| self.names.swap_remove(index).1)
    }

    fn unfinished(&self) -> String {
        if self.names.is_empty() {
            return "background tasks".to_owned();
        }
        let names: Vec<_> = self.names.iter().map(|(_, name)| *name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(ctx: &Ctx, roles: Vec<Role>) -> Result<(), SuperviseError> {
        let mut signals = Signals::listen().unwrap();
        supervise(ctx, roles, &mut signals, Duration::from_millis(200)).await
    }

    fn obedient(ctx: &Ctx) -> Role {
        let cancel = ctx.cancel.clone();
        Role::new("obedient", async move {
            cancel.cancelled().await;
            Ok(())
        })
    }

    #[tokio::test]
    async fn cancelled_roles_end_well() {
        let ctx = Ctx::new();
        let roles = vec![obedient(&ctx), obedient(&ctx)];
        ctx.cancel.cancel();
        check(&ctx, roles).await.unwrap();
        assert!(!ctx.health.readiness().await.ready);
    }

    #[tokio::test]
    async fn a_failing_role_stops_the_others() {
        let ctx = Ctx::new();
        let roles = vec![obedient(&ctx), Role::new("broken", async { anyhow::bail!("no database") })];
        let error = check(&ctx, roles).await.unwrap_err();
        assert!(matches!(error, SuperviseError::Failed { role: "broken", .. }), "{error}");
        assert!(ctx.cancel.is_cancelled());
    }

    #[tokio::test]
    async fn a_role_must_not_end_by_itself() {
        let ctx = Ctx::new();
        let error = check(&ctx, vec![obedient(&ctx), Role::new("short", async { Ok(()) })]).await.unwrap_err();
        assert!(matches!(error, SuperviseError::Ended { role: "short" }), "{error}");
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let ctx = Ctx::new();
        let error = check(&ctx, vec![Role::new("loud", async { panic!("broken invariant") })]).await.unwrap_err();
        assert!(matches!(error, SuperviseError::Panicked { role: "loud" }), "{error}");
    }

    #[tokio::test]
    async fn a_role_that_does_not_drain_is_named() {
        let ctx = Ctx::new();
        ctx.cancel.cancel();
        let error = check(&ctx, vec![Role::new("deaf", std::future::pending())]).await.unwrap_err();
        assert!(error.to_string().contains("deaf"), "{error}");
    }

    #[tokio::test]
    async fn background_tasks_are_waited_for() {
        let ctx = Ctx::new();
        ctx.tasks.spawn(std::future::pending::<()>());
        ctx.cancel.cancel();
        let error = check(&ctx, vec![obedient(&ctx)]).await.unwrap_err();
        assert!(error.to_string().contains("background tasks"), "{error}");
    }
}
