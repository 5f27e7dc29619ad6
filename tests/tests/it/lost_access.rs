//! Losing access never looks like getting better: nothing vanishes, no finding closes, and what is old says so.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cloudsim::world::kinds::{self, Feature, KindKey};
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use serde_json::Value;

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

fn ids(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(|item| text(item, "id")).collect()
}

/// What must outlive every fault.
pub(crate) struct Estate {
    resources: BTreeSet<String>,
    findings: BTreeSet<String>,
    coverage: BTreeMap<(String, String), String>,
}

async fn coverage(client: &Client) -> BTreeMap<(String, String), String> {
    let rows = client.list("/v1/coverage").await;
    rows.iter().map(|row| ((text(row, "scope"), text(row, "kind")), text(row, "state"))).collect()
}

impl Estate {
    pub(crate) async fn of(client: &Client) -> Self {
        Self {
            resources: ids(&client.list("/v1/resources").await),
            findings: ids(&client.list("/v1/findings").await),
            coverage: coverage(client).await,
        }
    }

    /// Nothing is gone and nothing is closed; what more there is now is wrong too, since the world did not change.
    pub(crate) async fn check(&self, client: &Client, fault: &str) {
        let now = Self::of(client).await;
        let (before, after) = (&self.resources, &now.resources);
        assert!(before == after, "{fault}: gone {:?}, new {:?}", diff(before, after), diff(after, before));
        let (before, after) = (&self.findings, &now.findings);
        assert!(before == after, "{fault}: closed {:?}, opened {:?}", diff(before, after), diff(after, before));
    }

    /// All is as it was before anything went wrong.
    pub(crate) async fn check_recovered(&self, client: &Client) {
        self.check(client, "after recovery").await;
        assert_eq!(coverage(client).await, self.coverage);
        assert_eq!(client.list("/v1/findings?stale=true").await, Vec::<Value>::new());
    }
}

fn diff<'a>(left: &'a BTreeSet<String>, right: &'a BTreeSet<String>) -> Vec<&'a String> {
    left.difference(right).take(10).collect()
}

/// The word for a simulated kind, and where it is listed.
pub(crate) fn listing(kind: &KindKey) -> (String, String) {
    let prefix = if kind.feature == Feature::Calico { "calico" } else { "" };
    let word = format!("k8s.{prefix}{}", kind.kind.to_lowercase());
    let group = if kind.group.is_empty() { "api".to_owned() } else { format!("apis/{}", kind.group) };
    (word, format!("/{group}/{}/{}", kind.version, kind.plural))
}

fn inject(platform: &Platform, target: Target, kind: FaultKind, times: Option<u32>) {
    platform.simulator.faults().inject(Fault { target, kind, times });
}

/// Findings about resources of these kinds are told to be old, those about others are not.
async fn check_stale(client: &Client, unread: &BTreeSet<String>, scope: &str) {
    for finding in client.list("/v1/findings").await {
        let kind = text(&finding, "kind");
        let derived = matches!(kind.as_str(), "k8s.workload" | "k8s.staticpod");
        let covered = if derived { "k8s.pod".to_owned() } else { kind };
        assert_eq!(finding["stale"].as_bool(), Some(unread.contains(&covered)), "{scope}: {finding}");
    }
}

const CLUSTER: &str = "factory-floor";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_answers_badly_loses_nothing() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    platform.scan(&client, &[CLUSTER]).await;
    let estate = Estate::of(&client).await;
    assert!(estate.resources.len() > 300 && estate.findings.len() > 100);
    estate.check_recovered(&client).await;

    every_listing_fails_in_turn(&platform, &client, &estate).await;
    the_whole_api_fails(&platform, &client, &estate).await;
    what_can_be_waited_for_is_read(&platform, &client, &estate).await;
}

/// Faults that are told at once, each on every kind in turn.
const REFUSALS: [(FaultKind, &str); 3] =
    [(FaultKind::Forbidden, "denied"), (FaultKind::HalfPage, "failed"), (FaultKind::Unauthorized, "unauthorized")];
/// Faults that are waited out for some seconds each, so that only a few kinds meet them by default.
const OUTAGES: [(FaultKind, &str); 2] = [(FaultKind::Status(503), "failed"), (FaultKind::CutBody, "failed")];

async fn every_listing_fails_in_turn(platform: &Platform, client: &Client, estate: &Estate) {
    let read: Vec<(String, String)> = kinds::ALL
        .iter()
        .map(listing)
        .filter(|(word, _)| estate.coverage.iter().any(|((_, kind), state)| kind == word && state == "read"))
        .collect();
    assert!(read.len() > 30, "{} kinds are listed", read.len());
    for round in 0..REFUSALS.len() {
        let faults = read.iter().enumerate().map(|(index, at)| (at, REFUSALS[(index + round) % REFUSALS.len()]));
        listings_fail(platform, client, estate, faults).await;
    }
    let all = std::env::var_os("RAMPART_TEST_FULL").is_some();
    let often = ["k8s.pod", "k8s.deployment", "k8s.clusterrole", "k8s.networkpolicy"];
    let chosen: Vec<_> = read.iter().filter(|(word, _)| all || often.contains(&word.as_str())).collect();
    assert!(chosen.len() >= often.len(), "{chosen:?}");
    let faults = chosen.into_iter().enumerate().map(|(index, at)| (at, OUTAGES[index % OUTAGES.len()]));
    listings_fail(platform, client, estate, faults).await;
    platform.scan(client, &[CLUSTER]).await;
    estate.check_recovered(client).await;
}

