//! A process that ends in the middle of its work costs time and nothing else; several share the work.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use serde_json::Value;

const CLUSTER: &str = "factory-floor";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

async fn onboarded(platform: &Platform) -> Client {
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    client
}

/// Makes answers slow, so that a scan is surely under way.
fn slow_down(platform: &Platform) {
    let kind = FaultKind::Delay(Duration::from_millis(1_500));
    platform.simulator.faults().inject(Fault { target: Target::kube(CLUSTER, "*"), kind, times: None });
}

/// Waits until a scan has read something and is not done.
async fn under_way(client: &Client, scan: &str) {
    let begun = Instant::now();
    while client.list("/v1/resources").await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the scan reads nothing");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.get(&format!("/v1/scans/{scan}")).await["status"], "running", "the scan was too quick");
}

/// Kind, namespace and name of every resource of a platform on which nothing went wrong.
async fn names(client: &Client) -> BTreeSet<[String; 3]> {
    let resources = client.list("/v1/resources").await;
    let names: BTreeSet<_> =
        resources.iter().map(|resource| ["kind", "namespace", "name"].map(|field| text(resource, field))).collect();
    assert_eq!(names.len(), resources.len(), "nothing is there twice");
    names
}

async fn undisturbed() -> (BTreeSet<[String; 3]>, usize) {
    let platform = Platform::start().await;
    let client = onboarded(&platform).await;
    platform.scan(&client, &[CLUSTER]).await;
    (names(&client).await, client.list("/v1/findings").await.len())
}

/// One scan, ended well, with the same outcome as if nothing had happened.
async fn check_outcome(platform: &Platform, client: &Client, scan: &str) {
    let ended = client.wait_for_scan(scan).await;
    assert_eq!(ended["status"], "succeeded", "{ended}");
    platform.settle().await;
    let scans = client.list("/v1/scans").await;
    assert_eq!(scans.len(), 1, "the scan goes on, no other takes its place: {scans:?}");
    let (expected, findings) = undisturbed().await;
    assert_eq!(names(client).await, expected);
    assert_eq!(client.list("/v1/findings").await.len(), findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_gives_its_work_back() {
    let mut platform = Platform::start().await;
    platform.add_replica().await;
    let client = onboarded(&platform).await;
    slow_down(&platform);
    // Whichever replica took the scan, one of the two stops is in the middle of it.
    let scan = client.start_scan(CLUSTER).await;
    under_way(&client, &scan).await;
    let begun = Instant::now();
    for _ in 0..2 {
        let stopped = platform.replicas.remove(0);
        stopped.stop().await;
        platform.add_replica().await;
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "stopping took {:?}", begun.elapsed());
    platform.simulator.faults().clear();
    let client = client.at(&platform.replicas[0].url);
    check_outcome(&platform, &client, &scan).await;
    assert!(begun.elapsed() < Duration::from_mins(1), "no lease had to run out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_loses_its_lease_and_no_data() {
    let mut platform = Platform::start().await;
    let client = onboarded(&platform).await;
    slow_down(&platform);
    let scan = client.start_scan(CLUSTER).await;
    under_way(&client, &scan).await;
    platform.replicas.remove(0).kill();
    platform.simulator.faults().clear();
    platform.add_replica().await;
    let client = client.at(&platform.replicas[0].url);
    let (during, begun) = (client.list("/v1/resources").await.len(), Instant::now());
    assert!(during > 0, "what was read before the end stays");
    check_outcome(&platform, &client, &scan).await;
    assert!(begun.elapsed() < Duration::from_secs(90), "it went on after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_the_work() {
    let mut platform = Platform::start().await;
    for _ in 0..2 {
        platform.add_replica().await;
    }
    let client = onboarded(&platform).await;
    let mut asked = BTreeSet::new();
    for replica in &platform.replicas {
        for _ in 0..4 {
            asked.insert(client.at(&replica.url).start_scan(CLUSTER).await);
        }
    }
    for scan in &asked {
        let ended = client.wait_for_scan(scan).await;
        assert_eq!(ended["status"], "succeeded", "{ended}");
    }
    platform.settle().await;
    let scans = client.list("/v1/scans").await;
    let ran: BTreeSet<String> = scans.iter().map(|scan| text(scan, "id")).collect();
    assert_eq!(ran, asked, "what was asked for ran, and nothing else");
    let added: u64 = scans.iter().map(|scan| scan["progress"]["added"].as_u64().expect("scans count")).sum();
    let (expected, findings) = undisturbed().await;
    assert_eq!(added, expected.len() as u64, "no resource was added twice");
    assert_eq!(names(&client).await, expected);
    assert_eq!(client.list("/v1/findings").await.len(), findings);
    let reads = platform.simulator.calls().of(&format!("{CLUSTER} GET /api/v1/nodes"));
    assert!(reads <= asked.len() as u64, "{reads} reads for {} scans", asked.len());
}
