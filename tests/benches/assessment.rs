//! The cost of assessing 100,000 resources by every control: from nothing, after one in a hundred changed, and when
//! nothing changed. The estate is read from a simulated cloud first, outside of what is measured.

#![expect(clippy::print_stdout, reason = "figures are what it is for")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use rampart_assessor::{Knowledge, Summary, assess};
use rampart_chassis::Ctx;
use rampart_store::connector::{self, AwsSettings, NewConnector, RoleTrust, Settings};
use rampart_store::keyring::Keyring;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::work::{self, WorkKind};
use rampart_store::{admin, tenant};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

const SEED: u64 = 11;

/// As in the production binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    rampart_chassis::install_crypto_provider();
    let database = database().await;
    for setting in ["fsync", "synchronous_commit", "full_page_writes"] {
        database.run(&format!("alter system set {setting} = on")).await;
    }
    database.run("select pg_reload_conf()").await;
    let simulator = Simulator::start(WorldSpec { seed: SEED, preset: Preset::Resources100k }).await.expect("an estate");
    let bench = Arc::new(Bench::onboard(database, simulator).await);
    let knowledge = Arc::new(Knowledge::embedded().expect("the built-in content compiles"));
    let read = bench.scan().await;
    bench.database.run("analyze").await;
    bench.measure("from nothing", &knowledge).await;
    println!("assessment · {read} resources in the inventory");
    bench.simulator.mutate(0.01, SEED);
    bench.scan().await;
    bench.measure("1 % changed", &knowledge).await;
    bench.scan().await;
    bench.measure("nothing changed", &knowledge).await;
}

struct Bench {
    database: TestDatabase,
    simulator: Simulator,
    tenant: rampart_domain::TenantId,
    connector: rampart_domain::ConnectorId,
    keyring: Arc<Keyring>,
}

impl Bench {
    async fn onboard(database: TestDatabase, simulator: Simulator) -> Self {
        let keyring = Arc::new(Keyring::parse(&SecretString::from(format!("b:{}=", "A".repeat(43)))).expect("a key"));
        let account = simulator.accounts().into_iter().next().expect("an account");
        let tenant = admin::create_tenant(&database.store, "bench").await.expect("a tenant");
        let mut tx = database.store.tenant(tenant).await.expect("a transaction");
        let settings = Settings::Aws(AwsSettings {
            role_arn: Some(account.role_arn.clone()),
            regions: None,
            partition: "aws".into(),
            kinds: Vec::new(),
            trust: RoleTrust::ExternalId,
            organization: None,
        });
        let new = NewConnector {
            name: "bench".into(),
            settings,
            credentials: BTreeMap::new(),
            interval_minutes: 1440,
            watch: false,
        };
        let row = connector::create(&mut tx, &keyring, &new).await.expect("a connector");
        tx.commit().await.expect("commits");
        simulator.trust(&account.role_arn, &row.external_id.expect("an external id"));
        Self { database, simulator, tenant, connector: row.id, keyring }
    }

    /// Reads the estate once. Returns how many resources the scan saw.
    async fn scan(&self) -> u64 {
        let ctx = Ctx::new();
        let store = &self.database.store;
        let mut tx = store.tenant(self.tenant).await.expect("a transaction");
        let scan = rampart_store::scan::request(&mut tx, self.connector).await.expect("a scan");
        tx.commit().await.expect("commits");
        let keys = self.simulator.operator_keys();
        let config = rampart_discovery::Config {
            scans: 2,
            scans_per_tenant: 2,
            clusters_per_scan: 2,
            watches: 1,
            watches_per_tenant: 1,
            egress_allow: vec!["127.0.0.0/8".parse().expect("a network")],
            aws_endpoint: Some(self.simulator.aws_endpoint().parse().expect("a URL")),
            azure_endpoint: None,
            azure_managed_identity: None,
            aws_access_key_id: Some(keys.access_key_id),
            aws_secret_access_key: Some(SecretString::from(keys.secret_access_key)),
            gcp_endpoint: None,
            gcp_credentials: None,
            retention_days: 90,
            audit_retention_days: 365,
            unknown_after: 24,
            ca_bundle: None,
            rate_fraction: 1.0,
            limits: rampart_connector::Limits::default(),
            issuer_url: None,
        };
        let role = tokio::spawn(rampart_discovery::run(config, ctx.clone(), store.clone(), self.keyring.clone()));
        let ended = loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let mut tx = store.tenant(self.tenant).await.expect("a transaction");
            let row = rampart_store::scan::get(&mut tx, scan.scan_id.into()).await.expect("the scan");
            if row.finished_at.is_some() {
                break row;
            }
        };
        ctx.cancel.cancel();
        role.await.expect("joins").expect("discovery ends well");
        assert!(ended.error.is_none(), "{:?}", ended.error);
        let progress = &ended.progress.0;
        progress.added + progress.changed + progress.unchanged
    }

    /// Assesses what is due, as many units at once as there are cores, and prints what it cost.
    async fn measure(self: &Arc<Self>, label: &str, knowledge: &Arc<Knowledge>) {
        let store = &self.database.store;
        let postgres = self.database.server_cpu().await;
        let (own, started) = (own_cpu(), Instant::now());
        let mut total = Summary::default();
        // Units whose assessment was put off a little are due too.
        self.database.run("update work set run_at = now() where kind = 'assess' and want > done").await;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        // Each on a thread of its own, as the assessor role runs them.
        let runners = (0..cores).map(|_| {
            let (bench, knowledge) = (Arc::clone(self), Arc::clone(knowledge));
            tokio::spawn(async move {
                let mut done = Summary::default();
                while let Some(summary) = bench.assess_next(&knowledge).await {
                    done.judged += summary.judged;
                    done.findings += summary.findings;
                }
                done
            })
        });
        for done in futures::future::join_all(runners).await {
            let done = done.expect("an assessment does not panic");
            total.judged += done.judged;
            total.findings += done.findings;
        }
        let (wall, own) = (started.elapsed(), own_cpu().saturating_sub(own));
        let postgres = self.database.server_cpu().await.saturating_sub(postgres);
        println!(
            "assessment · {label}: {} judged, {} findings written · wall {:.2} s · own CPU {:.2} s · Postgres CPU {:.2} s",
            total.judged,
            total.findings,
            wall.as_secs_f64(),
            own.as_secs_f64(),
            postgres.as_secs_f64()
        );
        let mut tx = store.tenant(self.tenant).await.expect("a transaction");
        assert_eq!(tenant::pending(&mut tx).await.expect("reads").assessments, 0, "everything was assessed");
    }
}

impl Bench {
    /// Assesses one unit that is due; `None` when none is.
    async fn assess_next(&self, knowledge: &Arc<Knowledge>) -> Option<Summary> {
        let store = &self.database.store;
        let mut tx = store.worker().await.expect("a transaction");
        let lease = work::claim(&mut tx, &[WorkKind::Assess], 1, 1_000).await.expect("claims").pop();
        tx.commit().await.expect("commits");
        let lease = lease?;
        let summary = assess(store, knowledge, &lease, &CancellationToken::new()).await.expect("assesses");
        let mut tx = store.worker().await.expect("a transaction");
        work::finish(&mut tx, &lease).await.expect("finishes");
        tx.commit().await.expect("commits");
        Some(summary)
    }
}

/// CPU time of this process so far.
fn own_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("figures need /proc");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("the name ends").1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // The kernel reports in hundredths of a second on every architecture that Linux runs Rampart on.
    Duration::from_millis(ticks * 10)
}
