//! Discovery: runs connectors and keeps the inventory in step with what they report.
//!
//! ```text
//! work(scan) ─▶ connect ─▶ Connector::scan ──Event──▶ Pipeline ─▶ store::inventory (fenced)
//!                              └ Cluster ─▶ KubeConnector::scan ──Event──▶ Pipeline
//!                              └ Organization::members ─▶ store::organization ─▶ work(scan) of each account
//! work(scan) ─▶ session that a collector pushed ──Event──▶ Pipeline
//! work(watch) ─▶ ClusterWatch ──Change──▶ batch ─▶ roll-up ─▶ store::inventory (fenced), assessment at once
//! work(preview) ─▶ Organization::members ─▶ store::preview
//! work(preflight) ─▶ Connector::preflight      work(delete) ─▶ store::inventory::remove_connector
//! ```

mod connect;
mod gap;
mod issuer;
mod organization;
mod pipeline;
mod preflight;
mod preview;
mod progress;
mod pushed;
mod scan;
mod usage;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use ipnet::IpNet;
use rampart_chassis::Ctx;
use rampart_connector::{
    Authorities, AuthoritiesError, Caller, Egress, EgressPolicy, IssuerUrl, Limits, WorkloadIdentity,
};
use rampart_domain::{ConnectorId, TenantId};
use rampart_store::keyring::Keyring;
use rampart_store::work::{Lease, WorkKind};
use rampart_store::worker::{self, Failure};
use rampart_store::{Store, inventory, issuer_key, retention};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::issuer::{FederationOff, Issuer, Statement};

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
    /// Clusters watched at once by this process.
    #[arg(long, env = "RAMPART_WATCHES", default_value_t = 2_000)]
    pub watches: usize,
    /// Clusters of one tenant watched at once, over all processes.
    #[arg(long, env = "RAMPART_WATCHES_PER_TENANT", default_value_t = 10_000)]
    pub watches_per_tenant: usize,
    /// Address ranges outside the public internet that connectors may reach, such as 10.0.0.0/8. Comma-separated.
    #[arg(long, env = "RAMPART_EGRESS_ALLOW", value_delimiter = ',')]
    pub egress_allow: Vec<IpNet>,
    /// PEM file of certificate authorities to believe beside the system's in connections to clouds, and to clusters that
    /// have no authority of their own. For networks whose way out opens TLS; proxies are named by `HTTPS_PROXY` and `NO_PROXY`.
    #[arg(long, env = "RAMPART_CA_BUNDLE", value_parser = read_authorities)]
    pub ca_bundle: Option<Authorities>,
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
    /// Ask this URL instead of Google Cloud, for every Google API. For tests and private gateways.
    #[arg(long, env = "RAMPART_GCP_ENDPOINT")]
    pub gcp_endpoint: Option<Url>,
    /// Service account key, as JSON, with which Rampart impersonates customers' service accounts; the default is the
    /// service account of the machine.
    #[arg(long, env = "RAMPART_GCP_CREDENTIALS", hide_env_values = true)]
    pub gcp_credentials: Option<SecretString>,
    /// Days that history, scans and findings of vanished resources are kept.
    #[arg(long, env = "RAMPART_RETENTION_DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub retention_days: u32,
    /// Days that the audit log of the API is kept.
    #[arg(long, env = "RAMPART_AUDIT_RETENTION_DAYS", default_value_t = 365, value_parser = clap::value_parser!(u32).range(31..=3650))]
    pub audit_retention_days: u32,
    /// Scan intervals after which a verdict whose reading could not be repeated is no longer kept, but unknown.
    #[arg(long, env = "RAMPART_UNKNOWN_AFTER", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub unknown_after: u32,
    /// Part of the rate, burst and concurrency that providers allow which Rampart may take, 0.01 to 1.
    #[arg(skip = 1.0)]
    pub rate_fraction: f64,
    /// How hard and how long providers are asked, before that part is taken.
    #[arg(skip)]
    pub limits: Limits,
    /// Where Rampart answers as an OIDC issuer; `None` switches federation off.
    #[arg(skip)]
    pub issuer_url: Option<IssuerUrl>,
}

impl Config {
    /// The way out that the operator chose, for whatever a tenant may name.
    pub fn egress(&self) -> Egress {
        Egress {
            policy: EgressPolicy { allow: self.egress_allow.clone() },
            authorities: self.ca_bundle.clone().unwrap_or_default(),
        }
    }
}

fn read_authorities(path: &str) -> Result<Authorities, AuthoritiesError> {
    Authorities::read(Path::new(path))
}

