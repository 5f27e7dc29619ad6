//! What is known of a request while it is answered, and what of it goes into the audit log.
//!
//! Every request that would change something leaves an entry once it is known whose it is, whatever came of it; so do
//! refused reads (401, 403, 404) and exports. Other reads do not, nor does what the rate limit turned away.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use axum::RequestExt as _;
use axum::extract::{ConnectInfo, MatchedPath, RawPathParams, Request};
use axum::http::Method;
use ipnet::IpNet;
use rampart_domain::TenantId;
use rampart_store::audit::Entry;
use rampart_store::{Actor, TenantTx, token};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Answer;
use crate::limits::{Admission, client_address};
use crate::routes;

/// A request, as its handler, its extractors and its envelope share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestContext(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    id: String,
    method: Method,
    /// Template of the path; empty when there is nothing at it.
    path: String,
    operation: Option<&'static Operation>,
    params: Vec<(String, String)>,
    address: Option<IpAddr>,
    /// Set once an entry was written with a change.
    written: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    caller: Option<(TenantId, Actor)>,
    admission: Option<Admission>,
}

impl RequestContext {
    pub(crate) async fn of(request: &mut Request, id: &str, trusted: &[IpNet]) -> Self {
        let path = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let params = request.extract_parts::<RawPathParams>().await.ok();
        let params = params.iter().flatten().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self(Arc::new(Inner {
            id: id.to_owned(),
            method: request.method().clone(),
            operation: OPERATIONS.get(&(request.method().clone(), path.clone())),
            path,
            params,
            address: client_address(peer, request.headers(), trusted),
            ..Inner::default()
        }))
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.0.address
    }

    /// The template of the path, for spans and metrics.
    pub(crate) fn path(&self) -> &str {
        &self.0.path
    }

    /// Notes who calls.
    pub(crate) fn is_of(&self, tenant: TenantId, actor: &Actor) {
        self.state(|state| state.caller = Some((tenant, actor.clone())));
    }

    /// Notes how the request stands to the caller's limit.
    pub(crate) fn counted(&self, admission: Admission) {
        self.state(|state| state.admission = Some(admission));
    }

    pub(crate) fn admission(&self) -> Option<Admission> {
        self.state(|state| state.admission)
    }

    /// Has the transaction write the entry of the change that it makes.
    pub(crate) fn audit(&self, tx: TenantTx) -> TenantTx {
        let declared = self.0.operation.filter(|_| self.changes()).map(|operation| operation.status);
        match declared.and_then(|status| self.entry(status, None)) {
            Some((_, entry)) => tx.audited(entry, Arc::clone(&self.0.written)),
            None => tx,
        }
    }

    /// The entry that is still to be written when the request ends so.
    pub(crate) fn left_to_write(&self, status: u16, code: Option<String>) -> Option<(TenantId, Entry)> {
        let is_logged = match status {
            429 => false,
            401 | 403 | 404 => true,
            _ => self.changes() || self.0.operation.is_some_and(Operation::is_export),
        };
        let is_written = status < 400 && self.0.written.load(Ordering::Acquire);
        if is_logged && !is_written { self.entry(status, code) } else { None }
    }

    fn changes(&self) -> bool {
        !matches!(self.0.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    fn entry(&self, status: u16, code: Option<String>) -> Option<(TenantId, Entry)> {
        let (tenant, actor) = self.state(|state| state.caller.clone())?;
        let params: Map<String, Value> =
            self.0.params.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let entry = Entry {
            actor,
            operation: self.0.operation?.id.clone(),
            method: self.0.method.to_string(),
            path: self.0.path.clone(),
            target: self.0.params.last().map(|(_, value)| value.clone()),
            params: Value::Object(params),
            address: self.0.address.map(|address| address.to_string()),
            status,
            code,
            request_id: self.0.id.clone(),
            before: None,
            after: None,
        };
        Some((tenant, entry))
    }

    fn state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Notes what is there before a change, as the API shows it.
pub(crate) fn note_before(tx: &mut TenantTx, view: impl Serialize) {
    if let Some(entry) = tx.entry() {
        entry.before = serde_json::to_value(view).ok().map(without_secrets);
    }
}

/// Notes what a change answers with.
pub(super) fn note_after(tx: &mut TenantTx, answer: &Answer) {
    if let Some(entry) = tx.entry() {
        entry.status = answer.status;
        entry.after = Some(without_secrets(answer.body.clone()));
        if entry.target.is_none() {
            let made = ["id", "name"].into_iter().find_map(|field| answer.body.get(field)?.as_str());
            entry.target = made.map(str::to_owned);
        }
    }
}

/// Views show no secrets but those that were just made; these are taken out, by the names of their fields and by the mark
/// of our own tokens.
fn without_secrets(value: Value) -> Value {
    const MARKED: &str = "[secret]";
    let is_secret = |name: &str| {
        matches!(name, "secret" | "token" | "password")
            || ["_secret", "_token", "_password"].iter().any(|end| name.ends_with(end))
    };
    match value {
        Value::String(text) if text.contains(token::PREFIX) => MARKED.into(),
        Value::Array(elements) => elements.into_iter().map(without_secrets).collect(),
        Value::Object(fields) => {
            let clean = |(name, value): (String, Value)| {
                let value = if is_secret(&name) && value.is_string() { MARKED.into() } else { without_secrets(value) };
                (name, value)
            };
            Value::Object(fields.into_iter().map(clean).collect())
        }
        other => other,
    }
}

/// What the API's document says of an operation.
#[derive(Debug)]
struct Operation {
    id: String,
    /// The status that a change is answered with: the highest of those that are declared.
    status: u16,
}

impl Operation {
    /// Whether it is a read by which data leaves in bulk.
    fn is_export(&self) -> bool {
        self.id.contains("export") || self.id == "get_compliance_report"
    }
}

/// Every operation, by method and template of the path.
static OPERATIONS: LazyLock<HashMap<(Method, String), Operation>> = LazyLock::new(|| {
    let document = routes::all().into_openapi();
    let mut found = HashMap::new();
    for (path, item) in document.paths.paths {
        let operations = [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::PATCH, item.patch),
            (Method::DELETE, item.delete),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            let statuses = operation.responses.responses.keys().filter_map(|status| status.parse().ok());
            let status = statuses.filter(|status| *status < 300).max().unwrap_or(200);
            if let Some(id) = operation.operation_id {
                found.insert((method, path.clone()), Operation { id, status });
            }
        }
    }
    found
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_just_made_secret_is_taken_out() {
        let view = json!({"id": "1", "secret": "s3", "collector_token": "abc", "token_id": "t", "secret_names": ["a"],
            "items": [{"text": "use rmp_abc now", "token": null}]});
        let clean = json!({"id": "1", "secret": "[secret]", "collector_token": "[secret]", "token_id": "t",
            "secret_names": ["a"], "items": [{"text": "[secret]", "token": null}]});
        assert_eq!(without_secrets(view), clean);
    }

    #[test]
    fn every_operation_has_its_name() {
        let made = &OPERATIONS[&(Method::POST, "/v1/tokens".to_owned())];
        assert_eq!((made.id.as_str(), made.status), ("create_token", 201));
        assert_eq!(OPERATIONS[&(Method::DELETE, "/v1/tokens/{token_id}".to_owned())].status, 204);
        assert!(OPERATIONS.len() > 100, "{}", OPERATIONS.len());
    }
}
