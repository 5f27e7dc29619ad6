use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, Choice, Parameter};
use rampart_domain::Severity;
use rampart_store::initiative::{self, Initiative};
use rampart_store::page::Page;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::check_name;
use crate::App;
use crate::document::{IdempotencyHeader, IfMatchHeader};
use crate::http::{
    Answer, ApiError, Caller, Code, FieldErrors, List, Listing, ManageInitiatives, PageParams, PathOf, Payload,
    ReadInventory, Submission, if_match, note_before,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create_initiative, list_initiatives)).routes(routes!(
        get_initiative,
        update_initiative,
        delete_initiative
    ))
}

/// A set of controls with their settings.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Initiative)]
struct InitiativeView {
    /// Id of a built-in one, name of a custom one.
    #[schema(example = "rampart-default")]
    name: String,
    title: String,
    description: String,
    /// Whether it comes with the product.
    built_in: bool,
    /// The framework whose controls it selects.
    #[serde(skip_serializing_if = "Option::is_none")]
    framework: Option<String>,
    /// Settings of the whole set, by name: an assignment gives them under the initiative's own id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parameters: BTreeMap<String, InitiativeParameter>,
    controls: Vec<ChoiceView>,
    version: i64,
    /// Null for built-in ones.
    updated_at: Option<DateTime<Utc>>,
}

/// A setting of an initiative.
#[derive(Debug, Serialize, ToSchema)]
struct InitiativeParameter {
    /// What it may hold, in words.
    #[schema(example = "Kubernetes version: latest, or v1.0 to v1.38")]
    r#type: &'static str,
    default: Value,
    description: String,
}

impl From<&Parameter> for InitiativeParameter {
    fn from(parameter: &Parameter) -> Self {
        let (default, description) = (parameter.default.clone(), parameter.description.clone());
        Self { r#type: parameter.r#type.as_str(), default, description }
    }
}

/// A control, or a family of them, with settings.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Choice)]
pub(super) struct ChoiceView {
    /// Id of a control, or `prefix.*`.
    #[schema(example = "k8s.pod.*")]
    id: String,
    /// Parameters other than the defaults.
    #[serde(default)]
    params: BTreeMap<String, Value>,
    /// Severity other than the control's own.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    severity: Option<Severity>,
}

impl From<&Choice> for ChoiceView {
    fn from(choice: &Choice) -> Self {
        Self { id: choice.id.clone(), params: choice.params.clone(), severity: choice.severity }
    }
}

impl From<&rampart_content::Initiative> for InitiativeView {
    fn from(built_in: &rampart_content::Initiative) -> Self {
        Self {
            name: built_in.id.clone(),
            title: built_in.title.clone(),
            description: built_in.description.clone(),
            built_in: true,
            framework: built_in.framework.clone(),
            parameters: built_in.parameters.iter().map(|(name, own)| (name.clone(), own.into())).collect(),
            controls: built_in.controls.iter().map(ChoiceView::from).collect(),
            version: i64::from(built_in.version),
            updated_at: None,
        }
    }
}

/// What the definition column holds.
#[derive(Debug, Serialize, Deserialize)]
struct Definition {
    description: String,
    controls: Vec<ChoiceView>,
}

/// What a custom initiative selects: ids of controls, and families.
pub(super) fn choices(row: Initiative) -> Result<Vec<String>, ApiError> {
    Ok(InitiativeView::try_from(row)?.controls.into_iter().map(|choice| choice.id).collect())
}

impl TryFrom<Initiative> for InitiativeView {
    type Error = ApiError;

    fn try_from(row: Initiative) -> Result<Self, ApiError> {
        let definition: Definition = serde_json::from_value(row.definition)
            .map_err(|error| rampart_store::StoreError::Corrupt(format!("initiative `{}`: {error}", row.name)))?;
        Ok(Self {
            name: row.name,
            title: row.title,
            description: definition.description,
            built_in: false,
            framework: None,
            parameters: BTreeMap::default(),
            controls: definition.controls,
            version: row.version,
            updated_at: Some(row.updated_at),
        })
    }
}

fn answer(row: Initiative) -> Result<Answer, ApiError> {
    let version = row.version;
    Ok(Answer::ok(InitiativeView::try_from(row)?).version(version))
}

/// What a custom initiative says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PutInitiative {
    title: String,
    #[serde(default)]
    description: String,
    /// What it selects; a later choice of the same control wins.
    controls: Vec<ChoiceView>,
}

/// A new custom initiative.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CreateInitiative {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "payments")]
    name: String,
    title: String,
    #[serde(default)]
    description: String,
    /// What it selects; a later choice of the same control wins.
    controls: Vec<ChoiceView>,
}

impl PutInitiative {
    fn parse(self, catalogue: &Catalogue, mut errors: FieldErrors) -> Result<(String, Value), ApiError> {
        errors.check((1..=200).contains(&self.title.trim().len()), "/title", "must be 1 to 200 characters");
        errors.check(self.description.len() <= 4000, "/description", "must be at most 4000 characters");
        check_choices(&mut errors, "/controls", catalogue, &self.controls);
        errors.finish()?;
        Ok((self.title, json!(Definition { description: self.description, controls: self.controls })))
    }
}

/// Notes choices that select nothing, or set what is not there.
pub(super) fn check_choices(errors: &mut FieldErrors, at: &str, catalogue: &Catalogue, controls: &[ChoiceView]) {
    errors.check((1..=500).contains(&controls.len()), at, "must be 1 to 500 choices");
    for (index, choice) in controls.iter().enumerate() {
        let picked = Choice { id: choice.id.clone(), params: choice.params.clone(), severity: choice.severity };
        let mut selected = catalogue.controls().filter(|control| picked.selects(&control.id)).peekable();
        errors.check(selected.peek().is_some(), &format!("{at}/{index}/id"), "selects no control");
        for control in selected {
            let declared = |name: &str| control.parameters.get(name);
            check_params(errors, &format!("{at}/{index}/params"), &control.id, declared, &choice.params);
        }
    }
}

