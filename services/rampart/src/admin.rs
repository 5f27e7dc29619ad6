use std::io::Write as _;

use anyhow::Context as _;
use chrono::Utc;
use clap::Subcommand;
use rampart_chassis::{Telemetry, TelemetryArgs};
use rampart_domain::TenantId;
use rampart_store::issuer_key::{self, Takeover};
use rampart_store::{AccessScope, Role, Store, bundle_key, webhook};
use secrecy::ExposeSecret as _;

use crate::database::{Database, DatabaseArgs};
use crate::keys::KeyArgs;

/// Options of `rampart admin`.
#[derive(Debug, clap::Args)]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Create a tenant and print its id
    CreateTenant(CreateTenantArgs),
    /// Create an owner's API token for a tenant and print it; it is shown only this once
    CreateToken(CreateTokenArgs),
    /// Encrypt every stored credential anew with the current key
    RotateKey(RotateKeyArgs),
    /// Give the OIDC issuer a new signing key
    RotateIssuerKey(RotateIssuerKeyArgs),
    /// Give the bundles of findings a new signing key; the public halves of earlier ones stay published
    RotateBundleKey(RotateKeyArgs),
}

#[derive(Debug, clap::Args)]
struct Shared {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    telemetry: TelemetryArgs,
}

#[derive(Debug, clap::Args)]
struct CreateTenantArgs {
    /// Name of the tenant, unique in this installation.
    #[arg(long)]
    name: String,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct CreateTokenArgs {
    /// Id of the tenant that the token speaks for.
    #[arg(long)]
    tenant: TenantId,
    /// Name of the token, as the list of tokens will show it.
    #[arg(long, default_value = "first-owner")]
    name: String,
    /// Days until the token expires.
    #[arg(long, default_value_t = 90, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    expires_in_days: u16,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct RotateKeyArgs {
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    shared: Shared,
}

#[derive(Debug, clap::Args)]
struct RotateIssuerKeyArgs {
    /// Let the new key sign at once and forget every earlier one, because one of them is not secret any more. Without it
    /// the new key is published for a day before it signs, and nothing that was signed stops working.
    #[arg(long)]
    at_once: bool,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    shared: Shared,
}

pub(crate) async fn admin(args: AdminArgs) -> anyhow::Result<()> {
    let shared = match &args.action {
        Action::CreateTenant(args) => &args.shared,
        Action::CreateToken(args) => &args.shared,
        Action::RotateKey(args) | Action::RotateBundleKey(args) => &args.shared,
        Action::RotateIssuerKey(args) => &args.shared,
    };
    let telemetry = Telemetry::install(&shared.telemetry, "rampart-admin")?;
    let database = Database::open_beside(&shared.database).await?;
    let store = database.connect().await?;
    let outcome = act(&args.action, &store).await;
    let closed = database.close(store).await;
    telemetry.shutdown().await;
    writeln!(std::io::stdout(), "{}", outcome?).context("could not print the result")?;
    closed
}

/// Does it, and returns what to print.
async fn act(action: &Action, store: &Store) -> anyhow::Result<String> {
    match action {
        Action::CreateTenant(args) => {
            let tenant = rampart_store::admin::create_tenant(store, &args.name).await;
            Ok(tenant.with_context(|| format!("could not create tenant {:?}", args.name))?.to_string())
        }
        Action::CreateToken(args) => {
            let days = args.expires_in_days;
            let (role, scope) = (Role::Owner, AccessScope::Tenant);
            let token = rampart_store::admin::create_token(store, args.tenant, &args.name, role, scope, days).await;
            Ok(token.context("could not create the token")?.expose_secret().to_owned())
        }
        Action::RotateKey(args) => {
            let keyring = args.keys.keyring(&args.shared.database.data_dir).await?;
            let credentials = rampart_store::connector::reseal(store, &keyring).await;
            let credentials = credentials.context("could not rotate the key")?;
            let issuer_keys = issuer_key::reseal(store, &keyring).await.context("could not rotate the key")?;
            let bundle_keys = bundle_key::reseal(store, &keyring).await.context("could not rotate the key")?;
            let webhooks = webhook::reseal(store, &keyring).await.context("could not rotate the key")?;
            let signing = issuer_keys + bundle_keys;
            Ok(format!(
                "{credentials} credentials, {signing} signing keys and {webhooks} secrets of webhooks encrypted anew"
            ))
        }
        Action::RotateBundleKey(args) => {
            let keyring = args.keys.keyring(&args.shared.database.data_dir).await?;
            let rotated = bundle_key::rotate(store, &keyring, Utc::now()).await;
            Ok(format!("bundle key {} signs from now on", rotated.context("could not make a new bundle key")?))
        }
        Action::RotateIssuerKey(args) => {
            let keyring = args.keys.keyring(&args.shared.database.data_dir).await?;
            let takeover = if args.at_once { Takeover::AtOnce } else { Takeover::Announced };
            let rotated = issuer_key::rotate(store, &keyring, takeover, Utc::now()).await;
            let (key_id, signs_from) = rotated.context("could not make a new issuer key")?;
            Ok(format!("issuer key {key_id} signs from {}", signs_from.to_rfc3339()))
        }
    }
}
