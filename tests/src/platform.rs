use std::sync::Arc;
use std::time::{Duration, Instant};

use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use rampart_connector::Limits;
use rampart_store::keyring::Keyring;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{AccessScope, Role, admin};
use secrecy::SecretString;
use serde_json::Value;

use crate::{Client, Replica};

const PATIENCE: Duration = Duration::from_mins(3);

/// The product as an installation runs it, between a database of its own and simulated clouds.
#[derive(Debug)]
pub struct Platform {
    /// The clouds.
    pub simulator: Simulator,
    /// What runs; the first is where clients are pointed to.
    pub replicas: Vec<Replica>,
    /// The database that all replicas share.
    pub database: TestDatabase,
    keyring: Arc<Keyring>,
    egress_allow: Vec<String>,
    limits: Limits,
}

/// The keys that every platform of these tests seals with, as `RAMPART_KEY` takes them.
pub(crate) fn test_key() -> String {
    format!("test:{}=", "A".repeat(43))
}

impl Platform {
    /// The demo's world and one replica.
    ///
    /// # Panics
    /// When either does not start.
    pub async fn start() -> Self {
        Self::over(Preset::Demo).await
    }

    /// A world and one replica.
    ///
    /// # Panics
    /// When either does not start.
    pub async fn over(preset: Preset) -> Self {
        Self::asking(preset, Limits::default()).await
    }

    /// A world and one replica that waits for clouds no longer than this.
    ///
    /// # Panics
    /// When either does not start.
    pub async fn asking(preset: Preset, limits: Limits) -> Self {
        Self::made(database().await, preset, &["127.0.0.0/8"], limits).await
    }

    /// A world and one replica on a database that is there, with the ranges that connectors may reach beside public ones.
    ///
    /// # Panics
    /// When either does not start.
    pub async fn on(database: TestDatabase, preset: Preset, egress_allow: &[&str]) -> Self {
        Self::made(database, preset, egress_allow, Limits::default()).await
    }

    async fn made(database: TestDatabase, preset: Preset, egress_allow: &[&str], limits: Limits) -> Self {
        rampart_chassis::install_crypto_provider();
        let simulator = Simulator::start(WorldSpec { seed: 7, preset }).await.expect("the clouds start");
        let keyring = Arc::new(Keyring::parse(&SecretString::from(test_key())).expect("a key"));
        let egress_allow = egress_allow.iter().map(|range| (*range).to_owned()).collect();
        let mut platform = Self { simulator, replicas: Vec::new(), database, keyring, egress_allow, limits };
        platform.add_replica().await;
        platform
    }

    /// Starts one more process over the same database.
    pub async fn add_replica(&mut self) {
        let url = self.database.app_url.clone();
        self.add_replica_through(&url).await;
    }

    /// Starts one more process that reaches the database by another way.
    pub async fn add_replica_through(&mut self, database_url: &str) {
        let replica = self.replica_on(database_url).await;
        self.replicas.push(replica);
    }

    /// A process over any database.
    pub async fn replica_on(&self, database_url: &str) -> Replica {
        let keys = self.simulator.operator_keys();
        let discovery = rampart_discovery::Config {
            scans: 4,
            scans_per_tenant: 4,
            clusters_per_scan: 4,
            watches: 1_000,
            watches_per_tenant: 1_000,
            egress_allow: self.egress_allow.iter().map(|range| range.parse().expect("a range")).collect(),
            ca_bundle: None,
            aws_endpoint: Some(self.simulator.aws_endpoint().parse().expect("a URL")),
            azure_endpoint: Some(self.simulator.azure_endpoint().parse().expect("a URL")),
            azure_managed_identity: None,
            aws_access_key_id: Some(keys.access_key_id),
            aws_secret_access_key: Some(SecretString::from(keys.secret_access_key)),
            gcp_endpoint: Some(self.simulator.gcp_endpoint().parse().expect("a URL")),
            gcp_credentials: None,
            retention_days: 90,
            audit_retention_days: 365,
            unknown_after: 24,
            rate_fraction: 1.0,
            limits: self.limits.clone(),
            issuer_url: self.replicas.first().and_then(|first| first.url.parse().ok()),
        };
        Replica::start(database_url, &self.keyring, &discovery).await
    }

    /// A new tenant's owner, calling the first replica.
    ///
    /// # Panics
    /// When the tenant cannot be made.
    pub async fn tenant(&self, name: &str) -> Client {
        let store = &self.database.store;
        let tenant = admin::create_tenant(store, name).await.expect("a tenant");
        let token =
            admin::create_token(store, tenant, name, Role::Owner, AccessScope::Tenant, 1).await.expect("a token");
        Client::new(&self.replicas[0].url, token)
    }

    /// Waits until no work runs or waits, assessments included.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn settle(&self) {
        let begun = Instant::now();
        while !self.database.is_idle().await {
            assert!(begun.elapsed() < PATIENCE, "work does not end");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Scans these connectors side by side and waits until everything is assessed. The scans as they ended.
    pub async fn scan(&self, client: &Client, connectors: &[impl AsRef<str>]) -> Vec<Value> {
        let mut ids = Vec::new();
        for connector in connectors {
            ids.push(client.start_scan(connector.as_ref()).await);
        }
        let mut scans = Vec::new();
        for id in ids {
            scans.push(client.wait_for_scan(&id).await);
        }
        self.settle().await;
        scans
    }
}
