//! Kubernetes APIs over TLS: discovery, lists with paging, single objects, access reviews.

mod auth;
mod discovery;
mod list;
pub(crate) mod log;
mod selector;
pub(crate) mod snapshot;
mod status;
pub(crate) mod tls;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::aws::sigv4::pairs;
use crate::faults::{Call, FaultKind};
use crate::shared::Shared;
use crate::world::{Cluster, KindKey, kinds};
use auth::Caller;
use list::Query;
use snapshot::Moment;
use status::Failure;

/// Reviews are small; more than this is refused.
const BODY_LIMIT: usize = 1 << 20;

/// The clusters behind one listener.
#[derive(Debug, Clone)]
pub(crate) enum Behind {
    /// One cluster at the root.
    One(String),
    /// Every cluster under `/c/<name>`.
    Prefixed,
}

#[derive(Debug, Clone)]
struct Server {
    shared: Arc<Shared>,
    behind: Behind,
}

/// The router of one listener.
pub(crate) fn router(shared: Arc<Shared>, behind: Behind) -> Router {
    Router::new().fallback(handle).with_state(Server { shared, behind })
}

async fn handle(State(server): State<Server>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let full = parts.uri.path().to_owned();
    let (name, path) = match &server.behind {
        Behind::One(name) => (name.as_str(), full.as_str()),
        Behind::Prefixed => {
            let rest = full.strip_prefix("/c/").unwrap_or_default();
            rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash))
        }
    };
    let shared = &server.shared;
    let query = pairs(parts.uri.query().unwrap_or_default());
    let watches = watch::is_asked_for(&query);
    let verb = if watches { "WATCH" } else { parts.method.as_str() };
    shared.calls.count(format!("{name} {verb} {path}"));
    let continues = watches || query.iter().any(|(key, value)| key == "continue" && !value.is_empty());
    // Faults tell the watch of a path from its list.
    let target = if watches { format!("{path}?watch") } else { path.to_owned() };
    let faults = shared.faults.hit(Call::Kube { cluster: name, path: &target, continues });
    for fault in &faults {
        if let FaultKind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    if let Some(failure) = faults.iter().find_map(|fault| Failure::of_fault(*fault)) {
        return failure.answer().into_response(&faults);
    }
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Failure::bad_request("request too large").answer().into_response(&[]);
    };
    let world = shared.world();
    let answer = match world.cluster(name) {
        Some(cluster) if watches => {
            let asked = Asked { parts: &parts, path, query: &query, body: &body, faults: &faults };
            return match watch::answer(shared, cluster, asked) {
                Ok(response) => response,
                Err(failure) => failure.answer().into_response(&faults),
            };
        }
        Some(cluster) => {
            let call = Asked { parts: &parts, path, query: &query, body: &body, faults: &faults };
            answer(shared, cluster, call).await
        }
        None => Err(Failure::no_such_api()),
    };
    answer.unwrap_or_else(|failure| failure.answer()).into_response(&faults)
}

/// A request, read.
#[derive(Clone, Copy)]
struct Asked<'a> {
    parts: &'a Parts,
    path: &'a str,
    query: &'a [(String, String)],
    body: &'a [u8],
    faults: &'a [FaultKind],
}

async fn answer(shared: &Shared, cluster: &Cluster, asked: Asked<'_>) -> Result<Answer, Failure> {
    let segments: Vec<&str> = asked.path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        ["version"] => return Ok(value(&discovery::version(cluster))),
        ["healthz" | "livez" | "readyz"] => return Ok(Answer::new(StatusCode::OK, "text/plain", "ok")),
        _ => {}
    }
    let caller = auth::authenticate(shared, cluster, &asked.parts.headers)?;
    match segments.as_slice() {
        ["api"] => Ok(value(&discovery::core())),
        ["apis"] => Ok(value(&discovery::groups(cluster))),
        ["api", version] => listed(cluster, "", version),
        ["apis", group, version] => listed(cluster, group, version),
        ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => review(&caller, asked),
        ["api", version, rest @ ..] => objects(shared, cluster, &caller, ("", version, rest), asked).await,
        ["apis", group, version, rest @ ..] => objects(shared, cluster, &caller, (group, version, rest), asked).await,
        _ => Err(Failure::no_such_api()),
    }
}

fn value(value: &Value) -> Answer {
    Answer::new(StatusCode::OK, "application/json", value.to_string())
}

fn listed(cluster: &Cluster, group: &str, version: &str) -> Result<Answer, Failure> {
    discovery::resources(cluster, group, version).map(|list| value(&list)).ok_or_else(Failure::no_such_api)
}

fn find(cluster: &Cluster, group: &str, version: &str, plural: &str) -> Result<KindKey, Failure> {
    let found = kinds::ALL.iter().find(|key| (key.group, key.version, key.plural) == (group, version, plural));
    found.copied().filter(|key| cluster.serves(*key)).ok_or_else(Failure::no_such_api)
}

async fn objects(
    shared: &Shared,
    cluster: &Cluster,
    caller: &Caller,
    (group, version, rest): (&str, &str, &[&str]),
    asked: Asked<'_>,
) -> Result<Answer, Failure> {
    let (namespace, plural, name) = match rest {
        ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
        ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
        [plural] => (None, *plural, None),
        [plural, name] => (None, *plural, Some(*name)),
        _ => return Err(Failure::no_such_api()),
    };
    let key = find(cluster, group, version, plural)?;
    if asked.parts.method != Method::GET {
        return Err(Failure::forbidden(&caller.name, asked.parts.method.as_str(), group, plural));
    }
    let verb = if name.is_some() { "get" } else { "list" };
    if !caller.may(verb, group, plural, name) {
        return Err(Failure::forbidden(&caller.name, verb, group, plural));
    }
    let (snapshot, version) = shared.snapshots.get(shared, &cluster.name).await;
    let moment = moment(version);
    if let Some(name) = name {
        return list::one(&snapshot, key, namespace, name, &moment);
    }
    let accept = asked.parts.headers.get("accept").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query = Query::parse(namespace, asked.query, accept)?;
    list::list(&snapshot, key, &query, &moment, asked.faults)
}

/// The time and version of this read: never the same twice.
fn moment(version: u64) -> Moment {
    let time: DateTime<Utc> = Utc::now();
    Moment { time: time.format("%Y-%m-%dT%H:%M:%SZ").to_string(), version: version.to_string() }
}

/// `SelfSubjectAccessReview`: what the caller may do.
fn review(caller: &Caller, asked: Asked<'_>) -> Result<Answer, Failure> {
    if asked.parts.method != Method::POST {
        return Err(Failure::method_not_allowed());
    }
    let mut review: Value = serde_json::from_slice(asked.body)
        .map_err(|error| Failure::bad_request(format!("could not decode the review: {error}")))?;
    let attributes = &review["spec"]["resourceAttributes"];
    let text = |field: &str| attributes[field].as_str().unwrap_or_default();
    let allowed = if attributes.is_object() {
        let name = attributes["name"].as_str().filter(|name| !name.is_empty());
        text("subresource").is_empty() && caller.may(text("verb"), text("group"), text("resource"), name)
    } else {
        review["spec"]["nonResourceAttributes"]["verb"] == "get"
    };
    review["apiVersion"] = "authorization.k8s.io/v1".into();
    review["kind"] = "SelfSubjectAccessReview".into();
    review["status"] = json!({ "allowed": allowed, "reason": if allowed { "RBAC: allowed by ClusterRoleBinding \"rampart-reader\"" } else { "" } });
    Ok(Answer::new(StatusCode::CREATED, "application/json", review.to_string()))
}
