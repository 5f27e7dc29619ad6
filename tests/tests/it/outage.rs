//! Postgres goes away and comes back, or has no connection left: callers are told to come again, nobody falls over, and
//! what was under way ends as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use rampart_chassis::postgres::{Durability, PrivatePostgres, SUPERUSER};
use rampart_store::testing::database_on;
use rampart_store::{AccessScope, Role, admin};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

const CLUSTER: &str = "factory-floor";
const READERS: usize = 8;
/// How long Postgres stays away.
const AWAY: Duration = Duration::from_secs(3);
const RECOVERY: Duration = Duration::from_secs(10);
const PATHS: [&str; 5] = [
    "/v1/resources?limit=50",
    "/v1/findings?limit=50&severity=high",
    "/v1/secure-score",
    "/v1/scans?limit=10",
    "/v1/clusters?limit=10",
];

/// One answer: when it came, its status, and what was wrong with it.
struct Answer {
    at: Instant,
    took: Duration,
    status: u16,
    fault: Option<String>,
}

/// Readers that ask one thing after the other until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<Answer>>>,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(url: &str, token: &str) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut load = Self { stop, answers, readers: Vec::new() };
        for reader in 0..READERS {
            let (url, token) = (url.to_owned(), token.to_owned());
            let (stop, answers) = (Arc::clone(&load.stop), Arc::clone(&load.answers));
            load.readers.push(tokio::spawn(async move {
                let http = reqwest::Client::builder().no_proxy().build().expect("a client");
                for turn in reader.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let begun = Instant::now();
                    let path = PATHS[turn % PATHS.len()];
                    let answer = ask(&http, &format!("{url}{path}"), &token).await;
                    let (status, fault) = answer.unwrap_or_else(|error| (0, Some(error.to_string())));
                    let (at, took) = (Instant::now(), begun.elapsed());
                    answers.lock().expect("nobody panicked").push(Answer { at, took, status, fault });
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }));
        }
        load
    }

    async fn end(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.await.expect("a reader does not panic");
        }
        std::mem::take(&mut *self.answers.lock().expect("nobody panicked"))
    }
}

async fn ask(http: &reqwest::Client, url: &str, token: &str) -> reqwest::Result<(u16, Option<String>)> {
    let answer = http.get(url).bearer_auth(token).send().await?;
    let status = answer.status().as_u16();
    if status == 200 {
        answer.bytes().await?;
        return Ok((status, None));
    }
    let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let problem: Value = answer.json().await?;
    let fits = status == 503 && problem["code"] == "unavailable" && wait.is_some();
    Ok((status, (!fits).then(|| format!("retry after {wait:?}: {problem}"))))
}

/// How many answers had each status. Every one must be 200, or 503 as it should be.
fn by_status(answers: &[Answer]) -> BTreeMap<u16, usize> {
    let faults: Vec<_> = answers.iter().filter_map(|answer| answer.fault.as_ref()).collect();
    assert!(faults.is_empty(), "{} of {}: {:?}", faults.len(), answers.len(), faults.first());
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_default() += 1;
    }
    counts
}

/// From a moment until the last answer that was not 200.
fn trouble_after(answers: &[Answer], moment: Instant) -> Duration {
    let late = answers.iter().filter(|answer| answer.status != 200 && answer.at > moment);
    late.map(|answer| answer.at - moment).max().unwrap_or_default()
}

/// A server that nobody else uses.
struct Server {
    dir: TempDir,
    postgres: Option<PrivatePostgres>,
}

impl Server {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut server = Self { dir, postgres: None };
        server.up().await;
        server
    }

    async fn up(&mut self) {
        self.postgres = Some(PrivatePostgres::start(self.dir.path(), Durability::Scratch).await.unwrap());
    }

    /// Stops it: `fast` ends connections and writes a checkpoint, `immediate` leaves recovery to the next start.
    async fn down(&mut self, mode: &str) {
        let mut postgres = self.postgres.take().unwrap();
        if mode == "fast" {
            return postgres.stop(Duration::from_secs(20)).await.unwrap();
        }
        let told = Command::new("kill").args(["-QUIT", &postgres.pid().to_string()]).status().unwrap();
        assert!(told.success());
        postgres.ended().await;
    }

    fn url(&self) -> String {
        self.postgres.as_ref().unwrap().url(SUPERUSER, "postgres").expose_secret().to_owned()
    }
}

fn slow_down(platform: &Platform) {
    let kind = FaultKind::Delay(Duration::from_millis(700));
    platform.simulator.faults().inject(Fault { target: Target::kube(CLUSTER, "*"), kind, times: None });
}

/// What the platform holds in the end: resources, and findings with their status.
async fn outcome(client: &Client) -> BTreeSet<[String; 4]> {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let resources = client.list("/v1/resources").await;
    let findings = client.list("/v1/findings").await;
    let named: BTreeMap<String, Value> = resources.iter().map(|it| (text(it, "id"), it.clone())).collect();
    let mut all: BTreeSet<_> =
        resources.iter().map(|it| [text(it, "kind"), text(it, "namespace"), text(it, "name"), String::new()]).collect();
    assert_eq!(all.len(), resources.len(), "nothing is there twice");
    for finding in &findings {
        let resource = &named[&text(finding, "resource_id")];
        let judged = format!("{} {}", text(finding, "control_id"), text(finding, "status"));
        all.insert([text(resource, "kind"), text(resource, "namespace"), text(resource, "name"), judged]);
    }
    assert_eq!(all.len(), resources.len() + findings.len());
    all
}

