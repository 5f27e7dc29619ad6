use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Days, Utc};
use rampart_domain::ExemptionId;
use rampart_store::TenantTx;
use rampart_store::exemption::{self, Exemption, Hidden, Selected, Terms};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::exemption_terms::{
    ExemptionCategoryWord, ExemptionCondition, PutExemption, controls_of, must_cover, must_decide,
};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, List, Listing, ManagePolicy, PageParams, PathOf, Payload, ReadFindings, Submission,
    if_match, note_before,
};

/// An exemption that ends within so many days is expiring.
const SOON: u64 = 30;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_exemption, list_exemptions)).routes(routes!(
        get_exemption,
        update_exemption,
        delete_exemption
    ))
}

/// How an exemption stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExemptionStatus)]
enum Standing {
    /// It hides something.
    Active,
    /// It hides something and ends within 30 days.
    Expiring,
    /// It holds no more.
    Expired,
    /// It holds and hides nothing: nothing fits, or an older exemption hides it.
    Unused,
}

impl Standing {
    fn of(terms: &Terms, hidden: Hidden, now: DateTime<Utc>) -> Self {
        let ends_by = |at| terms.expires_at.is_some_and(|expires| expires <= at);
        match hidden.findings {
            _ if ends_by(now) => Self::Expired,
            0 => Self::Unused,
            _ if ends_by(now + Days::new(SOON)) => Self::Expiring,
            _ => Self::Active,
        }
    }
}

/// A deviation that was accepted: the findings that it covers are `exempt`, with their evidence, and neither earn nor cost
/// score.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Exemption)]
struct ExemptionView {
    id: Uuid,
    #[schema(example = "node-exporter-host-network")]
    name: String,
    /// `waiver` (the risk is accepted) or `mitigated` (something else takes care of it).
    #[schema(example = "mitigated")]
    category: ExemptionCategoryWord,
    reason: String,
    approved_by: Option<String>,
    /// From when on it holds no more; null for never.
    expires_at: Option<DateTime<Utc>>,
    /// Ids of controls or `prefix.*`; null when `initiative` says which.
    controls: Option<Vec<String>>,
    /// Id or name of the initiative whose controls it is about.
    initiative: Option<String>,
    /// Which resources, and which elements of them.
    #[schema(value_type = ExemptionCondition)]
    r#where: Value,
    status: Standing,
    /// Findings that it hides now, as far as the caller may see them.
    findings: i64,
    /// Resources that these are about.
    resources: i64,
    /// When an assessment last found something to be hidden by it; null when none ever did.
    last_matched_at: Option<DateTime<Utc>>,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl ExemptionView {
    fn of(row: Exemption, hidden: Hidden) -> Self {
        let status = Standing::of(&row.terms, hidden, Utc::now());
        let Terms { name, category, reason, approved_by, expires_at, selected, condition } = row.terms;
        let (controls, initiative) = match selected {
            Selected::Controls(controls) => (Some(controls), None),
            Selected::Initiative(initiative) => (None, Some(initiative)),
        };
        Self {
            id: row.id.0,
            name,
            category: category.into(),
            reason,
            approved_by,
            expires_at,
            controls,
            initiative,
            r#where: json!(condition),
            status,
            findings: hidden.findings,
            resources: hidden.resources,
            last_matched_at: hidden.last_matched_at,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Accept a deviation. What it may hold for is assessed again.
#[utoipa::path(post, path = "/v1/exemptions", tag = "exemptions", params(IdempotencyHeader),
    request_body = PutExemption, responses((status = 201, body = ExemptionView)))]
async fn create_exemption(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    submission: Submission<PutExemption>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_exemption", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let terms = body.parse(&app, &mut tx).await?;
    must_decide(&mut tx, &caller, &terms.condition).await?;
    let row = exemption::create(&mut tx, &terms).await?;
    let (place, version) = (format!("/v1/exemptions/{}", row.id), row.version);
    let answer = Answer::created(place, ExemptionView::of(row, Hidden::default())).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// Which exemptions to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExemptionFilter {
    /// About this control, by id.
    control: Option<String>,
    /// `waiver` or `mitigated`.
    #[param(inline)]
    category: Option<ExemptionCategoryWord>,
    /// That hold now and end within so many days.
    expiring_within_days: Option<u16>,
    /// Only those that hold and hide nothing, or only the others.
    unused: Option<bool>,
}

impl ExemptionFilter {
    fn takes(&self, row: &Exemption, hidden: Hidden, controls: &[String], now: DateTime<Utc>) -> bool {
        let ends = row.terms.expires_at;
        let expires = |days: u16| ends.is_some_and(|at| at > now && at <= now + Days::new(days.into()));
        let is_unused = Standing::of(&row.terms, hidden, now) == Standing::Unused;
        self.control.as_ref().is_none_or(|control| controls.contains(control))
            && self.category.is_none_or(|category| category == row.terms.category.into())
            && self.expiring_within_days.is_none_or(expires)
            && self.unused.is_none_or(|unused| unused == is_unused)
    }
}

/// List the exemptions that touch what the caller may see, by name, with what they hide.
#[utoipa::path(get, path = "/v1/exemptions", tag = "exemptions", params(PageParams, ExemptionFilter),
    responses((status = 200, body = List<ExemptionView>)))]
