//! Serves a simulated estate until it is told to stop.

use std::io::Write as _;

use clap::{Parser, ValueEnum};
use cloudsim::Simulator;
use cloudsim::world::{Home, Preset, WorldSpec};
use serde_json::{Value, json};

#[derive(Debug, Parser)]
#[command(
    about = "Serves simulated clouds on the loopback and prints their addresses and credentials as one line of JSON"
)]
struct Args {
    /// Size and shape of the estate.
    #[arg(long, value_enum, default_value = "demo")]
    preset: Choice,
    /// Same seed, same estate.
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// Lets the reader role of every account be assumed with this external id; may be given again.
    #[arg(long)]
    external_id: Vec<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Choice {
    Demo,
    #[value(name = "pods_10k")]
    Pods10k,
    #[value(name = "clusters_500")]
    Clusters500,
    #[value(name = "resources_100k")]
    Resources100k,
    Azure,
}

impl From<Choice> for Preset {
    fn from(choice: Choice) -> Self {
        match choice {
            Choice::Demo => Self::Demo,
            Choice::Pods10k => Self::Pods10k,
            Choice::Clusters500 => Self::Clusters500,
            Choice::Resources100k => Self::Resources100k,
            Choice::Azure => Self::Azure,
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let simulator = Simulator::start(WorldSpec { seed: args.seed, preset: args.preset.into() }).await?;
    for account in simulator.accounts() {
        for external_id in &args.external_id {
            simulator.trust(&account.role_arn, external_id);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", description(&simulator))?;
    out.flush()?;
    drop(out);
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await
}

fn description(simulator: &Simulator) -> Value {
    let operator = simulator.operator_keys();
    let accounts: Vec<Value> = simulator
        .accounts()
        .iter()
        .map(|account| {
            json!({ "id": account.id, "role_arn": account.role_arn, "open_role_arn": account.open_role_arn, "regions": account.regions,
                    "access_key_id": account.access_key_id, "secret_access_key": account.secret_access_key })
        })
        .collect();
    let subscriptions: Vec<Value> = simulator
        .subscriptions()
        .iter()
        .map(|one| {
            json!({ "id": one.id, "name": one.name, "tenant_id": one.tenant_id, "client_id": one.client_id,
                    "client_secret": one.client_secret })
        })
        .collect();
    let world = simulator.world();
    let clusters: Vec<Value> = world
        .clusters()
        .map(|cluster| {
            json!({ "name": cluster.name, "arn": cluster.arn(), "on_premises": cluster.home == Home::OnPremises,
                    "url": simulator.cluster_url(&cluster.name), "kubeconfig": simulator.kubeconfig(&cluster.name),
                    "inside_kubeconfig": simulator.inside_kubeconfig(&cluster.name) })
        })
        .collect();
    json!({
        "aws_endpoint": simulator.aws_endpoint(), "azure_endpoint": simulator.azure_endpoint(), "ca_pem": simulator.ca_pem(),
        "operator": { "access_key_id": operator.access_key_id, "secret_access_key": operator.secret_access_key },
        "accounts": accounts, "subscriptions": subscriptions, "clusters": clusters,
    })
}
