use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, ClusterId};
use rampart_store::cluster::{self, Cluster, Filter, Polled, Watched};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, List, Listing, PageParams, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_clusters)).routes(routes!(get_cluster))
}

/// A Kubernetes cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cluster)]
struct ClusterView {
    id: Uuid,
    #[schema(example = "shop-eu")]
    name: String,
    /// `aws`, `azure`, `gcp` or `on_premises`.
    #[schema(example = "aws")]
    cloud: String,
    account: Option<String>,
    region: Option<String>,
    /// The cloud's id; null for a cluster known only by its Kubernetes API.
    native_id: Option<String>,
    /// Uid of its kube-system namespace; null until its API was reached.
    kube_uid: Option<String>,
    /// Kubernetes version.
    version: Option<String>,
    first_seen: DateTime<Utc>,
    /// When it was last assessed; null when it never was.
    assessed_at: Option<DateTime<Utc>>,
    /// How its watch fares; null when it is not watched.
    watch: Option<WatchView>,
}

/// How the watch of a cluster fares.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Watch)]
struct WatchView {
    /// `starting`, `watching` or `failing`. What a failing watch misses, the next scan reads.
    #[schema(example = "watching")]
    state: String,
    /// Since when.
    since: DateTime<Utc>,
    /// What goes wrong.
    message: Option<String>,
    /// When the last change arrived; null before the first.
    last_event_at: Option<DateTime<Utc>>,
    /// Milliseconds from the arrival of the last change to its being stored.
    lag_ms: Option<i32>,
    /// Kinds that cannot be watched and are read by scans alone.
    polled: Vec<PolledView>,
}

/// A kind that cannot be watched.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolledKind)]
struct PolledView {
    #[schema(example = "k8s.pod")]
    kind: String,
    /// As in coverage: `denied`, `unsupported`, …
    #[schema(example = "denied")]
    state: String,
    /// What the API server said.
    message: String,
    /// What to do.
    remedy: String,
}

impl From<Watched> for WatchView {
    fn from(row: Watched) -> Self {
        let view = |(kind, polled): (String, Polled)| PolledView {
            kind,
            state: polled.state,
            message: polled.message,
            remedy: polled.remedy,
        };
        Self {
            state: row.state,
            since: row.since,
            message: row.message,
            last_event_at: row.last_event_at,
            lag_ms: row.lag_ms,
            polled: row.polled.into_iter().map(view).collect(),
        }
    }
}

impl From<Cluster> for ClusterView {
    fn from(row: Cluster) -> Self {
        Self {
            id: row.cluster_id,
            name: row.name,
            cloud: row.cloud,
            account: row.account,
            region: row.region,
            native_id: row.native_id,
            kube_uid: row.kube_uid,
            version: row.version,
            first_seen: row.first_seen,
            assessed_at: row.assessed_at,
            watch: row.watch.map(|watch| watch.0.into()),
        }
    }
}

/// Which clusters to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ClusterFilter {
    /// In this cloud.
    #[param(value_type = Option<String>)]
    cloud: Option<Cloud>,
    /// In this account.
    account: Option<String>,
    /// In this region.
    region: Option<String>,
    /// Whose name begins so.
    name_prefix: Option<String>,
}

/// List clusters by name.
#[utoipa::path(get, path = "/v1/clusters", tag = "clusters", params(PageParams, ClusterFilter),
    responses((status = 200, body = List<ClusterView>)))]
async fn list_clusters(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<ClusterFilter>,
) -> Result<Json<List<ClusterView>>, ApiError> {
    let filter = Filter {
        cloud: filter.cloud.map(|cloud| cloud.to_string()),
        account: filter.account,
        region: filter.region,
        name_prefix: filter.name_prefix,
    };
    let mut tx = app.tx(&caller).await?;
    Ok(List::of(cluster::list(&mut tx, &caller.visible(), &filter, &page).await?, ClusterView::from))
}

/// Get a cluster.
#[utoipa::path(get, path = "/v1/clusters/{cluster_id}", tag = "clusters", params(("cluster_id" = Uuid, Path)),
    responses((status = 200, body = ClusterView)))]
async fn get_cluster(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    Ok(Answer::ok(ClusterView::from(cluster::get(&mut tx, &caller.visible(), ClusterId(id)).await?)))
}