async fn list_exemptions(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Listing { filter, page }: Listing<ExemptionFilter>,
) -> Result<Json<List<ExemptionView>>, ApiError> {
    let (visible, now) = (caller.visible(), Utc::now());
    let mut tx = app.tx(&caller).await?;
    let hidden = exemption::hidden(&mut tx, &visible).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let mut rows = Vec::new();
    for row in exemption::all(&mut tx).await? {
        let own = hidden.get(&row.id).copied().unwrap_or_default();
        let controls = match &filter.control {
            Some(_) => controls_of(&catalogue, &mut tx, &row.terms.selected).await?,
            None => Vec::new(),
        };
        if filter.takes(&row, own, &controls, now)
            && exemption::is_visible(&mut tx, &visible, &row.terms.condition).await?
        {
            rows.push((row, own));
        }
    }
    let listed = page.slice(rows, |(row, _)| row.terms.name.clone())?;
    Ok(List::of(listed, |(row, hidden)| ExemptionView::of(row, hidden)))
}

/// Get an exemption with what it hides.
#[utoipa::path(get, path = "/v1/exemptions/{exemption_id}", tag = "exemptions",
    params(("exemption_id" = Uuid, Path)), responses((status = 200, body = ExemptionView)))]
async fn get_exemption(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = exemption::get(&mut tx, ExemptionId(id)).await?;
    if !exemption::is_visible(&mut tx, &caller.visible(), &row.terms.condition).await? {
        return Err(ApiError::not_found("exemption"));
    }
    let hidden = exemption::hidden_by(&mut tx, &caller.visible(), row.id).await?;
    let version = row.version;
    Ok(Answer::ok(ExemptionView::of(row, hidden)).version(version))
}

/// The exemption, when the caller may see it and decide about it.
async fn decidable(tx: &mut TenantTx, caller: &Caller<ManagePolicy>, id: Uuid) -> Result<ExemptionId, ApiError> {
    let row = exemption::get(tx, ExemptionId(id)).await?;
    if !exemption::is_visible(tx, &caller.visible(), &row.terms.condition).await? {
        return Err(ApiError::not_found("exemption"));
    }
    must_cover(tx, caller, &row.terms.condition).await?;
    let (id, hidden) = (row.id, exemption::hidden_by(tx, &caller.visible_findings(), row.id).await?);
    note_before(tx, ExemptionView::of(row, hidden));
    Ok(id)
}

/// Replace an exemption. What it leaves and what it reaches is assessed again.
#[utoipa::path(put, path = "/v1/exemptions/{exemption_id}", tag = "exemptions",
    params(("exemption_id" = Uuid, Path), IfMatchHeader), request_body = PutExemption,
    responses((status = 200, body = ExemptionView)))]
async fn update_exemption(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutExemption>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if_match(&headers)?;
    let terms = body.parse(&app, &mut tx).await?;
    must_decide(&mut tx, &caller, &terms.condition).await?;
    let row = exemption::update(&mut tx, id, version, &terms).await?;
    let hidden = exemption::hidden_by(&mut tx, &caller.visible_findings(), id).await?;
    let version = row.version;
    Answer::ok(ExemptionView::of(row, hidden)).version(version).commit(tx).await
}

/// Delete an exemption. What it hid is unhealthy again.
#[utoipa::path(delete, path = "/v1/exemptions/{exemption_id}", tag = "exemptions",
    params(("exemption_id" = Uuid, Path)), responses((status = 204)))]
async fn delete_exemption(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    exemption::delete(&mut tx, id, version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
