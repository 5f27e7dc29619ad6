use axum::Json;
use axum::extract::State;
use rampart_content::Control;
use rampart_store::not_applicable::{self, Cause, NotApplicable};
use rampart_store::score;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::scope::ScopeQuery;
use crate::App;
use crate::http::{ApiError, Caller, List, Listing, PageParams, PathOf, ReadFindings};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_not_applicable))
}

/// A resource that a control does not count for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NotApplicable)]
struct NotApplicableView {
    resource_id: Uuid,
    resource_name: String,
    resource_native_id: String,
    kind: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    cause: CauseView,
}

/// Why a control does not count for a resource.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = NotApplicableCause)]
enum CauseView {
    /// The control says nothing about it.
    NotApplicable {
        /// Null when the control has changed since, or when the reading that told could not be repeated.
        #[schema(example = "Linux capabilities have no meaning on Windows")]
        reason: Option<String>,
    },
    /// The finding is exempt.
    Exempt {
        /// Id of the finding.
        #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
        finding_id: String,
        /// Null when it was removed a moment ago.
        exemption: Option<ExemptionView>,
    },
}

/// An exemption in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ExemptionInShort)]
struct ExemptionView {
    id: Uuid,
    name: String,
    /// `waiver` or `mitigated`.
    category: &'static str,
    reason: String,
}

impl NotApplicableView {
    fn of(row: NotApplicable, control: &Control) -> Self {
        let causes =
            row.kind.parse().ok().and_then(|kind| control.variant(kind)).map(|variant| &variant.not_applicable);
        let cause = match row.cause {
            Cause::Control(number) => {
                CauseView::NotApplicable { reason: number.and_then(|number| Some(causes?.get(number)?.cause.clone())) }
            }
            Cause::Exempt(exemption) => CauseView::Exempt {
                finding_id: format!("{}.{}", row.resource_id, row.ordinal),
                exemption: exemption.map(|it| ExemptionView {
                    id: it.id.0,
                    name: it.name,
                    category: it.category.as_str(),
                    reason: it.reason,
                }),
            },
        };
        Self {
            resource_id: row.resource_id,
            resource_name: row.name,
            resource_native_id: row.native_id,
            kind: row.kind,
            account: row.account,
            cluster_id: row.cluster_id,
            namespace: row.namespace,
            cause,
        }
    }
}

/// List the resources that a control does not count for, with the cause: it says nothing about them, or their finding is
/// exempt.
#[utoipa::path(get, path = "/v1/recommendations/{control_id}/not-applicable", tag = "recommendations",
    params(("control_id" = String, Path), PageParams, ScopeQuery),
    responses((status = 200, body = List<NotApplicableView>)))]
async fn list_not_applicable(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<String>,
    Listing { filter, page }: Listing<ScopeQuery>,
) -> Result<Json<List<NotApplicableView>>, ApiError> {
    let scope = filter.scope()?;
    let mut tx = app.tx(&caller).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let control = catalogue.control(&id).ok_or_else(|| ApiError::not_found("control"))?;
    let reach = score::reach(&mut tx, &caller.visible(), &scope).await?;
    let listed = not_applicable::list(&mut tx, &reach, &control.id, &page).await?;
    Ok(List::of(listed, |row| NotApplicableView::of(row, control)))
}
