//! A cluster that nobody reaches from outside is pushed by `rampart collect`, and is then as good as any other.

use std::collections::BTreeSet;
use std::time::Duration;

use cloudsim::world::{Subject, kinds};
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Collector, Platform};
use rampart_batch::Frame;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";

async fn onboard(platform: &Platform, client: &Client, name: &str) -> Collector {
    Collector::onboard(BINARY, client, &platform.simulator, name, CLUSTER).await
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Kind, namespace and name of every resource.
async fn names(client: &Client) -> BTreeSet<[String; 3]> {
    let resources = client.list("/v1/resources").await;
    resources.iter().map(|resource| ["kind", "namespace", "name"].map(|field| text(resource, field))).collect()
}

/// Every verdict that is a finding, by the name of its resource.
async fn verdicts(client: &Client) -> BTreeSet<[String; 5]> {
    let findings = client.list("/v1/findings").await;
    let fields = ["kind", "namespace", "resource_name", "control_id", "status"];
    let words = |finding: &Value| fields.map(|field| text(finding, field));
    findings.iter().map(words).collect()
}

/// The batches of a file, as they lie in it.
fn batches(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (frame, behind) = Frame::split(rest).expect("the file holds batches");
        found.push(frame.to_bytes());
        rest = behind;
    }
    found
}

async fn scans(client: &Client, connector: &str) -> Vec<Value> {
    client.list(&format!("/v1/scans?connector={connector}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pushed_cluster_is_the_one_that_a_direct_scan_sees() {
    let platform = Platform::start().await;
    let client = platform.tenant("pushing").await;
    let collector = onboard(&platform, &client, "pushed").await;
    collector.push().await;
    platform.settle().await;
    let pushed = (names(&client).await, verdicts(&client).await);
    assert!(pushed.0.len() > 200 && pushed.1.len() > 50, "{} {}", pushed.0.len(), pushed.1.len());
    let scan = &scans(&client, "pushed").await[0];
    assert_eq!((&scan["status"], &scan["trigger"]), (&json!("succeeded"), &json!("push")), "{scan}");

    let other = platform.tenant("reaching").await;
    other.onboard_cluster(&platform.simulator, "direct", CLUSTER).await;
    platform.scan(&other, &["direct"]).await;
    assert_eq!(names(&other).await, pushed.0);
    assert_eq!(verdicts(&other).await, pushed.1);

    // Read directly by the same tenant, it is the same cluster down to the last byte.
    client.onboard_cluster(&platform.simulator, "direct", CLUSTER).await;
    let direct = platform.scan(&client, &["direct"]).await.remove(0);
    let progress = &direct["progress"];
    assert_eq!([&progress["added"], &progress["changed"], &progress["removed"]], [&json!(0); 3], "{direct}");
    assert_eq!(progress["unchanged"], pushed.0.len(), "{direct}");
    assert_eq!(client.list("/v1/clusters").await.len(), 1);

    // A second push finds nothing new.
    collector.push().await;
    platform.settle().await;
    let progress = &scans(&client, "pushed").await[0]["progress"];
    assert_eq!([&progress["added"], &progress["changed"], &progress["removed"]], [&json!(0); 3], "{progress}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_session_deletes_nothing() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let collector = onboard(&platform, &client, "pushed").await;
    collector.push().await;
    platform.settle().await;
    let before = names(&client).await;

    let service = before.iter().find(|[kind, ..]| kind == "k8s.service").expect("the cluster has services");
    let gone = Subject::Kube {
        cluster: CLUSTER.to_owned(),
        kind: kinds::SERVICE,
        namespace: Some(service[1].clone()),
        name: service[2].clone(),
    };
    platform.simulator.delete(&gone);
    let delay = FaultKind::Delay(Duration::from_millis(300));
    platform.simulator.faults().inject(Fault { target: Target::kube(CLUSTER, "*"), kind: delay, times: None });
    let args = [collector.of_cluster().to_vec(), collector.to_platform().to_vec()].concat();
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    let mut process = collector.command(&args).spawn().expect("the binary starts");
    let mut lines = BufReader::new(process.stderr.take().expect("piped")).lines();
    let mut delivered = 0;
    while delivered < 3 {
        let line = lines.next_line().await.expect("readable").expect("the collector goes on");
        delivered += usize::from(line.contains("a batch is delivered"));
    }
    process.kill().await.expect("killed");
    platform.simulator.faults().clear();
    platform.settle().await;
    assert_eq!(names(&client).await, before, "nothing is taken up while more may come");

    platform.database.run("update batch_sessions set updated_at = updated_at - interval '1 hour'").await;
    let scan = platform.scan(&client, &["pushed"]).await.remove(0);
    assert_eq!((&scan["status"], &scan["progress"]["removed"]), (&json!("partial"), &json!(0)), "{scan}");
    assert_eq!(names(&client).await, before, "what half a session does not show is not gone");
    let coverage = client.list("/v1/coverage").await;
    assert!(coverage.iter().all(|row| row["state"] != "read"), "and nothing of it looks fresh: {coverage:?}");

    // The next run is a new session, and a whole one.
    collector.push().await;
    platform.settle().await;
    let after = names(&client).await;
    assert!(after.len() < before.len() && !after.contains(service), "{} of {}", after.len(), before.len());
    assert_eq!(client.list("/v1/findings?stale=true").await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_uploaded_from_where_it_was_broken_off() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let collector = onboard(&platform, &client, "pushed").await;
    let file = collector.path("cluster.rampart");
    collector.write(&file).await;
    let bytes = std::fs::read(&file).expect("the file is there");
    let frames = batches(&bytes);
    assert!(frames.len() > 2, "{}", frames.len());

    let half = frames[..frames.len() / 2].concat();
    let (status, session) = collector.send(&client, &half).await;
    assert_eq!((status, &session["next_sequence"]), (202, &json!(frames.len() / 2)), "{session}");
    std::fs::write(collector.path("cut"), &bytes[..bytes.len() - 100]).expect("a file");
    let cut = collector.upload(&collector.path("cut")).await;
    assert_eq!(cut.status.code(), Some(1), "a file that is cut short is no success");
    for _ in 0..2 {
        let output = collector.upload(&file).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    platform.settle().await;
    let session = client.get(&format!("/v1/connectors/pushed/batches/{}", text(&session, "id"))).await;
    assert_eq!(session["state"], "applied", "{session}");
    assert_eq!(scans(&client, "pushed").await.len(), 1, "the second upload changed nothing");
    let other = platform.tenant("reaching").await;
    other.onboard_cluster(&platform.simulator, "direct", CLUSTER).await;
    platform.scan(&other, &["direct"]).await;
    assert_eq!(names(&other).await, names(&client).await);
}
