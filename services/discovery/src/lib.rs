//! Discovery: runs connectors and keeps the inventory in step with what they report.
//!
//! ```text
//! work(scan) ─▶ connect ─▶ Connector::scan ──Event──▶ Pipeline ─▶ store::inventory (fenced)
//!                              └ Cluster ─▶ KubeConnector::scan ──Event──▶ Pipeline
//! work(preflight) ─▶ Connector::preflight      work(delete) ─▶ store::inventory::remove_connector
//! ```

mod connect;
mod gap;
mod pipeline;
mod preflight;
mod progress;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ipnet::IpNet;
use rampart_chassis::Ctx;
use rampart_connector::{Caller, EgressPolicy, Limits};
use rampart_store::keyring::Keyring;
use rampart_store::work::{Lease, WorkKind};
use rampart_store::worker::{self, Failure};
use rampart_store::{Store, inventory, retention};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Options of the discovery role.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Connectors scanned at once in this process.
    #[arg(long, env = "RAMPART_SCANS", default_value_t = 4)]
    pub scans: usize,
    /// Connectors of one tenant scanned at once, over all processes.
    #[arg(long, env = "RAMPART_SCANS_PER_TENANT", default_value_t = 4)]
    pub scans_per_tenant: usize,
    /// Clusters of one connector read at once.
    #[arg(long, env = "RAMPART_CLUSTERS_PER_SCAN", default_value_t = 4)]
    pub clusters_per_scan: usize,
    /// Address ranges outside the public internet that connectors may reach, such as 10.0.0.0/8. Comma-separated.
    #[arg(long, env = "RAMPART_EGRESS_ALLOW", value_delimiter = ',')]
    pub egress_allow: Vec<IpNet>,
    /// Ask this URL instead of AWS, for every AWS API. For tests and private gateways.
    #[arg(long, env = "RAMPART_AWS_ENDPOINT")]
    pub aws_endpoint: Option<Url>,
    /// Access key with which Rampart assumes roles; the default is the environment's own credentials.
    #[arg(long, env = "RAMPART_AWS_ACCESS_KEY_ID", requires = "aws_secret_access_key")]
    pub aws_access_key_id: Option<String>,
    /// Secret of that key.
    #[arg(long, env = "RAMPART_AWS_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub aws_secret_access_key: Option<SecretString>,
    /// Send every request for Entra ID, Azure Resource Manager and the registries' data planes to this URL, with the Host of
    /// the service that it is for. For tests and private gateways.
    #[arg(long, env = "RAMPART_AZURE_ENDPOINT")]
    pub azure_endpoint: Option<Url>,
    /// Let connectors use the managed identity of this machine, whose tokens this URL hands out: on a virtual machine,
    /// /metadata/identity/oauth2/token of 169.254.169.254. Every tenant of this installation can then use it.
    #[arg(long, env = "RAMPART_AZURE_MANAGED_IDENTITY")]
    pub azure_managed_identity: Option<Url>,
    /// Days that history, scans and findings of vanished resources are kept.
    #[arg(long, env = "RAMPART_RETENTION_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub retention_days: u32,
}

/// What every scan shares.
#[derive(Clone)]
pub struct Discovery {
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: Arc<Config>,
    pub(crate) caller: Caller,
    pub(crate) egress: EgressPolicy,
}

impl Discovery {
    /// One set of rate buckets and one egress policy for all scans of this process.
    pub fn new(store: Store, keyring: Arc<Keyring>, config: Config, cancel: &CancellationToken) -> Self {
        Self {
            store,
            keyring,
            caller: Caller::new(Limits::default(), cancel.child_token()),
            egress: EgressPolicy { allow: config.egress_allow.clone() },
            config: Arc::new(config),
        }
    }
}

impl std::fmt::Debug for Discovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Discovery").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Works until the context is cancelled.
pub async fn run(config: Config, ctx: Ctx, store: Store, keyring: Arc<Keyring>) -> anyhow::Result<()> {
    let options = worker::Options {
        kinds: vec![WorkKind::Scan, WorkKind::Preflight, WorkKind::Delete],
        concurrency: config.scans,
        per_tenant: config.scans_per_tenant,
        grace: Duration::from_secs(15),
    };
    let keep_days = config.retention_days;
    let discovery = Discovery::new(store.clone(), keyring, config, &ctx.cancel);
    ctx.tasks.spawn(sweep_daily(store.clone(), keep_days, ctx.cancel.clone()));
    let handler = move |lease: Lease, cancel: CancellationToken| {
        let discovery = discovery.clone();
        async move { handle(&discovery, lease, cancel).await }
    };
    worker::run(&store, &options, &ctx.cancel, handler).await?;
    Ok(())
}

async fn handle(discovery: &Discovery, lease: Lease, cancel: CancellationToken) -> Result<(), Failure> {
    match lease.kind {
        WorkKind::Scan => scan::run(discovery, &lease, cancel).await,
        WorkKind::Preflight => preflight::run(discovery, &lease, cancel).await,
        WorkKind::Delete => {
            loop {
                let mut tx = discovery.store.fenced(&lease).await?;
                let left = inventory::remove_connector(&mut tx, lease.subject.into(), Utc::now()).await?;
                tx.commit().await?;
                if left == 0 {
                    break;
                }
                if cancel.is_cancelled() {
                    return Err("the process is stopping".into());
                }
            }
            Ok(())
        }
        WorkKind::Assess => Err("assessments are not discovery's work".into()),
    }
}

/// Keeps partitions ahead of time and drops what is older than the retention time, at start and then daily.
async fn sweep_daily(store: Store, keep_days: u32, cancel: CancellationToken) {
    let mut daily = tokio::time::interval(Duration::from_hours(24));
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = daily.tick() => {}
        }
        if let Err(error) = retention::sweep(&store, Utc::now(), keep_days).await {
            tracing::error!(error = %error, "old data was not removed");
        }
    }
}
