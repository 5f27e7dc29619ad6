use axum::extract::State;
use chrono::{DateTime, Days, Utc};
use rampart_connector::USER_AGENT;
use rampart_store::connector::{self, Connector, Settings};
use rampart_store::permission_use::{self, PermissionUse};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, Code, Params, PathOf, ReadInventory};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_access_receipt))
}

/// What a connector's access was used for.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessReceipt)]
struct ReceiptView {
    connector_id: Uuid,
    /// Start of the window in which unused permissions are looked for; the connector's creation when that is later.
    since: DateTime<Utc>,
    trace: TraceView,
    /// Every permission that was used since the connector was onboarded, by name.
    used: Vec<UsedView>,
    /// Permissions that the connector declares and did not use in the window: candidates for removal. Empty and not
    /// meaningful before the first scan.
    never_used: Vec<UnusedView>,
}

/// How the calls are found in the cloud's own log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AccessTrace)]
struct TraceView {
    /// The log.
    #[schema(example = "AWS CloudTrail")]
    log: &'static str,
    /// Name of the connector's sessions; null where the cloud has none.
    #[schema(example = "rampart-0195f3a07c2b7e0d9a4e3f1b2c4d5e6f")]
    session_name: Option<String>,
    /// What every request's User-Agent begins with.
    #[schema(example = "rampart/0.1.0")]
    user_agent: &'static str,
    /// What to look for.
    filter: String,
}

/// A permission and its use. Counts are of attempts, repetitions included.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsedPermission)]
struct UsedView {
    /// The cloud's own name for it.
    #[schema(example = "eks:DescribeCluster")]
    permission: String,
    /// API family.
    #[schema(example = "eks")]
    family: Option<String>,
    /// Whether the connector's templates ask for it; false for what Rampart does by rights of its own.
    declared: bool,
    calls: i64,
    /// Calls among them that were refused for want of the permission.
    refused: i64,
    first_used: Option<DateTime<Utc>>,
    last_used: Option<DateTime<Utc>>,
}

impl From<PermissionUse> for UsedView {
    fn from(row: PermissionUse) -> Self {
        Self {
            permission: row.permission,
            family: row.family,
            declared: row.declared,
            calls: row.calls,
            refused: row.refused,
            first_used: row.first_used,
            last_used: row.last_used,
        }
    }
}

/// A permission that was not used in the window.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UnusedPermission)]
struct UnusedView {
    /// The cloud's own name for it.
    permission: String,
    /// When it was used last, before the window; null when it never was.
    last_used: Option<DateTime<Utc>>,
}

/// Which window to look at.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Window {
    /// Days that the window goes back, 1 to 3650.
    #[serde(default = "quarter")]
    #[param(minimum = 1, maximum = 3650, default = 90)]
    days: u16,
}

const fn quarter() -> u16 {
    90
}

/// Get the receipt of a connector's access: what it called, and what it was never needed for.
#[utoipa::path(get, path = "/v1/connectors/{connector}/access-receipt", tag = "connectors",
    params(("connector" = String, Path, description = "Name or id"), Window),
    responses((status = 200, body = ReceiptView)))]
async fn get_access_receipt(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
    Params(window): Params<Window>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    if !(1..=3650).contains(&window.days) {
        return Err(ApiError::new(Code::InvalidQuery, "`days` must be 1 to 3650"));
    }
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    let row = connector::get(&mut tx, id).await?;
    let rows = permission_use::list(&mut tx, id).await?;
    let now = Utc::now();
    let since = now.checked_sub_days(Days::new(window.days.into())).unwrap_or(now).max(row.created_at);
    Ok(Answer::ok(receipt(&row, since, rows)))
}

fn receipt(row: &Connector, since: DateTime<Utc>, rows: Vec<PermissionUse>) -> ReceiptView {
    let unused = rows.iter().filter(|row| row.declared && row.last_used.is_none_or(|last| last < since));
    let unused = unused.map(|row| UnusedView { permission: row.permission.clone(), last_used: row.last_used });
    ReceiptView {
        connector_id: row.id.0,
        since,
        trace: trace(row),
        never_used: unused.collect(),
        used: rows.into_iter().filter(|row| row.last_used.is_some()).map(UsedView::from).collect(),
    }
}

fn trace(row: &Connector) -> TraceView {
    let (log, session_name) = match row.settings.provider() {
        "aws" => {
            let by_role = matches!(&row.settings, Settings::Aws(aws) if aws.role_arn.is_some());
            ("AWS CloudTrail", by_role.then(|| row.session_name()))
        }
        "azure" => ("Azure activity log and AKS audit log", None),
        "gcp" => ("Cloud Audit Logs", None),
        _ => ("Kubernetes audit log", None),
    };
    let filter = match &session_name {
        Some(name) => format!("userIdentity.arn ends with \"/{name}\"; userAgent begins with \"{USER_AGENT}\""),
        None => format!("the user agent begins with \"{USER_AGENT}\""),
    };
    TraceView { log, session_name, user_agent: USER_AGENT, filter }
}
