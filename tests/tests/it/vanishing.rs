//! Clusters that vanish and come back as others, sessions that end in the middle of a scan, and clocks that differ.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use cloudsim::world::Subject;
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use rampart_connector::Limits;
use serde_json::Value;

use crate::lost_access::Estate;

const CLUSTER: &str = "factory-floor";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// The clusters that are there, by name, with what tells them apart.
async fn clusters(client: &Client) -> BTreeSet<(String, String, String)> {
    let clusters = client.list("/v1/clusters").await;
    clusters.iter().map(|it| (text(it, "name"), text(it, "id"), text(it, "kube_uid"))).collect()
}

/// Every resource and open finding is of one of these clusters, and none lacks its cluster.
async fn check_nothing_is_left_of(client: &Client, gone: &str) {
    for path in ["/v1/resources", "/v1/findings", "/v1/coverage"] {
        let left: Vec<Value> = client.list(path).await.into_iter().filter(|it| it["cluster_id"] == gone).collect();
        assert!(left.is_empty(), "{path}: {} left, such as {}", left.len(), left[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_comes_back_with_its_name_is_another_one() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let partner = platform.simulator.accounts().remove(1).id;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    client.onboard_account(&platform.simulator, "partner", &partner).await;
    platform.scan(&client, &[CLUSTER, "partner"]).await;
    let before = clusters(&client).await;
    assert_eq!(before.len(), 2, "{before:?}");
    for name in [CLUSTER, "partner-exchange"] {
        let find = |all: &BTreeSet<(String, String, String)>| {
            let found = all.iter().find(|(known, ..)| known == name).expect("the cluster is known");
            (found.1.clone(), found.2.clone())
        };
        let (old, old_uid) = find(&clusters(&client).await);
        let open = client.list(&format!("/v1/findings?cluster={old}")).await;
        let inside: Vec<&Value> = open.iter().filter(|finding| text(finding, "kind").starts_with("k8s.")).collect();
        assert!(inside.len() > 5, "{} findings", inside.len());
        platform.simulator.recreate(name);
        let connector = if name == CLUSTER { name } else { "partner" };
        let scan = platform.scan(&client, &[connector]).await.remove(0);
        assert_eq!(scan["status"], "succeeded", "{scan}");
        let now = clusters(&client).await;
        let (new, new_uid) = find(&now);
        assert_eq!(now.len(), 2, "one for one: {now:?}");
        assert!(new != old && new_uid != old_uid, "{now:?}");
        check_nothing_is_left_of(&client, &old).await;
        for finding in inside.iter().step_by(7) {
            let ended = client.get(&format!("/v1/findings/{}", text(finding, "id"))).await;
            assert_eq!((&ended["status"], &ended["cause"]), (&"not_applicable".into(), &"gone".into()), "{ended}");
        }
        let resources = client.list(&format!("/v1/resources?cluster={new}&kind=k8s.deployment")).await;
        let foreign = resources.iter().filter(|it| !text(it, "native_id").contains(&new_uid)).count();
        assert!(!resources.is_empty() && foreign == 0, "{foreign} of {} are of the old one", resources.len());
        assert!(!client.list(&format!("/v1/findings?cluster={new}")).await.is_empty(), "it is judged anew");
        eprintln!(
            "{name}: {} findings of the old one ended, {} deployments of the new one",
            inside.len(),
            resources.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_answers_no_more_stays_until_its_cloud_lists_it_no_more() {
    let limits = Limits { attempts: 2, backoff_min: Duration::from_millis(1), ..Limits::default() };
    let platform = Platform::asking(cloudsim::world::Preset::Demo, limits).await;
    let client = platform.tenant("demo").await;
    let partner = platform.simulator.accounts().remove(1).id;
    client.onboard_account(&platform.simulator, "partner", &partner).await;
    platform.scan(&client, &["partner"]).await;
    let estate = Estate::of(&client).await;
    let score = client.get("/v1/secure-score").await["percent"].clone();
    let everything = Target::kube("partner-exchange", "*");
    platform.simulator.faults().inject(Fault { target: everything, kind: FaultKind::CutBody, times: None });
    let scan = platform.scan(&client, &["partner"]).await.remove(0);
    assert_eq!(scan["status"], "partial", "{scan}");
    estate.check(&client, "unreachable").await;
    assert_eq!(client.get("/v1/secure-score").await["percent"], score, "the score stands");
    let stale = client.list("/v1/findings?stale=true").await.len();
    assert!(stale > 0, "what cannot be read any more says so");
    platform.simulator.faults().clear();

    let id = client.list("/v1/clusters").await[0].clone();
    platform.simulator.delete(&Subject::Native(text(&id, "native_id")));
    let scan = platform.scan(&client, &["partner"]).await.remove(0);
    assert_eq!(scan["status"], "succeeded", "{scan}");
    let left = client.list("/v1/clusters").await;
    assert_eq!(left, Vec::<Value>::new(), "the cloud lists it no more");
    check_nothing_is_left_of(&client, &text(&id, "id")).await;
    eprintln!("{stale} findings stale while it did not answer, none left when it was gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_end_in_the_middle_of_a_scan_lose_nothing() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let account = platform.simulator.accounts().remove(0).id;
    client.onboard_account(&platform.simulator, "main", &account).await;
    platform.scan(&client, &["main"]).await;
    let estate = Estate::of(&client).await;
    let assumed = |platform: &Platform| platform.simulator.calls().of("sts:AssumeRole");
    let slow = FaultKind::Delay(Duration::from_millis(60));
    platform.simulator.faults().inject(Fault { target: Target::aws("e*", "*"), kind: slow, times: None });
    let (before, scan) = (assumed(&platform), client.start_scan("main").await);
    let mut expired = 0;
    while client.get(&format!("/v1/scans/{scan}")).await["status"] != "running" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let is_running = client.get(&format!("/v1/scans/{scan}")).await["status"] == "running";
        platform.simulator.expire_sessions();
        expired += usize::from(is_running);
    }
    let ended = client.wait_for_scan(&scan).await;
    platform.settle().await;
    assert!(expired > 0, "the scan was too quick");
    platform.simulator.faults().clear();
    estate.check(&client, "sessions ended").await;
    eprintln!(
        "sessions ended {expired} times in a scan: {}, roles assumed {} times",
        ended["status"],
        assumed(&platform) - before
    );
    assert!(matches!(ended["status"].as_str(), Some("succeeded" | "partial")), "{ended}");
    assert_eq!(ended["progress"]["removed"], 0, "{ended}");
    if ended["status"] == "partial" {
        let coverage = client.list("/v1/coverage").await;
        assert!(coverage.iter().any(|row| row["state"] == "unauthorized"), "coverage says why: {coverage:?}");
    }
    platform.scan(&client, &["main"]).await;
    estate.check_recovered(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_clock_differs_loses_nothing() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let partner = platform.simulator.accounts().remove(1).id;
    client.onboard_account(&platform.simulator, "partner", &partner).await;
    platform.scan(&client, &["partner"]).await;
    let estate = Estate::of(&client).await;
    for (minutes, is_tolerated) in [(10, true), (-10, true), (45, false), (-45, false), (0, true)] {
        platform.simulator.set_aws_clock(TimeDelta::minutes(minutes));
        platform.simulator.expire_sessions();
        let before = platform.simulator.calls().of("sts:AssumeRole");
        let scan = platform.scan(&client, &["partner"]).await.remove(0);
        let assumed = platform.simulator.calls().of("sts:AssumeRole") - before;
        eprintln!("clock {minutes} min ahead: {} ({}), {assumed} sessions", scan["status"], text(&scan, "error"));
        assert_eq!(scan["status"] == "succeeded", is_tolerated, "{minutes} min: {scan}");
        assert!(assumed < 20, "{assumed} sessions with a clock {minutes} min ahead");
        estate.check(&client, &format!("a clock {minutes} min ahead")).await;
        if !is_tolerated {
            let coverage = client.list("/v1/coverage").await;
            let told =
                coverage.iter().filter(|row| matches!(row["state"].as_str(), Some("unauthorized" | "denied"))).count();
            assert!(told > 0, "coverage says why: {coverage:?}");
        }
    }
    estate.check_recovered(&client).await;
}