/// What every scan shares.
#[derive(Clone)]
pub struct Discovery {
    pub(crate) store: Store,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: Arc<Config>,
    pub(crate) caller: Caller,
    pub(crate) egress: Egress,
    issuer: Option<Arc<Issuer>>,
}

impl Discovery {
    /// One set of rate buckets and one egress policy for all scans of this process.
    pub fn new(store: Store, keyring: Arc<Keyring>, config: Config, cancel: &CancellationToken) -> Self {
        Self {
            issuer: config.issuer_url.clone().map(|url| Arc::new(Issuer::new(url, store.clone(), keyring.clone()))),
            store,
            keyring,
            caller: Caller::new(config.limits.clone().scaled(config.rate_fraction), cancel.child_token()),
            egress: config.egress(),
            config: Arc::new(config),
        }
    }
}

impl Discovery {
    /// Who states to clouds which connector this is, for credentials without a secret.
    pub(crate) fn identity(
        &self,
        tenant: TenantId,
        connector: ConnectorId,
    ) -> Result<Arc<dyn WorkloadIdentity>, FederationOff> {
        let issuer = self.issuer.as_ref().ok_or(FederationOff)?;
        Ok(Arc::new(Statement::about(Arc::clone(issuer), tenant, connector)))
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
        kinds: vec![WorkKind::Scan, WorkKind::Preflight, WorkKind::Preview, WorkKind::Delete],
        concurrency: config.scans,
        per_tenant: config.scans_per_tenant,
        grace: Duration::from_secs(15),
    };
    let (keep_days, audit_days) = (config.retention_days, config.audit_retention_days);
    let unknown_after = config.unknown_after;
    let discovery = Discovery::new(store.clone(), keyring.clone(), config, &ctx.cancel);
    if discovery.issuer.is_some() {
        issuer_key::keep(&store, &keyring, Utc::now()).await?;
        ctx.tasks.spawn(issuer::keep_hourly(store.clone(), keyring, ctx.cancel.clone()));
    }
    ctx.tasks.spawn(sweep_daily(store.clone(), keep_days, audit_days, ctx.cancel.clone()));
    ctx.tasks.spawn(expire_readings(store.clone(), unknown_after, ctx.cancel.clone()));
    let watching = watch::run(&discovery, &ctx.cancel);
    let done = discovery.clone();
    let handler = move |lease: Lease, cancel: CancellationToken| {
        let discovery = done.clone();
        async move { handle(&discovery, lease, cancel).await }
    };
    tokio::try_join!(worker::run(&store, &options, &ctx.cancel, handler), watching)?;
    Ok(())
}

async fn handle(discovery: &Discovery, lease: Lease, cancel: CancellationToken) -> Result<(), Failure> {
    match lease.kind {
        WorkKind::Scan => scan::run(discovery, &lease, cancel).await,
        WorkKind::Preflight => preflight::run(discovery, &lease, cancel).await,
        WorkKind::Preview => preview::run(discovery, &lease, cancel).await,
        WorkKind::Delete => {
            loop {
                let mut tx = discovery.store.fenced(&lease).await?;
                let left = inventory::remove_connector(&mut tx, lease.subject.into(), lease.now()).await?;
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
        WorkKind::Assess | WorkKind::Expire | WorkKind::Job | WorkKind::Watch | WorkKind::Notify => {
            Err(format!("`{}` is not done here", lease.kind.as_str()).into())
        }
    }
}

/// Keeps partitions ahead of time and drops what is older than the retention times, at start and then daily; after a
/// failure again in a minute.
async fn sweep_daily(store: Store, keep_days: u32, audit_days: u32, cancel: CancellationToken) {
    let mut wait = Duration::ZERO;
    while cancel.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        let swept = async {
            retention::sweep(&store, Utc::now(), keep_days).await?;
            retention::sweep_audit_log(&store, Utc::now(), audit_days).await
        };
        wait = match swept.await {
            Ok(()) => Duration::from_hours(24),
            Err(error) => {
                tracing::error!(error = %error, "old data was not removed");
                Duration::from_mins(1)
            }
        };
    }
}

/// Tells readings that grew too old to rest a verdict on. Replicas do it side by side, each row once.
async fn expire_readings(store: Store, intervals: u32, cancel: CancellationToken) {
    let mut often = tokio::time::interval(Duration::from_mins(10));
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = often.tick() => {}
        }
        match inventory::expire(&store, intervals, Utc::now()).await {
            Ok(0) => {}
            Ok(readings) => tracing::warn!(readings, "readings are too old: what rests on them is unknown now"),
            Err(error) => tracing::error!(error = %error, "old readings were not looked for"),
        }
    }
}
