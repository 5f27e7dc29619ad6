//! Google Cloud over HTTP: one address for all services, told apart by path; callers by their bearer token.

mod compute;
mod container;
mod error;
pub(crate) mod identity;
mod operation;
mod paging;
mod registry;
mod resource_manager;
mod service_usage;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::Utc;
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::aws::sigv4::pairs;
use crate::faults::{Call, FaultKind};
use crate::shared::Shared;
use error::GoogleError;
use operation::Operation;

/// Requests are small; more than this is refused.
const BODY_LIMIT: usize = 1 << 20;

/// A request, read.
pub(crate) struct Asked<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) query: &'a [(String, String)],
    pub(crate) body: &'a Bytes,
    pub(crate) faults: &'a [FaultKind],
}

impl Asked<'_> {
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The nth variable part of the path.
    pub(crate) fn part(&self, index: usize) -> &str {
        self.operation.parts.get(index).map(String::as_str).unwrap_or_default()
    }
}

/// The router of all services.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return GoogleError::invalid("request too large").answer().into_response(&[]);
    };
    let Some(operation) = Operation::of(&parts.method, parts.uri.path()) else {
        // What answers for a path that no service has is not JSON.
        return Answer::new(StatusCode::NOT_FOUND, "text/html", "<title>Error 404 (Not Found)</title>")
            .into_response(&[]);
    };
    shared.calls.count(operation.name.to_owned());
    let query = pairs(parts.uri.query().unwrap_or_default());
    let continues = query.iter().any(|(key, value)| key == "pageToken" && !value.is_empty());
    let faults = shared.faults.hit(Call::Gcp { operation: operation.name, continues });
    for fault in &faults {
        if let FaultKind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    let asked = Asked { operation: &operation, query: &query, body: &body, faults: &faults };
    let answer = match answer(&shared, &asked, &parts) {
        Ok(mut value) => {
            if faults.contains(&FaultKind::RepeatToken) {
                value["nextPageToken"] = asked.parameter("pageToken").unwrap_or("b2Zmc2V0OjA=").into();
            }
            Answer::new(StatusCode::OK, "application/json; charset=UTF-8", value.to_string())
        }
        Err(error) => error.answer(),
    };
    answer.into_response(&faults)
}

fn answer(shared: &Shared, asked: &Asked<'_>, parts: &Parts) -> Result<Value, GoogleError> {
    let operation = asked.operation.name;
    if let Some(error) = asked.faults.iter().find_map(|fault| GoogleError::of_fault(*fault, operation)) {
        return Err(error);
    }
    let bearer =
        parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let now = Utc::now();
    match operation {
        "oauth2:token" | "sts:token" => return tokens::exchange(shared, asked, now),
        "metadata:token" => return tokens::machine(shared, &parts.headers, now),
        _ => {}
    }
    let caller = bearer.and_then(|token| shared.google.bearer(token, now)).ok_or_else(GoogleError::unauthenticated)?;
    if operation == "iam.serviceAccounts.getAccessToken" {
        return tokens::acting(shared, asked, &caller, now);
    }
    let world = shared.world();
    if operation == "resourcemanager.projects.testIamPermissions" {
        let body: Value = serde_json::from_slice(asked.body).map_err(|_| GoogleError::invalid("not JSON"))?;
        let granted = shared.google.may_read(&world, &caller, asked.part(0));
        return Ok(if granted { json!({ "permissions": body["permissions"] }) } else { json!({}) });
    }
    let of_project = !matches!(asked.operation.project(), None | Some(""));
    let project = asked.operation.project().unwrap_or_default();
    if !shared.google.may_read(&world, &caller, project) {
        return Err(GoogleError::denied(operation, if of_project { project } else { "organizations" }));
    }
    match operation.split('.').next() {
        Some("container") => Ok(container::answer(shared, &world, asked)),
        Some("artifactregistry") => registry::answer(&world, asked),
        Some("compute") => compute::answer(&world, asked),
        Some("serviceusage") => service_usage::answer(&world, asked),
        _ => resource_manager::answer(&world, asked),
    }
}
