use axum::extract::State;
use rampart_domain::ClusterId;
use rampart_posture::custom::{Format, Source};
use rampart_store::job::policy_trial::TrialRequest;
use rampart_store::job::{Job, JobKind};
use rampart_store::{AccessScope, assignment, score};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::custom_source::check_bundle;
use super::jobs::{JobState, Noun, read};
use super::scope::Scope;
use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{Answer, ApiError, Caller, FieldErrors, ManagePolicy, PathOf, ReadFindings, Submission, Wait};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(start_policy_trial)).routes(routes!(get_policy_trial))
}

const NOUN: Noun<TrialView> = Noun {
    kind: JobKind::PolicyTrial,
    path: "/v1/policy-trials",
    operation: "start_policy_trial",
    view: TrialView::of,
};

/// What controls or policies would find, before they are saved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PolicyTrial)]
struct TrialView {
    #[serde(flatten)]
    state: JobState,
    /// What came out; null until it has succeeded.
    result: Option<TrialResultView>,
}

impl TrialView {
    fn of(row: Job) -> Result<Self, ApiError> {
        let state = JobState::from(&row);
        Ok(Self { state, result: row.result.map(read).transpose()? })
    }
}

/// What came out of a trial.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PolicyTrialResult)]
struct TrialResultView {
    /// Resources that were judged.
    resources: u64,
    /// All verdicts.
    counts: CountsView,
    /// By control.
    controls: Vec<ControlTrialView>,
    /// By account, cluster and namespace; the most unhealthy first, at most 200.
    places: Vec<PlaceTrialView>,
    /// By owner, as the labels `owner`, `team`, `app.kubernetes.io/part-of` or `app.kubernetes.io/managed-by` name it; the
    /// most unhealthy first, at most 200.
    owners: Vec<OwnerTrialView>,
    /// Resources that would fail, the worst severity first, at most 200.
    failing: Vec<ResourceTrialView>,
    /// Resources that could not be decided, at most 200.
    undecided: Vec<ResourceTrialView>,
    /// Examples of the control that do not come to what they state.
    examples: Vec<ExampleTrialView>,
}

/// Verdicts by status.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TrialCounts)]
struct CountsView {
    healthy: u64,
    unhealthy: u64,
    /// The control says nothing about them.
    not_applicable: u64,
    /// They could not be decided.
    unknown: u64,
}

/// The verdicts of one control.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ControlTrial)]
struct ControlTrialView {
    #[schema(example = "custom.owner_label")]
    control_id: String,
    title: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    #[schema(example = "medium")]
    severity: String,
    counts: CountsView,
}

/// The verdicts of one place.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PlaceTrial)]
struct PlaceTrialView {
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    counts: CountsView,
}

/// The verdicts of what one owner has.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = OwnerTrial)]
struct OwnerTrialView {
    /// The label that names the owner.
    #[schema(example = "team")]
    label: String,
    #[schema(example = "payments")]
    owner: String,
    counts: CountsView,
}

/// The verdict of one control on one resource.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ResourceTrial)]
struct ResourceTrialView {
    control_id: String,
    /// `informational`, `low`, `medium`, `high` or `critical`.
    severity: String,
    resource_id: Uuid,
    native_id: String,
    kind: String,
    name: String,
    account: Option<String>,
    cluster_id: Option<Uuid>,
    namespace: Option<String>,
    /// What is wrong, or why that is not known.
    message: String,
}

/// An example that does not come to what it states.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ExampleTrial)]
struct ExampleTrialView {
    name: String,
    message: String,
}

/// What is tried.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum TrialFormat {
    /// One control, as `POST /v1/custom-controls` takes it.
    Control,
    /// Policies, as `POST /v1/policies` takes them.
    Policies,
}

/// What to try, and where.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartPolicyTrial {
    format: TrialFormat,
    /// Name of the bundle that the policies are to have.
    #[serde(default = "trial")]
    #[schema(default = "trial")]
    name: String,
    /// YAML or JSON.
    source: String,
    /// Where; everywhere that the caller may decide about when left out.
    scope: Option<Scope>,
}

fn trial() -> String {
    "trial".to_owned()
}

/// See what controls or policies would find, before they are saved.
///
/// The resources that the caller may decide about are judged as an assessment would judge them, with default parameters;
/// nothing is stored but the result. What is wrong with the source is told at once, with JSON pointer, line and column.
#[utoipa::path(post, path = "/v1/policy-trials", tag = "policy-trials", params(IdempotencyHeader, PreferHeader),
    request_body = StartPolicyTrial, responses((status = 202, body = TrialView), (status = 200, body = TrialView)))]
async fn start_policy_trial(
    State(app): State<App>,
    caller: Caller<ManagePolicy>,
    Wait(patience): Wait,
    submission: Submission<StartPolicyTrial>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let format = match body.format {
        TrialFormat::Control => Format::Control,
        TrialFormat::Policies => Format::Policies,
    };
    let mut errors = FieldErrors::default();
    check_bundle(&mut errors, &body.name);
    errors.finish()?;
    let mut request = TrialRequest {
        format: match format {
            Format::Control => "control".to_owned(),
            Format::Policies => "policies".to_owned(),
        },
        name: body.name.clone(),
        source: body.source.clone(),
        account: None,
        cluster_id: None,
        namespace: None,
    };
    app.read_source(Source { format, name: body.name, text: body.source }).await?;
    if let Some(scope) = body.scope {
        let scope = AccessScope::from(scope);
        let mut tx = app.tx(&caller).await?;
        score::reach(&mut tx, &caller.visible(), &scope).await?;
        if !assignment::is_covered(&mut tx, &caller.visible(), &scope).await? {
            return Err(ApiError::not_found("scope"));
        }
        match scope {
            AccessScope::Tenant => {}
            AccessScope::Account(account) => request.account = Some(account),
            AccessScope::Cluster(ClusterId(cluster)) => request.cluster_id = Some(cluster),
            AccessScope::Namespace(ClusterId(cluster), namespace) => {
                (request.cluster_id, request.namespace) = (Some(cluster), Some(namespace));
            }
        }
    }
    NOUN.start(&app, &caller, submission, (&caller.visible(), &json!(request)), patience).await
}

/// Get a trial, with what came out of it: one's own, or any for who sees the whole tenant.
#[utoipa::path(get, path = "/v1/policy-trials/{trial_id}", tag = "policy-trials",
    params(("trial_id" = Uuid, Path)), responses((status = 200, body = TrialView)))]
async fn get_policy_trial(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    NOUN.get(&app, &caller, &caller.visible(), id).await
}
