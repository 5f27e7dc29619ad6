use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Duration, Utc};
use rampart_batch::{CollectorToken, SigningKey};
use rampart_domain::ConnectorId;
use rampart_store::collector::{self, Collector};
use rampart_store::{TenantTx, connector};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::App;
use crate::http::{Answer, ApiError, Caller, Code, ManageConnectors, PathOf, ReadInventory};

/// Days until a collector's token must have been rotated.
const LIFE_DAYS: i64 = 365;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get_collector, rotate_collector, revoke_collector))
}

/// Who pushes what is read of a cluster.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Collector)]
struct CollectorView {
    /// For `rampart collect`, in the answer to its making only.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Id of the token; null when it was revoked.
    token_id: Option<Uuid>,
    /// When the token stops working by itself.
    expires_at: Option<DateTime<Utc>>,
    /// When the token was made.
    rotated_at: DateTime<Utc>,
    /// Uid of the cluster's kube-system namespace, as the first session told it. Sessions about another cluster are
    /// refused until the token is rotated.
    cluster_uid: Option<String>,
    /// Start of the newest session; earlier ones are refused.
    newest_session_at: Option<DateTime<Utc>>,
}

impl From<Collector> for CollectorView {
    fn from(row: Collector) -> Self {
        Self {
            token: None,
            token_id: row.token_id.map(|id| id.0),
            expires_at: row.expires_at,
            rotated_at: row.rotated_at,
            cluster_uid: row.kube_uid,
            newest_session_at: row.newest_at,
        }
    }
}

/// Gives the collector of a connector a new token, and returns its text to be shown once.
pub(super) async fn issue(
    app: &App,
    tx: &mut TenantTx,
    connector: ConnectorId,
    name: &str,
) -> Result<String, ApiError> {
    let key = SigningKey::generate().ok_or_else(|| {
        tracing::error!("the system gave no random bytes");
        ApiError::new(Code::Internal, "the request could not be completed")
    })?;
    let expires_at = Utc::now() + Duration::days(LIFE_DAYS);
    let public = key.public();
    let bearer = collector::rotate(tx, connector, name, public.as_bytes(), expires_at).await?;
    let redaction_key = app.keyring().redaction_key(tx.tenant());
    Ok(CollectorToken { bearer, key, redaction_key }.to_text().expose_secret().to_owned())
}

/// Get the collector of a connector that is pushed to, without its token.
#[utoipa::path(get, path = "/v1/connectors/{connector}/collector", tag = "collectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 200, body = CollectorView)))]
async fn get_collector(
    State(app): State<App>,
    caller: Caller<ReadInventory>,
    PathOf(name): PathOf<String>,
) -> Result<Answer, ApiError> {
    caller.must_see_everything("connector")?;
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    Ok(Answer::ok(CollectorView::from(collector::get(&mut tx, id).await?)))
}

/// Give the collector a new token.
///
/// The earlier one, and everything signed with it, is refused from now on. The next session says anew which cluster the
/// connector stands for, as after the cluster was rebuilt.
#[utoipa::path(post, path = "/v1/connectors/{connector}/collector", tag = "collectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 201, body = CollectorView)))]
async fn rotate_collector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
) -> Result<Answer, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    collector::get(&mut tx, id).await?;
    let row = connector::get(&mut tx, id).await?;
    if row.deleting {
        return Err(ApiError::not_found("connector"));
    }
    let token = issue(&app, &mut tx, id, &row.name).await?;
    let made = collector::get(&mut tx, id).await?;
    let view = CollectorView { token: Some(token), ..made.into() };
    let answer = Answer::created(format!("/v1/connectors/{id}/collector"), view);
    answer.clone().without("token").commit(tx).await?;
    Ok(answer)
}

/// Revoke the collector's token. Nothing is taken from it until it gets a new one.
#[utoipa::path(delete, path = "/v1/connectors/{connector}/collector", tag = "collectors",
    params(("connector" = String, Path, description = "Name or id")), responses((status = 204)))]
async fn revoke_collector(
    State(app): State<App>,
    caller: Caller<ManageConnectors>,
    PathOf(name): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let id = connector::resolve(&mut tx, &name).await?;
    collector::get(&mut tx, id).await?;
    collector::revoke(&mut tx, id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
