use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use rampart_content::ParameterType;
use rampart_domain::ClusterId;
use rampart_store::cluster;
use rampart_store::job::pod_security::Request;
use rampart_store::job::{self, Job, JobKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::jobs::{JobState, Noun, read};
use crate::App;
use crate::document::{IdempotencyHeader, PreferHeader};
use crate::http::{
    Answer, ApiError, Caller, FieldErrors, List, Listing, PageParams, PathOf, ReadFindings, Submission, Wait,
};

/// Namespaces that one request may name.
const MOST_NAMESPACES: usize = 500;

const READINESS: Noun<ReadinessView> = Noun {
    kind: JobKind::PodSecurity,
    path: "/v1/pod-security-readiness",
    operation: "start_pod_security_readiness",
    view: ReadinessView::of,
};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(start_pod_security_readiness, list_pod_security_readiness))
        .routes(routes!(get_pod_security_readiness))
}

/// What the namespaces of a cluster could enforce, and which of their pods would not come back.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PodSecurityReadiness)]
struct ReadinessView {
    #[serde(flatten)]
    summary: ReadinessSummary,
    /// What came out; null until then.
    result: Option<ReportView>,
}

/// What was asked, and how far it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PodSecurityReadinessSummary)]
struct ReadinessSummary {
    #[serde(flatten)]
    state: JobState,
    cluster_id: Uuid,
    /// Namespaces that were asked for; empty for all.
    namespaces: Vec<String>,
    /// The version that was asked for.
    #[schema(example = "latest")]
    version: String,
}

impl ReadinessSummary {
    fn of(row: &Job) -> Result<Self, ApiError> {
        let Request { cluster_id, namespaces, version } = read(row.request.clone())?;
        Ok(Self { state: row.into(), cluster_id, namespaces, version })
    }
}

impl ReadinessView {
    fn of(row: Job) -> Result<Self, ApiError> {
        let summary = ReadinessSummary::of(&row)?;
        Ok(Self { summary, result: row.result.map(read).transpose()? })
    }
}

/// What came out.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodSecurityReport)]
struct ReportView {
    /// The version that the cluster says it is.
    #[schema(example = "v1.33.1")]
    cluster_version: Option<String>,
    /// The version of the Pod Security Standards that was judged by: the one asked for, as far as the cluster knows it.
    #[schema(example = "v1.33")]
    judged_version: String,
    summary: CountsView,
    /// By name.
    namespaces: Vec<NamespaceView>,
    /// Running pods that today's admission would refuse if they were created again: by the labels of their namespace, by
    /// `ValidatingAdmissionPolicies` and by constraints of Gatekeeper.
    will_not_come_back: Vec<StrandedView>,
    /// What has a say in the creation of pods and could not be asked: webhooks, policies whose parameters are not read.
    may_also_refuse: Vec<UnjudgedView>,
    /// Kinds that were not read to the end: what they hold was not judged.
    #[schema(example = json!(["k8s.constraint"]))]
    unread: Vec<String>,
    /// Namespaces that were asked for and are not there.
    not_found: Vec<String>,
}

/// A report in numbers.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodSecurityCounts)]
struct CountsView {
    /// Namespaces by the highest level that they could enforce: `privileged`, `baseline`, `restricted`, or `unknown`. Those of
    /// the platform are left out.
    namespaces: BTreeMap<String, u64>,
    /// Of these, how many could enforce more than they do.
    could_rise: u64,
    /// Of these, how many enforce more than their pods conform to.
    overstretched: u64,
    /// Running pods.
    pods: u64,
    /// Running pods that would be refused.
    will_not_come_back: u64,
}

/// One namespace.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodSecurityNamespace)]
struct NamespaceView {
    #[schema(example = "payments")]
    namespace: String,
    /// Whether the platform manages it: then nothing is advised.
    system: bool,
    /// Its labels below `pod-security.kubernetes.io/`.
    #[schema(example = json!({"enforce": "baseline", "enforce-version": "v1.33"}))]
    labels: BTreeMap<String, String>,
    /// The level that it enforces; without a label `privileged`, unless the API server is configured otherwise, which it does
    /// not tell.
    enforced: String,
    /// The highest level that refuses nothing of what it runs or would run; null when that cannot be told.
    level: Option<String>,
    /// `below`, `met` or `above`: what it enforces against what it could.
    standing: Option<String>,
    /// The level above; null at the top.
    next_level: Option<String>,
    /// What stands against the level above.
    blockers: Vec<BlockerView>,
    /// What kept a level from being told.
    unknown: Vec<String>,
    /// What would change beside the creation of pods.
    cautions: Vec<String>,
    /// Labels the namespace for `level`, and to warn of what the level above refuses; null where that cannot be advised, or
    /// the labels are there.
    command: Option<String>,
}

/// A workload that stands against a level.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodSecurityBlocker)]
struct BlockerView {
    resource_id: Uuid,
    #[schema(example = "Deployment")]
    kind: String,
    name: String,
    /// Whether it runs: what is suspended or scaled to zero would break when it starts.
    running: bool,
    /// Whether its template violates the level. Otherwise admission put the violation into its pods.
    template: bool,
    /// Running pods of it that violate the level.
    pods: u64,
    controls: Vec<ViolationView>,
}

