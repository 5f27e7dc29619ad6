use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, selects_control};
use rampart_domain::ExemptionCategory;
use rampart_domain::exemption::Condition;
use rampart_store::exemption::{self, Selected, Terms};
use rampart_store::{TenantTx, initiative};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use super::check_name;
use crate::App;
use crate::http::{ApiError, Caller, Code, FieldErrors, ManagePolicy};

/// Why a deviation is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExemptionCategory)]
pub(super) enum ExemptionCategoryWord {
    /// The risk is accepted.
    Waiver,
    /// Something else takes care of the risk.
    Mitigated,
}

impl From<ExemptionCategory> for ExemptionCategoryWord {
    fn from(category: ExemptionCategory) -> Self {
        match category {
            ExemptionCategory::Waiver => Self::Waiver,
            ExemptionCategory::Mitigated => Self::Mitigated,
        }
    }
}

impl From<ExemptionCategoryWord> for ExemptionCategory {
    fn from(word: ExemptionCategoryWord) -> Self {
        match word {
            ExemptionCategoryWord::Waiver => Self::Waiver,
            ExemptionCategoryWord::Mitigated => Self::Mitigated,
        }
    }
}

/// Which resources, and which elements of them. Everything that is given must hold; `{}` is the whole tenant. `namespace`,
/// `name` and `element` may have `*` for any characters.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what the reader of conditions takes")]
pub(super) struct ExemptionCondition {
    /// Cloud account, with its clusters.
    #[schema(example = "123456789012")]
    account: Option<String>,
    /// Id of a cluster.
    cluster: Option<Uuid>,
    /// Kubernetes namespace.
    #[schema(example = "kube-*")]
    namespace: Option<String>,
    /// Kubernetes label selector: `matchLabels` and `matchExpressions`.
    #[schema(value_type = Option<Object>, example = json!({"matchLabels": {"app": "node-exporter"}}))]
    labels: Option<Value>,
    /// Id of a resource.
    resource: Option<Uuid>,
    /// Kind of the resource.
    #[schema(example = "k8s.daemonset")]
    kind: Option<String>,
    /// Name of the resource.
    name: Option<String>,
    /// Element as evidence names it. A finding is exempt only when every element that violates is covered.
    #[schema(example = "container istio-proxy")]
    element: Option<String>,
    /// At least one of these.
    #[schema(no_recursion)]
    any_of: Option<Vec<ExemptionCondition>>,
    /// All of these.
    #[schema(no_recursion)]
    all_of: Option<Vec<ExemptionCondition>>,
}

/// What an exemption says.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct PutExemption {
    /// Unique name, 1 to 100 letters, digits, `-`, `_` or `.`.
    #[schema(example = "node-exporter-host-network")]
    name: String,
    category: ExemptionCategoryWord,
    /// Why, 1 to 2000 characters.
    reason: String,
    /// Who approved it.
    approved_by: Option<String>,
    /// From when on it holds no more; it lies ahead. Left out for never.
    expires_at: Option<DateTime<Utc>>,
    /// Ids of controls or `prefix.*`.
    controls: Option<Vec<String>>,
    /// Instead of `controls`: id of a built-in initiative or name of a custom one, for all that it selects.
    initiative: Option<String>,
    #[schema(value_type = ExemptionCondition)]
    r#where: Value,
    #[serde(flatten)]
    #[schema(ignore)]
    rest: Map<String, Value>,
}

/// Notes keys that mean nothing.
pub(super) fn refuse_unknown(errors: &mut FieldErrors, rest: &Map<String, Value>) {
    for key in rest.keys() {
        errors.add(&format!("/{}", key.replace('~', "~0").replace('/', "~1")), "is not known");
    }
}

