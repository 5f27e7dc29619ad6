//! The REST API, version 1.
//!
//! ```text
//! request ─▶ envelope (request id, timeout, panic, log) ─▶ route ─▶ Caller (token, rate, permission) ─▶ handler
//!         ◀─ problem+json or view ◀─────────────────────────────── rampart_store, filtered by what the caller sees
//! ```
//! Handlers read rows, map them to views and answer. None calls a cloud or evaluates a control: what takes such work is
//! a row that a worker picks up, answered with 202 and the place to look.

mod app;
mod catalogue;
mod document;
mod drain;
mod http;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use rampart_chassis::Ctx;
use rampart_connector::IssuerUrl;
use rampart_content::Catalogue;
use rampart_store::keyring::Keyring;
use rampart_store::{Store, issuer_key};

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
    /// Largest request body in bytes.
    #[arg(long, env = "RAMPART_BODY_LIMIT", default_value_t = 1 << 20)]
    pub body_limit: usize,
    /// Requests per second that one token may make; short bursts may be four times as many.
    #[arg(long, env = "RAMPART_RATE_LIMIT", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_limit: u32,
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
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ([127, 0, 0, 1], 8080).into(),
            body_limit: 1 << 20,
            rate_limit: 50,
            request_timeout_s: 45,
            aws_principal: None,
            drain_notice_s: 2,
            issuer_url: None,
            rate_fraction: 1.0,
        }
    }
}

/// Serves until the process is asked to stop, then finishes what runs.
pub async fn run(config: Config, ctx: Ctx, store: Store, keyring: Arc<Keyring>) -> anyhow::Result<()> {
    let catalogue = Catalogue::embedded().context("could not load the content")?;
    let listener = tokio::net::TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("could not listen on {}", config.listen))?;
    tracing::info!(address = %listener.local_addr()?, "the API listens");
    if config.issuer_url.is_some() {
        // Discovery turns the keys in time; the first one is there before a cloud asks for it.
        issuer_key::keep(&store, &keyring, Utc::now()).await.context("could not prepare the issuer's keys")?;
    }
    let app = App::new(&config, store, keyring, catalogue);
    let notice = Duration::from_secs(config.drain_notice_s);
    let service = drain::hand_over(router(app), ctx.cancel.clone());
    let left = drain::over(ctx.cancel.clone(), notice);
    axum::serve(listener, service).with_graceful_shutdown(left).await.context("could not serve")
}

/// The whole API as a service, with its documentation.
pub fn router(app: App) -> axum::Router {
    let limit = app.body_limit();
    let timeout: Duration = app.request_timeout();
    let (router, _) = routes::all().split_for_parts();
    let router = router
        .fallback(http::no_such_path)
        .method_not_allowed_fallback(http::no_such_method)
        .with_state(app)
        .layer(axum::extract::DefaultBodyLimit::max(limit))
        .merge(utoipa_swagger_ui::SwaggerUi::new("/docs").url("/openapi.json", openapi()));
    http::wrap(router, timeout)
}
