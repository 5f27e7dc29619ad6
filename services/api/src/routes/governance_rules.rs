use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_domain::{GovernanceRuleId, Risk, Severity};
use rampart_store::governance_rule::{self, GovernanceRule, NewGovernanceRule};
use rampart_store::{TenantTx, assignment};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::assignments::{must_cover, must_decide};
use super::label_selector::LabelSelector;
use super::scope::Scope;
use super::{check_name, check_owner, check_patterns};
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, ManagePolicy, PageParams, PathOf, Payload, ReadInventory,
    Submission, if_match, note_before,
};

/// Days that a rule may give at most.
const MOST_DAYS: i16 = 3650;
/// Priorities of rules.
const PRIORITIES: std::ops::RangeInclusive<i32> = 0..=1_000_000;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_governance_rule, list_governance_rules)).routes(routes!(
        get_governance_rule,
        update_governance_rule,
        delete_governance_rule
    ))
}

/// A rule that says who mends some findings, and by when.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = GovernanceRule)]
struct GovernanceRuleView {
    id: Uuid,
    #[schema(example = "payments-criticals")]
    name: String,
    /// The lowest that matches a finding decides about it; of equal ones the first by name.
    priority: i32,
    scope: Scope,
    /// Empty for any.
    severities: Vec<String>,
    /// Empty for any.
    risk_levels: Vec<String>,
    /// Patterns of control ids; empty for any.
    controls: Vec<String>,
    /// Null for any labels.
    selector: Option<LabelSelector>,
    owner: Option<String>,
    owner_label: Option<String>,
    /// Days until due, by severity.
    due_days: BTreeMap<String, i16>,
    grace_period_days: i16,
    enabled: bool,
    version: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<GovernanceRule> for GovernanceRuleView {
    fn from(row: GovernanceRule) -> Self {
        let rule = row.rule;
        Self {
            id: row.id.0,
            name: rule.name,
            priority: rule.priority,
            scope: rule.scope.into(),
            severities: rule.severities.iter().map(ToString::to_string).collect(),
            risk_levels: rule.risks.iter().map(ToString::to_string).collect(),
            controls: rule.controls,
            selector: rule.selector.map(LabelSelector::of),
            owner: rule.owner,
            owner_label: rule.owner_label,
            due_days: rule.due_days.iter().map(|(severity, days)| (severity.to_string(), *days)).collect(),
            grace_period_days: rule.grace_period_days,
            enabled: rule.enabled,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn answer(row: GovernanceRule) -> Answer {
    let version = row.version;
    Answer::ok(GovernanceRuleView::from(row)).version(version)
}

/// What a governance rule says. The first rule that matches a finding decides about owner, date and grace period together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutGovernanceRule {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "payments-criticals")]
    name: String,
    /// 0 to 1000000. The lowest that matches a finding decides about it; of equal ones the first by name.
    #[schema(example = 100)]
    priority: i32,
    scope: Scope,
    /// Severities of findings; left out for any.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["critical", "high"]))]
    severities: Vec<Severity>,
    /// Risk levels of findings; left out for any.
    #[serde(default)]
    #[schema(value_type = Vec<String>, example = json!(["critical"]))]
    risk_levels: Vec<Risk>,
    /// Control ids, in which `*` stands for any text; left out for any.
    #[serde(default)]
    #[schema(example = json!(["k8s.pod.*"]))]
    controls: Vec<String>,
    /// Labels of the resource, or of its namespace; left out for any.
    selector: Option<LabelSelector>,
    /// E-mail address or team, 1 to 200 characters. With `owner_label`, who it is where the label is missing.
    #[schema(example = "payments@acme.example")]
    owner: Option<String>,
    /// Label of the resource, or of its namespace, that names the owner.
    #[schema(example = "team")]
    owner_label: Option<String>,
    /// Days from when a finding turns unhealthy until it is due, by severity, 0 to 3650. A severity that is left out has no
    /// due date.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, i16>, example = json!({"critical": 7, "high": 30}))]
    due_days: BTreeMap<Severity, i16>,
    /// Days after the due date until a finding counts as overdue, 0 to 3650.
    #[serde(default)]
    #[schema(example = 3)]
    grace_period_days: i16,
    #[serde(default = "yes")]
    #[schema(default = true)]
    enabled: bool,
}

const fn yes() -> bool {
    true
}

impl PutGovernanceRule {
    fn parse(self) -> Result<NewGovernanceRule, ApiError> {
        let mut errors = FieldErrors::default();
        let days = 0..=MOST_DAYS;
        check_name(&mut errors, "/name", &self.name);
        errors.check(PRIORITIES.contains(&self.priority), "/priority", "must be 0 to 1000000");
        check_patterns(&mut errors, "/controls", &self.controls);
        if let Some(selector) = &self.selector {
            selector.check(&mut errors, "/selector");
        }
        if let Some(owner) = &self.owner {
            check_owner(&mut errors, "/owner", owner);
        }
        if let Some(label) = &self.owner_label {
            errors.check((1..=317).contains(&label.len()), "/owner_label", "must be a label, 1 to 317 bytes");
        }
        for (severity, given) in &self.due_days {
            errors.check(days.contains(given), &format!("/due_days/{severity}"), "must be 0 to 3650");
        }
        errors.check(days.contains(&self.grace_period_days), "/grace_period_days", "must be 0 to 3650");
        let says = self.owner.is_some() || self.owner_label.is_some() || !self.due_days.is_empty();
        errors.check(says, "/owner", "give `owner`, `owner_label` or `due_days`: the rule says nothing");
        errors.finish()?;
        Ok(NewGovernanceRule {
            name: self.name,
            priority: self.priority,
            scope: self.scope.into(),
            severities: self.severities,
            risks: self.risk_levels,
            controls: self.controls,
            selector: self.selector.map(|selector| selector.to_json()),
            owner: self.owner,
            owner_label: self.owner_label,
            due_days: self.due_days,
            grace_period_days: self.grace_period_days,
            enabled: self.enabled,
        })
    }
}

/// Say who mends some findings, and by when. Findings that it reaches get owner and date anew.
#[utoipa::path(post, path = "/v1/governance-rules", tag = "governance", params(IdempotencyHeader),
    request_body = PutGovernanceRule, responses((status = 201, body = GovernanceRuleView)))]
async fn create_governance_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    submission: Submission<PutGovernanceRule>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut tx = app.tx(&caller).await?;
    if let Some(earlier) = submission.replay(&mut tx, "create_governance_rule", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let new = body.parse()?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = governance_rule::create(&mut tx, &new).await?;
    let (place, version) = (format!("/v1/governance-rules/{}", row.id), row.version);
    let answer = Answer::created(place, GovernanceRuleView::from(row)).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List the governance rules that touch what the caller may see, in the order in which they are asked.
#[utoipa::path(get, path = "/v1/governance-rules", tag = "governance", params(PageParams),
    responses((status = 200, body = List<GovernanceRuleView>)))]
