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
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManageConnectors, PageParams, PathOf, Payload, ReadInventory,
    note_before,
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
    /// Parts of the plan that can be switched by themselves.
    extensions: Vec<ExtensionView>,
}

/// A part of a plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PricingExtension)]
struct ExtensionView {
    /// `kubernetes`, of the plan `discovery`: reading the Kubernetes APIs of clusters.
    #[schema(example = "kubernetes")]
    name: &'static str,
    /// Whether it is on; never without its plan.
    enabled: bool,
    /// Since when it is on without a break; null while it is off.
    enablement_time: Option<DateTime<Utc>>,
    /// Whether there is no setting of its own here.
    inherited: bool,
}

/// The last part of the stored name.
fn short(plan: Plan) -> &'static str {
    let name = plan.as_str();
    name.rsplit_once('.').map_or(name, |(_, short)| short)
}

impl PricingView {
    fn new(row: Effective, extensions: &[Effective]) -> Self {
        let extensions = extensions.iter().map(|extension| ExtensionView {
            name: short(extension.plan),
            enabled: row.enabled && extension.enabled,
            enablement_time: row.enabled_at.zip(extension.enabled_at).map(|(plan, own)| plan.max(own)),
            inherited: extension.inherited,
        });
        Self {
            extensions: extensions.collect(),
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
    /// Settings of the plan's extensions; what is left out stays as it is.
    #[serde(default)]
    extensions: Vec<SetExtension>,
}

/// A setting of an extension.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetPricingExtension)]
struct SetExtension {
    #[schema(example = "kubernetes")]
    name: String,
    enabled: bool,
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

fn named(plan: &str) -> Result<Plan, ApiError> {
    Plan::parse(plan).ok_or_else(|| ApiError::not_found("plan"))
}

/// A plan at a place with its extensions. Who does not see the whole tenant sees no connectors, so not from which one a
/// setting comes either.
async fn view(tx: &mut TenantTx, visible: &Visible, scope: PlanScope, plan: Plan) -> Result<PricingView, ApiError> {
    let row = plan::one(tx, scope, plan).await?;
    let mut extensions = Vec::new();
    for extension in plan.extensions() {
        extensions.push(plan::one(tx, scope, *extension).await?);
    }
    let inherited_from = row.inherited_from.filter(|_| visible.all);
    Ok(PricingView::new(Effective { inherited_from, ..row }, &extensions))
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
    let mut all = Vec::new();
    for plan in Plan::ALL {
        all.push(view(tx, visible, scope, plan).await?);
    }
    Ok(List::of(listing.page.slice(all, |row| row.name.to_owned())?, |row| row))
}

async fn set(
    mut tx: TenantTx,
    visible: &Visible,
    scope: PlanScope,
    plan: &str,
    body: &SetPricing,
) -> Result<Answer, ApiError> {
    let plan = named(plan)?;
    let mut wanted = vec![(plan, body.enabled)];
    for (index, extension) in body.extensions.iter().enumerate() {
        let known = plan.extensions().iter().find(|known| short(**known) == extension.name);
        let mut errors = FieldErrors::default();
        let names: Vec<_> = plan.extensions().iter().map(|known| short(*known)).collect();
        let message = if names.is_empty() {
            "the plan has no extensions".to_owned()
        } else {
            format!("must be one of: {}", names.join(", "))
        };
        errors.check(known.is_some(), &format!("/extensions/{index}/name"), &message);
        errors.finish()?;
        wanted.extend(known.map(|known| (*known, extension.enabled)));
    }
    let before = view(&mut tx, visible, scope, plan).await?;
    note_before(&mut tx, before);
    for (plan, enabled) in wanted {
        let is_on = if enabled { IsOn::On } else { IsOn::Off };
        plan::set(&mut tx, scope, plan, is_on, Utc::now()).await?;
    }
    Answer::ok(view(&mut tx, visible, scope, plan).await?).commit(tx).await
}

async fn reset(mut tx: TenantTx, visible: &Visible, scope: PlanScope, plan: &str) -> Result<Answer, ApiError> {
    let plan = named(plan)?;
    let before = view(&mut tx, visible, scope, plan).await?;
    note_before(&mut tx, before);
    for each in plan.extensions().iter().chain([&plan]) {
        plan::clear(&mut tx, scope, *each, Utc::now()).await?;
    }
    Answer::ok(view(&mut tx, visible, scope, plan).await?).commit(tx).await
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
    Ok(Answer::ok(view(&mut tx, &caller.visible(), scope, named(&plan)?).await?))
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
    set(tx, &caller.visible(), scope, &plan, &body).await
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
    reset(tx, &caller.visible(), scope, &plan).await
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
    Ok(Answer::ok(view(&mut tx, &visible, scope, named(&plan)?).await?))
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
    set(tx, &caller.visible(), scope, &plan, &body).await
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
    reset(tx, &caller.visible(), scope, &plan).await
}
