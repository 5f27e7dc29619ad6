//! AWS over HTTP: one address for all services, told apart by target, path and action; accounts by who signed, regions
//! by the credential scope.

mod account;
mod ecr;
mod eks;
mod error;
mod iam;
pub(crate) mod identity;
mod logs;
mod operation;
mod organizations;
mod paging;
pub(crate) mod sigv4;
mod sts;
mod web_identity;
mod xml;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::faults::{Call, FaultKind};
use crate::shared::Shared;
use crate::world::World;
use error::AwsError;
use identity::{Principal, Refusal};
use operation::{Operation, Protocol, Service};
use sigv4::{Claim, Signed, pairs};

/// Requests are small; more than this is refused.
const BODY_LIMIT: usize = 1 << 20;

/// What an operation is answered from.
pub(crate) struct Context<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) world: &'a World,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) caller: String,
}

impl Context<'_> {
    fn unknown_operation(&self, name: &str) -> AwsError {
        let message = format!("Unable to determine service/operation name to be authorized: {name} in {}", self.region);
        AwsError::new(StatusCode::NOT_FOUND, "UnknownOperationException", message)
    }
}

/// The router of all services.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        let error = AwsError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLargeException", "request too large");
        return error.answer(Protocol::RestJson).into_response(&[]);
    };
    let claim = claim(&parts);
    let scope = claim.as_ref().map(|claim| claim.service.as_str());
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    let Some(operation) = Operation::of(&parts.method, path, query, &parts.headers, &body, scope) else {
        let error = AwsError::new(StatusCode::NOT_FOUND, "UnknownOperationException", "no such operation");
        return error.answer(Protocol::RestJson).into_response(&[]);
    };
    let (service, protocol) = (operation.service.name(), operation.service.protocol());
    shared.calls.count(format!("{service}:{}", operation.name));
    let members = members(&operation, query, &body);
    let region = claim.as_ref().map_or("", |claim| claim.region.as_str());
    let continues = ["nextToken", "NextToken", "Marker"].iter().any(|token| members[*token].is_string());
    let faults = shared.faults.hit(Call::Aws { service, operation: &operation.name, region, continues });
    for fault in &faults {
        if let FaultKind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    let received =
        Received { parts: &parts, body: &body, claim, operation: &operation, members: &members, faults: &faults };
    if operation.service == Service::Sts && operation.name == "AssumeRoleWithWebIdentity" {
        let answered = match faults.iter().find_map(|fault| AwsError::of_fault(*fault, "anonymous", &operation.name)) {
            Some(error) => Err(error),
            None => web_identity::answer(&shared.identities, &form(&parts, &body)).await,
        };
        let answered = answered.map(|xml| Answer::new(StatusCode::OK, "text/xml", xml));
        return answered.unwrap_or_else(|error| error.answer(protocol)).into_response(&faults);
    }
    answer(&shared, &received).unwrap_or_else(|error| error.answer(protocol)).into_response(&faults)
}

/// A request, read.
struct Received<'a> {
    parts: &'a Parts,
    body: &'a Bytes,
    claim: Option<Claim>,
    operation: &'a Operation,
    members: &'a Value,
    faults: &'a [FaultKind],
}

fn claim(parts: &Parts) -> Option<Claim> {
    Claim::from_headers(&parts.headers).or_else(|| Claim::from_query(&pairs(parts.uri.query()?)))
}

fn answer(shared: &Shared, received: &Received<'_>) -> Result<Answer, AwsError> {
    let Received { parts, body, operation, faults, .. } = received;
    let claim = received.claim.as_ref().ok_or_else(|| AwsError::refused(Refusal::MissingToken))?;
    let caller = authenticate(shared, received, claim)?;
    let call = format!("{}:{}", operation.service.name(), operation.name);
    if let Some(error) = faults.iter().find_map(|fault| AwsError::of_fault(*fault, &caller.arn, &call)) {
        return Err(error);
    }
    if operation.service == Service::Sts {
        let xml = sts::answer(&shared.identities, &caller, &operation.name, &form(parts, body))?;
        return Ok(Answer::new(StatusCode::OK, "text/xml", xml));
    }
    let world = shared.world();
    let cx =
        Context { shared, world: &world, account: caller.account, region: claim.region.clone(), caller: caller.arn };
    let mut value = match operation.service {
        Service::Eks => eks::answer(&cx, operation, received.members)?,
        Service::Ecr => ecr::answer(&cx, operation, received.members)?,
        Service::Organizations => organizations::answer(&cx, operation, received.members)?,
        Service::Logs => logs::answer(&cx, operation, received.members)?,
        Service::Iam => iam::answer(&cx, operation, received.members)?,
        Service::Account | Service::Sts => account::answer(&cx, operation, received.members)?,
    };
    distort(&mut value, received.members, faults);
    if operation.service == Service::Iam {
        return Ok(Answer::new(StatusCode::OK, "text/xml", iam::wrapped(&operation.name, &value)));
    }
    let content_type = match operation.service.protocol() {
        Protocol::Json => "application/x-amz-json-1.1",
        Protocol::RestJson | Protocol::Query => "application/json",
    };
    let request_id = uuid::Uuid::new_v4().to_string();
    Ok(Answer::new(StatusCode::OK, content_type, value.to_string()).header("x-amzn-requestid", &request_id))
}

/// The members of a query-protocol request.
fn form(parts: &Parts, body: &Bytes) -> Vec<(String, String)> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    pairs(parts.uri.query().unwrap_or_default()).into_iter().chain(pairs(text)).collect()
}

fn authenticate(shared: &Shared, received: &Received<'_>, claim: &Claim) -> Result<Principal, AwsError> {
    let now = shared.identities.now();
    let Received { parts, body, .. } = received;
    let signed = Signed {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
        body,
    };
    if (now - claim.signed_at).abs() > TimeDelta::minutes(15) {
        return Err(AwsError::refused(Refusal::Expired));
    }
    shared.identities.authenticate(claim, signed, now).map_err(AwsError::refused)
}

/// Members of the request from query and body.
fn members(operation: &Operation, query: &str, body: &Bytes) -> Value {
    let mut members: Map<String, Value> = Map::new();
    for (name, value) in pairs(query) {
        let value =
            if name == "maxResults" { value.parse::<u64>().map_or(value.into(), Value::from) } else { value.into() };
        members.insert(name, value);
    }
    if operation.service == Service::Iam {
        let form = pairs(std::str::from_utf8(body).unwrap_or_default());
        members.extend(form.into_iter().map(|(name, value)| (name, value.into())));
    } else if operation.service != Service::Sts
        && let Ok(Value::Object(fields)) = serde_json::from_slice(body)
    {
        members.extend(fields);
    }
    Value::Object(members)
}

/// Faults that change what an answer says.
fn distort(value: &mut Value, request: &Value, faults: &[FaultKind]) {
    for fault in faults {
        match fault {
            FaultKind::RepeatToken if value["IsTruncated"].is_boolean() => {
                value["IsTruncated"] = true.into();
                value["Marker"] = request["Marker"].as_str().unwrap_or("b2Zmc2V0OjA=").into();
            }
            FaultKind::RepeatToken => {
                value["nextToken"] = request["nextToken"].as_str().unwrap_or("b2Zmc2V0OjA=").into();
            }
            FaultKind::HugeObject(size) => {
                if let Some(object) = value.as_object_mut().and_then(|fields| fields.values_mut().next())
                    && object.is_object()
                {
                    object["tags"] = serde_json::json!({ "padding": "x".repeat(*size) });
                }
            }
            _ => {}
        }
    }
}
