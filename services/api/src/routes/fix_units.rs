use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use rampart_content::Catalogue;
use rampart_domain::{FixUnitId, Severity, SourceType};
use rampart_store::finding::Finding;
use rampart_store::fix_unit::{self, ControlCount, Filter, FixUnit, Instance, Sort, VersionCount};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::controls::RemediationView;
use super::findings::{remediation, severity_number, severity_word};
use super::fix_unit_remediation::{ChangeView, changes, sentence};
use crate::App;
use crate::app::control_title;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadFindings};

/// Versions shown of one unit.
const VERSIONS: u16 = 20;
/// Places shown of one unit.
const INSTANCES: u16 = 200;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_fix_units)).routes(routes!(get_fix_unit))
}

/// The fix unit that a finding belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FixUnitReference {
    id: Uuid,
    /// `helm_chart`, `argo_application`, `flux_kustomization`, `addon`, `operator` or `manifest`.
    r#type: String,
    #[schema(example = "ingress-nginx")]
    name: String,
}

impl FixUnitReference {
    pub(super) fn of(row: &Finding) -> Option<Self> {
        Some(Self { id: row.fix_unit_id?, r#type: row.source_type.clone()?, name: row.source_name.clone()? })
    }
}

/// What one change of one source closes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnit)]
struct FixUnitView {
    id: Uuid,
    /// `helm_chart`, `argo_application`, `flux_kustomization`, `addon`, `operator` or `manifest`.
    #[schema(example = "helm_chart")]
    r#type: String,
    /// The chart, application, kustomization, add-on, operator or object.
    #[schema(example = "ingress-nginx")]
    name: String,
    /// What a change of it brings, in one sentence.
    #[schema(example = "One change of the chart ingress-nginx closes 412 findings of 9 controls in 96 clusters.")]
    summary: String,
    /// Unhealthy findings that it closes.
    findings: i64,
    /// Of them, by severity.
    by_severity: BySeverity,
    /// The worst severity among them; null without findings.
    severity: Option<&'static str>,
    /// Resources that have them.
    resources: i64,
    /// Clusters that have them.
    clusters: i64,
    /// Ids of the controls that they are of.
    controls: Vec<String>,
    /// Versions that are seen of it, whether or not they have findings: the widest spread first, at most 20.
    versions: Vec<VersionView>,
}

/// Findings by severity.
#[derive(Debug, Default, Serialize, ToSchema)]
struct BySeverity {
    critical: i64,
    high: i64,
    medium: i64,
    low: i64,
    informational: i64,
}

impl BySeverity {
    /// From counts by severity 1 to 5.
    fn of(counts: &[i64]) -> Self {
        let at = |severity: usize| counts.get(severity - 1).copied().unwrap_or_default();
        Self { critical: at(5), high: at(4), medium: at(3), low: at(2), informational: at(1) }
    }
}

/// A version of a source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitVersion)]
struct VersionView {
    #[schema(example = "4.11.3")]
    version: String,
    /// Clusters that have it.
    clusters: i64,
}

impl FixUnitView {
    fn of(unit: FixUnit, controls: Vec<String>, versions: &[VersionCount]) -> Self {
        let own = versions.iter().filter(|row| row.fix_unit_id == unit.fix_unit_id);
        Self {
            id: unit.fix_unit_id,
            summary: sentence(&unit, controls.len()),
            r#type: unit.source_type,
            name: unit.source_name,
            findings: unit.findings,
            by_severity: BySeverity::of(&unit.by_severity),
            severity: (unit.findings > 0).then(|| severity_word(unit.severity)),
            resources: unit.resources,
            clusters: unit.clusters,
            controls,
            versions: own.map(|row| VersionView { version: row.version.clone(), clusters: row.clusters }).collect(),
        }
    }
}

/// A fix unit with what to change.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitDetail)]
struct DetailView {
    #[serde(flatten)]
    unit: FixUnitView,
    /// How to change it, for each way in which it is applied.
    remediation: Vec<ChangeView>,
    /// What to set, by control, the worst first.
    by_control: Vec<ControlView>,
    /// Where it is, healthy or not: those with the most findings first, at most 200.
    instances: Vec<InstanceView>,
    /// How many instances there are.
    instances_total: i64,
}

/// The findings of one control within a fix unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitControl)]
struct ControlView {
    control_id: String,
    title: String,
    /// The worst severity among the findings.
    severity: &'static str,
    findings: i64,
    resources: i64,
    clusters: i64,
    /// What has to be set; null when the catalogue does not have the control any more.
    remediation: Option<RemediationView>,
}

impl ControlView {
    fn of(catalogue: &Catalogue, row: ControlCount) -> Self {
        let control = catalogue.control(&row.control_id);
        Self {
            title: control_title(catalogue, &row.control_id),
            severity: severity_word(row.severity),
            findings: row.findings,
            resources: row.resources,
            clusters: row.clusters,
            remediation: control.map(|control| remediation(control, row.kind.parse().ok())),
            control_id: row.control_id,
        }
    }
}

/// A fix unit in one place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FixUnitInstance)]
struct InstanceView {
    cluster_id: Option<Uuid>,
    cluster_name: Option<String>,
    /// What applies it there: `helm`, `argo_cd`, `flux_helm_release` or `flux_kustomization`; null where no mark tells.
    deliverer: Option<String>,
    /// Release, application, kustomization or custom resource.
    #[schema(example = "edge")]
    name: Option<String>,
    /// Its namespace.
    namespace: Option<String>,
    version: Option<String>,
    /// Objects that belong to it.
    resources: i64,
    /// Unhealthy findings on them.
    findings: i64,
}

impl From<Instance> for InstanceView {
    fn from(row: Instance) -> Self {
        Self {
            cluster_id: row.cluster_id,
            cluster_name: row.cluster_name,
            deliverer: row.deliverer,
            name: row.instance,
            namespace: row.instance_namespace,
            version: row.version,
            resources: row.resources,
            findings: row.findings,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SortWord {
    #[default]
    Findings,
    Clusters,
    Severity,
}

/// Which findings count; a unit without any is not listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FixUnitFilter {
    /// Delivered by a source of one of these types.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    r#type: Vec<SourceType>,
    /// In this cluster, by id.
    cluster: Option<Uuid>,
    /// In this account.
    account: Option<String>,
    /// In this namespace.
    namespace: Option<String>,
    /// Of one of these controls, by id.
    #[serde(default)]
    control: Vec<String>,
    /// At least this severe.
    #[param(value_type = Option<String>)]
    min_severity: Option<Severity>,
    /// `findings`, `clusters`: the most first. `severity`: the worst first.
    #[serde(default)]
    #[param(inline)]
    sort: SortWord,
}

impl FixUnitFilter {
    fn parse(self) -> (Filter, Sort) {
        let sort = match self.sort {
            SortWord::Findings => Sort::Findings,
            SortWord::Clusters => Sort::Clusters,
            SortWord::Severity => Sort::Severity,
        };
        let filter = Filter {
            types: self.r#type,
            fix_units: Vec::new(),
            cluster: self.cluster,
            account: self.account,
            namespace: self.namespace,
            controls: self.control,
            severity: self.min_severity.map(severity_number),
        };
        (filter, sort)
    }
}

/// List fix units: unhealthy findings by what one change would close.
///
/// Resources of one Helm chart, one application of Argo CD or Flux, one add-on, one operator or one manifest are one unit,
/// in however many clusters they are.
#[utoipa::path(get, path = "/v1/fix-units", tag = "fix-units", params(PageParams, FixUnitFilter),
    responses((status = 200, body = List<FixUnitView>)))]
async fn list_fix_units(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Listing { filter, page }: Listing<FixUnitFilter>,
) -> Result<Json<List<FixUnitView>>, ApiError> {
    let visible = caller.visible();
    let (filter, sort) = filter.parse();
    let mut tx = app.tx(&caller).await?;
    let listed = fix_unit::list(&mut tx, &visible, &filter, sort, &page).await?;
    let ids: Vec<Uuid> = listed.items.iter().map(|unit| unit.fix_unit_id).collect();
    let (mut controls, mut versions) = (HashMap::new(), Vec::new());
    if !ids.is_empty() {
        controls = fix_unit::control_ids(&mut tx, &visible, &filter.of(ids.iter().copied())).await?;
        versions = fix_unit::versions(&mut tx, &visible, &ids, VERSIONS).await?;
    }
    Ok(List::of(listed, |unit| {
        let controls = controls.remove(&unit.fix_unit_id).unwrap_or_default();
        FixUnitView::of(unit, controls, &versions)
    }))
}

/// Get a fix unit: its findings by control, where it is, and how to change it.
#[utoipa::path(get, path = "/v1/fix-units/{fix_unit_id}", tag = "fix-units", params(("fix_unit_id" = Uuid, Path)),
    responses((status = 200, body = DetailView)))]
