//! Several processes on one database do what one does, share it, and can be restarted one by one without anybody noticing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cloudsim::world::Preset;
use platform_tests::{Client, Member, Places, Platform, Tap};
use rampart_domain::{ConnectorId, TenantId};
use rampart_store::scan;
use rampart_store::testing::TestDatabase;
use reqwest::Method;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::kills::{VOLATILE, differences, moves};

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const ROUNDS: usize = 4;

/// How many of a kind of work each replica took.
type Shares = BTreeMap<String, Vec<usize>>;

/// What is stored after the work of a few rounds, and who did it.
async fn worked_by(
    replicas: usize,
    platform: &mut Platform,
    database: &TestDatabase,
    tenant: TenantId,
    connectors: &[ConnectorId],
) -> (BTreeMap<String, Vec<String>>, Shares) {
    let mut taps = Vec::new();
    for _ in 0..replicas {
        let tap = Tap::open(&database.app_url, &Places::default()).await;
        platform.add_replica_through(&tap.url).await;
        taps.push(tap);
    }
    for _ in 0..ROUNDS {
        let mut tx = database.store.tenant(tenant).await.unwrap();
        for connector in connectors {
            scan::request(&mut tx, *connector).await.unwrap();
        }
        tx.commit().await.unwrap();
        let begun = Instant::now();
        while !database.is_idle().await {
            assert!(begun.elapsed() < Duration::from_mins(2), "work does not end");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    for replica in std::mem::take(&mut platform.replicas) {
        replica.stop().await;
    }
    let mut shares = Shares::new();
    let mut all = BTreeSet::new();
    for (index, tap) in taps.iter().enumerate() {
        for (kind, subject, fence) in tap.claims() {
            shares.entry(kind.clone()).or_insert_with(|| vec![0; replicas])[index] += 1;
            assert!(all.insert((kind, subject, fence)), "one claim, one replica");
        }
    }
    // A slow scan is assessed in between as well: how a finding came to stand may differ, not how it stands.
    let masked = [&VOLATILE[..], &["issuer_keys", "findings.cause", "finding_events"]].concat();
    let mut dump = database.dump(&masked).await;
    dump.insert("score_moves".into(), moves(database, "''::text").await);
    (dump, shares)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_and_four_replicas_do_what_one_does_and_share_it() {
    let mut platform = Platform::over(Preset::Organization).await;
    let client = platform.tenant("demo").await;
    let mut names = Vec::new();
    for account in platform.simulator.accounts().iter().take(6) {
        let name = format!("a{}", account.id);
        client.onboard_account(&platform.simulator, &name, &account.id).await;
        names.push(name);
    }
    platform.scan(&client, &names).await;
    platform.replicas.remove(0).stop().await;
    let tenant = platform.database.rows("select tenant_id::text from tenants").await[0].parse().unwrap();
    let connectors = platform.database.rows("select connector_id::text from connectors order by 1").await;
    let connectors: Vec<ConnectorId> = connectors.iter().map(|id| id.parse().unwrap()).collect();
    // What they are to find: changes inside the cluster, and a repository that is gone.
    platform.simulator.mutate(0.2, 3);
    let mut expected = None;
    for replicas in [1, 2, 4] {
        let database = platform.database.copy().await;
        let begun = Instant::now();
        let (dump, shares) = worked_by(replicas, &mut platform, &database, tenant, &connectors).await;
        eprintln!("{replicas} replicas, {:?}: claims of each {shares:?}", begun.elapsed());
        let scans = &shares["scan"];
        assert_eq!(scans.iter().sum::<usize>(), ROUNDS * connectors.len(), "every scan that was asked for ran once");
        for (kind, shares) in shares.iter().filter(|(_, shares)| shares.iter().sum::<usize>() >= 4 * replicas) {
            let (sum, most) = (shares.iter().sum::<usize>(), *shares.iter().max().unwrap());
            assert!(shares.iter().all(|share| *share > 0), "{kind}: one of {replicas} did nothing: {shares:?}");
            assert!(
                replicas == 1 || most * replicas <= 3 * sum,
                "{kind}: one of {replicas} did nearly all: {shares:?}"
            );
        }
        let expected = expected.get_or_insert_with(|| dump.clone());
        let different = differences(expected, &dump);
        assert!(different.is_empty(), "{replicas} replicas:\n{}", different.join("\n"));
        eprintln!("  {} rows equal those of one", dump.values().map(Vec::len).sum::<usize>());
    }
}

/// A load balancer: connections go in turn to whatever says that it is ready.
struct Balancer {
    address: SocketAddr,
    processes: Arc<Mutex<Vec<Member>>>,
}

impl Balancer {
    async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (processes, ready) = <(Arc<Mutex<Vec<Member>>>, Arc<Mutex<Vec<SocketAddr>>>)>::default();
        let (watched, found) = (processes.clone(), ready.clone());
        tokio::spawn(async move {
            loop {
                let all: Vec<(SocketAddr, SocketAddr)> =
                    watched.lock().unwrap().iter().map(|process| (process.api, process.operations)).collect();
                let mut ready = Vec::new();
                for (api, operations) in all {
                    ready.extend(platform_tests::is_ready(operations).await.then_some(api));
                }
                *found.lock().unwrap() = ready;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        tokio::spawn(async move {
            let mut turn = 0;
            while let Ok((mut client, _)) = listener.accept().await {
                let mut backends = ready.lock().unwrap().clone();
                turn += 1;
                let count = backends.len().max(1);
                backends.rotate_left(turn % count);
                tokio::spawn(async move {
                    for backend in backends {
                        let Ok(mut server) = TcpStream::connect(backend).await else { continue };
                        tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
                        return;
                    }
                });
            }
        });
        Self { address, processes }
    }

    async fn add(&self, platform: &Platform) {
        let process = Member::start(BINARY, platform, &platform.database.app_url, "all");
        let begun = Instant::now();
        while !platform_tests::is_ready(process.operations).await || TcpStream::connect(process.api).await.is_err() {
            assert!(begun.elapsed() < Duration::from_mins(1), "the process does not get ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.processes.lock().unwrap().push(process);
        // The balancer sees it.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Reads and writes until it is told to stop; how many went well, and what did not.
async fn load(client: Client, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Vec<String> {
    let mut failed = Vec::new();
    let paths =
        ["/v1/tenant", "/v1/resources?limit=20", "/v1/findings?limit=20", "/v1/secure-score", "/v1/coverage?limit=20"];
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let path = paths[turn % paths.len()];
        let answer = if turn % 7 == 0 {
            client.try_request(Method::POST, "/v1/connectors/factory-floor/pause", Some(&json!({}))).await
        } else {
            client.try_request(Method::GET, path, None).await
        };
        match answer {
            Ok(status) if status.is_success() => done.fetch_add(1, Ordering::SeqCst),
            Ok(status) => {
                failed.push(format!("{path}: {status}"));
                0
            }
            Err(error) => {
                failed.push(format!("{path}: {error:?}"));
                0
            }
        };
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    failed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_no_request_and_no_work() {
    const CLUSTER: &str = "factory-floor";
    let mut platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    platform.scan(&client, &[CLUSTER]).await;
    platform.replicas.remove(0).stop().await;
    let balancer = Balancer::open().await;
    balancer.add(&platform).await;
    balancer.add(&platform).await;
    let client = client.at(&format!("http://{}", balancer.address));
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..4).map(|_| tokio::spawn(load(client.anew(), stop.clone(), done.clone()))).collect();
    let scan = client.start_scan(CLUSTER).await;
    let begun = Instant::now();
    for restarted in 0..2 {
        let leaving = balancer.processes.lock().unwrap().remove(0);
        let (before, told) = (done.load(Ordering::SeqCst), Instant::now());
        assert!(leaving.terminate().await, "a process that is told to stop ends well");
        let meanwhile = done.load(Ordering::SeqCst) - before;
        eprintln!("process {restarted} left in {:?}; {meanwhile} requests were answered meanwhile", told.elapsed());
        assert!(meanwhile > 0, "the others go on");
        balancer.add(&platform).await;
    }
    let ended = client.wait_for_scan(&scan).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    stop.store(true, Ordering::SeqCst);
    let mut failed = Vec::new();
    for caller in callers {
        failed.extend(caller.await.unwrap());
    }
    eprintln!("{} requests in {:?}, {} failed", done.load(Ordering::SeqCst), begun.elapsed(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(client.list("/v1/scans").await.len(), 2, "the scan went on, no other took its place");
    let left = std::mem::take(&mut *balancer.processes.lock().unwrap());
    for process in left {
        process.kill().await;
    }
}
