use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_content::{Catalogue, Control, Framework, Requirement};
use rampart_posture::compliance::answers;
use rampart_store::recommendation::{self, ControlCounts};
use rampart_store::score::{self, Reach};
use rampart_store::{AccessScope, TenantTx};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::compliance_status::RequirementStatus;
use super::frameworks::find;
use super::scope::{Scope, ScopeQuery};
use super::secure_score::wholeness;
use crate::App;
use crate::http::{Answer, ApiError, Caller, Params, PathOf, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_compliance)).routes(routes!(get_framework_compliance))
}

/// What the numbers are about, and what they rest on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ComplianceBasis)]
pub(super) struct Basis {
    pub scope: Scope,
    /// Whether the token sees only a part of the tenant, so that a part of the scope may be missing.
    pub narrowed: bool,
    /// When the verdicts were counted.
    pub as_of: DateTime<Utc>,
    /// Listings that were tried, of one kind in one place each.
    pub listings: i64,
    /// Of these, read to the end in the last attempt; `GET /v1/coverage` has the others.
    pub whole: i64,
}

/// How far the requirements of a framework are met.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameworkCompliance)]
pub(super) struct StandingView {
    #[schema(example = "cis-eks-1.8.0")]
    pub id: String,
    pub title: String,
    /// The publisher's version.
    #[schema(example = "1.8.0")]
    pub version: String,
    pub publisher: String,
    /// 0 to 100: requirements that passed, of those that passed or failed; null when none did either.
    #[schema(minimum = 0, maximum = 100, example = 71.5)]
    pub percent: Option<f64>,
    pub passed: usize,
    pub failed: usize,
    /// Requirements about which a fact is missing or too old.
    pub unknown: usize,
    /// Requirements that people have to assess.
    pub manual: usize,
    /// Requirements that no verdict speaks of: no control answers them, none is assigned, or nothing of the kind is
    /// there.
    pub not_assessed: usize,
}

/// One requirement and the verdicts that answer it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RequirementCompliance)]
pub(super) struct RequirementView {
    /// The publisher's id.
    #[schema(example = "4.2.1")]
    pub id: String,
    pub title: String,
    /// The publisher's level, where there are levels.
    pub level: Option<u8>,
    pub status: RequirementStatus,
    /// Why no API tells; only with `manual`.
    pub reason: Option<String>,
    /// The controls that answer it; `GET /v1/findings?control=…` has what they found.
    pub controls: Vec<ControlView>,
}

/// Resources that count, by their verdict from one control.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ControlCompliance)]
pub(super) struct ControlView {
    #[schema(example = "k8s.pod.privileged")]
    pub control_id: String,
    pub title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "high")]
    pub severity: String,
    pub healthy: i64,
    pub unhealthy: i64,
    /// Resources about which the control says nothing.
    pub not_applicable: i64,
    /// Resources about which a fact is missing.
    pub unknown: i64,
    /// Of the healthy and unhealthy ones, those whose last reading could not be repeated.
    pub stale: i64,
    /// Resources whose finding is exempt: they neither pass nor fail.
    pub exempt: i64,
}

impl ControlView {
    fn of(control: &Control, counts: &ControlCounts) -> Self {
        Self {
            control_id: control.id.clone(),
            title: control.title.clone(),
            severity: control.severity.to_string(),
            healthy: counts.healthy,
            unhealthy: counts.unhealthy,
            not_applicable: counts.not_applicable,
            unknown: counts.unknown,
            stale: counts.stale,
            exempt: counts.exempt,
        }
    }
}

impl RequirementView {
    fn of(requirement: &Requirement, controls: &[&Control], counts: &BTreeMap<String, ControlCounts>) -> Self {
        let none = ControlCounts::default();
        let counts: Vec<&ControlCounts> =
            controls.iter().map(|control| counts.get(&control.id).unwrap_or(&none)).collect();
        Self {
            id: requirement.id.clone(),
            title: requirement.title.clone(),
            level: requirement.level,
            status: RequirementStatus::of(requirement.assessment, &counts),
            reason: requirement.reason.clone(),
            controls: controls.iter().zip(&counts).map(|(control, counts)| ControlView::of(control, counts)).collect(),
        }
    }
}

