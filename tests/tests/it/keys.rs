//! The key that seals credentials changes while scans and changes go on; a process with wrong keys does not start.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloudsim::Simulator;
use cloudsim::world::{Preset, WorldSpec};
use platform_tests::{Client, Process, eventually};
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{AccessScope, Role, admin};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";

fn key(name: &str, letter: &str) -> String {
    format!("{name}:{}A=", letter.repeat(42))
}

struct Installation {
    simulator: Simulator,
    database: TestDatabase,
}

impl Installation {
    async fn new() -> Self {
        rampart_chassis::install_crypto_provider();
        let simulator = Simulator::start(WorldSpec { seed: 7, preset: Preset::Demo }).await.expect("the clouds start");
        Self { simulator, database: database().await }
    }

    async fn serve(&self, keys: &str) -> Process {
        Process::serve(BINARY, &self.database, &self.simulator, &[("RAMPART_KEY", keys)]).await
    }

    async fn run(&self, keys: &str, arguments: &[&str]) -> (bool, String) {
        Process::run(BINARY, &self.database, &self.simulator, &[("RAMPART_KEY", keys)], arguments).await
    }
}

/// Makes connectors, replaces their credentials and checks them, until it is told to stop. The number of the last one.
async fn change(client: Client, kubeconfig: String, stop: Arc<AtomicBool>, made: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let name = format!("made-{}", made.load(Ordering::Relaxed));
        let source = json!({ "provider": "kubernetes", "kubeconfig": kubeconfig, "cluster_name": CLUSTER });
        client.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
        client.patch(&format!("/v1/connectors/{name}"), &json!({ "source": source })).await;
        made.fetch_add(1, Ordering::Relaxed);
        // Each asks for a permission check, and the last ones are waited for.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
}

async fn scan(client: &Client) {
    let id = client.start_scan(CLUSTER).await;
    let ended = client.wait_for_scan(&id).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_changed_under_load_and_nothing_is_lost() {
    let installation = Installation::new().await;
    let (old, new) = (key("old", "A"), key("new", "B"));
    let (behind, before) = (format!("{old},{new}"), format!("{new},{old}"));
    let store = &installation.database.store;
    let tenant = admin::create_tenant(store, "demo").await.unwrap();
    let token = admin::create_token(store, tenant, "demo", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    // First every process must be able to open what the new key seals.
    let first = installation.serve(&behind).await;
    let client = first.client(token.clone());
    client.onboard_cluster(&installation.simulator, CLUSTER, CLUSTER).await;
    let kubeconfig = installation.simulator.kubeconfig(CLUSTER).unwrap();
    let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = tokio::spawn(change(client.clone(), kubeconfig.clone(), stop.clone(), made.clone()));
    scan(&client).await;

    // One process with each order: what either seals, both read.
    let second = installation.serve(&before).await;
    let beside = second.client(token.clone());
    scan(&client).await;
    scan(&beside).await;
    let (rotated, said) = installation.run(&before, &["admin", "rotate-key"]).await;
    assert!(rotated, "{said}");
    eprintln!("{} under way: {}", made.load(Ordering::Relaxed), said.lines().last().unwrap_or_default());
    scan(&client).await;
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("every change was answered well");
    let said = first.stop().await;
    assert!(!said.contains("not in the keyring") && !said.contains("was not sealed for this place"), "{said}");

    // Only now is nobody left that seals with the old key: what it sealed after the first turn is told, then turned.
    let (started, said) = installation.run(&new, &["serve"]).await;
    assert!(!started && said.contains("sealed with key `old`"), "{said}");
    let (rotated, said) = installation.run(&before, &["admin", "rotate-key"]).await;
    assert!(rotated, "{said}");
    second.stop().await;
    let third = installation.serve(&new).await;
    let client = third.client(token);
    scan(&client).await;
    let connectors = client.list("/v1/connectors").await;
    let made = made.load(Ordering::Relaxed);
    assert_eq!(connectors.len(), made + 1, "what was answered is there");
    for number in [0, made / 2, made - 1] {
        let preflight = client.post(&format!("/v1/connectors/made-{number}/test"), &json!({})).await;
        let place = format!("/v1/connectors/made-{number}/preflights/{}", preflight["id"].as_str().unwrap());
        let checked = eventually("a check", Duration::from_mins(3), async || {
            let preflight = client.get(&place).await;
            (!matches!(preflight["status"].as_str(), Some("queued" | "running"))).then_some(preflight)
        });
        let checked = checked.await;
        assert!(checked["status"] == "succeeded" && checked["error"].is_null(), "{checked}");
    }
    eprintln!("{made} connectors were made and changed meanwhile; all open with the new key alone");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_with_wrong_keys_does_not_start() {
    let installation = Installation::new().await;
    let store = &installation.database.store;
    let tenant = admin::create_tenant(store, "demo").await.unwrap();
    let token = admin::create_token(store, tenant, "demo", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    let process = installation.serve(&key("right", "A")).await;
    process.client(token).onboard_cluster(&installation.simulator, CLUSTER, CLUSTER).await;
    process.stop().await;
    for (keys, words) in [
        (key("other", "B"), ["sealed with key `right`", "not among the keys given (`other`)"]),
        (key("right", "B"), ["the key given as `right`", "not the one that sealed"]),
        ("right:short".to_owned(), ["keys that seal credentials are not usable", "key 1 is not base64"]),
    ] {
        let (started, said) = installation.run(&keys, &["serve"]).await;
        assert!(!started && words.iter().all(|word| said.contains(word)), "{said}");
        let secret = keys.split_once(':').unwrap().1;
        assert!(!said.contains(secret), "the key is in the log: {said}");
    }
    let both = format!("{},{}", key("new", "C"), key("right", "A"));
    installation.serve(&both).await.stop().await;
}