async fn listings_fail<'a>(
    platform: &Platform,
    client: &Client,
    estate: &Estate,
    faults: impl Iterator<Item = (&'a (String, String), (FaultKind, &'static str))>,
) {
    let mut expected = BTreeMap::new();
    for ((word, path), (fault, state)) in faults {
        inject(platform, Target::kube(CLUSTER, path), fault, None);
        expected.insert(word.clone(), state);
    }
    let round = format!("{expected:?}");
    let scans = platform.scan(client, &[CLUSTER]).await;
    assert_eq!((&scans[0]["status"], &scans[0]["progress"]["removed"]), (&"partial".into(), &0.into()));
    estate.check(client, &round).await;
    let states: BTreeMap<String, String> =
        coverage(client).await.into_iter().map(|((_, kind), state)| (kind, state)).collect();
    let wrong = expected.iter().filter(|(kind, state)| states[*kind] != **state);
    let wrong: Vec<_> = wrong.map(|(kind, state)| (kind, state, &states[kind])).collect();
    assert!(wrong.is_empty(), "kind, expected and actual state: {wrong:?}");
    check_stale(client, &expected.into_keys().collect(), &round).await;
    platform.simulator.faults().clear();
}

async fn the_whole_api_fails(platform: &Platform, client: &Client, estate: &Estate) {
    let everything = Target::kube(CLUSTER, "*");
    for (fault, state) in [(FaultKind::Unauthorized, "unauthorized"), (FaultKind::Forbidden, "denied")] {
        inject(platform, everything.clone(), fault, None);
        let scans = platform.scan(client, &[CLUSTER]).await;
        assert_eq!(scans[0]["status"], "failed", "{}", scans[0]);
        assert!(!text(&scans[0], "error").is_empty(), "{}", scans[0]);
        estate.check(client, state).await;
        let states: BTreeSet<String> = coverage(client).await.into_values().collect();
        let allowed = BTreeSet::from([state.to_owned(), "not_applicable".to_owned()]);
        assert!(states.contains(state) && states.is_subset(&allowed), "{state}: {states:?}");
        let fresh = client.list("/v1/findings?stale=false").await;
        assert_eq!(fresh, Vec::<Value>::new(), "{state}");
        platform.simulator.faults().clear();
    }
    platform.scan(client, &[CLUSTER]).await;
    estate.check_recovered(client).await;
}

/// What passes, or can be asked for in smaller parts, leaves no trace at all.
async fn what_can_be_waited_for_is_read(platform: &Platform, client: &Client, estate: &Estate) {
    let on = |kind: &KindKey| Target::kube(CLUSTER, &listing(kind).1);
    inject(platform, on(&kinds::POD), FaultKind::Throttle { retry_after: Some(1) }, Some(2));
    inject(platform, on(&kinds::DEPLOYMENT), FaultKind::Status(500), Some(2));
    inject(platform, on(&kinds::SERVICE), FaultKind::CutBody, Some(1));
    inject(platform, on(&kinds::ROLE), FaultKind::Delay(Duration::from_secs(1)), Some(1));
    inject(platform, on(&kinds::CLUSTER_ROLE), FaultKind::ExpiredToken, Some(1));
    inject(platform, on(&kinds::INGRESS), FaultKind::HugeBody(80 << 20), Some(1));
    let scans = platform.scan(client, &[CLUSTER]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);
    platform.simulator.faults().clear();
    estate.check_recovered(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_answers_badly_loses_nothing() {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let account = platform.simulator.accounts().remove(0).id;
    client.onboard_account(&platform.simulator, "main", &account).await;
    platform.scan(&client, &["main"]).await;
    let estate = Estate::of(&client).await;
    assert!(estate.resources.iter().len() > 500 && estate.findings.len() > 100);
    let calls = platform.simulator.calls().all();
    let operations: Vec<(&str, &str)> =
        calls.keys().filter_map(|call| call.split_once(':')).filter(|(_, name)| !name.contains(' ')).collect();
    let leaves = operations.iter().filter(|(service, operation)| {
        let roots = ["ListClusters", "DescribeCluster", "DescribeRepositories"];
        matches!(*service, "eks" | "ecr" | "iam" | "logs") && !roots.contains(operation)
    });
    let denied = |calls: &[(&str, &str)]| -> Vec<(String, String, FaultKind)> {
        calls.iter().map(|(s, o)| ((*s).to_owned(), (*o).to_owned(), FaultKind::Forbidden)).collect()
    };
    let leaves: Vec<_> = leaves.copied().collect();
    assert!(leaves.len() > 8, "{operations:?}");
    let cases = [
        ("details", denied(&leaves)),
        ("objects", denied(&[("eks", "DescribeCluster"), ("ecr", "DescribeRepositories")])),
        ("clusters", denied(&[("eks", "ListClusters")])),
        ("malformed", vec![("e*".to_owned(), "*".to_owned(), FaultKind::HalfPage)]),
        ("the role", denied(&[("sts", "*")])),
    ];
    for (name, faults) in cases {
        for (service, operation, fault) in faults {
            inject(&platform, Target::aws(&service, &operation), fault, None);
        }
        platform.simulator.expire_sessions();
        let scans = platform.scan(&client, &["main"]).await;
        assert!(matches!(scans[0]["status"].as_str(), Some("partial" | "failed")), "{name}: {}", scans[0]);
        assert_eq!(scans[0]["progress"]["removed"], 0, "{name}: {}", scans[0]);
        estate.check(&client, name).await;
        assert_ne!(coverage(&client).await, estate.coverage, "{name}");
        assert!(!client.list("/v1/findings?stale=true").await.is_empty() || name == "details", "{name}");
        platform.simulator.faults().clear();
    }
    platform.scan(&client, &["main"]).await;
    estate.check(&client, "after recovery").await;
    assert_eq!(coverage(&client).await, estate.coverage);
}
