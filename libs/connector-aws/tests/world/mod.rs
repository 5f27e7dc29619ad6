//! A small AWS over real HTTP with one fault at a time: two regions, paged by one, every kind twice.

mod answers;
mod iam;
mod organizations;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rampart_connector::conformance::Fault;
use rampart_connector::conformance::server::{Reply, Request, serve};
use tokio::task::JoinHandle;

pub(crate) use answers::{ACCOUNT, EXTERNAL_ID, REGIONS};

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
    /// How often each API was called in each region.
    calls: Mutex<HashMap<(String, String), usize>>,
    /// When a request was told to come back later.
    told: Mutex<HashMap<String, Instant>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start(fault: Option<(&str, Fault)>) -> Self {
        let fault = fault.map(|(api, fault)| (api.to_owned(), fault));
        let state = Arc::new(State { fault, ..State::default() });
        let shared = Arc::clone(&state);
        let (url, task) = serve(move |request| shared.answer(request)).await;
        Self { url, task, state }
    }

    /// Every API that was called.
    pub(crate) fn apis(&self) -> BTreeSet<String> {
        self.state.calls.lock().unwrap().keys().map(|(api, _)| api.clone()).collect()
    }

    /// Calls of an API over all regions.
    pub(crate) fn calls(&self, api: &str) -> usize {
        let calls = self.state.calls.lock().unwrap();
        calls.iter().filter(|((name, _), _)| name == api).map(|(_, count)| count).sum()
    }
}

impl State {
    fn answer(&self, request: &Request) -> Reply {
        let Some(call) = answers::route(request) else { return Reply::new(404, "<html>no such path</html>") };
        let number = {
            let mut calls = self.calls.lock().unwrap();
            let count = calls.entry((call.api.clone(), call.region.clone())).or_default();
            *count += 1;
            *count
        };
        match &self.fault {
            Some((api, fault)) if *api == call.api => self.fail(*fault, number, request, &call),
            _ => answers::answer(&call),
        }
    }

    fn fail(&self, fault: Fault, number: usize, request: &Request, call: &answers::Call) -> Reply {
        let key = format!("{} {}", call.region, request.key());
        let once = [
            "sts:GetCallerIdentity",
            "ecr:GetRegistryScanningConfiguration",
            "organizations:DescribeOrganization",
            "organizations:ListRoots",
        ]
        .contains(&call.api.as_str());
        let late = once || number > 1;
        match fault {
            Fault::ThrottledOnce => {
                let mut told = self.told.lock().unwrap();
                match told.get(&key) {
                    Some(at) if at.elapsed() < RETRY_AFTER => answers::error(call, 400, "CameBackTooEarly"),
                    None if number == 1 => {
                        told.insert(key, Instant::now());
                        answers::error(call, 429, "ThrottlingException").header("retry-after", "1")
                    }
                    _ => answers::answer(call),
                }
            }
            Fault::Throttled => answers::error(call, 429, "TooManyRequestsException").header("retry-after", "60"),
            Fault::Forbidden => answers::error(call, 403, "AccessDeniedException"),
            Fault::ServerError if late => answers::error(call, 500, "InternalFailure"),
            Fault::Cut if late => answers::answer(call).cut(),
            Fault::ServerError | Fault::Cut => answers::answer(call),
            Fault::Oversized => Reply::new(200, &format!("{{\"padding\":\"{}\"}}", "x".repeat(1 << 18))),
            Fault::Unsupported => answers::unknown(call),
            Fault::Hang => Reply::hang(),
        }
    }
}
