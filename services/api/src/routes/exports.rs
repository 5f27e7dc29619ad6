use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use rampart_content::Catalogue;
use rampart_domain::{ResourceId, TenantId};
use rampart_store::finding::{self, Exported};
use rampart_store::moment::{self, Moment};
use rampart_store::page::{Cursor, Page};
use rampart_store::resource::{self, Past};
use rampart_store::{Store, StoreError, Visible, coverage};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::coverage::{CoverageFilter, CoverageView};
use super::export_lines::{FindingLine, ResourceLine};
use super::findings::{FindingFilter, parse_id};
use super::recommendations::{RecommendationFilter, RecommendationView, ordered};
use super::resources::{ResourceFilter, ResourceView};
use crate::App;
use crate::http::{
    ApiError, Caller, Code, Export, ExportParams, Form, Line, Pages, ReadFindings, ReadInventory, Writer, answer,
    answer_at_once,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(export_resources))
        .routes(routes!(export_findings))
        .routes(routes!(export_recommendations))
        .routes(routes!(export_coverage))
}

/// What all pages of an export share.
struct Reading {
    store: Store,
    tenant: TenantId,
    visible: Visible,
    at: Moment,
}

/// Export findings with their evidence, by id, as they were at one moment: `as_of`, or the latest that can be read.
///
/// Filters are those of `GET /v1/findings`: without `status`, the unhealthy ones. `sort` and `group_by` are refused. An
/// answer that does not end with its closing line was cut; `after` goes on with it.
#[utoipa::path(get, path = "/v1/exports/findings", tag = "exports", params(ExportParams, FindingFilter),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
async fn export_findings(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Export { filter, form, after }: Export<FindingFilter>,
) -> Result<Response, ApiError> {
    filter.check_past()?;
    let after = after.map(|id| parse_id(&id).ok_or_else(|| no_such_row(&id))).transpose()?;
    let mut tx = app.tx(&caller).await?;
    let at = moment::settle(&mut tx, filter.as_of).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    tx.commit().await?;
    let reading = Reading { store: app.store().clone(), tenant: caller.access.tenant, visible: caller.visible(), at };
    let after = after.map(|(resource, ordinal)| (resource.0, ordinal));
    let pages = Findings { reading, filter: filter.parse().0, catalogue, after };
    answer("findings", pages, form, at).await
}

fn no_such_row(id: &str) -> ApiError {
    ApiError::new(Code::InvalidQuery, format!("`after`: `{id}` is not the id of a row"))
}

struct Findings {
    reading: Reading,
    filter: finding::Filter,
    catalogue: Arc<Catalogue>,
    after: Option<(Uuid, i32)>,
}

impl Pages for Findings {
    type Row = Exported;

    async fn read(&self, after: Option<&Exported>, limit: u16) -> Result<Vec<Exported>, StoreError> {
        let Reading { store, tenant, visible, at } = &self.reading;
        let after = after.map(|row| (row.resource_id, row.ordinal)).or(self.after);
        let mut tx = store.tenant(*tenant).await?;
        let rows = finding::export_at(&mut tx, visible, &self.filter, after, limit, at.as_of).await?;
        tx.commit().await?;
        Ok(rows)
    }

    fn write(&self, rows: &[Exported], out: &mut Writer) -> anyhow::Result<()> {
        rows.iter().try_for_each(|row| out.line(&FindingLine::of(row, &self.catalogue)))
    }

    fn columns(&self) -> &'static [&'static str] {
        FindingLine::COLUMNS
    }
}

/// Export resources with their configurations, by id, as they were at one moment: `as_of`, or the latest that can be read.
///
/// Filters are those of `GET /v1/resources`. `image_digest`, `sort` and `group_by` are refused. Pods, replica sets, endpoint
/// slices and jobs have no past and are left out. An answer that does not end with its closing line was cut; `after` goes on
/// with it.
#[utoipa::path(get, path = "/v1/exports/resources", tag = "exports", params(ExportParams, ResourceFilter),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
async fn export_resources(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Export { filter, form, after }: Export<ResourceFilter>,
) -> Result<Response, ApiError> {
    filter.check_past()?;
    let after = after.map(|id| id.parse::<ResourceId>().map_err(|_| no_such_row(&id))).transpose()?;
    let mut tx = app.tx(&caller).await?;
    let at = moment::settle(&mut tx, filter.as_of).await?;
    tx.commit().await?;
    let (filter, ..) = filter.parse()?;
    let findings = caller.visible_findings();
    let visible = if filter.health.is_some() { findings.clone() } else { caller.visible() };
    let reading = Reading { store: app.store().clone(), tenant: caller.access.tenant, visible, at };
    let pages = Resources { reading, filter, findings, after: after.map(|id| id.0) };
    answer("resources", pages, form, at).await
}

