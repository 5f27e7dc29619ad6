use axum::Json;
use axum::extract::State;
use rampart_content::{Assessment, Control, Framework, Requirement};
use rampart_posture::compliance::answers;
use rampart_store::page::Listed;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_frameworks)).routes(routes!(get_framework))
}

/// A published list of requirements.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Framework)]
struct FrameworkView {
    #[schema(example = "cis-eks-1.8.0")]
    id: String,
    title: String,
    /// The publisher's version.
    #[schema(example = "1.8.0")]
    version: String,
    publisher: String,
    /// Requirements that an API can tell about.
    automated: usize,
    /// Requirements that people have to assess.
    manual: usize,
}

/// A framework with what it asks for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FrameworkDetail)]
struct DetailView {
    #[serde(flatten)]
    framework: FrameworkView,
    /// In the publisher's order.
    requirements: Vec<RequirementView>,
}

/// One thing that a framework asks for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Requirement)]
struct RequirementView {
    /// The publisher's id.
    #[schema(example = "4.2.1")]
    id: String,
    title: String,
    /// The publisher's level, where there are levels.
    level: Option<u8>,
    /// `automated` or `manual`.
    #[schema(example = "automated")]
    assessment: &'static str,
    /// Why no API tells; only with a manual one.
    reason: Option<String>,
    /// Ids of the controls that answer it.
    controls: Vec<String>,
}

impl From<&Framework> for FrameworkView {
    fn from(framework: &Framework) -> Self {
        let manual = framework.requirements.iter().filter(|it| it.assessment == Assessment::Manual).count();
        Self {
            id: framework.id.clone(),
            title: framework.title.clone(),
            version: framework.version.clone(),
            publisher: framework.publisher.clone(),
            automated: framework.requirements.len() - manual,
            manual,
        }
    }
}

impl RequirementView {
    fn of(requirement: &Requirement, controls: &[&Control]) -> Self {
        Self {
            id: requirement.id.clone(),
            title: requirement.title.clone(),
            level: requirement.level,
            assessment: match requirement.assessment {
                Assessment::Automated => "automated",
                Assessment::Manual => "manual",
            },
            reason: requirement.reason.clone(),
            controls: controls.iter().map(|control| control.id.clone()).collect(),
        }
    }
}

/// The framework of that id.
pub(super) fn find<'a>(app: &'a App, id: &str) -> Result<&'a Framework, ApiError> {
    app.catalogue().framework(id).ok_or_else(|| ApiError::not_found("framework"))
}

/// Frameworks have no filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List frameworks by id.
#[utoipa::path(get, path = "/v1/frameworks", tag = "frameworks", params(PageParams),
    responses((status = 200, body = List<FrameworkView>)))]
async fn list_frameworks(
    State(app): State<App>,
    _caller: Caller<ReadInventory>,
    Listing { page, .. }: Listing<NoFilter>,
) -> Result<Json<List<FrameworkView>>, ApiError> {
    let listed: Listed<&Framework> = page.slice(app.catalogue().frameworks(), |framework| framework.id.clone())?;
    Ok(List::of(listed, FrameworkView::from))
}

/// Get a framework: its requirements, and the controls that answer each.
#[utoipa::path(get, path = "/v1/frameworks/{framework}", tag = "frameworks",
    params(("framework" = String, Path, example = "cis-eks-1.8.0")), responses((status = 200, body = DetailView)))]
async fn get_framework(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<String>,
) -> Result<Answer, ApiError> {
    let framework = find(&app, &id)?;
    let catalogue = app.catalogue_of(&mut app.tx(&caller).await?).await?;
    let answers = answers(&catalogue, framework);
    Ok(Answer::ok(DetailView {
        framework: framework.into(),
        requirements: answers.iter().map(|(it, controls)| RequirementView::of(it, controls)).collect(),
    }))
}
