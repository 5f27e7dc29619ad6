use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::ClusterId;
use rampart_store::plan::{self, Effective, IsOn, Plan, PlanScope};
use rampart_store::{TenantTx, Visible, cluster, connector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManageConnectors, PageParams, PathOf, Payload, ReadInventory,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_connector_pricings))
        .routes(routes!(get_connector_pricing, set_connector_pricing, reset_connector_pricing))
        .routes(routes!(list_cluster_pricings))
        .routes(routes!(get_cluster_pricing, set_cluster_pricing, reset_cluster_pricing))
}

/// A plan at an organisation, an account or a cluster.
///
/// An account follows its organisation and a cluster the account it is read through, unless they have a setting of their
/// own. Without any setting every plan is on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pricing)]
struct PricingView {
    /// `discovery` (reading the cloud and its clusters) or `posture` (judging configuration).
    #[schema(example = "posture")]
    name: &'static str,
    enabled: bool,
    /// Since when it is on without a break; null while it is off.
    enablement_time: Option<DateTime<Utc>>,
    /// Whether there is no setting of its own here.
    inherited: bool,
    /// Connector of the organisation or account whose setting holds here; null for an own setting, and where none is set.
    inherited_from: Option<Uuid>,
}

impl From<Effective> for PricingView {
    fn from(row: Effective) -> Self {
        Self {
            name: row.plan.as_str(),
            enabled: row.enabled,
            enablement_time: row.enabled_at,
            inherited: row.inherited,
            inherited_from: row.inherited_from.map(|id| id.0),
        }
    }
}

/// A setting of a plan.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SetPricing {
    enabled: bool,
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

fn named(plan: &str) -> Result<Plan, ApiError> {
    Plan::parse(plan).ok_or_else(|| ApiError::not_found("plan"))
}

/// Who does not see the whole tenant sees no connectors, so not from which one a setting comes either.
fn seen_by(visible: &Visible, row: Effective) -> PricingView {
    let inherited_from = row.inherited_from.filter(|_| visible.all);
    PricingView::from(Effective { inherited_from, ..row })
}

async fn of_connector(tx: &mut TenantTx, name: &str) -> Result<PlanScope, ApiError> {
    Ok(PlanScope::Connector(connector::resolve(tx, name).await?))
}

async fn of_cluster(tx: &mut TenantTx, visible: &Visible, id: Uuid) -> Result<PlanScope, ApiError> {
    cluster::get(tx, visible, ClusterId(id)).await?;
    Ok(PlanScope::Cluster(ClusterId(id)))
}

async fn list(
    tx: &mut TenantTx,
    visible: &Visible,
    scope: PlanScope,
    listing: &Listing<NoFilter>,
) -> Result<Json<List<PricingView>>, ApiError> {
    let all = plan::effective(tx, scope).await?;
    Ok(List::of(listing.page.slice(all, |row| row.plan.as_str().to_owned())?, |row| seen_by(visible, row)))
}

async fn set(mut tx: TenantTx, scope: PlanScope, plan: &str, body: &SetPricing) -> Result<Answer, ApiError> {
    let wanted = if body.enabled { IsOn::On } else { IsOn::Off };
    let row = plan::set(&mut tx, scope, named(plan)?, wanted, Utc::now()).await?;
    tx.commit().await?;
    Ok(Answer::ok(PricingView::from(row)))
}

async fn reset(mut tx: TenantTx, scope: PlanScope, plan: &str) -> Result<Answer, ApiError> {
    let row = plan::clear(&mut tx, scope, named(plan)?, Utc::now()).await?;
    tx.commit().await?;
    Ok(Answer::ok(PricingView::from(row)))
}

/// List the plans of an organisation or account.
#[utoipa::path(get, path = "/v1/connectors/{connector}/pricings", tag = "pricings",
    params(("connector" = String, Path, description = "Name or id"), PageParams),
    responses((status = 200, body = List<PricingView>)))]
async fn list_connector_pricings(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<PricingView>>, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let scope = of_connector(&mut tx, &name).await?;
    list(&mut tx, &caller.visible(), scope, &listing).await
}

