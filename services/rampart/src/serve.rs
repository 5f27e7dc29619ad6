use std::sync::Arc;

use anyhow::Context as _;
use clap::ValueEnum;
use rampart_chassis::postgres::PrivatePostgres;
use rampart_chassis::{
    Ctx, Metrics, Operations, OperationsArgs, Role, ShutdownArgs, Signals, Telemetry, TelemetryArgs, supervise,
};
use rampart_connector::IssuerUrl;
use rampart_store::keyring::Keyring;
use rampart_store::{Store, sealed};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::database::{self, Database, DatabaseArgs};
use crate::keys::KeyArgs;

/// Options of `rampart serve`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Which parts to run in this process, comma-separated.
    #[arg(long, env = "RAMPART_ROLES", value_enum, value_delimiter = ',', default_value = "all")]
    roles: Vec<RoleName>,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten, next_help_heading = "Clouds")]
    clouds: CloudArgs,
    #[command(flatten, next_help_heading = "Operations")]
    operations: OperationsArgs,
    #[command(flatten, next_help_heading = "Operations")]
    shutdown: ShutdownArgs,
    #[command(flatten, next_help_heading = "Operations")]
    telemetry: TelemetryArgs,
    #[command(flatten, next_help_heading = "API")]
    api: rampart_api::Config,
    #[command(flatten, next_help_heading = "Discovery")]
    discovery: rampart_discovery::Config,
    #[command(flatten, next_help_heading = "Assessor")]
    assessor: rampart_assessor::Config,
    #[command(flatten, next_help_heading = "Notifier")]
    notifier: rampart_notifier::Config,
}

/// What the API tells of the clouds and discovery does there; the same in every process of an installation.
#[derive(Debug, clap::Args)]
#[group(skip)]
struct CloudArgs {
    /// URL under which clouds reach this installation's API as an OIDC issuer, such as `https://rampart.example.com`;
    /// without it, workload-identity federation is off.
    #[arg(long, env = "RAMPART_ISSUER_URL", value_name = "URL")]
    issuer_url: Option<IssuerUrl>,
    /// Part of the rate that each cloud and cluster API allows which Rampart may take, 0.01 to 1.
    #[arg(long, env = "RAMPART_RATE_FRACTION", default_value = "1", value_name = "FRACTION", value_parser = fraction)]
    rate_fraction: f64,
    /// Let webhooks have URLs without TLS.
    #[arg(long, env = "RAMPART_WEBHOOK_ALLOW_HTTP")]
    webhook_allow_http: bool,
}

fn fraction(text: &str) -> Result<f64, String> {
    let fraction = text.parse().ok().filter(|fraction| (0.01..=1.0).contains(fraction));
    fraction.ok_or_else(|| "must be a number from 0.01 to 1".to_owned())
}

/// A part of the product that can run in a process of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleName {
    /// Every part.
    All,
    /// The REST API.
    Api,
    /// Reads clouds and clusters.
    Discovery,
    /// Evaluates what discovery found.
    Assessor,
    /// Tells webhooks what happened.
    Notifier,
}

pub(crate) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let telemetry = Telemetry::install(&args.telemetry, "rampart")?;
    let outcome = run(args).await;
    if let Err(error) = &outcome {
        tracing::error!(error = format!("{error:#}"), "rampart ends with a failure");
    }
    telemetry.shutdown().await;
    outcome
}

async fn run(args: ServeArgs) -> anyhow::Result<()> {
    let ctx = Ctx::new();
    let mut signals = Signals::listen().context("could not listen for signals")?;
    let operations = Operations::new(ctx.health.clone(), Metrics::install()?);
    ctx.health.register("database", || async { anyhow::bail!("not open yet") });
    // Not the context's own token: the endpoints answer until everything else has been drained.
    let operations_stop = CancellationToken::new();
    operations.listen(&args.operations, operations_stop.clone()).await?;

    let keyring = args.keys.keyring(&args.database.data_dir).await?;
    let mut database = tokio::select! {
        opened = Database::open(&args.database) => opened?,
        signal = signals.next() => anyhow::bail!("stopped by {signal} while starting"),
    };
    let store = database.connect().await?;
    if runs(&args.roles, RoleName::Api) || runs(&args.roles, RoleName::Discovery) {
        sealed::check(&store, &keyring).await.context("refusing to start with these keys")?;
    }
    let checked = store.clone();
    ctx.health.register("database", move || {
        let store = checked.clone();
        async move { Ok(store.ping().await?) }
    });

    let timeout = args.shutdown.shutdown_timeout;
    let mut roles = chosen_roles(args, &ctx, &store, &keyring);
    let private = database.private.take().map(|private| watch(private, &ctx));
    let returned = private.map(|(role, returned)| {
        roles.push(role);
        returned
    });
    let outcome = supervise(&ctx, roles, &mut signals, timeout).await;
    store.close().await;
    let stopped = match returned {
        // The watcher gives the server back when it is cancelled, and nothing when the server ended by itself.
        Some(returned) => database::stop(returned.await.ok()).await,
        None => Ok(()),
    };
    operations_stop.cancel();
    outcome?;
    stopped?;
    tracing::info!("stopped");
    Ok(())
}

fn runs(chosen: &[RoleName], role: RoleName) -> bool {
    chosen.contains(&RoleName::All) || chosen.contains(&role)
}

fn chosen_roles(args: ServeArgs, ctx: &Ctx, store: &Store, keyring: &Arc<Keyring>) -> Vec<Role> {
    let runs = |role| runs(&args.roles, role);
    let mut roles = Vec::new();
    if runs(RoleName::Api) {
        let api = rampart_api::Config {
            issuer_url: args.clouds.issuer_url.clone(),
            rate_fraction: args.clouds.rate_fraction,
            egress: args.discovery.egress(),
            webhook_allow_http: args.clouds.webhook_allow_http,
            ..args.api
        };
        roles.push(Role::new("api", rampart_api::run(api, ctx.clone(), store.clone(), keyring.clone())));
    }
    if runs(RoleName::Notifier) {
        let notifier = rampart_notifier::Config {
            allow_http: args.clouds.webhook_allow_http,
            egress_allow: args.discovery.egress_allow.clone(),
            ca_bundle: args.discovery.ca_bundle.clone(),
            ..args.notifier
        };
        roles.push(Role::new("notifier", rampart_notifier::run(notifier, ctx.clone(), store.clone(), keyring.clone())));
    }
    if runs(RoleName::Discovery) {
        let discovery = rampart_discovery::Config {
            issuer_url: args.clouds.issuer_url,
            rate_fraction: args.clouds.rate_fraction,
            ..args.discovery
        };
        roles.push(Role::new(
            "discovery",
            rampart_discovery::run(discovery, ctx.clone(), store.clone(), keyring.clone()),
        ));
    }
    if runs(RoleName::Assessor) {
        roles.push(Role::new("assessor", rampart_assessor::run(args.assessor, ctx.clone(), store.clone())));
    }
    roles
}

/// A role that fails when the private server ends by itself, and otherwise hands it back to be stopped last.
fn watch(mut private: PrivatePostgres, ctx: &Ctx) -> (Role, oneshot::Receiver<PrivatePostgres>) {
    let (give_back, returned) = oneshot::channel();
    let cancel = ctx.cancel.clone();
    let role = Role::new("private postgres", async move {
        tokio::select! {
            ended = private.ended() => Err(ended.into()),
            () = cancel.cancelled() => {
                // The receiver lives until the server was handed back; without one, the drop stops the server.
                let _ = give_back.send(private);
                Ok(())
            }
        }
    });
    (role, returned)
}