impl StandingView {
    fn of(framework: &Framework, requirements: &[RequirementView]) -> Self {
        let count = |status| requirements.iter().filter(|requirement| requirement.status == status).count();
        let (passed, failed) = (count(RequirementStatus::Passed), count(RequirementStatus::Failed));
        let decided = passed + failed;
        Self {
            id: framework.id.clone(),
            title: framework.title.clone(),
            version: framework.version.clone(),
            publisher: framework.publisher.clone(),
            percent: (decided > 0).then(|| passed as f64 * 100.0 / decided as f64),
            passed,
            failed,
            unknown: count(RequirementStatus::Unknown),
            manual: count(RequirementStatus::Manual),
            not_assessed: count(RequirementStatus::NotAssessed),
        }
    }
}

/// What was read for one answer.
pub(super) struct Read {
    pub tx: TenantTx,
    pub reach: Reach,
    pub basis: Basis,
    counts: BTreeMap<String, ControlCounts>,
    catalogue: Arc<Catalogue>,
}

impl Read {
    /// Reads the counts of a scope, as far as the caller sees it.
    pub(super) async fn new(app: &App, caller: &Caller<ReadFindings>, scope: AccessScope) -> Result<Self, ApiError> {
        let visible = caller.visible();
        let mut tx = app.tx(caller).await?;
        let reach = score::reach(&mut tx, &visible, &scope).await?;
        let counts = recommendation::counts(&mut tx, &reach, &[]).await?;
        let whole = wholeness(&mut tx, &visible, &scope).await?;
        let basis = Basis {
            scope: scope.into(),
            narrowed: !visible.all,
            as_of: Utc::now(),
            listings: whole.listings,
            whole: whole.whole,
        };
        let catalogue = app.catalogue_of(&mut tx).await?;
        Ok(Self { tx, reach, basis, counts, catalogue })
    }

    /// How far a framework is met, in all and by requirement.
    pub(super) fn standing(&self, framework: &Framework) -> (StandingView, Vec<RequirementView>) {
        let answers = answers(&self.catalogue, framework);
        let requirements: Vec<RequirementView> =
            answers.iter().map(|(it, controls)| RequirementView::of(it, controls, &self.counts)).collect();
        (StandingView::of(framework, &requirements), requirements)
    }
}

/// How far each framework is met.
#[derive(Debug, Serialize, ToSchema)]
struct Compliance {
    #[serde(flatten)]
    basis: Basis,
    /// By id.
    frameworks: Vec<StandingView>,
}

/// How far a framework is met, by requirement.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameworkComplianceDetail)]
struct DetailView {
    #[serde(flatten)]
    basis: Basis,
    #[serde(flatten)]
    standing: StandingView,
    /// In the publisher's order.
    requirements: Vec<RequirementView>,
}

/// Get how far every framework is met in the tenant, an account, a cluster or a namespace.
#[utoipa::path(get, path = "/v1/compliance", tag = "compliance", params(ScopeQuery),
    responses((status = 200, body = Compliance)))]
async fn get_compliance(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Params(query): Params<ScopeQuery>,
) -> Result<Answer, ApiError> {
    let read = Read::new(&app, &caller, query.scope()?).await?;
    let frameworks = app.catalogue().frameworks().map(|framework| read.standing(framework).0).collect();
    Ok(Answer::ok(Compliance { basis: read.basis, frameworks }))
}

/// Get how far each requirement of a framework is met, with the verdicts that say so.
#[utoipa::path(get, path = "/v1/compliance/{framework}", tag = "compliance",
    params(("framework" = String, Path, example = "cis-eks-1.8.0"), ScopeQuery),
    responses((status = 200, body = DetailView)))]
async fn get_framework_compliance(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<String>,
    Params(query): Params<ScopeQuery>,
) -> Result<Answer, ApiError> {
    let framework = find(&app, &id)?;
    let read = Read::new(&app, &caller, query.scope()?).await?;
    let (standing, requirements) = read.standing(framework);
    Ok(Answer::ok(DetailView { basis: read.basis, standing, requirements }))
}
