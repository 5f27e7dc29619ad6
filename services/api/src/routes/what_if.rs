use axum::Json;
use axum::extract::State;
use rampart_store::job::{self, Job, JobKind};
use rampart_store::score;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::jobs::{JobState, Noun, read};
use super::scope::Scope;
use super::what_if_change::{ChangeSource, Checking};
use super::what_if_outcome::OutcomeView;
use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, PageParams, PathOf, ReadFindings, Submission, Wait,
};

/// Changes in one question.
const CHANGES: usize = 100;

const NOUN: Noun<WhatIfView> =
    Noun { kind: JobKind::WhatIf, path: "/v1/what-if", operation: "start_what_if", view: WhatIfView::of };

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start_what_if, list_what_ifs)).routes(routes!(get_what_if))
}

/// What hypothetical changes would do to verdicts, score and compliance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WhatIf)]
struct WhatIfView {
    #[serde(flatten)]
    state: JobState,
    scope: Scope,
    /// As they were asked for.
    changes: Vec<ChangeSource>,
    /// Null until the job succeeded.
    outcome: Option<OutcomeView>,
}

/// A question in a list.
#[derive(Debug, Serialize, ToSchema)]
struct WhatIfSummary {
    #[serde(flatten)]
    state: JobState,
    scope: Scope,
    /// How many changes were asked for.
    changes: usize,
}

/// What was asked, as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    scope: Scope,
    changes: Vec<ChangeSource>,
}

impl WhatIfView {
    fn of(row: Job) -> Result<Self, ApiError> {
        let state = JobState::from(&row);
        let Asked { scope, changes } = read(row.request)?;
        Ok(Self { state, scope, changes, outcome: row.result.map(read).transpose()? })
    }
}

impl WhatIfSummary {
    fn of(row: Job) -> Result<Self, ApiError> {
        let state = JobState::from(&row);
        let Asked { scope, changes } = read(row.request)?;
        Ok(Self { state, scope, changes: changes.len() })
    }
}

/// What to try.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartWhatIf {
    /// The part of the tenant to compare, as far as the token sees it; all of that when left out.
    #[serde(default = "everything")]
    #[schema(value_type = Option<Scope>)]
    scope: Scope,
    /// 1 to 100. Those of assignments and initiatives hold from the beginning, the others are made in their order.
    #[schema(value_type = Vec<ChangeSource>)]
    changes: Vec<Value>,
}

const fn everything() -> Scope {
    Scope::Tenant {}
}

/// Ask what hypothetical changes would do.
///
/// A job judges the stored inventory as it is and as it would be, and tells which verdicts, counts, score and compliance
/// would differ. Nothing is changed.
#[utoipa::path(post, path = "/v1/what-if", tag = "what-if", params(IdempotencyHeader, PreferHeader),
    request_body = StartWhatIf, responses((status = 202, body = WhatIfView), (status = 200, body = WhatIfView)))]
async fn start_what_if(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Wait(patience): Wait,
    submission: Submission<StartWhatIf>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let visible = caller.visible();
    let mut tx = app.tx(&caller).await?;
    score::reach(&mut tx, &visible, &body.scope.clone().into()).await?;
    let mut errors = FieldErrors::default();
    errors.check((1..=CHANGES).contains(&body.changes.len()), "/changes", "must be 1 to 100 changes");
    let catalogue = app.catalogue_of(&mut tx).await?;
    let changes =
        Checking { catalogue: &catalogue, visible: &visible }.changes(&mut tx, &mut errors, body.changes).await?;
    errors.finish()?;
    drop(tx);
    let asked = json!(Asked { scope: body.scope, changes });
    NOUN.start(&app, &caller, submission, (&visible, &asked), patience).await
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the what-if questions of the token, or of all for who sees the whole tenant, the latest first.
#[utoipa::path(get, path = "/v1/what-if", tag = "what-if", params(PageParams),
    responses((status = 200, body = List<WhatIfSummary>)))]
async fn list_what_ifs(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<WhatIfSummary>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let listed = job::list(&mut tx, NOUN.kind, &caller.access, &caller.visible(), &listing.page).await?;
    let items = listed.items.into_iter().map(WhatIfSummary::of).collect::<Result<_, _>>()?;
    Ok(Json(List { items, next_cursor: listed.next }))
}

/// Get a what-if question, with what would differ once it is answered.
#[utoipa::path(get, path = "/v1/what-if/{what_if_id}", tag = "what-if", params(("what_if_id" = Uuid, Path)),
    responses((status = 200, body = WhatIfView)))]
async fn get_what_if(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    NOUN.get(&app, &caller, &caller.visible(), id).await
}
