//! What-if: the tenant as it is and as it would be, judged side by side on one snapshot.
//!
//! ```text
//! changes ─▶ policies (which checks would apply) ─▶ hypothesis (resources as they would be)
//!         ─▶ per unit: targets, as an assessment finds them ─▶ both sides judged ─▶ differences
//! ```
//! Nothing is written but the job itself: the transaction that everything is read in cannot write.

mod change;
mod hypothesis;
mod outcome;
mod policies;
mod side;
mod tally;
mod unit;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rampart_store::job::what_if::Request;
use rampart_store::score::{self, Reach};
use rampart_store::{StoreError, TenantTx};
use serde_json::{Value, json};
use uuid::Uuid;

use self::change::Changing;
use self::hypothesis::Hypothesis;
use self::policies::Policies;
use self::tally::Difference;
use super::{Desk, JobError};

/// What the parts of one job share.
struct Question<'a> {
    desk: &'a Desk<'a>,
    /// The part of the tenant that is compared, as far as the caller sees it.
    reach: Reach,
    policies: Policies,
    now: DateTime<Utc>,
}

pub(super) async fn run(desk: &Desk<'_>, request: Value) -> Result<Value, JobError> {
    let request: Request =
        serde_json::from_value(request).map_err(|error| JobError::Refused(format!("the request: {error}")))?;
    let mut tx = desk.store.snapshot(desk.lease.tenant).await?;
    let reach = score::reach(&mut tx, &desk.visible, &request.scope.into()).await?;
    let policies = Policies::new(&mut tx, desk, &request.changes).await?;
    let mut question = Question { desk, reach, policies, now: Utc::now() };
    let mut changing = Changing::default();
    for (index, change) in request.changes.iter().enumerate() {
        changing.make(&mut tx, &mut question, index, change).await?;
    }
    let Changing { mut hypothesis, fixes } = changing;
    unit::tell_clusters(&mut tx, &question, &mut hypothesis).await?;
    let hypothesis = Arc::new(hypothesis);
    let fixed = fixes.iter().map(|fix| fix.resource).collect();
    let difference = Difference { fixed, ..Difference::default() };
    let difference = look(&mut tx, &mut question, &hypothesis, difference).await?;
    let outcome = outcome::of(&mut tx, &question, difference, fixes).await?;
    Ok(json!(outcome))
}

/// Judges every unit in which something may differ.
async fn look(
    tx: &mut TenantTx,
    question: &mut Question<'_>,
    hypothesis: &Arc<Hypothesis>,
    mut difference: Difference,
) -> Result<Difference, JobError> {
    let mut looks = Vec::new();
    for unit in unit::concerned(tx, question, hypothesis).await? {
        looks.extend(unit::Look::prepare(tx, question, hypothesis, unit).await?);
    }
    let total = looks.iter().map(unit::Look::size).sum();
    question.desk.progress(0, total).await?;
    for look in looks {
        look.run(tx, question, total, &mut difference).await?;
    }
    Ok(difference)
}

impl Question<'_> {
    /// Whether something of a unit is compared.
    fn reaches(&self, unit: Uuid, namespace: Option<&str>) -> bool {
        let reach = &self.reach;
        let mut pairs = reach.namespace_clusters.iter().zip(&reach.namespaces);
        self.reaches_all(unit)
            || namespace.is_some_and(|name| pairs.any(|(cluster, own)| *cluster == unit && own == name))
    }

    /// Whether all of a unit is compared.
    fn reaches_all(&self, unit: Uuid) -> bool {
        self.reach.units.as_ref().is_none_or(|units| units.contains(&unit))
    }

    /// The namespaces of a unit that are compared, where it is not compared as a whole.
    fn namespaces(&self, unit: Uuid) -> Vec<&str> {
        let pairs = self.reach.namespace_clusters.iter().zip(&self.reach.namespaces);
        pairs.filter(|(cluster, _)| **cluster == unit).map(|(_, namespace)| namespace.as_str()).collect()
    }
}

fn refused(index: usize, field: &str, why: &str) -> JobError {
    JobError::Refused(format!("/changes/{index}{field}: {why}"))
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> JobError {
    JobError::Failed(error.into())
}

/// Runs CPU work off the async threads.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, JobError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(failed)??)
}