async fn list_governance_rules(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<GovernanceRuleView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let rows = governance_rule::list(&mut tx, &caller.visible(), &listing.page).await?;
    Ok(List::of(rows, GovernanceRuleView::from))
}

/// Get a governance rule.
#[utoipa::path(get, path = "/v1/governance-rules/{governance_rule_id}", tag = "governance",
    params(("governance_rule_id" = Uuid, Path)), responses((status = 200, body = GovernanceRuleView)))]
async fn get_governance_rule(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let row = governance_rule::get(&mut tx, GovernanceRuleId(id)).await?;
    if assignment::is_visible(&mut tx, &caller.visible(), &row.rule.scope).await? {
        Ok(answer(row))
    } else {
        Err(ApiError::not_found("governance rule"))
    }
}

/// The rule, when the caller may see it and decide about it.
async fn decidable(tx: &mut TenantTx, caller: &Caller<ManagePolicy>, id: Uuid) -> Result<GovernanceRuleId, ApiError> {
    let row = governance_rule::get(tx, GovernanceRuleId(id)).await?;
    if !assignment::is_visible(tx, &caller.visible(), &row.rule.scope).await? {
        return Err(ApiError::not_found("governance rule"));
    }
    must_cover(tx, caller, &row.rule.scope).await?;
    let id = row.id;
    note_before(tx, GovernanceRuleView::from(row));
    Ok(id)
}

/// Replace a governance rule. Findings that it leaves and that it reaches get owner and date anew.
#[utoipa::path(put, path = "/v1/governance-rules/{governance_rule_id}", tag = "governance",
    params(("governance_rule_id" = Uuid, Path), IfMatchHeader), request_body = PutGovernanceRule,
    responses((status = 200, body = GovernanceRuleView)))]
async fn update_governance_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
    Payload(body): Payload<PutGovernanceRule>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if_match(&headers)?;
    let new = body.parse()?;
    must_decide(&mut tx, &caller, &new.scope).await?;
    let row = governance_rule::update(&mut tx, id, version, &new).await?;
    answer(row).commit(tx).await
}

/// Delete a governance rule. Findings that it reached get owner and date anew.
#[utoipa::path(delete, path = "/v1/governance-rules/{governance_rule_id}", tag = "governance",
    params(("governance_rule_id" = Uuid, Path)), responses((status = 204)))]
async fn delete_governance_rule(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    PathOf(id): PathOf<Uuid>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = decidable(&mut tx, &caller, id).await?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    governance_rule::delete(&mut tx, id, version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
