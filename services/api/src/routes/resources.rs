use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use rampart_domain::{Cloud, Kind, ManagedBy, ResourceId};
use rampart_store::resource::{self, Edge, Facet, Filter, Health, ResourceVerdict, Sort, Summary, Version};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::GroupCount;
use super::findings::severity_word;
use crate::App;
use crate::app::control_title;
use crate::http::{
    Answer, ApiError, AsOf, At, Caller, Code, List, Listing, PageParams, Params, PathOf, ReadFindings, ReadInventory,
    moment,
};

/// Relations shown with a resource, each way.
const EDGES: u16 = 200;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_resources))
        .routes(routes!(get_resource))
        .routes(routes!(list_resource_history))
        .routes(routes!(list_resource_verdicts))
}

/// Health of a resource as a whole.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Health)]
pub(super) struct HealthView {
    /// `unhealthy`, `unknown` (some verdict is, or it was not assessed yet), `healthy` or `not_applicable` (no verdict
    /// counts).
    #[schema(example = "unhealthy")]
    status: String,
    /// Unhealthy findings by severity.
    #[schema(example = json!({"high": 2, "medium": 1}))]
    unhealthy: std::collections::BTreeMap<String, i64>,
    /// Exempt findings.
    exempt: i64,
}

/// A resource in a list.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Resource)]
pub(super) struct ResourceView {
    pub id: Uuid,
    /// What the provider calls it.
    native_id: String,
    #[schema(example = "k8s.deployment")]
    kind: String,
    #[schema(example = "checkout")]
    name: String,
    /// `aws`, `azure`, `gcp` or `on_premises`.
    cloud: String,
    account: Option<String>,
    region: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    /// Kubernetes labels or cloud tags.
    labels: Value,
    /// `platform`, `addon`, `operator` or `customer`.
    managed_by: String,
    /// What controls it.
    owner_id: Option<Uuid>,
    /// Whether anything runs or answers now.
    active: bool,
    first_seen: DateTime<Utc>,
    /// When its configuration last changed.
    changed_at: DateTime<Utc>,
    /// Null for who may not read findings here.
    health: Option<HealthView>,
}

impl ResourceView {
    /// Health only where the caller may read findings.
    pub(super) fn of(row: Summary, findings: &rampart_store::Visible) -> Self {
        let open = findings.sees(row.account.as_deref(), row.cluster_id, row.namespace.as_deref());
        let health = open.then(|| HealthView {
            status: row.health,
            unhealthy: by_severity(row.unhealthy.as_ref()),
            exempt: row.exempt,
        });
        Self {
            id: row.resource_id,
            native_id: row.native_id,
            kind: row.kind,
            name: row.name,
            cloud: row.cloud,
            account: row.account,
            region: row.region,
            cluster_id: row.cluster_id,
            namespace: row.namespace,
            labels: row.labels,
            managed_by: row.managed_by,
            owner_id: row.owner_id,
            active: row.active,
            first_seen: row.first_seen,
            changed_at: row.changed_at,
            health,
        }
    }
}

fn by_severity(counts: Option<&Value>) -> std::collections::BTreeMap<String, i64> {
    let counts = counts.and_then(Value::as_object).into_iter().flatten();
    counts.filter_map(|(severity, n)| Some((severity_word(severity.parse().ok()?).to_owned(), n.as_i64()?))).collect()
}

/// A resource with everything that is known of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResourceDetail)]
struct DetailView {
    #[serde(flatten)]
    resource: ResourceView,
    /// The provider's configuration, without secrets.
    config: Value,
    /// How many configurations it had.
    revision: i64,
    connector_id: Uuid,
    /// When it was last read as part of a whole listing; null when it never was, and at a past moment.
    observed_at: Option<DateTime<Utc>>,
    /// When it was last judged; null when it never was, and at a past moment.
    evaluated_at: Option<DateTime<Utc>>,
    /// Relations to other resources, at most 200 each way; null at a past moment, as they have no history.
    edges: Option<Vec<EdgeView>>,
}

