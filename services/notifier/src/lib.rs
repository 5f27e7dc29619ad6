//! The notifier: tells webhooks what happened.
//!
//! ```text
//! change ─(same statement)─▶ outbox ─▶ work(notify, webhook) ─▶ batch ─▶ message ─▶ signed POST behind the egress guard
//!                                                                          └ delivered │ again, later │ given up
//! ```
//! A webhook is told one thing after the other, the oldest first, by whoever holds its lease. What fails is tried again after a
//! time that grows, and nothing else before it: so what is told of one finding keeps its order, and an endpoint that is dead
//! costs one request an hour. What was sent may be sent again, always under its id.

mod batch;
mod client;
mod deliver;
mod message;
mod retry;
mod signature;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rampart_chassis::Ctx;
use rampart_connector::{Authorities, Egress, EgressPolicy};
use rampart_store::Store;
use rampart_store::keyring::Keyring;
use rampart_store::work::{Lease, WorkKind};
use rampart_store::worker;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
pub use crate::deliver::Notifier;

/// Options of the notifier role.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Webhooks delivered to at once in this process.
    #[arg(long, env = "RAMPART_DELIVERIES", default_value_t = 32)]
    pub deliveries: usize,
    /// Webhooks of one tenant delivered to at once, over all processes.
    #[arg(long, env = "RAMPART_DELIVERIES_PER_TENANT", default_value_t = 4)]
    pub deliveries_per_tenant: usize,
    /// Seconds after which an endpoint that does not answer has failed.
    #[arg(long, env = "RAMPART_DELIVERY_TIMEOUT", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub delivery_timeout_s: u64,
    /// Whether webhooks without TLS are delivered to.
    #[arg(skip)]
    pub allow_http: bool,
    /// Address ranges outside the public internet that may be reached.
    #[arg(skip)]
    pub egress_allow: Vec<IpNet>,
    /// Authorities that are believed beside the system's.
    #[arg(skip)]
    pub ca_bundle: Option<Authorities>,
}

/// Works until the context is cancelled.
pub async fn run(config: Config, ctx: Ctx, store: Store, keyring: Arc<Keyring>) -> anyhow::Result<()> {
    let options = worker::Options {
        kinds: vec![WorkKind::Notify],
        concurrency: config.deliveries.max(1),
        per_tenant: config.deliveries_per_tenant.max(1),
        grace: Duration::from_secs(config.delivery_timeout_s + 2),
    };
    let notifier = Notifier::new(store.clone(), keyring, config)?;
    let handler = move |lease: Lease, cancel: CancellationToken| {
        let notifier = notifier.clone();
        async move { notifier.notify(&lease, &cancel).await }
    };
    worker::run(&store, &options, &ctx.cancel, handler).await?;
    Ok(())
}

impl Notifier {
    /// One client and one egress policy for all webhooks of this process.
    pub fn new(store: Store, keyring: Arc<Keyring>, config: Config) -> anyhow::Result<Self> {
        let egress = Egress {
            policy: EgressPolicy { allow: config.egress_allow },
            authorities: config.ca_bundle.unwrap_or_default(),
        };
        let timeout = Duration::from_secs(config.delivery_timeout_s);
        let client = Client::new(&egress, timeout, config.allow_http)?;
        Ok(Self { store, keyring, client })
    }
}
