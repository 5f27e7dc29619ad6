use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_domain::{Criticality, CriticalityRuleId};
use rampart_store::criticality_rule::{self, CriticalityRule, NewCriticalityRule};
use rampart_store::{TenantTx, assignment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::assignments::{must_cover, must_decide};
use super::label_selector::LabelSelector;
use super::scope::Scope;
use super::{check_name, check_patterns};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManagePolicy, PageParams, PathOf, Payload, ReadInventory,
    Submission, if_match, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_criticality_rule, list_criticality_rules)).routes(routes!(
        get_criticality_rule,
        update_criticality_rule,
        delete_criticality_rule
    ))
}

/// A rule that says how much depends on some resources, which raises or lowers the risk level of findings on them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CriticalityRule)]
struct CriticalityRuleView {
    id: Uuid,
    #[schema(example = "payments")]
    name: String,
    scope: Scope,
    /// Patterns of namespaces; empty for any.
    namespaces: Vec<String>,
    /// Null for any labels.
    selector: Option<LabelSelector>,
    /// `critical`, `high` or `low`.
    #[schema(example = "critical")]
    level: &'static str,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<CriticalityRule> for CriticalityRuleView {
    fn from(row: CriticalityRule) -> Self {
        Self {
            id: row.id.0,
            name: row.rule.name,
            scope: row.rule.scope.into(),
            namespaces: row.rule.namespaces,
            selector: row.rule.selector.map(LabelSelector::of),
            level: row.rule.level.as_str(),
            enabled: row.rule.enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: CriticalityRule) -> Answer {
    let version = row.version;
    Answer::ok(CriticalityRuleView::from(row)).version(version)
}

/// What a criticality rule says. Of several that match a resource the highest level counts, before any label that names an
/// environment.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutCriticalityRule {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "payments")]
    name: String,
    scope: Scope,
    /// Namespaces, in which `*` stands for any text; left out for any, and for what lies in none.
    #[serde(default)]
    #[schema(example = json!(["payments", "payments-*"]))]
    namespaces: Vec<String>,
    /// Labels of the resource, or of its namespace; left out for any.
    selector: Option<LabelSelector>,
    /// `critical`, `high` or `low`.
    #[schema(value_type = String, example = "critical")]
    level: Criticality,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

impl PutCriticalityRule {
    fn parse(self) -> Result<NewCriticalityRule, ApiError> {
        let mut errors = FieldErrors::default();
        check_name(&mut errors, "/name", &self.name);
        check_patterns(&mut errors, "/namespaces", &self.namespaces);
        if let Some(selector) = &self.selector {
            selector.check(&mut errors, "/selector");
        }
        errors.finish()?;
        Ok(NewCriticalityRule {
            name: self.name,
            scope: self.scope.into(),
            namespaces: self.namespaces,
            selector: self.selector.map(|selector| selector.to_json()),
            level: self.level,
            enabled: self.enabled,
        })
    }
}

/// Say how much depends on some resources. Findings on them get their risk level anew.
#[utoipa::path(post, path = "/v1/criticality-rules", tag = "criticality-rules", params(IdempotencyHeader),
    request_body = PutCriticalityRule, responses((status = 201, body = CriticalityRuleView)))]
async fn create_criticality_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    submission: Submission<PutCriticalityRule>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_criticality_rule", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let new = body.parse()?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = criticality_rule::create(&mut tx, &new).await?;
    let (place, version) = (format!("/v1/criticality-rules/{}", row.id), row.version);
    let answer = Answer::created(place, CriticalityRuleView::from(row)).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the criticality rules that touch what the caller may see, by name.
#[utoipa::path(get, path = "/v1/criticality-rules", tag = "criticality-rules", params(PageParams),
    responses((status = 200, body = List<CriticalityRuleView>)))]
async fn list_criticality_rules(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<CriticalityRuleView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let rows = criticality_rule::list(&mut tx, &caller.visible(), &listing.page).await?;
    Ok(List::of(rows, CriticalityRuleView::from))
}

/// Get a criticality rule.
#[utoipa::path(get, path = "/v1/criticality-rules/{criticality_rule_id}", tag = "criticality-rules",
    params(("criticality_rule_id" = Uuid, Path)), responses((status = 200, body = CriticalityRuleView)))]
async fn get_criticality_rule(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = criticality_rule::get(&mut tx, CriticalityRuleId(id)).await?;
    if assignment::is_visible(&mut tx, &caller.visible(), &row.rule.scope).await? {
        Ok(answer(row))
    } else {
        Err(ApiError::not_found("criticality rule"))
    }
}

/// The rule, when the caller may see it and decide about it.
async fn decidable(tx: &mut TenantTx, caller: &Caller<ManagePolicy>, id: Uuid) -> Result<CriticalityRuleId, ApiError> {
    let row = criticality_rule::get(tx, CriticalityRuleId(id)).await?;
    if !assignment::is_visible(tx, &caller.visible(), &row.rule.scope).await? {
        return Err(ApiError::not_found("criticality rule"));
    }
    must_cover(tx, caller, &row.rule.scope).await?;
    let id = row.id;
    note_before(tx, CriticalityRuleView::from(row));
    Ok(id)
}

/// Replace a criticality rule. Findings that it leaves and that it reaches get their risk level anew.
#[utoipa::path(put, path = "/v1/criticality-rules/{criticality_rule_id}", tag = "criticality-rules",
    params(("criticality_rule_id" = Uuid, Path), IfMatchHeader), request_body = PutCriticalityRule,
    responses((status = 200, body = CriticalityRuleView)))]
async fn update_criticality_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutCriticalityRule>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if_match(&headers)?;
    let new = body.parse()?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = criticality_rule::update(&mut tx, id, version, &new).await?;
    answer(row).commit(tx).await
}

/// Delete a criticality rule. Findings that it reached get their risk level anew.
#[utoipa::path(delete, path = "/v1/criticality-rules/{criticality_rule_id}", tag = "criticality-rules",
    params(("criticality_rule_id" = Uuid, Path)), responses((status = 204)))]
async fn delete_criticality_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    criticality_rule::delete(&mut tx, id, version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