/// A relation to another resource.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Edge)]
struct EdgeView {
    #[schema(example = "runs_image")]
    kind: String,
    /// `out` when it leads away from the resource, `in` when it leads to it.
    direction: &'static str,
    resource_id: Uuid,
    native_id: String,
    /// Null while the other resource is not in the inventory.
    resource_kind: Option<String>,
    /// Null while the other resource is not in the inventory.
    name: Option<String>,
}

impl From<Edge> for EdgeView {
    fn from(edge: Edge) -> Self {
        Self {
            kind: edge.kind,
            direction: if edge.outgoing { "out" } else { "in" },
            resource_id: edge.resource_id,
            native_id: edge.native_id,
            resource_kind: edge.resource_kind,
            name: edge.name,
        }
    }
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum HealthWord {
    Unhealthy,
    Healthy,
    Unknown,
    NotApplicable,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum SortWord {
    #[default]
    Name,
    Kind,
    ChangedAt,
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum GroupWord {
    Kind,
    Cloud,
    Account,
    Region,
    Cluster,
    Namespace,
    ManagedBy,
}

/// Which resources to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ResourceFilter {
    /// Of one of these kinds.
    #[serde(default)]
    #[param(value_type = Vec<String>)]
    kind: Vec<Kind>,
    /// In this cloud.
    #[param(value_type = Option<String>)]
    cloud: Option<Cloud>,
    /// In this account.
    account: Option<String>,
    /// In this region.
    region: Option<String>,
    /// In this cluster, by id.
    cluster: Option<Uuid>,
    /// In this namespace.
    namespace: Option<String>,
    /// With this label or tag, `key:value`; with all of them when given more than once.
    #[serde(default)]
    label: Vec<String>,
    /// Whose name contains this, in any case; at least three characters.
    name_contains: Option<String>,
    /// Whose name begins with this.
    name_prefix: Option<String>,
    /// Managed by `platform`, `addon`, `operator` or `customer`.
    #[param(value_type = Option<String>)]
    managed_by: Option<ManagedBy>,
    /// With this health; of those where the caller may read findings.
    #[param(inline)]
    health: Option<HealthWord>,
    /// With this native id.
    native_id: Option<String>,
    /// That run the image with this digest, `sha256:…`.
    image_digest: Option<String>,
    /// Controlled by this resource, by id.
    owner: Option<Uuid>,
    /// As it was at this moment. Pods, replica sets, endpoint slices and jobs have no past and are left out; `image_digest`
    /// cannot be combined with it.
    pub(super) as_of: Option<DateTime<Utc>>,
    /// What to sort by.
    #[serde(default)]
    #[param(inline)]
    sort: SortWord,
    /// Count instead of list: `{"groups": [{"key", "count"}]}`, the most first, `limit` of them.
    #[param(inline)]
    group_by: Option<GroupWord>,
}

impl ResourceFilter {
    /// Refuses what the past does not know.
    pub(super) fn check_past(&self) -> Result<(), ApiError> {
        if self.image_digest.is_some() {
            return Err(ApiError::new(Code::InvalidQuery, "`image_digest` cannot be asked of the past"));
        }
        check_kinds_of_the_past(&self.kind)
    }

    pub(super) fn parse(self) -> Result<(Filter, Sort, Option<Facet>), ApiError> {
        let refuse = |detail: &str| Err(ApiError::new(Code::InvalidQuery, detail));
        if self.as_of.is_some() {
            self.check_past()?;
        }
        if self.name_contains.as_ref().is_some_and(|part| part.chars().count() < 3) {
            return refuse("`name_contains` needs at least three characters");
        }
        let mut labels = Vec::new();
        for label in &self.label {
            // The key may hold no colon, the value may.
            match label.split_once(':') {
                Some((key, value)) => labels.push((key.to_owned(), value.to_owned())),
                None => return refuse("`label` must be `key:value`"),
            }
        }
        let filter = Filter {
            kinds: self.kind.iter().map(ToString::to_string).collect(),
            cloud: self.cloud.map(|cloud| cloud.to_string()),
            account: self.account,
            region: self.region,
            cluster: self.cluster,
            namespace: self.namespace,
            labels,
            name_contains: self.name_contains,
            name_prefix: self.name_prefix,
            managed_by: self.managed_by.map(|word| word.to_string()),
            health: self.health.map(|word| match word {
                HealthWord::Unhealthy => Health::Unhealthy,
                HealthWord::Healthy => Health::Healthy,
                HealthWord::Unknown => Health::Unknown,
                HealthWord::NotApplicable => Health::NotApplicable,
            }),
            native_id: self.native_id,
            image_digest: self.image_digest,
            owner: self.owner,
        };
        let sort = match self.sort {
            SortWord::Name => Sort::Name,
            SortWord::Kind => Sort::Kind,
            SortWord::ChangedAt => Sort::ChangedAt,
        };
        let facet = self.group_by.map(|word| match word {
            GroupWord::Kind => Facet::Kind,
            GroupWord::Cloud => Facet::Cloud,
            GroupWord::Account => Facet::Account,
            GroupWord::Region => Facet::Region,
            GroupWord::Cluster => Facet::Cluster,
            GroupWord::Namespace => Facet::Namespace,
            GroupWord::ManagedBy => Facet::ManagedBy,
        });
        Ok((filter, sort, facet))
    }
}

/// Refuses kinds that have no history.
pub(super) fn check_kinds_of_the_past(kinds: &[Kind]) -> Result<(), ApiError> {
    match kinds.iter().find(|kind| !rampart_store::moment::has_history(**kind)) {
        Some(kind) => {
            Err(ApiError::new(Code::InvalidQuery, format!("`{kind}` has no history; what it belongs to has")))
        }
        None => Ok(()),
    }
}

/// Counts instead of rows.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Groups {
    /// The most first.
    pub groups: Vec<GroupCount>,
}

/// A list, or counts when `group_by` was given.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes the two forms of the answer")]
enum ResourcesOrGroups {
    List(At<List<ResourceView>>),
    Groups(At<Groups>),
}

/// List or count resources.
#[utoipa::path(get, path = "/v1/resources", tag = "resources", params(PageParams, ResourceFilter),
    responses((status = 200, body = ResourcesOrGroups)))]