async fn get_fix_unit(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let (visible, id) = (caller.visible(), FixUnitId(id));
    let mut tx = app.tx(&caller).await?;
    let known = fix_unit::known(&mut tx, &visible, id).await?;
    let controls = fix_unit::controls(&mut tx, &visible, id).await?;
    let instances = fix_unit::instances(&mut tx, &visible, id, INSTANCES).await?;
    let versions = fix_unit::versions(&mut tx, &visible, &[id.0], VERSIONS).await?;
    let unit = fix_unit::of_unit(&mut tx, &visible, id).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let unit = unit.unwrap_or_else(|| FixUnit::healthy(id, &known));
    let ids = controls.iter().map(|row| row.control_id.clone()).collect();
    Ok(Answer::ok(DetailView {
        remediation: changes(&known, &instances),
        unit: FixUnitView::of(unit, ids, &versions),
        by_control: controls.into_iter().map(|row| ControlView::of(&catalogue, row)).collect(),
        instances_total: instances.first().map_or(0, |row| row.total),
        instances: instances.into_iter().map(InstanceView::from).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::BySeverity;

    #[test]
    fn counts_by_severity_begin_with_the_mildest() {
        let counts = BySeverity::of(&[1, 2, 3, 4, 5]);
        assert_eq!((counts.informational, counts.medium, counts.critical), (1, 3, 5));
    }
}
