use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use rampart_chassis::Ctx;
use rampart_store::Store;
use rampart_store::keyring::Keyring;
use secrecy::SecretString;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// All roles of one process on a runtime of their own, so that they can die together without a word.
#[derive(Debug)]
pub struct Replica {
    /// Base URL of its API.
    pub url: String,
    ctx: Ctx,
    roles: Vec<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Replica {
    /// Starts the roles and waits for the API to answer.
    ///
    /// # Panics
    /// When it does not within ten seconds.
    pub async fn start(database_url: &str, keyring: &Arc<Keyring>, discovery: &rampart_discovery::Config) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let listen = free_address();
        let ctx = Ctx::new();
        let (keyring, discovery, secret) = (keyring.clone(), discovery.clone(), SecretString::from(database_url));
        let context = ctx.clone();
        let connected = runtime.spawn(async move { Store::connect(&secret, 16).await.expect("the database is there") });
        let store = connected.await.expect("connecting does not panic");
        // One issuer for all replicas: the first of them, as a load balancer would be.
        let issuer_url = discovery.issuer_url.clone().or_else(|| format!("http://{listen}").parse().ok());
        let discovery = rampart_discovery::Config { issuer_url: issuer_url.clone(), ..discovery };
        let api = rampart_api::Config {
            listen,
            rate_limit: 100_000,
            address_rate_limit: 100_000,
            drain_notice_s: 0,
            issuer_url,
            webhook_allow_http: true,
            ..rampart_api::Config::default()
        };
        let assessor =
            rampart_assessor::Config { assessments: Some(2), assessments_per_tenant: 8, jobs: 1, content_dir: None };
        let notifier = rampart_notifier::Config {
            deliveries: 8,
            deliveries_per_tenant: 4,
            delivery_timeout_s: 2,
            allow_http: true,
            egress_allow: discovery.egress_allow.clone(),
            ca_bundle: None,
        };
        let notify = rampart_notifier::run(notifier, context.clone(), store.clone(), keyring.clone());
        let serve = rampart_api::run(api, context.clone(), store.clone(), keyring.clone());
        let discover = rampart_discovery::run(discovery, context.clone(), store.clone(), keyring);
        let assess = rampart_assessor::run(assessor, context, store);
        let roles = vec![
            runtime.spawn(async move { serve.await.expect("the API runs") }),
            runtime.spawn(async move { discover.await.expect("discovery runs") }),
            runtime.spawn(async move { assess.await.expect("the assessor runs") }),
            runtime.spawn(async move { notify.await.expect("the notifier runs") }),
        ];
        let url = format!("http://{listen}");
        let probe = reqwest::Client::builder().no_proxy().build().expect("a client");
        for _ in 0..200 {
            if probe.get(format!("{url}/v1/tenant")).send().await.is_ok() {
                return Self { url, ctx, roles, runtime: Some(runtime) };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the API does not answer at {url}");
    }

    /// Whether every role still runs.
    pub fn is_alive(&self) -> bool {
        self.roles.iter().all(|role| !role.is_finished())
    }

    /// Asks the roles to stop, as SIGTERM does, and waits for them.
    ///
    /// # Panics
    /// When a role failed.
    pub async fn stop(mut self) {
        self.ctx.cancel.cancel();
        for role in std::mem::take(&mut self.roles) {
            role.await.expect("a role ends without a failure");
        }
        self.ctx.tasks.close();
        self.ctx.tasks.wait().await;
    }

    /// Ends everything in the middle of whatever it does, as SIGKILL does: no lease is given back.
    pub fn kill(mut self) {
        self.runtime.take().expect("only dropping takes it too").shutdown_background();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A port of the loopback that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of the loopback");
    listener.local_addr().expect("a bound listener has an address")
}
