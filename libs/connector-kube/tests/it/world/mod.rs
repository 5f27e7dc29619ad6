//! A small Kubernetes API over TLS: lists with pages, single objects, access reviews, and faults per call.

mod objects;
mod server;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rampart_connector::conformance::Fault;
use rampart_connector::{Caller, Egress, EgressPolicy, Limits};
use rampart_connector_kube::{KubeConnector, KubeIdentity, Options, StaticAccess};
use rampart_domain::Cloud;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub(crate) use objects::{UID, estate};
pub(crate) use server::{Certificate, Guard, serve};

/// The token that the API takes.
pub(crate) const TOKEN: &str = "good-token";

/// What an API answers.
#[derive(Default)]
pub(crate) struct World {
    /// Lists by path.
    pub(crate) lists: BTreeMap<String, Vec<Value>>,
    /// Other answers by path.
    pub(crate) single: BTreeMap<String, Value>,
    /// The broken call, by the name of its permission.
    pub(crate) broken: Option<(String, Fault)>,
    /// Answers to be given once instead, by path and in order: status and body.
    pub(crate) once: Mutex<Vec<(String, u16, Value)>>,
    /// What watches are answered, by path and in order; further ones never are.
    pub(crate) watches: Mutex<Vec<(&'static str, Script)>>,
    /// Lists whose pages are never longer than this, whatever is asked for, because longer ones are answered too large.
    pub(crate) longest_page: Option<usize>,
    /// Reviews that are refused, by verb and resource.
    pub(crate) denied: Vec<(&'static str, &'static str)>,
    /// Every request, as method, path and query.
    pub(crate) seen: Mutex<Vec<String>>,
    /// Every authorization header.
    pub(crate) tokens: Mutex<Vec<String>>,
}

/// What a watch is answered.
pub(crate) enum Script {
    /// These bytes; then it ends as a server ends it.
    Ends(String),
    /// These bytes; then the connection breaks.
    Breaks(String),
    /// A status instead.
    Refused(u16, Value),
}

impl World {
    /// Requests seen so far whose path begins so.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|line| line.split_once(' ').is_some_and(|(_, rest)| rest.starts_with(path)))
            .cloned()
            .collect()
    }
}

/// Limits under which a test does not wait.
pub(crate) fn limits() -> Limits {
    Limits {
        rate: 10_000.0,
        burst: 10_000,
        attempts: 3,
        backoff_min: Duration::from_millis(1),
        backoff_max: Duration::from_millis(3),
        wait_budget: Duration::from_secs(1),
        attempt_timeout: Duration::from_secs(20),
        max_body: 2 << 20,
        ..Limits::default()
    }
}

pub(crate) fn identity(cloud: Cloud) -> KubeIdentity {
    KubeIdentity { native_id: None, name: "shop".to_owned(), cloud, account: None, region: None }
}

/// Allows loopback, where the test's API listens.
pub(crate) fn loopback() -> Egress {
    "127.0.0.0/8".parse::<EgressPolicy>().unwrap().into()
}

/// Access by token to an API on this port.
pub(crate) fn access(port: u16, certificate: &Certificate) -> StaticAccess {
    let token = SecretString::from(TOKEN.to_owned());
    StaticAccess::from_token(&format!("https://localhost:{port}"), token, Some(&certificate.pem)).unwrap()
}

/// Starts the world and a connector for it.
pub(crate) async fn start(world: World, cloud: Cloud, options: Options) -> (Arc<World>, KubeConnector, Guard) {
    let certificate = Certificate::shared();
    let world = Arc::new(world);
    let guard = serve(Arc::clone(&world), certificate).await;
    let caller = Caller::new(limits(), CancellationToken::new());
    let access = Arc::new(access(guard.port, certificate));
    (world, KubeConnector::new(identity(cloud), access, loopback(), options, caller), guard)
}

/// A Kubernetes `Status` of failure.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}
