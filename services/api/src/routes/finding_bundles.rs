use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use rampart_posture::bundle::envelope::{self, Jwk};
use rampart_store::bundle_key::{self, PublicKey, Signer};
use rampart_store::finding;
use rampart_store::job::finding_bundle::{Made, Request};
use rampart_store::job::{Job, JobKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::findings::parse_id;
use super::jobs::{JobState, Noun, read};
use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{Answer, ApiError, Caller, FieldErrors, PathOf, ReadFindings, Submission, Wait};

const BUNDLES: Noun<BundleState> = Noun {
    kind: JobKind::FindingBundle,
    path: "/v1/finding-bundles",
    operation: "start_finding_bundle",
    view: BundleState::of,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start_finding_bundle))
        .routes(routes!(get_finding_bundle))
        .routes(routes!(list_bundle_keys))
}

/// A finding with all that its verdict rests on, being put together.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingBundleState)]
struct BundleState {
    #[serde(flatten)]
    state: JobState,
    #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
    finding_id: String,
}

impl BundleState {
    fn of(row: Job) -> Result<Self, ApiError> {
        let state = JobState::from(&row);
        let Request { resource_id, ordinal } = read(row.request)?;
        Ok(Self { state, finding_id: format!("{resource_id}.{ordinal}") })
    }
}

/// A finding with all that its verdict rests on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FindingBundle)]
struct BundleView {
    #[serde(flatten)]
    state: BundleState,
    /// What `rampart verify-finding` takes: a JSON Web Signature in compact form (`EdDSA`), whose payload holds the resource as
    /// it is judged, every resource that the control looked at beside it, whether these are all, the text of the control,
    /// parameters and verdict. Null until it is made.
    bundle: Option<String>,
}

/// Which finding.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartBundle {
    #[schema(example = "0b7e6f0e-5f0d-5c5e-9c34-6d1f4d1b2a3c.17")]
    finding_id: String,
}

/// Put a finding into a bundle that can be checked without this server.
///
/// The finding is judged once more from the inventory as it stands, by what an assessment runs, and all that is looked at is
/// kept. Refused (`failed`, with the reason) when the finding was not assessed since something changed, when what it rests on
/// could not be read again, and when it rests on resources that the caller may not see.
#[utoipa::path(post, path = "/v1/finding-bundles", tag = "findings", params(IdempotencyHeader, PreferHeader),
    request_body = StartBundle, responses((status = 202, body = BundleState), (status = 200, body = BundleState)))]
async fn start_finding_bundle(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Wait(patience): Wait,
    submission: Submission<StartBundle>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let mut errors = FieldErrors::default();
    let id = parse_id(&body.finding_id);
    errors.check(id.is_some(), "/finding_id", "is no id of a finding");
    errors.finish()?;
    let (resource, ordinal) = id.ok_or_else(|| ApiError::not_found("finding"))?;
    let visible = caller.visible();
    finding::get(&mut app.tx(&caller).await?, &visible, resource, ordinal).await?;
    let request = json!(Request { resource_id: resource.0, ordinal });
    BUNDLES.start(&app, &caller, submission, (&visible, &request), patience).await
}

/// Get a bundle: one's own, or any for who sees the whole tenant.
#[utoipa::path(get, path = "/v1/finding-bundles/{finding_bundle_id}", tag = "findings",
    params(("finding_bundle_id" = Uuid, Path)), responses((status = 200, body = BundleView)))]
async fn get_finding_bundle(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    let row = BUNDLES.row(&app, &caller, &caller.visible(), id).await?;
    let made: Option<Made> = row.result.clone().map(read).transpose()?;
    let bundle = match made {
        Some(Made { payload }) => {
            let signer = bundle_key::signing(app.store(), app.keyring(), Utc::now()).await?;
            Some(sign(&payload, &signer))
        }
        None => None,
    };
    Ok(Answer::ok(BundleView { state: BundleState::of(row)?, bundle }))
}

fn sign(payload: &str, signer: &Signer) -> String {
    let key = (signer.public.key_id.as_str(), &signer.public.public_key);
    envelope::seal(payload, key, |message| signer.sign(message))
}

/// The keys that bundles are signed with, as RFC 7517 has them.
#[derive(Debug, Serialize, ToSchema)]
struct BundleKeys {
    /// The oldest first; the last one signs.
    keys: Vec<BundleKeyView>,
}

/// A public key.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BundleKey)]
struct BundleKeyView {
    /// `OKP`.
    kty: String,
    /// `Ed25519`.
    crv: String,
    /// The key.
    x: String,
    #[serde(rename = "use")]
    purpose: &'static str,
    alg: &'static str,
    /// SHA-256 thumbprint of the key (RFC 7638).
    kid: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<PublicKey> for BundleKeyView {
    fn from(key: PublicKey) -> Self {
        let Jwk { kty, crv, x } = Jwk::new(&key.public_key);
        Self { kty, crv, x, purpose: "sig", alg: "EdDSA", kid: key.key_id, created_at: key.created_at }
    }
}

/// List the keys that bundles are signed with, for `rampart verify-finding --key`. They are the installation's, and stay.
#[utoipa::path(get, path = "/v1/bundle-keys", tag = "findings", responses((status = 200, body = BundleKeys)))]
async fn list_bundle_keys(State(app): State<App>, _caller: Caller<ReadFindings>) -> Result<Json<BundleKeys>, ApiError> {
    bundle_key::signing(app.store(), app.keyring(), Utc::now()).await?;
    let keys = bundle_key::published(app.store()).await?;
    Ok(Json(BundleKeys { keys: keys.into_iter().map(BundleKeyView::from).collect() }))
}
