use axum::Json;
use axum::extract::State;
use rampart_content::{Control, Remediation, Variant, is_custom, selects_control};
use rampart_store::disabled_control::{self, DisabledControl};
use rampart_store::page::Listed;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::disabled_controls::DisabledControlView;
use crate::App;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_controls)).routes(routes!(get_control))
}

/// One rule about configuration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Control)]
struct ControlView {
    #[schema(example = "k8s.pod.privileged")]
    id: String,
    /// Raised when a verdict may change.
    version: u32,
    title: String,
    /// Whether it comes with the product; others are the tenant's own and its imported policies.
    built_in: bool,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    severity: String,
    /// Control group of the secure score.
    group: String,
    /// `data_plane` or `control_plane`.
    r#type: Value,
    /// Kinds of resources that it judges; `workload` stands for every kind with a pod template.
    #[schema(value_type = Vec<String>)]
    kinds: Value,
    /// Why it matters.
    rationale: String,
    /// Whether admission can refuse by it.
    enforceable: bool,
    remediation: RemediationView,
    /// What to do about it by kind; where there are several, `remediation` has only what is the same for all.
    variants: Vec<VariantView>,
    /// Settings, each with type, default and description.
    parameters: Value,
    /// The same rule in other catalogues.
    references: Value,
    /// Where it is turned off, of what the caller may see.
    disabled: Vec<DisabledControlView>,
}

/// What to do about a violation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Remediation)]
pub(super) struct RemediationView {
    /// For people.
    text: String,
    /// RFC 7386 merge patch for the violating element or object.
    patch: Option<Value>,
    /// Command that does it.
    cli: Option<String>,
    /// Terraform that does it.
    terraform: Option<String>,
    /// Why no patch can do it.
    manual: Option<String>,
}

impl From<Remediation> for RemediationView {
    fn from(from: Remediation) -> Self {
        Self { text: from.text, patch: from.patch, cli: from.cli, terraform: from.terraform, manual: from.manual }
    }
}

/// How a control treats some of its kinds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ControlVariant)]
pub(super) struct VariantView {
    /// Kinds of resources that it judges; `workload` stands for every kind with a pod template.
    #[schema(value_type = Vec<String>)]
    kinds: Value,
    remediation: RemediationView,
}

impl VariantView {
    pub(super) fn of(control: &Control) -> Vec<Self> {
        let view =
            |variant: &Variant| Self { kinds: json(&variant.kinds), remediation: variant.remediation.clone().into() };
        control.variants.iter().map(view).collect()
    }
}

fn json(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("content was read from YAML with string keys and fits JSON")
}

impl ControlView {
    fn of(control: &Control, disabled: &[DisabledControl]) -> Self {
        let disabled = disabled.iter().filter(|row| selects_control(&row.control, &control.id));
        Self {
            disabled: disabled.cloned().map(Into::into).collect(),
            id: control.id.clone(),
            version: control.version,
            title: control.title.clone(),
            built_in: !is_custom(&control.id),
            severity: control.severity.to_string(),
            group: control.group.clone(),
            r#type: json(&control.r#type),
            kinds: json(&control.kinds().collect::<Vec<_>>()),
            rationale: control.rationale.clone(),
            enforceable: control.enforceable,
            remediation: control.remediation.clone().into(),
            variants: VariantView::of(control),
            parameters: json(&control.parameters),
            references: json(&control.references),
        }
    }
}

/// Which controls to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ControlFilter {
    /// Whose id begins so, such as `aws.`.
    id_prefix: Option<String>,
    /// With this severity.
    #[param(value_type = Option<String>)]
    severity: Option<rampart_domain::Severity>,
    /// In this group of the secure score.
    group: Option<String>,
}

impl ControlFilter {
    fn takes(&self, control: &Control) -> bool {
        self.id_prefix.as_ref().is_none_or(|prefix| control.id.starts_with(prefix))
            && self.severity.is_none_or(|severity| control.severity == severity)
            && self.group.as_ref().is_none_or(|group| control.group == *group)
    }
}

/// List controls by id.
#[utoipa::path(get, path = "/v1/controls", tag = "controls", params(PageParams, ControlFilter),
    responses((status = 200, body = List<ControlView>)))]
async fn list_controls(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<ControlFilter>,
) -> Result<Json<List<ControlView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let all = catalogue.controls().filter(|control| filter.takes(control));
    let listed: Listed<&Control> = page.slice(all, |control| control.id.clone())?;
    let disabled = disabled_control::visible(&mut tx, &caller.visible()).await?;
    Ok(List::of(listed, |control| ControlView::of(control, &disabled)))
}

/// Get a control.
#[utoipa::path(get, path = "/v1/controls/{control_id}", tag = "controls", params(("control_id" = String, Path)),
    responses((status = 200, body = ControlView)))]
async fn get_control(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<String>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let control = catalogue.control(&id).ok_or_else(|| ApiError::not_found("control"))?;
    let disabled = disabled_control::visible(&mut tx, &caller.visible()).await?;
    Ok(Answer::ok(ControlView::of(control, &disabled)))
}
