//! Moments of the past: which of them can be read, and which rows stood then.
//!
//! Every row of resources, findings and verdicts says since when it stands as it is; what it was before lies closed in the
//! history of its table, which the database keeps by itself. The time of a row is one at which its transaction was running,
//! so a moment can be read once no transaction that began to write before it is left: up to the watermark. What is read of
//! such a moment never changes again.
//!
//! Pods, replica sets, endpoint slices and jobs have no history: the past does not show them. What they belong to does.

use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use rampart_domain::Kind;
use sqlx::{Postgres, QueryBuilder};

use crate::{StoreError, TenantTx};

/// How long a moment that has just passed is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks at the watermark.
const PAUSE: Duration = Duration::from_millis(20);

/// A moment that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The moment, in microseconds.
    pub as_of: DateTime<Utc>,
    /// The latest that could be read when it was looked at.
    pub watermark: DateTime<Utc>,
}

/// The moment that somebody asks for, or the latest that can be read. One that the watermark has not
/// reached is waited for, up to two seconds. The statement that reads it must be a later one of a transaction that sees what others commit.
pub async fn settle(tx: &mut TenantTx, wanted: Option<DateTime<Utc>>) -> Result<Moment, StoreError> {
    let wanted = wanted.map(|at| at.trunc_subsecs(6));
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let (floor, mut watermark, now) = sqlx::query_as::<_, (DateTime<Utc>, DateTime<Utc>, DateTime<Utc>)>(
        "select history_floor(), history_watermark(), clock_timestamp()",
    )
    .fetch_one(tx.conn())
    .await?;
    let as_of = wanted.unwrap_or(watermark);
    if as_of < floor {
        return Err(StoreError::NotKept { oldest: floor });
    }
    let comes = as_of - now < TimeDelta::from_std(PATIENCE).unwrap_or_default();
    while as_of > watermark {
        if !comes || tokio::time::Instant::now() >= deadline {
            return Err(StoreError::NotSettled { watermark });
        }
        tokio::time::sleep(PAUSE).await;
        watermark = sqlx::query_scalar("select history_watermark()").fetch_one(tx.conn()).await?;
    }
    Ok(Moment { as_of, watermark })
}

/// Whether the past shows resources of this kind.
pub const fn has_history(kind: Kind) -> bool {
    !kind.is_short_lived()
}

/// Which rows of a table and its history a statement reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// Those of now.
    Now,
    /// Those of now that stood already at a moment.
    Standing(DateTime<Utc>),
    /// Those of history that stood at a moment.
    Closed(DateTime<Utc>),
}

impl Rows {
    /// What together stood at a moment.
    pub(crate) const fn at(moment: DateTime<Utc>) -> [Self; 2] {
        [Self::Standing(moment), Self::Closed(moment)]
    }

    /// Appends ` and …` over the columns of `alias`.
    pub(crate) fn push(self, query: &mut QueryBuilder<Postgres>, alias: &'static str) {
        match self {
            Self::Now => {}
            Self::Standing(at) => {
                query.push(format!(" and {alias}.recorded_at <= ")).push_bind(at);
            }
            Self::Closed(at) => {
                query.push(format!(" and {alias}.valid_from <= ")).push_bind(at);
                query.push(format!(" and {alias}.valid_to > ")).push_bind(at);
            }
        }
    }

    /// Appends the time that counts as now.
    pub(crate) fn push_now(self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Now => query.push("now()"),
            Self::Standing(at) | Self::Closed(at) => query.push_bind(at),
        };
    }

    /// The table, or its history.
    pub(crate) const fn of(self, table: &'static str, history: &'static str) -> &'static str {
        match self {
            Self::Now | Self::Standing(_) => table,
            Self::Closed(_) => history,
        }
    }
}
