use std::collections::BTreeSet;

use axum::extract::State;
use rampart_store::connector::{self, NewConnector};
use rampart_store::preflight::{self, Preflight};
use rampart_store::{StoreError, TenantTx};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::collectors;
use super::connectors::{ConnectorView, CreateConnector, check_federation};
use super::preflights::place;
use crate::App;
use crate::document::IdempotencyHeader;
use crate::http::{Answer, ApiError, Caller, Code, FieldError, FieldErrors, ManageConnectors, Submission};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_connector)).routes(routes!(create_connectors))
}

/// Connectors onboarded by one request.
const MOST: usize = 100;

/// A connector that was onboarded, and the test of its permissions that began with it.
#[derive(Debug, Serialize, ToSchema)]
struct Onboarded {
    #[serde(flatten)]
    connector: ConnectorView,
    preflight: PreflightLink,
}

/// Where a test of permissions is.
#[derive(Debug, Serialize, ToSchema)]
struct PreflightLink {
    id: Uuid,
    /// Path of its result.
    #[schema(
        example = "/v1/connectors/0199f7d5-0000-7000-8000-000000000001/preflights/0199f7d5-0000-7000-8000-000000000002"
    )]
    location: String,
    /// `queued`, `running`, `succeeded` or `failed`.
    #[schema(example = "queued")]
    status: String,
}

impl From<&Preflight> for PreflightLink {
    fn from(row: &Preflight) -> Self {
        Self { id: row.preflight_id, location: place(row), status: row.status.clone() }
    }
}

/// Makes the connector and asks for its first test.
async fn onboard(app: &App, tx: &mut TenantTx, new: &NewConnector) -> Result<(Onboarded, i64), ApiError> {
    let row = connector::create(tx, app.keyring(), new).await?;
    let test = preflight::request(tx, row.id).await?;
    let collector_token =
        if row.settings.is_pushed() { Some(collectors::issue(app, tx, row.id, &row.name).await?) } else { None };
    let version = row.version;
    let mut connector = ConnectorView::from(row);
    connector.collector_token = collector_token;
    Ok((Onboarded { connector, preflight: PreflightLink::from(&test) }, version))
}

/// Onboard an account, a cluster or a whole organisation.
///
/// Credentials are sealed at once and never returned. For an AWS role the answer holds the external id that its trust
/// policy must demand; for a cluster that is pushed, the token of its collector, which is shown only this once. A test of
/// the permissions begins at once; the answer says where its result will be.
#[utoipa::path(post, path = "/v1/connectors", tag = "connectors", params(IdempotencyHeader),
    request_body = CreateConnector, responses((status = 202, body = Onboarded)))]
async fn create_connector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    submission: Submission<CreateConnector>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let new = body.parse()?;
    check_federation(&app, Some(&new.settings))?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_connector", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let (onboarded, version) = onboard(&app, &mut tx, &new).await?;
    let answer = Answer::accepted(onboarded.preflight.location.clone(), onboarded).version(version);
    let kept = if new.settings.is_pushed() { answer.clone().without("collector_token") } else { answer.clone() };
    submission.keep(&mut tx, &kept).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Connectors to onboard together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateConnectors {
    /// 1 to 100 connectors.
    connectors: Vec<CreateConnector>,
}

/// What became of each connector, in the order of the request.
#[derive(Debug, Serialize, ToSchema)]
struct OnboardedConnectors {
    items: Vec<OnboardingItem>,
}

/// What became of one connector.
#[derive(Debug, Serialize, ToSchema)]
struct OnboardingItem {
    /// The name that was asked for.
    name: String,
    /// The connector; null when it was refused.
    connector: Option<Onboarded>,
    /// Why it was refused; null when it was onboarded.
    problem: Option<ItemProblem>,
}

/// Why one of many was refused.
#[derive(Debug, Serialize, ToSchema)]
struct ItemProblem {
    code: Code,
    detail: String,
    /// Fields that do not fit, as JSON pointers into the item.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl From<ApiError> for ItemProblem {
    fn from(error: ApiError) -> Self {
        let (code, detail, errors) = error.into_parts();
        Self { code, detail, errors }
    }
}

/// What cannot be onboarded together with others: the token of a collector is shown once, and an answer that is kept for a
/// repetition must not hold it.
fn alone(app: &App, new: NewConnector) -> Result<NewConnector, ApiError> {
    let mut errors = FieldErrors::default();
    errors.check(!new.settings.is_pushed(), "/source/delivery", "is onboarded by POST /v1/connectors, for its token");
    errors.finish()?;
    check_federation(app, Some(&new.settings))?;
    Ok(new)
}

/// Onboard many accounts, clusters and organisations.
///
/// Each is onboarded or refused by itself, as by a request of its own; the answer says what became of each.
#[utoipa::path(post, path = "/v1/connectors:bulk", tag = "connectors", params(IdempotencyHeader),
    request_body = CreateConnectors, responses((status = 202, body = OnboardedConnectors)))]
async fn create_connectors(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    submission: Submission<CreateConnectors>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut errors = FieldErrors::default();
    errors.check((1..=MOST).contains(&body.connectors.len()), "/connectors", "must be 1 to 100");
    errors.finish()?;
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_connectors", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let names: Vec<String> = body.connectors.iter().map(|connector| connector.name.clone()).collect();
    let mut taken: BTreeSet<String> = connector::taken(&mut tx, &names).await?.into_iter().collect();
    let mut items = Vec::with_capacity(names.len());
    for (name, wanted) in names.into_iter().zip(body.connectors) {
        let new = wanted.parse().and_then(|new| alone(&app, new)).and_then(|new| {
            let is_free = taken.insert(name.clone());
            is_free.then_some(new).ok_or_else(|| StoreError::Exists { what: "connector", name: name.clone() }.into())
        });
        items.push(match new {
            Ok(new) => {
                let (onboarded, _) = onboard(&app, &mut tx, &new).await?;
                OnboardingItem { name, connector: Some(onboarded), problem: None }
            }
            Err(error) => OnboardingItem { name, connector: None, problem: Some(error.into()) },
        });
    }
    let answer = Answer::accepted("/v1/connectors".to_owned(), OnboardedConnectors { items });
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}
