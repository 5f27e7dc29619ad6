use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, CoverageState, Kind};
use rampart_store::coverage::{self, Coverage, Filter};
use rampart_store::{TenantTx, Visible, connector};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{ApiError, Caller, List, Listing, PageParams, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_coverage))
}

/// What became of the last attempt to read one kind in one place.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Coverage)]
pub(super) struct CoverageView {
    connector_id: Uuid,
    /// Where, as one key.
    #[schema(example = "aws/123456789012/eu-west-1")]
    scope: String,
    /// What.
    #[schema(example = "aws.eks.cluster")]
    kind: String,
    cloud: String,
    account: Option<String>,
    region: Option<String>,
    cluster_id: Option<Uuid>,
    /// `read`, `partial`, `unauthorized`, `denied`, `throttled`, `unreachable`, `unsupported`, `not_applicable` or
    /// `failed`.
    #[schema(example = "denied")]
    state: String,
    /// What the provider said.
    message: Option<String>,
    /// What to do about it.
    remedy: Option<String>,
    /// How many resources were read.
    resources: i64,
    attempted_at: DateTime<Utc>,
    /// Start of the last attempt that read everything; null when there never was one.
    whole_at: Option<DateTime<Utc>>,
}

impl From<Coverage> for CoverageView {
    fn from(row: Coverage) -> Self {
        Self {
            connector_id: row.connector_id,
            scope: row.scope,
            kind: row.kind,
            cloud: row.cloud,
            account: row.account,
            region: row.region,
            cluster_id: row.cluster_id,
            state: row.state,
            message: row.message,
            remedy: row.remedy,
            resources: row.resources,
            attempted_at: row.attempted_at,
            whole_at: row.whole_at,
        }
    }
}

/// Which rows to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CoverageFilter {
    /// Name or id of a connector.
    connector: Option<String>,
    /// Of this cloud.
    #[param(value_type = Option<String>)]
    cloud: Option<Cloud>,
    /// Of this account.
    account: Option<String>,
    /// Of this region.
    region: Option<String>,
    /// Of this cluster, by id.
    cluster: Option<Uuid>,
    /// Of one of these kinds.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    kind: Vec<Kind>,
    /// In one of these states.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    state: Vec<CoverageState>,
}

impl CoverageFilter {
    /// With the connector by its id; `None` when the caller can see nothing of what is asked for.
    pub(super) async fn resolve(self, tx: &mut TenantTx, visible: &Visible) -> Result<Option<Filter>, ApiError> {
        let connector = match &self.connector {
            // Connectors belong to no scope; who sees only a part does not learn their names from here.
            Some(_) if !visible.all => return Ok(None),
            Some(name) => Some(connector::resolve(tx, name).await?.0),
            None => None,
        };
        Ok(Some(Filter {
            connector,
            cloud: self.cloud.map(|cloud| cloud.to_string()),
            account: self.account,
            region: self.region,
            cluster: self.cluster,
            kinds: self.kind.iter().map(ToString::to_string).collect(),
            states: self.state.iter().map(ToString::to_string).collect(),
        }))
    }
}

/// List what could be read where, by connector, scope and kind.
#[utoipa::path(get, path = "/v1/coverage", tag = "coverage", params(PageParams, CoverageFilter),
    responses((status = 200, body = List<CoverageView>)))]
async fn list_coverage(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<CoverageFilter>,
) -> Result<Json<List<CoverageView>>, ApiError> {
    let visible = caller.visible();
    let mut tx = app.tx(&caller).await?;
    let Some(filter) = filter.resolve(&mut tx, &visible).await? else { return Ok(List::empty()) };
    Ok(List::of(coverage::list(&mut tx, &visible, &filter, &page).await?, CoverageView::from))
}
