//! A small Azure over real HTTP with one fault at a time: one subscription, paged by one, every kind twice.

mod answers;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rampart_connector::conformance::Fault;
use rampart_connector::conformance::server::{Reply, Request, serve};
use tokio::task::JoinHandle;

pub(crate) use answers::{CLIENT, EXPECTED, OTHER, REGISTRIES, SECRET, SUBSCRIPTION, TENANT};

/// How long the world asks to wait.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a test has the world do that is no fault of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Twist {
    #[default]
    None,
    /// The first token of Azure Resource Manager is refused after this many calls.
    RevokedAfter(usize),
    /// Arc was never switched on in the subscription.
    WithoutArc,
    /// The next page of every list is told to be elsewhere.
    NextPageElsewhere,
    /// Previews of the registry API are withdrawn.
    WithoutPreviews,
    /// The first registry keeps this caller out.
    RegistryClosed,
}

/// A world that answers until it is dropped.
pub(crate) struct World {
    pub(crate) url: String,
    task: JoinHandle<()>,
    state: Arc<State>,
}

#[derive(Default)]
pub(crate) struct State {
    fault: Option<(String, Fault)>,
    twist: Twist,
    calls: Mutex<HashMap<String, usize>>,
    /// When a request was told to come back later.
    told: Mutex<HashMap<String, Instant>>,
    /// Tokens of Entra ID handed out so far.
    tokens: Mutex<usize>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl World {
    pub(crate) async fn start(fault: Option<(&str, Fault)>) -> Self {
        Self::twisted(fault, Twist::default()).await
    }

    pub(crate) async fn twisted(fault: Option<(&str, Fault)>, twist: Twist) -> Self {
        let fault = fault.map(|(api, fault)| (api.to_owned(), fault));
        let state = Arc::new(State { fault, twist, ..State::default() });
        let shared = Arc::clone(&state);
        let (url, task) = serve(move |request| shared.answer(request)).await;
        Self { url, task, state }
    }

    /// Every action that was used.
    pub(crate) fn apis(&self) -> BTreeSet<String> {
        let calls = self.state.calls.lock().unwrap();
        calls.keys().filter(|api| api.starts_with("Microsoft.")).cloned().collect()
    }

    /// Calls under an action.
    pub(crate) fn calls(&self, api: &str) -> usize {
        self.state.calls.lock().unwrap().get(api).copied().unwrap_or_default()
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
        if let Some(refusal) = self.refuse(request, &call) {
            return refusal;
        }
        match &self.fault {
            Some((api, fault)) if *api == call.api => self.fail(*fault, number, request, &call),
            _ => answers::answer(&call, self.twist, || {
                let mut tokens = self.tokens.lock().unwrap();
                *tokens += 1;
                *tokens
            }),
        }
    }

    /// Whoever comes with a token that is not the last one, or was revoked.
    fn refuse(&self, request: &Request, call: &answers::Call) -> Option<Reply> {
        if !call.api.starts_with("Microsoft.") || call.is_data_plane() {
            return None;
        }
        let tokens = *self.tokens.lock().unwrap();
        let bearer = request.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer entra-"));
        let number = bearer.and_then(|number| number.parse::<usize>().ok());
        let calls: usize = self.calls.lock().unwrap().values().sum();
        let revoked = matches!(self.twist, Twist::RevokedAfter(after) if calls > after && number == Some(1));
        let good = number.is_some_and(|number| number <= tokens) && !revoked;
        (!good).then(|| answers::error(401, "ExpiredAuthenticationToken"))
    }

    fn fail(&self, fault: Fault, number: usize, request: &Request, call: &answers::Call) -> Reply {
        let key = request.key();
        // Asked once per scan, so that it fails from the first call.
        let late = call.api == "Microsoft.Resources/subscriptions/read" || number > 1;
        let sound = || answers::answer(call, self.twist, || 1);
        match fault {
            Fault::ThrottledOnce => {
                let mut told = self.told.lock().unwrap();
                match told.get(&key) {
                    Some(at) if at.elapsed() < RETRY_AFTER => answers::error(400, "CameBackTooEarly"),
                    None if number == 1 => {
                        told.insert(key, Instant::now());
                        answers::error(429, "TooManyRequests").header("retry-after", "1")
                    }
                    _ => sound(),
                }
            }
            Fault::Throttled => answers::error(429, "SubscriptionRequestsThrottled").header("retry-after", "60"),
            Fault::Forbidden if call.is_data_plane() => {
                let challenge = "Bearer realm=\"x\",error=\"insufficient_scope\"";
                answers::error(401, "UNAUTHORIZED").header("www-authenticate", challenge)
            }
            Fault::Forbidden => answers::error(403, "AuthorizationFailed"),
            Fault::ServerError if late => Reply::new(500, "{\"code\":\"InternalServerError\",\"message\":\"m\"}"),
            Fault::Cut if late => sound().cut(),
            Fault::ServerError | Fault::Cut => sound(),
            Fault::Oversized => Reply::new(200, &format!("{{\"padding\":\"{}\"}}", "x".repeat(1 << 18))),
            Fault::Unsupported if call.is_data_plane() => Reply::new(404, "<html>not found</html>"),
            Fault::Unsupported => answers::error(400, "NoRegisteredProviderFound"),
            Fault::Hang => Reply::hang(),
        }
    }
}