async fn list_resources(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    Listing { filter, page }: Listing<ResourceFilter>,
) -> Result<Response, ApiError> {
    let as_of = filter.as_of;
    let (filter, sort, facet) = filter.parse()?;
    let findings = caller.visible_findings();
    let visible = if filter.health.is_some() { findings.clone() } else { caller.visible() };
    let mut tx = app.tx(&caller).await?;
    let at = moment(&mut tx, as_of).await?;
    if let Some(facet) = facet {
        let counts = match at {
            Some(at) => resource::facets_at(&mut tx, &visible, &filter, facet, page.limit, at).await?,
            None => resource::facets(&mut tx, &visible, &filter, facet, page.limit).await?,
        };
        let groups = counts.into_iter().map(GroupCount::from).collect();
        return Ok(Json(At::of(at, Groups { groups })).into_response());
    }
    let rows = match at {
        Some(at) => resource::list_at(&mut tx, &visible, &filter, sort, &page, at).await?,
        None => resource::list(&mut tx, &visible, &filter, sort, &page).await?,
    };
    let Json(list) = List::of(rows, |row| ResourceView::of(row, &findings));
    Ok(Json(At::of(at, list)).into_response())
}

/// Get a resource with its configuration, health and relations.
#[utoipa::path(get, path = "/v1/resources/{resource_id}", tag = "resources", params(("resource_id" = Uuid, Path), AsOf),
    responses((status = 200, body = At<DetailView>)))]
