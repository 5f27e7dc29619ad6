use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use rampart_connector::{ConnectorError, ErrorKind};
use rampart_connector_kube::{Change, Changes, ClusterWatch};
use rampart_domain::Kind;
use tokio::time::Instant;

/// Waits between attempts to open the watch of a kind.
const REOPEN_FIRST: Duration = Duration::from_millis(500);
const REOPEN_LONGEST: Duration = Duration::from_mins(1);
/// Until a refused watch is tried again: somebody may have granted it.
const REFUSED: Duration = Duration::from_mins(10);
/// A watch that ends sooner counts as a failure, so that a server that ends each at once is not asked without pause.
const SHORT: Duration = Duration::from_secs(5);

/// What the watch of a kind comes to.
#[derive(Debug)]
pub(super) enum Step {
    /// It is open.
    Opened,
    /// Something happened in the cluster.
    Change(Change),
    /// It broke off, and is opened again after a wait.
    Broken(ConnectorError),
    /// The server does not let us watch, or does not serve the kind: scans read it. It is tried again after a long wait.
    Refused(ConnectorError),
    /// What came between cannot be told any more: the kind must be listed. Nothing follows.
    Expired(ConnectorError),
}

struct Follow {
    watch: Arc<ClusterWatch>,
    kind: Kind,
    position: String,
    changes: Option<Changes>,
    opened: Instant,
    wait: Duration,
    failures: u32,
    over: bool,
}

/// The watch of one kind from `position` on, opened again whenever it ends.
pub(super) fn follow(watch: &Arc<ClusterWatch>, kind: Kind, position: String) -> BoxStream<'static, (Kind, Step)> {
    let follow = Follow {
        watch: Arc::clone(watch),
        kind,
        position,
        changes: None,
        opened: Instant::now(),
        wait: Duration::ZERO,
        failures: 0,
        over: false,
    };
    stream::unfold(follow, |mut follow| async move {
        let step = follow.step().await?;
        Some(((follow.kind, step), follow))
    })
    .boxed()
}

impl Follow {
    async fn step(&mut self) -> Option<Step> {
        loop {
            if self.over {
                return None;
            }
            let Some(changes) = &mut self.changes else {
                tokio::time::sleep(std::mem::take(&mut self.wait)).await;
                return match self.watch.open(self.kind, &self.position).await {
                    Ok(changes) => {
                        self.changes = Some(changes);
                        self.opened = Instant::now();
                        Some(Step::Opened)
                    }
                    Err(error) => self.failed(error),
                };
            };
            match changes.next().await {
                Ok(Some(change)) => {
                    self.failures = 0;
                    self.position.clone_from(&change.position);
                    return Some(Step::Change(change));
                }
                // The server ends every watch after a while.
                Ok(None) => {
                    self.changes = None;
                    if self.opened.elapsed() < SHORT {
                        self.failures += 1;
                        self.wait = backoff(self.failures, REOPEN_FIRST, REOPEN_LONGEST);
                    }
                }
                Err(error) => return self.failed(error),
            }
        }
    }

    fn failed(&mut self, error: ConnectorError) -> Option<Step> {
        self.changes = None;
        metrics::counter!("rampart_watch_breaks_total", "reason" => error.kind.as_str()).increment(1);
        match error.kind {
            ErrorKind::Cancelled => {
                self.over = true;
                None
            }
            ErrorKind::Expired | ErrorKind::TooLarge => {
                self.over = true;
                Some(Step::Expired(error))
            }
            ErrorKind::Forbidden | ErrorKind::Unsupported => {
                self.wait = jitter(REFUSED);
                Some(Step::Refused(error))
            }
            _ => {
                self.failures += 1;
                self.wait = backoff(self.failures, REOPEN_FIRST, REOPEN_LONGEST);
                Some(Step::Broken(error))
            }
        }
    }
}

/// How long to wait after so many failures in a row.
pub(super) fn backoff(failures: u32, first: Duration, longest: Duration) -> Duration {
    jitter(first.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(longest))
}

/// Up to half more or less, so that what broke together does not come back together.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_limit_and_differ() {
        let second = Duration::from_secs(1);
        let wait = |failures| backoff(failures, second, 60 * second);
        assert!(wait(1) >= second / 2 && wait(1) <= 3 * second / 2);
        assert!(wait(3) >= 2 * second && wait(3) <= 6 * second);
        assert!(wait(1_000) >= 30 * second && wait(1_000) <= 90 * second);
        assert_ne!(wait(5), wait(5));
    }
}
