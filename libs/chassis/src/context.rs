use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Health;

/// What a role is handed when it starts. Cheap to clone; every clone speaks of the same process.
#[derive(Debug, Clone, Default)]
pub struct Ctx {
    /// Cancelled once, when the process is asked to stop: take no new work, finish or release what runs.
    pub cancel: CancellationToken,
    /// Where a role spawns what outlives a single call; the process waits for these tasks before it ends.
    pub tasks: TaskTracker,
    /// Where a role registers what must hold for it to be ready.
    pub health: Health,
}

impl Ctx {
    /// A context of its own, as a test or a tool wants it.
    pub fn new() -> Self {
        Self::default()
    }
}