async fn get_resource(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
    Params(AsOf { as_of }): Params<AsOf>,
) -> Result<Answer, ApiError> {
    let visible = caller.visible();
    let mut tx = app.tx(&caller).await?;
    let at = moment(&mut tx, as_of).await?;
    if let Some(moment) = at {
        let row = resource::get_at(&mut tx, &visible, ResourceId(id), moment).await?;
        let config = row.config.and_then(|config| serde_json::from_str(config.0.get()).ok());
        let detail = DetailView {
            resource: ResourceView::of(row.summary, &caller.visible_findings()),
            config: config.unwrap_or_default(),
            revision: row.revision,
            connector_id: row.connector_id,
            observed_at: None,
            evaluated_at: None,
            edges: None,
        };
        return Ok(Answer::ok(At::of(at, detail)));
    }
    let row = resource::get(&mut tx, &visible, ResourceId(id)).await?;
    let edges = resource::edges(&mut tx, &visible, ResourceId(id), EDGES).await?;
    let detail = DetailView {
        resource: ResourceView::of(row.summary, &caller.visible_findings()),
        config: row.config,
        revision: row.revision,
        connector_id: row.connector_id,
        observed_at: row.observed_at,
        evaluated_at: row.evaluated_at,
        edges: Some(edges.into_iter().map(EdgeView::from).collect()),
    };
    Ok(Answer::ok(At::of(None, detail)))
}

/// A configuration that a resource had.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ResourceVersion)]
struct VersionView {
    revision: i64,
    config: Value,
    valid_from: DateTime<Utc>,
    valid_to: DateTime<Utc>,
    /// Whether it ended because the resource went away.
    gone: bool,
}

impl From<Version> for VersionView {
    fn from(row: Version) -> Self {
        Self {
            revision: row.revision,
            config: row.config,
            valid_from: row.valid_from,
            valid_to: row.valid_to,
            gone: row.gone,
        }
    }
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List earlier configurations of a resource, the latest first.
#[utoipa::path(get, path = "/v1/resources/{resource_id}/history", tag = "resources",
    params(("resource_id" = Uuid, Path), PageParams), responses((status = 200, body = List<VersionView>)))]
async fn list_resource_history(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(id): PathOf<Uuid>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<VersionView>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let rows = resource::history(&mut tx, &caller.visible(), ResourceId(id), &listing.page).await?;
    Ok(List::of(rows, VersionView::from))
}

/// One control's verdict on a resource.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verdict)]
struct VerdictView {
    control_id: String,
    title: String,
    /// Effective parameters of the control.
    params: Value,
    /// `healthy`, `unhealthy`, `not_applicable`, `unknown` or `exempt`.
    status: String,
    /// Why it is unknown.
    reason: Option<Value>,
    /// The finding, when there is one.
    finding_id: Option<String>,
    evaluated_at: DateTime<Utc>,
}

/// Every verdict on a resource.
#[derive(Debug, Serialize, ToSchema)]
struct Verdicts {
    /// Empty when the resource was not assessed yet.
    items: Vec<VerdictView>,
}

/// List every verdict on a resource, healthy and not applicable ones included.
#[utoipa::path(get, path = "/v1/resources/{resource_id}/verdicts", tag = "resources",
    params(("resource_id" = Uuid, Path)), responses((status = 200, body = Verdicts)))]
async fn list_resource_verdicts(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let rows = resource::verdicts(&mut tx, &caller.visible(), ResourceId(id)).await?;
    let catalogue = app.catalogue_of(&mut tx).await?;
    let view = |row: ResourceVerdict| VerdictView {
        title: control_title(&catalogue, &row.control_id),
        finding_id: matches!(row.status.as_str(), "unhealthy" | "exempt").then(|| format!("{id}.{}", row.ordinal)),
        control_id: row.control_id,
        params: row.params,
        status: row.status,
        reason: row.reason,
        evaluated_at: row.evaluated_at,
    };
    Ok(Answer::ok(Verdicts { items: rows.into_iter().map(view).collect() }))
}
