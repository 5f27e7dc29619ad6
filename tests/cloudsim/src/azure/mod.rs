//! Azure over HTTP: one address for Entra ID, Azure Resource Manager and the registries' data planes, told apart by the
//! host that the request is for.

mod acr;
mod arm;
mod entra;
mod error;
mod groups;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;

pub(crate) use entra::Directory;

use crate::answer::Answer;
use crate::aws::sigv4::pairs;
use crate::faults::{Call, FaultKind};
use crate::shared::Shared;
use error::AzureError;

/// Requests are small; more than this is refused.
const BODY_LIMIT: usize = 1 << 20;
const LOGIN: &str = "login.microsoftonline.com";
pub(crate) const MANAGEMENT: &str = "management.azure.com";
const REGISTRIES: &str = ".azurecr.io";

/// Which of Azure's services a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Service {
    Entra,
    Arm,
    /// The data plane of the registry with this name.
    Acr(String),
}

/// A request, read.
pub(crate) struct Received<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) form: Vec<(String, String)>,
    pub(crate) faults: &'a [FaultKind],
}

impl Received<'_> {
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn form(&self, name: &str) -> &str {
        self.form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.parts.headers.get("authorization")?.to_str().ok()?.strip_prefix("Bearer ")
    }
}

/// The router of all services.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().fallback(handle).with_state(shared)
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return AzureError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLarge", "request too large")
            .arm()
            .into_response(&[]);
    };
    let Some(service) = service(&parts) else {
        return Answer::new(StatusCode::NOT_FOUND, "text/html", "<html>no such host</html>").into_response(&[]);
    };
    let path: Vec<&str> = parts.uri.path().trim_matches('/').split('/').collect();
    let query = pairs(parts.uri.query().unwrap_or_default());
    let form = pairs(std::str::from_utf8(&body).unwrap_or_default());
    let (name, account) = match &service {
        Service::Entra => ("entra", path.first().copied().unwrap_or_default()),
        Service::Arm => ("arm", path.get(1).copied().unwrap_or_default()),
        Service::Acr(registry) => ("acr", registry.as_str()),
    };
    let operation = match &service {
        Service::Entra => "token",
        Service::Arm => arm::operation(&path),
        Service::Acr(_) => acr::operation(&path),
    };
    shared.calls.count(format!("{name}:{operation}"));
    let continues = query.iter().any(|(key, _)| key == "$skiptoken" || key == "last");
    let faults = shared.faults.hit(Call::Azure { service: name, operation, account, continues });
    for fault in &faults {
        if let FaultKind::Delay(time) = fault {
            tokio::time::sleep(*time).await;
        }
    }
    let failed = faults.iter().find_map(|fault| AzureError::of_fault(*fault));
    let received = Received { parts: &parts, path, query, form, faults: &faults };
    let answer = match (&service, failed) {
        (Service::Entra, Some(error)) => error.entra(),
        (Service::Arm, Some(error)) => error.arm(),
        (Service::Acr(_), Some(error)) => error.registry(),
        (Service::Entra, None) => entra::answer(&shared, &received).unwrap_or_else(AzureError::entra),
        (Service::Arm, None) => arm::answer(&shared, &received).unwrap_or_else(AzureError::arm),
        (Service::Acr(name), None) => acr::answer(&shared, name, &received).unwrap_or_else(AzureError::registry),
    };
    answer.into_response(&faults)
}

fn service(parts: &Parts) -> Option<Service> {
    let host = parts.headers.get("host")?.to_str().ok()?;
    match host {
        LOGIN => Some(Service::Entra),
        MANAGEMENT => Some(Service::Arm),
        _ => Some(Service::Acr(host.strip_suffix(REGISTRIES)?.to_owned())),
    }
}