/// A control that is violated.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodSecurityViolation)]
struct ViolationView {
    #[schema(example = "k8s.pod.host_path")]
    control: String,
    message: String,
}

/// Pods of one owner that would be refused for the same reasons.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StrandedPods)]
struct StrandedView {
    namespace: String,
    /// The owner, or the pod itself.
    resource_id: Uuid,
    kind: String,
    name: String,
    /// How many pods.
    pods: u64,
    /// How many pods of the owner run.
    running: u64,
    refused_by: Vec<RefuserView>,
}

/// What refuses a pod.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PodRefuser)]
struct RefuserView {
    /// `pod_security`, `validating_admission_policy` or `gatekeeper`.
    #[schema(example = "gatekeeper")]
    r#type: String,
    /// Level and version; policy and binding; kind and name of the constraint.
    #[schema(example = "K8sPSPPrivilegedContainer/no-privileged")]
    name: String,
    message: String,
}

/// What may refuse pods, and could not be asked.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = UnjudgedAdmission)]
struct UnjudgedView {
    /// As of what refuses a pod, or `validating_webhook` or `mutating_webhook`.
    r#type: String,
    /// As of what refuses a pod, or configuration and webhook.
    name: String,
    reason: String,
    /// Namespaces whose running pods it would be asked about; empty when that could not be told.
    namespaces: Vec<String>,
}

/// Which namespaces to look at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StartReadiness {
    cluster_id: Uuid,
    /// Up to 500 namespaces; every one that the caller sees when left out.
    #[serde(default)]
    namespaces: Option<Vec<String>>,
    /// Version of the Pod Security Standards: `latest`, or `v1.0` to the newest known. What is newer than the cluster means
    /// the cluster's own.
    #[serde(default)]
    #[schema(example = "latest")]
    version: Option<String>,
}

impl StartReadiness {
    fn parse(self) -> Result<Request, ApiError> {
        let mut errors = FieldErrors::default();
        let version = self.version.unwrap_or_else(|| "latest".to_owned());
        let known = ParameterType::KubernetesVersion;
        errors.check(known.accepts(&json!(version)), "/version", &format!("is not a {}", known.as_str()));
        let namespaces = self.namespaces.unwrap_or_default();
        errors.check(namespaces.len() <= MOST_NAMESPACES, "/namespaces", "names more than 500");
        for (index, name) in namespaces.iter().enumerate().take(MOST_NAMESPACES) {
            let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            let fits = (1..=63).contains(&name.len()) && plain;
            errors.check(fits, &format!("/namespaces/{index}"), "is no name of a namespace");
        }
        errors.finish()?;
        Ok(Request { cluster_id: self.cluster_id, namespaces, version })
    }
}

/// Work out what namespaces could enforce.
///
/// For each namespace the highest Pod Security level that it could enforce without breaking anything, the command for it and
/// what stands against the next; and running pods that today's admission would refuse. Exemptions in the configuration of API
/// servers and of Gatekeeper cannot be read and are not considered.
#[utoipa::path(post, path = "/v1/pod-security-readiness", tag = "pod-security-readiness",
    params(IdempotencyHeader, PreferHeader), request_body = StartReadiness,
    responses((status = 202, body = ReadinessView), (status = 200, body = ReadinessView)))]
async fn start_pod_security_readiness(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    Wait(patience): Wait,
    submission: Submission<StartReadiness>,
) -> Result<Answer, ApiError> {
    let (submission, body) = submission.split();
    let (visible, request) = (caller.visible(), body.parse()?);
    cluster::get(&mut app.tx(&caller).await?, &visible, ClusterId(request.cluster_id)).await?;
    READINESS.start(&app, &caller, submission, (&visible, &json!(request)), patience).await
}

/// No filters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoFilter {}

/// List what was worked out, the latest first, without results.
#[utoipa::path(get, path = "/v1/pod-security-readiness", tag = "pod-security-readiness", params(PageParams),
    responses((status = 200, body = List<ReadinessSummary>)))]
async fn list_pod_security_readiness(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    listing: Listing<NoFilter>,
) -> Result<Json<List<ReadinessSummary>>, ApiError> {
    let mut tx = app.tx(&caller).await?;
    let listed = job::list(&mut tx, READINESS.kind, &caller.access, &caller.visible(), &listing.page).await?;
    let items = listed.items.iter().map(ReadinessSummary::of).collect::<Result<_, _>>()?;
    Ok(Json(List { items, next_cursor: listed.next }))
}

/// Get what was worked out.
#[utoipa::path(get, path = "/v1/pod-security-readiness/{readiness_id}", tag = "pod-security-readiness",
    params(("readiness_id" = Uuid, Path)), responses((status = 200, body = ReadinessView)))]
async fn get_pod_security_readiness(
    State(app): State<App>,
    caller: Caller<ReadFindings>,
    PathOf(id): PathOf<Uuid>,
) -> Result<Answer, ApiError> {
    READINESS.get(&app, &caller, &caller.visible(), id).await
}
