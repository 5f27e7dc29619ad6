use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, Utc};
use rampart_content::Catalogue;
use rampart_posture::custom::Source;
use rampart_store::TenantTx;
use rampart_store::custom::{self, CustomSource, Format, Version};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::App;
use crate::catalogue::read_format;
use crate::http::{Answer, ApiError, Caller, FieldErrors, ManageInitiatives, Repeatable, if_match, note_before};

/// A version of a source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceVersion)]
pub(super) struct VersionView {
    version: i64,
    /// The text; null where it was deleted.
    source: Option<String>,
    /// The token that made it so.
    changed_by: Uuid,
    changed_at: DateTime<Utc>,
}

impl From<Version> for VersionView {
    fn from(row: Version) -> Self {
        Self { version: row.version, source: row.source, changed_by: row.changed_by, changed_at: row.changed_at }
    }
}

/// A control that a source adds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceControl)]
pub(super) struct ControlView {
    /// The id that initiatives select it by.
    #[schema(example = "policy.gatekeeper.K8sRequiredLabels.owner")]
    id: String,
    title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "medium")]
    severity: String,
    /// Kinds of resources that it judges; `workload` stands for every kind with a pod template.
    #[schema(value_type = Vec<String>)]
    kinds: serde_json::Value,
}

/// The controls that a source adds, by id.
pub(super) fn controls(catalogue: &Catalogue, format: Format, name: &str) -> Vec<ControlView> {
    let own = held(catalogue, format, name);
    let found = own.iter().filter_map(|id| catalogue.control(id));
    let view = |control: &rampart_content::Control| ControlView {
        id: control.id.clone(),
        title: control.title.clone(),
        severity: control.severity.to_string(),
        kinds: serde_json::json!(control.kinds().collect::<Vec<_>>()),
    };
    found.map(view).collect()
}

/// The ids of the controls that a source adds.
fn held(catalogue: &Catalogue, format: Format, name: &str) -> Vec<String> {
    match format {
        Format::Control => vec![name.to_owned()],
        Format::Policies => {
            let prefix = format!("{}{name}.", rampart_content::POLICY);
            let ids = catalogue.controls().map(|control| &control.id);
            ids.filter(|id| id.starts_with(&prefix)).cloned().collect()
        }
    }
}

/// The new text of a source.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PutSource {
    /// YAML or JSON.
    pub source: String,
}

/// Names of bundles are a part of the ids of their policies.
pub(super) fn check_bundle(errors: &mut FieldErrors, name: &str) {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
    let fits = (1..=60).contains(&name.len()) && plain;
    errors.check(fits, "/name", "must be 1 to 60 lower-case letters, digits, `-` or `_`");
}

/// How a noun shows its sources.
pub(super) type View<V> = fn(CustomSource, &Catalogue) -> V;

/// A noun whose instances are sources.
pub(super) struct Noun<V> {
    pub(super) format: Format,
    /// Where its instances lie, such as `/v1/policies`.
    pub(super) path: &'static str,
    /// Name of the operation that makes one.
    pub(super) operation: &'static str,
    pub(super) view: View<V>,
}

impl<V: Serialize> Noun<V> {
    fn answer(&self, row: CustomSource, catalogue: &Catalogue) -> Answer {
        let version = row.version;
        Answer::ok((self.view)(row, catalogue)).version(version)
    }

    /// Reads the source and keeps it. The name of a control is its id, in its text.
    pub(super) async fn create(
        &self,
        app: &App,
        caller: &Caller<ManageInitiatives>,
        submission: Repeatable,
        source: Source,
    ) -> Result<Answer, ApiError> {
        let mut tx = app.tx(caller).await?;
        if let Some(earlier) = submission.replay(&mut tx, self.operation, caller.access.actor.id).await? {
            return Ok(earlier);
        }
        let text = source.text.clone();
        let bundle = source.name.clone();
        let layer = app.read_source(source).await?;
        let id = layer.controls().next().map(|control| control.id.clone()).unwrap_or_default();
        let name = if self.format == Format::Control { id } else { bundle };
        let row = custom::create(&mut tx, self.format, &name, &text, caller.access.actor.id).await?;
        let catalogue = app.catalogue_of(&mut tx).await?;
        let (place, version) = (format!("{}/{}", self.path, row.name), row.version);
        let answer = Answer::created(place, (self.view)(row, &catalogue)).version(version);
        submission.keep(&mut tx, &answer).await?;
        tx.commit().await?;
        Ok(answer)
    }

    pub(super) async fn get(&self, app: &App, tx: &mut TenantTx, name: &str) -> Result<Answer, ApiError> {
        let row = custom::get(tx, self.format, name).await?;
        let catalogue: Arc<Catalogue> = app.catalogue_of(tx).await?;
        Ok(self.answer(row, &catalogue))
    }

    /// Reads the new text and puts it in place of the one before.
    pub(super) async fn update(
        &self,
        app: &App,
        caller: &Caller<ManageInitiatives>,
        name: &str,
        headers: &HeaderMap,
        text: String,
    ) -> Result<Answer, ApiError> {
        let mut tx = app.tx(caller).await?;
        custom::get(&mut tx, self.format, name).await?;
        let version = if_match(headers)?;
        let source = Source { format: read_format(self.format), name: name.to_owned(), text: text.clone() };
        let layer = app.read_source(source).await?;
        let ids: Vec<&String> = layer.controls().map(|control| &control.id).collect();
        if self.format == Format::Control {
            let mut errors = FieldErrors::default();
            errors.check(ids.iter().all(|id| *id == name), "/source", "is of a control with another id");
            errors.finish()?;
        }
        let catalogue = app.catalogue_of(&mut tx).await?;
        let shown = (self.view)(custom::get(&mut tx, self.format, name).await?, &catalogue);
        note_before(&mut tx, shown);
        let before = held(&catalogue, self.format, name);
        let gone: Vec<String> = before.into_iter().filter(|id| !ids.contains(&id)).collect();
        let row = custom::update(&mut tx, self.format, name, version, (&text, &gone), caller.access.actor.id).await?;
        let catalogue = app.catalogue_of(&mut tx).await?;
        self.answer(row, &catalogue).commit(tx).await
    }

    pub(super) async fn delete(
        &self,
        app: &App,
        caller: &Caller<ManageInitiatives>,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<StatusCode, ApiError> {
        let version = if headers.contains_key("if-match") { if_match(headers)? } else { None };
        let mut tx = app.tx(caller).await?;
        let catalogue = app.catalogue_of(&mut tx).await?;
        let shown = (self.view)(custom::get(&mut tx, self.format, name).await?, &catalogue);
        note_before(&mut tx, shown);
        let held = held(&catalogue, self.format, name);
        custom::delete(&mut tx, self.format, name, version, &held, caller.access.actor.id).await?;
        tx.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    }
}
