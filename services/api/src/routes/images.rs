use axum::Json;
use axum::extract::State;
use rampart_store::image::{self, Filter, Image};
use rampart_store::page::Page;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::resources::ResourceView;
use crate::App;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadInventory};

/// Workloads shown with an image; the rest by `GET /v1/resources?image_digest=…`.
const WORKLOADS: u16 = 100;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_images)).routes(routes!(get_image))
}

/// An image, whatever names it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Image)]
struct ImageView {
    #[schema(example = "sha256:3f0a…")]
    digest: String,
    /// What it is called in registries and by what runs it.
    names: Vec<String>,
    /// Resources of registries that hold it.
    stored_in: Vec<Uuid>,
    /// How many visible resources run it.
    running: i64,
}

impl From<Image> for ImageView {
    fn from(row: Image) -> Self {
        Self { digest: row.digest, names: row.names, stored_in: row.stored_in, running: row.running }
    }
}

/// An image with what runs it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImageDetail)]
struct DetailView {
    #[serde(flatten)]
    image: ImageView,
    /// What runs it, at most 100; all by `GET /v1/resources?image_digest=…`.
    workloads: Vec<ResourceView>,
}

/// Which images to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImageFilter {
    /// Only what runs, or only what does not.
    running: Option<bool>,
    /// Only what a registry that is read holds, or only what none holds.
    stored: Option<bool>,
}

/// List images by digest: what runs, and what registries hold.
#[utoipa::path(get, path = "/v1/images", tag = "images", params(PageParams, ImageFilter),
    responses((status = 200, body = List<ImageView>)))]
async fn list_images(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<ImageFilter>,
) -> Result<Json<List<ImageView>>, ApiError> {
    let filter = Filter { running: filter.running, stored: filter.stored };
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(image::list(&mut tx, &caller.visible(), &filter, &page).await?, ImageView::from))
}

/// Get an image with what runs it.
#[utoipa::path(get, path = "/v1/images/{digest}", tag = "images",
    params(("digest" = String, Path, description = "`sha256:` and 64 hexadecimal digits")),
    responses((status = 200, body = DetailView)))]
async fn get_image(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(digest): PathOf<String>,
) -> Result<Answer, ApiError> {
    let (visible, findings) = (caller.visible(), caller.visible_findings());
    let mut tx = app.tx(&caller).await?;
    let row = image::get(&mut tx, &visible, &digest).await?;
    let workloads = image::workloads(&mut tx, &visible, &digest, &Page::first(WORKLOADS)).await?;
    let workloads = workloads.items.into_iter().map(|row| ResourceView::of(row, &findings)).collect();
    Ok(Answer::ok(DetailView { image: row.into(), workloads }))
}