/// Reads which controls are meant.
pub(super) async fn read_selected(
    app: &App,
    tx: &mut TenantTx,
    errors: &mut FieldErrors,
    controls: Option<Vec<String>>,
    initiative: Option<String>,
) -> Result<Option<Selected>, ApiError> {
    match (controls, initiative) {
        (Some(controls), None) => {
            errors.check((1..=500).contains(&controls.len()), "/controls", "must be 1 to 500 controls");
            let catalogue = app.catalogue_of(tx).await?;
            for (index, pattern) in controls.iter().enumerate() {
                let selects = catalogue.controls().any(|control| selects_control(pattern, &control.id));
                errors.check(selects, &format!("/controls/{index}"), "selects no control");
            }
            Ok(Some(Selected::Controls(controls)))
        }
        (None, Some(name)) => {
            let known = app.catalogue().initiative(&name).is_some() || initiative::get(tx, &name).await.is_ok();
            errors.check(known, "/initiative", "is neither a built-in nor a custom initiative");
            Ok(Some(Selected::Initiative(name)))
        }
        _ => {
            errors.add("/controls", "give either `controls` or `initiative`");
            Ok(None)
        }
    }
}

/// Reads which resources are meant.
pub(super) fn read_where(errors: &mut FieldErrors, value: &Value) -> Condition {
    Condition::read(value, "/where").unwrap_or_else(|misfits| {
        for misfit in misfits {
            errors.add(&misfit.pointer, misfit.message);
        }
        Condition::default()
    })
}

impl PutExemption {
    pub(super) async fn parse(self, app: &App, tx: &mut TenantTx) -> Result<Terms, ApiError> {
        let mut errors = FieldErrors::default();
        refuse_unknown(&mut errors, &self.rest);
        check_name(&mut errors, "/name", &self.name);
        errors.check((1..=2000).contains(&self.reason.trim().len()), "/reason", "must be 1 to 2000 characters");
        let fits = self.approved_by.as_ref().is_none_or(|by| (1..=200).contains(&by.trim().len()));
        errors.check(fits, "/approved_by", "must be 1 to 200 characters");
        let ahead = self.expires_at.is_none_or(|at| at > Utc::now());
        errors.check(ahead, "/expires_at", "must lie ahead");
        let selected = read_selected(app, tx, &mut errors, self.controls, self.initiative).await?;
        let condition = read_where(&mut errors, &self.r#where);
        errors.finish()?;
        let selected = selected.ok_or_else(|| ApiError::new(Code::InvalidBody, "give `controls` or `initiative`"))?;
        Ok(Terms {
            name: self.name,
            category: self.category.into(),
            reason: self.reason,
            approved_by: self.approved_by,
            expires_at: self.expires_at,
            selected,
            condition,
        })
    }
}

/// A caller accepts deviations only where its grants cover all that the exemption may hold for.
pub(super) async fn must_cover(
    tx: &mut TenantTx,
    caller: &Caller<ManagePolicy>,
    condition: &Condition,
) -> Result<(), ApiError> {
    if exemption::is_covered(tx, &caller.visible(), condition).await? {
        Ok(())
    } else {
        Err(ApiError::new(Code::Forbidden, "the condition reaches beyond what this token may decide about"))
    }
}

/// As [`must_cover`], for a condition that the caller gives: a cluster or resource that it cannot see, or that is not there,
/// is not found.
pub(super) async fn must_decide(
    tx: &mut TenantTx,
    caller: &Caller<ManagePolicy>,
    condition: &Condition,
) -> Result<(), ApiError> {
    exemption::must_be_there(tx, &caller.visible(), condition).await?;
    must_cover(tx, caller, condition).await
}

/// The controls of the catalogue that are meant.
pub(super) async fn controls_of(
    catalogue: &Catalogue,
    tx: &mut TenantTx,
    selected: &Selected,
) -> Result<Vec<String>, ApiError> {
    let patterns: Vec<String> = match selected {
        Selected::Controls(controls) => controls.clone(),
        Selected::Initiative(name) => match catalogue.initiative(name) {
            Some(built_in) => built_in.controls.iter().map(|choice| choice.id.clone()).collect(),
            None => super::initiatives::choices(initiative::get(tx, name).await?)?,
        },
    };
    let meant = catalogue.controls().filter(|control| patterns.iter().any(|it| selects_control(it, &control.id)));
    Ok(meant.map(|control| control.id.clone()).collect())
}
