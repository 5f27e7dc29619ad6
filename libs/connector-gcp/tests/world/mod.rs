//! A small Google Cloud over real HTTP with one fault at a time: one project, two locations, paged by one.

mod answers;
pub(crate) mod key;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rampart_connector::conformance::Fault;
use rampart_connector::conformance::server::{Reply, Request, serve};
use tokio::task::JoinHandle;

pub(crate) use answers::{ACCOUNT, NAME, PROJECT, PROVIDER, STATEMENT};

/// How long the world asks to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A world that answers until it is dropped.
pub(crate) struct World {
    pub(crate) url: String,
    task: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    fault: Option<(String, Fault)>,
    /// How often each API was called.
    calls: Mutex<HashMap<String, usize>>,
    /// When a request was told to come back later.
    told: Mutex<HashMap<String, Instant>>,
    /// Tokens that are no longer taken, by how many were revoked.
    revoked: Mutex<usize>,
    /// Zones that do not respond.
    silent: Mutex<Vec<&'static str>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start(fault: Option<(&str, Fault)>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let fault = fault.map(|(api, fault)| (api.to_owned(), fault));
        let state = Arc::new(State { fault, ..State::default() });
        let shared = Arc::clone(&state);
        let (url, task) = serve(move |request| shared.answer(request)).await;
        Self { url, task, state }
    }

    /// Every permission that was used.
    pub(crate) fn apis(&self) -> BTreeSet<String> {
        self.state.calls.lock().unwrap().keys().filter(|api| !api.contains(':')).cloned().collect()
    }

    /// Calls of an API.
    pub(crate) fn calls(&self, api: &str) -> usize {
        self.state.calls.lock().unwrap().get(api).copied().unwrap_or_default()
    }

    /// From now on these zones do not respond.
    pub(crate) fn silence(&self, zones: &[&'static str]) {
        *self.state.silent.lock().unwrap() = zones.to_vec();
    }

    /// Refuses every token handed out so far.
    pub(crate) fn revoke(&self) {
        let issued = self.calls("iam.serviceAccounts.getAccessToken");
        *self.state.revoked.lock().unwrap() = issued;
    }
}

impl State {
    fn answer(&self, request: &Request) -> Reply {
        let Some(call) = answers::route(request) else { return Reply::new(404, "<html>no such path</html>") };
        let number = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry(call.api.to_owned()).or_default();
            *count += 1;
            *count
        };
        let revoked = *self.revoked.lock().unwrap();
        if let Some(refusal) = answers::authenticate(&call, request, revoked) {
            return refusal;
        }
        match &self.fault {
            Some((api, fault)) if *api == call.api => self.fail(*fault, number, request, &call),
            _ => answers::without(&self.silent.lock().unwrap(), &call, answers::answer(&call, number)),
        }
    }

    fn fail(&self, fault: Fault, number: usize, request: &Request, call: &answers::Call) -> Reply {
        let key = request.key();
        let once = [
            "resourcemanager.projects.get",
            "resourcemanager.projects.getIamPolicy",
            "container.clusters.list",
            "iam.serviceAccounts.getAccessToken",
        ];
        let late = once.contains(&call.api) || number > 1;
        match fault {
            Fault::ThrottledOnce => {
                let mut told = self.told.lock().unwrap();
                match told.get(&key) {
                    Some(at) if at.elapsed() < RETRY_AFTER => answers::error(400, "INVALID_ARGUMENT", "TOO_EARLY"),
                    None if number == 1 => {
                        told.insert(key, Instant::now());
                        answers::throttled("1s")
                    }
                    _ => answers::answer(call, number),
                }
            }
            Fault::Throttled => answers::throttled("60s"),
            Fault::Forbidden => answers::error(403, "PERMISSION_DENIED", "IAM_PERMISSION_DENIED"),
            Fault::ServerError if late => answers::error(500, "INTERNAL", ""),
            Fault::Cut if late => answers::answer(call, number).cut(),
            Fault::ServerError | Fault::Cut => answers::answer(call, number),
            Fault::Oversized => Reply::new(200, &format!("{{\"padding\":\"{}\"}}", "x".repeat(1 << 18))),
            Fault::Unsupported => answers::error(403, "PERMISSION_DENIED", "SERVICE_DISABLED"),
            Fault::Hang => Reply::hang(),
        }
    }
}
