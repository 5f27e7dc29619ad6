//! The REST API, version 1.
//!
//! ```text
//! request ─▶ envelope (request id, address, timeout, panic, log) ─▶ route ─▶ Caller (token, rate, permission) ─▶ handler
//!         ◀─ problem+json or view ◀─────────────────────────────── rampart_store, filtered by what the caller sees
//! ```
//! Handlers read rows, map them to views and answer. None calls a cloud or evaluates a control: what takes such work is
//! a row that a worker picks up, answered with 202 and the place to look.

mod app;
mod catalogue;
mod document;
mod drain;
mod http;
mod limits;
mod oidc;
mod routes;
mod server;
mod streams;
mod tls;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use ipnet::IpNet;
use rampart_chassis::Ctx;
use rampart_connector::{Egress, IssuerUrl};
use rampart_content::Catalogue;
use rampart_store::keyring::Keyring;
use rampart_store::{Store, issuer_key};

use tls::Tls;

pub use app::App;
pub use document::openapi;
pub use routes::template_permissions;

/// Options of the API.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Config {
    /// Address that the API listens on.
    #[arg(long, env = "RAMPART_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// PEM file with the API's certificate, its issuers behind it: the API then speaks TLS and nothing else. Both files
    /// are read again when they change, and on SIGHUP; what is no pair is logged and not taken over.
    #[arg(long, env = "RAMPART_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, env = "RAMPART_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
    /// Largest request body in bytes.
    #[arg(long, env = "RAMPART_BODY_LIMIT", default_value_t = 1 << 20)]
    pub body_limit: usize,
    /// Requests per second that one caller may make, over all replicas: counted in windows of four seconds.
    #[arg(long, env = "RAMPART_RATE_LIMIT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: u32,
    /// Requests per second that one address may make before it is known whose they are; short bursts may be four times as
    /// many.
    #[arg(long, env = "RAMPART_ADDRESS_RATE_LIMIT", default_value = "20", value_parser = clap::value_parser!(u32).range(1..))]
    pub address_rate_limit: u32,
    /// Networks of the proxies in front of the API, whose `X-Forwarded-For` says where a request comes from.
    /// Comma-separated; without any, it is never read.
    #[arg(long, env = "RAMPART_TRUSTED_PROXIES", value_delimiter = ',')]
    pub trusted_proxies: Vec<IpNet>,
    /// Seconds after which a request is given up. Requests that wait for work may take 30 seconds of it.
    #[arg(long, env = "RAMPART_REQUEST_TIMEOUT", default_value_t = 45)]
    pub request_timeout_s: u64,
    /// ARN of the identity with which Rampart assumes roles in customers' accounts, for the onboarding templates.
    #[arg(long, env = "RAMPART_AWS_PRINCIPAL", value_name = "ARN")]
    pub aws_principal: Option<String>,
    /// Seconds for which the API goes on taking connections after SIGTERM, while /readyz says no: as long as load balancers
    /// need to notice.
    #[arg(long, env = "RAMPART_DRAIN_NOTICE", default_value_t = 2)]
    pub drain_notice_s: u64,
    /// Where Rampart answers as an OIDC issuer; `None` switches federation off.
    #[arg(skip)]
    pub issuer_url: Option<IssuerUrl>,
    /// Part of the rate that providers allow which discovery takes, for estimates.
    #[arg(skip = 1.0)]
    pub rate_fraction: f64,
    /// The way to identity providers.
    #[arg(skip)]
    pub egress: Egress,
    /// Streams of events that are open at once; one tenant has a quarter of them.
    #[arg(long, env = "RAMPART_STREAMS", default_value_t = 256)]
    pub streams: usize,
    /// Whether webhooks may have URLs without TLS.
    #[arg(skip)]
    pub webhook_allow_http: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            tls_certificate: None,
            tls_key: None,
            body_limit: 1 << 20,
            rate_limit: 50,
            address_rate_limit: 20,
            trusted_proxies: Vec::new(),
            request_timeout_s: 45,
            aws_principal: None,
            drain_notice_s: 2,
            issuer_url: None,
            rate_fraction: 1.0,
            egress: Egress::default(),
            streams: 256,
            webhook_allow_http: false,
        }
    }
}

/// How long a request waits for a connection to the database before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves until the process is asked to stop, then finishes what runs.
pub async fn run(config: Config, ctx: Ctx, store: Store, keyring: Arc<Keyring>) -> anyhow::Result<()> {
    let catalogue = Catalogue::embedded().context("could not load the content")?;
    let tls = match (&config.tls_certificate, &config.tls_key) {
        (Some(certificate), Some(key)) => {
            let files = tls::Files { certificate: certificate.clone(), key: key.clone() };
            Some(Tls::load(files).await.context("--tls-certificate, --tls-key")?)
        }
        (None, None) => None,
        _ => anyhow::bail!("a certificate needs its key: give --tls-certificate and --tls-key"),
    };
    let listener = TcpListener::bind(config.listen)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .with_context(|| format!("could not listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, tls = tls.is_some(), "the API listens");
    if config.issuer_url.is_some() {
        // Discovery turns the keys in time; the first one is there before a cloud asks for it.
        issuer_key::keep(&store, &keyring, Utc::now()).await.context("could not prepare the issuer's keys")?;
    }
    let app = App::new(&config, store.with_patience(PATIENCE), keyring, catalogue);
    // Streams would go on for as long as what they tell of.
    let (streaming, stop) = (app.clone(), ctx.cancel.clone());
    ctx.tasks.spawn(async move {
        stop.cancelled().await;
        streaming.streams().close();
    });
    let router = drain::hand_over(router(app), ctx.cancel.clone());
    let notice = Duration::from_secs(config.drain_notice_s);
    server::serve(listener, router, tls, (ctx.cancel.clone(), notice)).await
}

/// The whole API as a service, with its documentation.
pub fn router(app: App) -> axum::Router {
    let limit = app.body_limit();
    let (router, _) = routes::all().split_for_parts();
    let router = router
        .fallback(http::no_such_path)
        .method_not_allowed_fallback(http::no_such_method)
        .with_state(app.clone())
        .layer(axum::extract::DefaultBodyLimit::max(limit))
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", openapi()));
    http::wrap(router, app)
}
