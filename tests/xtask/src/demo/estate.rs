use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use cloudsim::Simulator;
use cloudsim::world::{Access, Home};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::client::{Client, NewConnector, Scan};

const ACCOUNT: &str = "aws-production";
const CLUSTER: &str = "on-premises";

/// What the operator of this installation sets: where AWS is, who Rampart is there, and that the loopback may be reached.
pub(crate) fn settings(simulator: &Simulator) -> Vec<(&'static str, String)> {
    let keys = simulator.operator_keys();
    vec![
        ("RAMPART_AWS_ENDPOINT", simulator.aws_endpoint()),
        ("RAMPART_AWS_ACCESS_KEY_ID", keys.access_key_id),
        ("RAMPART_AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ("RAMPART_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
    ]
}

/// Onboards the account and the cluster where that was not done before, checks their permissions and scans both.
pub(super) async fn discover(client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
    onboard_account(client, simulator).await?;
    onboard_cluster(client, simulator).await?;
    for name in [ACCOUNT, CLUSTER] {
        report_permissions(client, name).await?;
    }
    let bars = MultiProgress::new();
    let (account, cluster) = tokio::join!(scan(client, ACCOUNT, &bars), scan(client, CLUSTER, &bars));
    account.and(cluster)
}

async fn onboard_account(client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
    let account = simulator.accounts().into_iter().next().context("the demo's world has no AWS account")?;
    let connector = if let Some(known) = client.connector(ACCOUNT).await? {
        known
    } else {
        let source = json!({ "provider": "aws", "role_arn": account.role_arn, "regions": "enabled" });
        client.create_connector(&NewConnector { name: ACCOUNT.to_owned(), source, kinds: Vec::new() }).await?
    };
    // The customer's part: the role's trust policy demands the external id that Rampart generated.
    let external_id = connector.external_id.context("the API gave no external id for the AWS role")?;
    simulator.trust(&account.role_arn, &external_id);
    println!("onboarded {} (account {}, role with external id)", connector.name, account.id);
    Ok(())
}

async fn onboard_cluster(client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
    let world = simulator.world();
    let own = world.clusters().find(|cluster| cluster.home == Home::OnPremises && cluster.access == Access::Reader);
    let name = &own.context("the demo's world has no cluster on premises")?.name;
    let kubeconfig = simulator.kubeconfig(name).context("the cluster has no kubeconfig")?;
    let source = json!({
        "provider": "kubernetes", "kubeconfig": kubeconfig, "cluster_name": name, "cloud": "on_premises",
    });
    // A new simulator has new ports and certificates, so what an earlier start onboarded is replaced.
    match client.connector(CLUSTER).await? {
        Some(connector) => client.replace_source(&connector, &source).await?,
        None => {
            client.create_connector(&NewConnector { name: CLUSTER.to_owned(), source, kinds: Vec::new() }).await?;
        }
    }
    println!("onboarded {CLUSTER} (cluster {name}, kubeconfig)");
    Ok(())
}

async fn report_permissions(client: &Client, name: &str) -> anyhow::Result<()> {
    let preflight = client.test_connector(name).await?;
    if let Some(error) = &preflight.error {
        println!("permissions of {name}: {} ({error})", preflight.status);
    }
    let mut states = BTreeMap::<&str, usize>::new();
    for check in &preflight.checks {
        *states.entry(check.state.as_str()).or_default() += 1;
    }
    let counts: Vec<_> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    println!("permissions of {name}: {}", counts.join(", "));
    for check in preflight.checks.iter().filter(|check| check.state == "missing").take(5) {
        println!("  missing {} in {}", check.permission, check.scope);
    }
    Ok(())
}

async fn scan(client: &Client, name: &str, bars: &MultiProgress) -> anyhow::Result<()> {
    let scan = client.start_scan(name).await?;
    let mut shown = BTreeMap::new();
    let ended = client.watch_scan(&scan.id, |scan| show(scan, name, bars, &mut shown)).await?;
    shown.values().for_each(ProgressBar::finish);
    match ended.status.as_str() {
        "succeeded" | "partial" => Ok(()),
        other => bail!("the scan of {name} {other}: {}", ended.error.unwrap_or_default()),
    }
}

/// One bar per phase, in the order in which the phases began.
fn show(scan: &Scan, connector: &str, bars: &MultiProgress, shown: &mut BTreeMap<String, ProgressBar>) {
    for phase in &scan.progress.phases {
        let bar = shown.entry(phase.name.clone()).or_insert_with(|| {
            let bar = bars.add(ProgressBar::new(phase.listings));
            bar.set_style(style());
            bar.set_prefix(format!("{connector} · {}", phase.name));
            bar
        });
        bar.set_length(phase.listings);
        bar.set_position(phase.finished);
        bar.set_message(format!("{} resources", phase.resources));
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:48!} {bar:24} {pos:>4}/{len:<4} {msg}")
        .expect("the template is constant and well formed")
}