/// Notes parameters that `owner`, a control or an initiative, does not declare, or that hold something else.
pub(super) fn check_params<'p>(
    errors: &mut FieldErrors,
    field: &str,
    owner: &str,
    declared: impl Fn(&str) -> Option<&'p Parameter>,
    params: &BTreeMap<String, Value>,
) {
    for (name, value) in params {
        match declared(name) {
            None => errors.add(&format!("{field}/{name}"), format!("{owner} has no such parameter")),
            Some(parameter) if !parameter.r#type.accepts(value) => {
                errors.add(&format!("{field}/{name}"), format!("is not a {}", parameter.r#type.as_str()));
            }
            Some(_) => {}
        }
    }
}

/// Make an initiative of one's own.
#[utoipa::path(post, path = "/v1/initiatives", tag = "initiatives", params(IdempotencyHeader),
    request_body = CreateInitiative, responses((status = 201, body = InitiativeView)))]
async fn create_initiative(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    submission: Submission<CreateInitiative>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut errors = FieldErrors::default();
    check_name(&mut errors, "/name", &body.name);
    errors.check(app.catalogue().initiative(&body.name).is_none(), "/name", "is the id of a built-in initiative");
    let put = PutInitiative { title: body.title, description: body.description, controls: body.controls };
    let mut tx = app.tx(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let (title, definition) = put.parse(&catalogue, errors)?;
    if let Some(earlier) = submission.replay(&mut tx, "create_initiative", caller.access.actor.id).await? {
        return Ok(earlier);
    }
    let row = initiative::create(&mut tx, &body.name, &title, &definition).await?;
    let (place, version) = (format!("/v1/initiatives/{}", row.name), row.version);
    let answer = Answer::created(place, InitiativeView::try_from(row)?).version(version);
    submission.keep(&mut tx, &answer).await?;
    tx.commit().await?;
    Ok(answer)
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List initiatives by name, built-in and custom ones together.
#[utoipa::path(get, path = "/v1/initiatives", tag = "initiatives", params(PageParams),
    responses((status = 200, body = List<InitiativeView>)))]
async fn list_initiatives(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<InitiativeView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    // One page more than wanted of the custom ones is enough to merge with the built-in ones.
    let custom = initiative::list(&mut tx, &Page { limit: listing.page.limit, ..listing.page.clone() }).await?;
    let more = custom.next.is_some();
    let mut all: Vec<InitiativeView> =
        custom.items.into_iter().map(InitiativeView::try_from).collect::<Result<_, _>>()?;
    let last = all.last().map(|view| view.name.clone()).filter(|_| more);
    // Behind the last custom one that was read there may be more of them: stop there.
    let built_in = app.catalogue().initiatives().filter(|it| last.as_ref().is_none_or(|last| it.id <= *last));
    all.extend(built_in.map(InitiativeView::from));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let mut listed = listing.page.slice(all, |view| view.name.clone())?;
    if listed.next.is_none() && more {
        listed.next = custom.next;
    }
    Ok(List::of(listed, |view| view))
}

/// Get an initiative.
#[utoipa::path(get, path = "/v1/initiatives/{name}", tag = "initiatives", params(("name" = String, Path)),
    responses((status = 200, body = InitiativeView)))]
async fn get_initiative(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
) -> Result<Answer, ApiError> {
    if let Some(built_in) = app.catalogue().initiative(&name) {
        return Ok(Answer::ok(InitiativeView::from(built_in)));
    }
    let mut tx = app.tx(&caller).await?;
    answer(initiative::get(&mut tx, &name).await?)
}

fn refuse_built_in(app: &App, name: &str) -> Result<(), ApiError> {
    match app.catalogue().initiative(name) {
        Some(_) => Err(ApiError::new(Code::Forbidden, "built-in initiatives come with the product and do not change")),
        None => Ok(()),
    }
}

/// Replace an initiative of one's own. What it is assigned to is assessed again.
#[utoipa::path(put, path = "/v1/initiatives/{name}", tag = "initiatives",
    params(("name" = String, Path), IfMatchHeader), request_body = PutInitiative,
    responses((status = 200, body = InitiativeView)))]
async fn update_initiative(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(name): PathOf<String>,
    headers: HeaderMap,
    Payload(body): Payload<PutInitiative>,
) -> Result<Answer, ApiError> {
    refuse_built_in(&app, &name)?;
    let mut tx = app.tx(&caller).await?;
    let before = InitiativeView::try_from(initiative::get(&mut tx, &name).await?)?;
    note_before(&mut tx, before);
    let version = if_match(&headers)?;
    let (title, definition) = body.parse(&*app.catalogue_of(&mut tx).await?, FieldErrors::default())?;
    let row = initiative::update(&mut tx, &name, version, &title, &definition).await?;
    answer(row)?.commit(tx).await
}

/// Delete an initiative of one's own that is assigned nowhere.
#[utoipa::path(delete, path = "/v1/initiatives/{name}", tag = "initiatives", params(("name" = String, Path)),
    responses((status = 204)))]
async fn delete_initiative(
    State(app): State<App>,
    caller: Caller<ManageInitiatives>,
    PathOf(name): PathOf<String>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    refuse_built_in(&app, &name)?;
    let version = if headers.contains_key("if-match") { if_match(&headers)? } else { None };
    let mut tx = app.tx(&caller).await?;
    let before = InitiativeView::try_from(initiative::get(&mut tx, &name).await?)?;
    note_before(&mut tx, before);
    initiative::delete(&mut tx, &name, version).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