struct Resources {
    reading: Reading,
    filter: resource::Filter,
    /// Where the caller may read findings.
    findings: Visible,
    after: Option<Uuid>,
}

impl Pages for Resources {
    type Row = Past;

    async fn read(&self, after: Option<&Past>, limit: u16) -> Result<Vec<Past>, StoreError> {
        let Reading { store, tenant, visible, at } = &self.reading;
        let after = after.map(|row| row.summary.resource_id).or(self.after);
        let mut tx = store.tenant(*tenant).await?;
        let rows = resource::export_at(&mut tx, visible, &self.filter, after, limit, at.as_of).await?;
        tx.commit().await?;
        Ok(rows)
    }

    fn write(&self, rows: &[Past], out: &mut Writer) -> anyhow::Result<()> {
        rows.iter().try_for_each(|row| {
            let resource = ResourceView::of(row.summary.clone(), &self.findings);
            let config = row.config.as_ref().map(|config| &*config.0);
            out.line(&ResourceLine { resource, revision: row.revision, connector_id: row.connector_id, config })
        })
    }

    fn columns(&self) -> &'static [&'static str] {
        ResourceLine::COLUMNS
    }
}

/// Export recommendations, the worst first, as they are now.
///
/// They are numbers, a line for each control: read at once, so `after` is refused.
#[utoipa::path(get, path = "/v1/exports/recommendations", tag = "exports", params(ExportParams, RecommendationFilter),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
async fn export_recommendations(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Export { filter, form, after }: Export<RecommendationFilter>,
) -> Result<Response, ApiError> {
    refuse_after(after.as_ref())?;
    let at = Utc::now();
    let mut tx = app.store().snapshot(caller.access.tenant).await?;
    let rows = ordered(&app, &mut tx, &caller.visible(), filter).await?;
    let rows: Vec<RecommendationView> = rows.into_iter().map(|(_, view)| view).collect();
    at_once("recommendations", &rows, form, at)
}

/// Export what could be read where, by connector, scope and kind, as it is now.
///
/// A line for each listing, not for each resource: read at once, so `after` is refused.
#[utoipa::path(get, path = "/v1/exports/coverage", tag = "exports", params(ExportParams, CoverageFilter),
    responses((status = 200, content((String = "application/x-ndjson"), (String = "text/csv")))))]
async fn export_coverage(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Export { filter, form, after }: Export<CoverageFilter>,
) -> Result<Response, ApiError> {
    refuse_after(after.as_ref())?;
    let (at, visible) = (Utc::now(), caller.visible());
    let mut tx = app.store().snapshot(caller.access.tenant).await?;
    let mut rows: Vec<CoverageView> = Vec::new();
    if let Some(filter) = filter.resolve(&mut tx, &visible).await? {
        let mut page = Page::first(Page::LARGEST);
        loop {
            let listed = coverage::list(&mut tx, &visible, &filter, &page).await?;
            rows.extend(listed.items.into_iter().map(CoverageView::from));
            let Some(next) = listed.next else { break };
            page.after = Some(Cursor::decode(&next, &page.filters)?);
        }
    }
    at_once("coverage", &rows, form, at)
}

fn refuse_after(after: Option<&String>) -> Result<(), ApiError> {
    match after {
        Some(_) => Err(ApiError::new(Code::InvalidQuery, "`after`: this export is read at once; begin anew")),
        None => Ok(()),
    }
}

fn at_once<L: Line>(what: &'static str, rows: &[L], form: Form, at: DateTime<Utc>) -> Result<Response, ApiError> {
    answer_at_once(what, rows, form, at).map_err(|error| {
        tracing::error!(error = format!("{error:#}"), export = what, "an export could not be made");
        ApiError::new(Code::Internal, "the export could not be made")
    })
}
