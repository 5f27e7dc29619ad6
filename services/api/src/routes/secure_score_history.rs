use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use rampart_domain::ScoreCause;
use rampart_posture::score_ledger::{Counts, Ledger, Move, Standing, points, steps};
use rampart_store::score::{self as counts, GroupCounts, Reach};
use rampart_store::score_history::{self as history, Extent, Span};
use rampart_store::verdict::ScoreDelta;
use rampart_store::{AccessScope, TenantTx, Visible};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::scope::{Scope, ScopeQuery};
use crate::App;
use crate::http::{Answer, ApiError, Caller, Code, Params, ReadFindings};

/// Points of one answer.
const MOST: i64 = 1_000;
/// What is told when nothing says since when.
const USUAL: TimeDelta = TimeDelta::days(30);

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_secure_score_history))
}

/// A secure score over time.
#[derive(Debug, Serialize, ToSchema)]
struct SecureScoreHistory {
    scope: Scope,
    /// Of the first point: what was asked for, but not before `recorded_since`.
    from: DateTime<Utc>,
    /// Of the last point: what was asked for, but not after `complete_until`.
    to: DateTime<Utc>,
    interval: IntervalWord,
    /// Nothing earlier is kept.
    recorded_since: DateTime<Utc>,
    /// Later minutes are not complete yet.
    complete_until: DateTime<Utc>,
    /// The oldest first.
    points: Vec<PointView>,
}

/// A score at one moment, and what changed it since the point before.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecureScorePoint)]
struct PointView {
    at: DateTime<Utc>,
    /// 0 to 100, with four decimals; null when nothing was known that could earn a point.
    #[schema(minimum = 0, maximum = 100, example = 71.4286)]
    percent: Option<f64>,
    /// Share of the verdicts that were known from a reading of that time, 0 to 1; null when there were none.
    coverage: Option<f64>,
    /// Percentage points since the point before, no score counting as 0; null for the first.
    #[schema(example = -1.25)]
    change: Option<f64>,
    /// What came from what: the parts add up to the change. They are worked out one after another in the order of the causes
    /// here; each is what the score moves by when what that cause did is laid over those before it.
    parts: Vec<PartView>,
}

/// A part of a change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecureScorePart)]
struct PartView {
    /// `resource_new`: judged for the first time. `content`: a control, an assignment or a parameter changed. `finding_new`
    /// and `fixed`: a resource, or what it is judged beside, changed. `changed`: the same without a violation that began or
    /// ended. `exempted`, `exemption_ended`, `access_lost`, `access_regained`, `resource_gone`.
    #[schema(value_type = String, example = "fixed")]
    cause: ScoreCause,
    /// Percentage points, with four decimals.
    #[schema(example = 2.5)]
    change: f64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum IntervalWord {
    Minute,
    Hour,
    #[default]
    Day,
    Week,
}

impl IntervalWord {
    const fn seconds(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        }
    }
}

/// Of what, and when.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryQuery {
    /// A cloud account with its clusters.
    account: Option<String>,
    /// Id of a cluster.
    cluster: Option<Uuid>,
    /// The first point, to the minute; 30 days before `to` when left out.
    from: Option<DateTime<Utc>>,
    /// The last point, to the minute; as late as the history is complete when left out.
    to: Option<DateTime<Utc>>,
    /// Time between points; the last may come sooner.
    #[serde(default)]
    #[param(inline)]
    interval: IntervalWord,
}

/// Get the secure score over time, with what each change of it came from.
///
/// Of the tenant, an account or a cluster, over what of it the caller may see whole; single namespaces have no history.
/// Groups weigh as they do now. At most 1,000 points.
#[utoipa::path(get, path = "/v1/secure-score/history", tag = "secure-score", params(HistoryQuery),
    responses((status = 200, body = SecureScoreHistory)))]
