use axum::extract::State;
use rampart_domain::Status;
use rampart_store::finding::Filter;
use rampart_store::governance::{self, Numbers, Part, SUMMARY_OWNERS};
use rampart_store::{AccessScope, score};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::findings::severity_word;
use super::scope::ScopeQuery;
use crate::App;
use crate::http::{Answer, ApiError, Caller, Params, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_governance))
}

/// Unhealthy findings by when they have to be mended. A finding is in grace from its due date until the grace period of its
/// rule is over, and overdue from then on.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = GovernanceNumbers)]
struct NumbersView {
    /// All unhealthy findings.
    open: i64,
    /// Those without a due date.
    undated: i64,
    overdue: i64,
    /// Past their due date, within the grace period.
    grace: i64,
    /// Due within the next seven days.
    due_within_7_days: i64,
}

impl From<Numbers> for NumbersView {
    fn from(numbers: Numbers) -> Self {
        Self {
            open: numbers.open,
            undated: numbers.undated,
            overdue: numbers.overdue,
            grace: numbers.grace,
            due_within_7_days: numbers.due_soon,
        }
    }
}

/// What one owner has to mend.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnerNumbers)]
struct OwnerView {
    /// Null for findings without an owner.
    owner: Option<String>,
    #[serde(flatten)]
    numbers: NumbersView,
}

/// What there is to mend of one severity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SeverityNumbers)]
struct SeverityView {
    #[schema(example = "high")]
    severity: &'static str,
    #[serde(flatten)]
    numbers: NumbersView,
}

/// Who has to mend what, and how far behind they are.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = Governance)]
struct GovernanceView {
    #[serde(flatten)]
    all: NumbersView,
    /// The worst first.
    severities: Vec<SeverityView>,
    /// The most overdue first, at most 100; `GET /v1/findings?group_by=owner` counts the others.
    owners: Vec<OwnerView>,
}

/// Get the numbers of owners and due dates.
#[utoipa::path(get, path = "/v1/governance", tag = "governance", params(ScopeQuery),
    responses((status = 200, body = GovernanceView)))]
async fn get_governance(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Params(query): Params<ScopeQuery>,
) -> Result<Answer, ApiError> {
    let (account, cluster, namespace) = (query.account.clone(), query.cluster, query.namespace.clone());
    let scope = query.scope()?;
    let mut tx = app.tx(&caller).await?;
    if scope != AccessScope::Tenant {
        // What the caller may not see is not there, rather than empty.
        score::reach(&mut tx, &caller.visible(), &scope).await?;
    }
    let filter =
        Filter { statuses: vec![Status::Unhealthy.to_string()], account, cluster, namespace, ..Filter::default() };
    let mut view = GovernanceView::default();
    for (part, numbers) in governance::numbers(&mut tx, &caller.visible(), &filter).await? {
        let numbers = NumbersView::from(numbers);
        match part {
            Part::All => view.all = numbers,
            Part::Severity(severity) => {
                view.severities.push(SeverityView { severity: severity_word(severity), numbers });
            }
            Part::Owner(owner) if view.owners.len() < SUMMARY_OWNERS => view.owners.push(OwnerView { owner, numbers }),
            Part::Owner(_) => {}
        }
    }
    Ok(Answer::ok(view))
}
