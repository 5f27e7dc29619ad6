use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use cloudsim::Simulator;
use cloudsim::world::{Access, Home};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::json;

use super::client::{Client, NewConnector, Scan};
use super::process::CollectorRun;

const ORGANIZATION: &str = "aws-organization";
const CLUSTER: &str = "on-premises";
const PUSHED: &str = "on-premises-pushed";
/// The cluster that nobody reaches from outside: a collector beside it pushes what it reads.
const SEALED_OFF: &str = "cold-store";

/// What the operator of this installation sets: where the clouds are, who Rampart is on AWS, and that the loopback may be
/// reached.
pub(crate) fn settings(simulator: &Simulator) -> Vec<(&'static str, String)> {
    let keys = simulator.operator_keys();
    vec![
        ("RAMPART_AWS_ENDPOINT", simulator.aws_endpoint()),
        ("RAMPART_AWS_ACCESS_KEY_ID", keys.access_key_id),
        ("RAMPART_AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ("RAMPART_AZURE_ENDPOINT", simulator.azure_endpoint()),
        ("RAMPART_GCP_ENDPOINT", simulator.gcp_endpoint()),
        ("RAMPART_EGRESS_ALLOW", "127.0.0.0/8".to_owned()),
    ]
}

/// Onboards every cloud and cluster where that was not done before, checks the permissions and scans all of them.
pub(super) async fn discover(client: &Client, simulator: &Simulator, collector: &CollectorRun) -> anyhow::Result<()> {
    let accounts = onboard_organization(client, simulator).await?;
    let mut names = onboard_subscriptions(client, simulator).await?;
    names.extend(onboard_projects(client, simulator).await?);
    onboard_cluster(client, simulator).await?;
    names.push(CLUSTER.to_owned());
    let tested = std::iter::once(ORGANIZATION).chain(names.iter().map(String::as_str));
    futures::future::try_join_all(tested.map(|name| report_permissions(client, name))).await?;
    push(client, simulator, collector).await?;
    let bars = MultiProgress::new();
    let all = |names: Vec<String>| {
        let bars = &bars;
        async move { futures::future::try_join_all(names.iter().map(|name| scan(client, name, bars))).await.map(drop) }
    };
    let organization = async {
        // Its scan settles which accounts are read, by a connector each.
        scan(client, ORGANIZATION, &bars).await?;
        all(accounts.iter().map(|account| format!("{ORGANIZATION}:{account}")).collect()).await
    };
    futures::future::try_join(all(names), organization).await.map(drop)
}

async fn onboard_organization(client: &Client, simulator: &Simulator) -> anyhow::Result<Vec<String>> {
    let accounts = simulator.accounts();
    let management = accounts.first().context("the demo's world has no AWS account")?;
    let connector = if let Some(known) = client.connector(ORGANIZATION).await? {
        known
    } else {
        let source = json!({
            "provider": "aws", "role_arn": management.role_arn, "regions": "enabled", "organization": {},
        });
        client.create_connector(&NewConnector { name: ORGANIZATION.to_owned(), source, kinds: Vec::new() }).await?
    };
    // The customer's part: the trust policy of every account's role demands the external id that Rampart generated.
    let external_id = connector.external_id.context("the API gave no external id for the AWS roles")?;
    for account in &accounts {
        simulator.trust(&account.role_arn, &external_id);
    }
    println!("onboarded {ORGANIZATION} ({} accounts, roles with external id)", accounts.len());
    Ok(accounts.into_iter().map(|account| account.id).collect())
}

async fn onboard_subscriptions(client: &Client, simulator: &Simulator) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for subscription in simulator.subscriptions() {
        let name = format!("azure-{}", subscription.name.to_lowercase());
        let source = json!({
            "provider": "azure", "subscription_id": subscription.id, "tenant_id": subscription.tenant_id,
            "client_id": subscription.client_id, "client_secret": subscription.client_secret,
        });
        onboard(client, &name, source).await?;
        println!("onboarded {name} (subscription {}, application with secret)", subscription.id);
        names.push(name);
    }
    Ok(names)
}

async fn onboard_projects(client: &Client, simulator: &Simulator) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    let world = simulator.world();
    for project in world.projects().iter().filter(|project| project.project["state"] == "ACTIVE") {
        let name = format!("gcp-{}", project.id);
        let key = simulator.gcp_key(&project.scanner)?;
        let source = json!({ "provider": "gcp", "project_id": project.id, "service_account_key": key });
        onboard(client, &name, source).await?;
        println!("onboarded {name} (project {}, service account key)", project.id);
        names.push(name);
    }
    Ok(names)
}

async fn onboard_cluster(client: &Client, simulator: &Simulator) -> anyhow::Result<()> {
    let world = simulator.world();
    let own = world.clusters().find(|cluster| {
        cluster.home == Home::OnPremises && cluster.access == Access::Reader && cluster.name != SEALED_OFF
    });
    let name = &own.context("the demo's world has no cluster on premises")?.name;
    let kubeconfig = simulator.kubeconfig(name).context("the cluster has no kubeconfig")?;
    let source = json!({
        "provider": "kubernetes", "kubeconfig": kubeconfig, "cluster_name": name, "cloud": "on_premises",
    });
    onboard(client, CLUSTER, source).await?;
    println!("onboarded {CLUSTER} (cluster {name}, kubeconfig)");
    Ok(())
}

/// A new simulator has new ports, keys and certificates, so what an earlier start onboarded gets the new ones.
async fn onboard(client: &Client, name: &str, source: serde_json::Value) -> anyhow::Result<()> {
    if let Some(connector) = client.connector(name).await? {
        return client.replace_source(&connector, &source).await;
    }
    let new = NewConnector { name: name.to_owned(), source, kinds: Vec::new() };
    client.create_connector(&new).await.map(drop)
}

/// Runs a collector beside the cluster that nobody reaches from outside.
async fn push(client: &Client, simulator: &Simulator, collector: &CollectorRun) -> anyhow::Result<()> {
    let token = if client.connector(PUSHED).await?.is_some() {
        client.rotate_collector(PUSHED).await?
    } else {
        let source = json!({ "provider": "kubernetes", "delivery": "push", "cluster_name": SEALED_OFF });
        let new = NewConnector { name: PUSHED.to_owned(), source, kinds: Vec::new() };
        client.create_connector(&new).await?.collector_token.context("the API gave no token for the collector")?
    };
    let kubeconfig = simulator.kubeconfig(SEALED_OFF).context("the demo's world has no such cluster")?;
    collector.push(PUSHED, &token, &kubeconfig).await?;
    println!("pushed {PUSHED} (cluster {SEALED_OFF}, by rampart collect)");
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