/// How each kind was read.
async fn states(client: &Client) -> BTreeMap<String, String> {
    let rows = client.list("/v1/coverage").await.into_iter();
    rows.map(|row| (row["kind"].to_string(), row["state"].to_string())).collect()
}

async fn undisturbed() -> (BTreeSet<[String; 4]>, BTreeMap<String, String>) {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    platform.scan(&client, &[CLUSTER]).await;
    (outcome(&client).await, states(&client).await)
}

/// Asks for a permission check and waits until a worker has it: the way of all work, by its announcement.
async fn work_goes_on(client: &Client) -> Duration {
    let begun = Instant::now();
    let asked = client.post(&format!("/v1/connectors/{CLUSTER}/test"), &json!({})).await;
    let path = format!("/v1/connectors/{CLUSTER}/preflights/{}", asked["id"].as_str().unwrap());
    while client.get(&path).await["status"] == "queued" {
        assert!(begun.elapsed() < Duration::from_mins(1), "no worker takes work");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_restarts_under_load_and_in_the_middle_of_a_scan() {
    let mut server = Server::start().await;
    let platform = Platform::on(database_on(server.url()).await, Preset::Demo, &["127.0.0.0/8"]).await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    let tenant = client.get("/v1/tenant").await["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().into();
    let store = &platform.database.store;
    let token = admin::create_token(store, tenant, "load", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    slow_down(&platform);
    let scan = client.start_scan(CLUSTER).await;
    while client.list("/v1/resources").await.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for mode in ["fast", "immediate", "fast", "immediate"] {
        let load = Load::start(&platform.replicas[0].url, token.expose_secret());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.get(&format!("/v1/scans/{scan}")).await["status"], "running", "the scan was too quick");
        let down = Instant::now();
        server.down(mode).await;
        tokio::time::sleep(AWAY).await;
        server.up().await;
        let up = Instant::now();
        tokio::time::sleep(Duration::from_secs(4)).await;
        let work = work_goes_on(&client).await;
        let answers = load.end().await;
        let counts = by_status(&answers);
        let recovery = trouble_after(&answers, up);
        let slowest = answers.iter().map(|answer| answer.took).max().unwrap();
        eprintln!(
            "{mode} restart, {} ms away: answers {counts:?}, slowest {} ms; readers well {} ms and a worker {} ms after \
             Postgres was back (asked 4 s after)",
            (up - down).as_millis(),
            slowest.as_millis(),
            recovery.as_millis(),
            (Duration::from_secs(4) + work).as_millis(),
        );
        assert!(counts.get(&503).is_some_and(|count| *count > 0), "nobody noticed: {counts:?}");
        assert!(recovery < RECOVERY && Duration::from_secs(4) + work < RECOVERY);
        assert!(platform.replicas.iter().all(platform_tests::Replica::is_alive), "a role ended");
    }
    platform.simulator.faults().clear();
    let begun = Instant::now();
    let ended = client.wait_for_scan(&scan).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    let scanned = begun.elapsed();
    platform.settle().await;
    eprintln!(
        "the scan went on and ended {} ms after the last restart's check, all was assessed after {} ms",
        scanned.as_millis(),
        begun.elapsed().as_millis()
    );
    assert_eq!(client.list("/v1/scans").await.len(), 1, "no other scan took its place");
    let (resources, coverage) = undisturbed().await;
    assert_eq!(states(&client).await, coverage, "an outage is no gap of the cluster");
    assert_eq!(outcome(&client).await, resources);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_without_connections_answers_503_and_comes_back() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let tenant = client.get("/v1/tenant").await["id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().into();
    let store = &platform.database.store;
    let token = admin::create_token(store, tenant, "load", Role::Owner, AccessScope::Tenant, 1).await.unwrap();
    let held = Duration::from_secs(9);
    // Every request stops at the grants and keeps its connection.
    let lock =
        format!("begin; lock table grants in access exclusive mode; select pg_sleep({}); commit", held.as_secs());
    let (database, locked) = (&platform.database, Instant::now());
    let flood = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let loads: Vec<Load> = (0..6).map(|_| Load::start(&platform.replicas[0].url, token.expose_secret())).collect();
        tokio::time::sleep(held + Duration::from_secs(4)).await;
        let mut answers = Vec::new();
        for load in loads {
            answers.extend(load.end().await);
        }
        answers
    };
    let (answers, ()) = tokio::join!(flood, database.run(&lock));
    let counts = by_status(&answers);
    let recovery = trouble_after(&answers, locked + held);
    let refused = answers.iter().filter(|answer| answer.status == 503).map(|answer| answer.took).max();
    eprintln!(
        "a pool of 16 held for {held:?} under {} readers: answers {counts:?}, 503 after at most {refused:?}, all well \
         {recovery:?} after",
        6 * READERS
    );
    assert!(counts.contains_key(&503) && counts.contains_key(&200), "{counts:?}");
    assert!(refused.unwrap() < Duration::from_secs(7) && recovery < RECOVERY);
    assert!(platform.replicas[0].is_alive());
    client.get("/v1/tenant").await;
}
