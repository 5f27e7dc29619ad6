use chrono::{DateTime, Utc};
use rampart_store::TenantTx;
use rampart_store::moment::{self, Moment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ApiError, Code};

/// The moment that is asked for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsOf {
    /// As it was at this moment. One before history begins is `history_gone`; one that is ahead of the watermark is waited
    /// for up to two seconds, and then `not_settled`.
    pub as_of: Option<DateTime<Utc>>,
}

/// An answer that may be about a moment of the past.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct At<T> {
    #[serde(flatten)]
    answer: T,
    /// The moment that the answer is about; only where one was asked for. What it shows of that moment never changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<DateTime<Utc>>,
    /// The latest moment that could be read; only where a moment was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<DateTime<Utc>>,
}

impl<T> At<T> {
    /// The answer, about a moment or about now.
    pub(crate) fn of(at: Option<Moment>, answer: T) -> Self {
        Self { answer, as_of: at.map(|at| at.as_of), watermark: at.map(|at| at.watermark) }
    }
}

/// The moment that was asked for, if any, once it can be read.
pub(crate) async fn moment(tx: &mut TenantTx, as_of: Option<DateTime<Utc>>) -> Result<Option<Moment>, ApiError> {
    Ok(match as_of {
        Some(_) => Some(moment::settle(tx, as_of).await?),
        None => None,
    })
}

/// Two moments, the earlier one first.
pub(crate) async fn moments(
    tx: &mut TenantTx,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<[Moment; 2], ApiError> {
    if from > to {
        return Err(ApiError::new(Code::InvalidQuery, "`from` must not be later than `to`"));
    }
    let from = moment::settle(tx, Some(from)).await?;
    Ok([from, moment::settle(tx, Some(to)).await?])
}