/// Get a plan of an organisation or account.
#[utoipa::path(get, path = "/v1/connectors/{connector}/pricings/{plan}", tag = "pricings",
    params(("connector" = String, Path, description = "Name or id"), ("plan" = String, Path)),
    responses((status = 200, body = PricingView)))]
async fn get_connector_pricing(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf((name, plan)): PathOf<(String, String)>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let scope = of_connector(&mut tx, &name).await?;
    Ok(Answer::ok(PricingView::from(plan::one(&mut tx, scope, named(&plan)?).await?)))
}

/// Switch a plan of an organisation or account on or off.
///
/// Where discovery is off nothing is read, and what was read before grows old; where posture is off nothing is judged, and
/// earlier verdicts leave the score.
#[utoipa::path(put, path = "/v1/connectors/{connector}/pricings/{plan}", tag = "pricings",
    params(("connector" = String, Path, description = "Name or id"), ("plan" = String, Path)),
    request_body = SetPricing, responses((status = 200, body = PricingView)))]
async fn set_connector_pricing(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf((name, plan)): PathOf<(String, String)>,
    Payload(body): Payload<SetPricing>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let scope = of_connector(&mut tx, &name).await?;
    set(tx, scope, &plan, &body).await
}

/// Let an organisation or account inherit a plan again.
#[utoipa::path(delete, path = "/v1/connectors/{connector}/pricings/{plan}", tag = "pricings",
    params(("connector" = String, Path, description = "Name or id"), ("plan" = String, Path)),
    responses((status = 200, body = PricingView)))]
async fn reset_connector_pricing(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf((name, plan)): PathOf<(String, String)>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let scope = of_connector(&mut tx, &name).await?;
    reset(tx, scope, &plan).await
}

/// List the plans of a cluster.
#[utoipa::path(get, path = "/v1/clusters/{cluster_id}/pricings", tag = "pricings",
    params(("cluster_id" = Uuid, Path), PageParams), responses((status = 200, body = List<PricingView>)))]
async fn list_cluster_pricings(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<PricingView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let scope = of_cluster(&mut tx, &caller.visible(), id).await?;
    list(&mut tx, &caller.visible(), scope, &listing).await
}

/// Get a plan of a cluster.
#[utoipa::path(get, path = "/v1/clusters/{cluster_id}/pricings/{plan}", tag = "pricings",
    params(("cluster_id" = Uuid, Path), ("plan" = String, Path)), responses((status = 200, body = PricingView)))]
async fn get_cluster_pricing(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf((id, plan)): PathOf<(Uuid, String)>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let visible = caller.visible();
    let scope = of_cluster(&mut tx, &visible, id).await?;
    Ok(Answer::ok(seen_by(&visible, plan::one(&mut tx, scope, named(&plan)?).await?)))
}

/// Switch a plan of a cluster on or off.
///
/// Goes before what the cluster's account and organisation say.
#[utoipa::path(put, path = "/v1/clusters/{cluster_id}/pricings/{plan}", tag = "pricings",
    params(("cluster_id" = Uuid, Path), ("plan" = String, Path)), request_body = SetPricing,
    responses((status = 200, body = PricingView)))]
async fn set_cluster_pricing(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf((id, plan)): PathOf<(Uuid, String)>,
    Payload(body): Payload<SetPricing>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let scope = of_cluster(&mut tx, &caller.visible(), id).await?;
    set(tx, scope, &plan, &body).await
}

/// Let a cluster inherit a plan again.
#[utoipa::path(delete, path = "/v1/clusters/{cluster_id}/pricings/{plan}", tag = "pricings",
    params(("cluster_id" = Uuid, Path), ("plan" = String, Path)), responses((status = 200, body = PricingView)))]
async fn reset_cluster_pricing(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf((id, plan)): PathOf<(Uuid, String)>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let scope = of_cluster(&mut tx, &caller.visible(), id).await?;
    reset(tx, scope, &plan).await
}