async fn get_secure_score_history(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Params(query): Params<HistoryQuery>,
) -> Result<Answer, ApiError> {
    let HistoryQuery { account, cluster, from, to, interval } = query;
    let scope = ScopeQuery { account, cluster, namespace: None }.scope()?;
    let mut tx = app.snapshot(&caller).await?;
    let reach = past_reach(&mut tx, &caller.visible(), &scope).await?;
    let extent = history::extent(&mut tx, Utc::now()).await?;
    let to = to.map_or(extent.until, history::minute).clamp(extent.since, extent.until);
    let from = from.or_else(|| to.checked_sub_signed(USUAL)).map_or(extent.since, history::minute);
    if from > to {
        return Err(ApiError::new(Code::InvalidQuery, "`from` lies after `to`, or after the history is complete"));
    }
    let span = Span { from: from.max(extent.since), to, seconds: interval.seconds() };
    if span.intervals() >= MOST {
        return Err(ApiError::new(
            Code::InvalidQuery,
            "that is more than 1,000 points; ask for fewer or a longer interval",
        ));
    }
    let (now, moves) = history::moves(&mut tx, &reach, &span).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let groups = catalogue.groups();
    let mut standing = before(&now, &moves);
    let point = |at, standing: &Standing, ledger: Option<Ledger>| {
        let total = standing.score(groups);
        let parts = ledger.iter().flat_map(|ledger| &ledger.parts);
        PointView {
            at,
            percent: total.percent.map(|percent| points(steps(Some(percent)))),
            coverage: total.coverage,
            change: ledger.as_ref().map(|ledger| points(ledger.change)),
            parts: parts.map(|(cause, part)| PartView { cause: *cause, change: points(*part) }).collect(),
        }
    };
    let mut told = vec![point(span.from, &standing, None)];
    for number in 0..span.intervals() {
        let own = moves.iter().filter(|it| it.interval == number).map(moved);
        let ledger = standing.apply(groups, own);
        let at = (span.from + TimeDelta::seconds((number + 1) * span.seconds)).min(span.to);
        told.push(point(at, &standing, Some(ledger)));
    }
    let Extent { since: recorded_since, until: complete_until } = extent;
    let (scope, from) = (scope.into(), span.from);
    Ok(Answer::ok(SecureScoreHistory { scope, from, to, interval, recorded_since, complete_until, points: told }))
}

/// The counters at a moment of the past, and the minute that they are of.
pub(super) async fn standing_at(
    tx: &mut TenantTx,
    visible: &Visible,
    scope: &AccessScope,
    at: DateTime<Utc>,
) -> Result<(Standing, DateTime<Utc>), ApiError> {
    if matches!(scope, AccessScope::Namespace(..)) {
        return Err(ApiError::new(Code::InvalidQuery, "a namespace has no past: leave out `namespace` or `as_of`"));
    }
    let reach = past_reach(tx, visible, scope).await?;
    let (extent, at) = (history::extent(tx, Utc::now()).await?, history::minute(at));
    if !(extent.since..=extent.until).contains(&at) {
        let Extent { since, until } = extent;
        let message = format!("`as_of` must lie from {} to {}", since.to_rfc3339(), until.to_rfc3339());
        return Err(ApiError::new(Code::InvalidQuery, message));
    }
    let (now, moves) = history::moves(tx, &reach, &Span { from: at, to: at, seconds: 60 }).await?;
    Ok((before(&now, &moves), at))
}

/// The whole units of the scope that the caller sees.
async fn past_reach(tx: &mut TenantTx, visible: &Visible, scope: &AccessScope) -> Result<Reach, ApiError> {
    let reach = counts::past_reach(tx, visible, scope).await?;
    if reach.units.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::not_found("scope"));
    }
    Ok(Reach { units: reach.units, ..Reach::default() })
}

/// The counters before all of the moves.
fn before(now: &[GroupCounts], moves: &[history::Move]) -> Standing {
    let group = |row: &GroupCounts| {
        let (healthy, unhealthy, unknown) = (row.healthy, row.unhealthy, row.unknown);
        Counts { healthy, unhealthy, unknown, stale: row.stale, exempt: row.exempt }
    };
    let mut standing: Standing = now.iter().map(|row| (row.score_group.as_str(), group(row))).collect();
    standing.undo(moves.iter().map(moved));
    standing
}

fn moved(it: &history::Move) -> Move<'_> {
    let ScoreDelta { healthy, unhealthy, unknown, stale, exempt } = it.delta;
    Move { group: &it.score_group, cause: it.cause, by: Counts { healthy, unhealthy, unknown, stale, exempt } }
}
