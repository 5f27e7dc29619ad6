use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_content::ScoreGroup;
use rampart_posture::score::{ControlTally, GroupScore, Tally, score};
use rampart_store::coverage::{self, Wholeness};
use rampart_store::score::{self as counts, GroupCounts};
use rampart_store::{AccessScope, TenantTx, Visible};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::scope::{Scope, ScopeQuery};
use super::secure_score_history::standing_at;
use crate::App;
use crate::app::groups;
use crate::http::{Answer, ApiError, Caller, Params, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_secure_score))
}

/// How much of what could be earned is earned. Never to be read without its coverage.
#[derive(Debug, Serialize, ToSchema)]
struct SecureScore {
    scope: Scope,
    /// The whole minute that the score is of; null for the present score.
    as_of: Option<DateTime<Utc>>,
    /// 0 to 100; null when nothing is known that could earn a point.
    #[schema(minimum = 0, maximum = 100, example = 71.5)]
    percent: Option<f64>,
    /// Points earned.
    current: f64,
    /// Points that could be earned.
    max: u32,
    /// Control groups that judge something here.
    groups: Vec<GroupView>,
    coverage: ScoreCoverage,
}

/// One control group's part of the score.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ScoreGroup)]
struct GroupView {
    id: String,
    title: String,
    /// Points earned.
    current: f64,
    /// Points that could be earned; 0 for groups that are shown and not scored.
    max: u32,
    /// Resources without an unhealthy or unknown verdict in the group.
    healthy: u64,
    /// Resources with an unhealthy verdict in the group.
    unhealthy: u64,
    /// Resources of which too little is known.
    unknown: u64,
    /// Of the healthy and unhealthy ones, those whose last reading could not be repeated.
    stale: u64,
    /// Resources with an exempt verdict in the group: it neither earns nor costs points, and the resource counts by its
    /// other verdicts, if it has any.
    exempt: u64,
}

/// What the score rests on.
#[derive(Debug, Serialize, ToSchema)]
struct ScoreCoverage {
    /// Share of the verdicts that are known from a current reading, 0 to 1; null when there are none.
    known: Option<f64>,
    /// Listings that were tried, of one kind in one place each; null for a moment of the past.
    listings: Option<i64>,
    /// Of these, read to the end in the last attempt; `GET /v1/coverage` has the others. Null for a moment of the past.
    whole: Option<i64>,
}

/// The part of the tenant, and when.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScoreQuery {
    /// A cloud account with its clusters.
    account: Option<String>,
    /// Id of a cluster.
    cluster: Option<Uuid>,
    /// A namespace of `cluster`.
    namespace: Option<String>,
    /// The score at this moment, to the minute before: from `recorded_since` to `complete_until` of the history. Groups weigh
    /// as they do now; single namespaces have no past.
    as_of: Option<DateTime<Utc>>,
}

fn count(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

/// Tallies for the formula.
pub(super) fn tallies(counts: &[GroupCounts]) -> Vec<ControlTally<'_>> {
    let tally = |row: &GroupCounts| Tally {
        healthy: count(row.healthy),
        unhealthy: count(row.unhealthy),
        unknown: count(row.unknown),
        stale: count(row.stale),
        exempt: count(row.exempt),
    };
    counts.iter().map(|row| ControlTally { group: &row.score_group, tally: tally(row) }).collect()
}

impl GroupView {
    fn of(group: GroupScore, groups: &[ScoreGroup]) -> Self {
        let title = groups.iter().find(|it| it.id == group.group).map(|it| it.title.clone());
        Self {
            title: title.unwrap_or_else(|| group.group.clone()),
            id: group.group,
            current: group.current,
            max: group.max,
            healthy: group.tally.healthy,
            unhealthy: group.tally.unhealthy,
            unknown: group.tally.unknown,
            stale: group.tally.stale,
            exempt: group.tally.exempt,
        }
    }
}

/// Get the secure score of the tenant, an account, a cluster or a namespace, over what the caller may see; now, or at a
/// moment of the past.
#[utoipa::path(get, path = "/v1/secure-score", tag = "secure-score", params(ScoreQuery),
    responses((status = 200, body = SecureScore)))]
async fn get_secure_score(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Params(query): Params<ScoreQuery>,
) -> Result<Answer, ApiError> {
    let ScoreQuery { account, cluster, namespace, as_of } = query;
    let (visible, scope) = (caller.visible(), ScopeQuery { account, cluster, namespace }.scope()?);
    let mut tx = app.snapshot(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let groups_of = catalogue.groups();
    let (earned, as_of, listings) = if let Some(at) = as_of {
        let (standing, at) = standing_at(&mut tx, &visible, &scope, at).await?;
        (standing.score(groups_of), Some(at), None)
    } else {
        let reach = counts::reach(&mut tx, &visible, &scope).await?;
        let rows = counts::groups(&mut tx, &reach, &groups(&catalogue)).await?;
        let wholeness = wholeness(&mut tx, &visible, &scope).await?;
        (score(groups_of, &tallies(&rows)), None, Some(wholeness))
    };
    let (whole, listings) = listings.map(|it| (it.whole, it.listings)).unzip();
    Ok(Answer::ok(SecureScore {
        scope: scope.into(),
        as_of,
        percent: earned.percent,
        current: earned.current,
        max: earned.max,
        groups: earned.groups.into_iter().map(|group| GroupView::of(group, groups_of)).collect(),
        coverage: ScoreCoverage { known: earned.coverage, listings, whole },
    }))
}

/// How much of what was tried to be read is whole.
pub(super) async fn wholeness(
    tx: &mut TenantTx,
    visible: &Visible,
    scope: &AccessScope,
) -> Result<Wholeness, ApiError> {
    let (account, cluster) = match scope {
        AccessScope::Tenant => (None, None),
        AccessScope::Account(account) => (Some(account.as_str()), None),
        AccessScope::Cluster(cluster) | AccessScope::Namespace(cluster, _) => (None, Some(cluster.0)),
    };
    Ok(coverage::wholeness(tx, visible, account, cluster).await?)
}
