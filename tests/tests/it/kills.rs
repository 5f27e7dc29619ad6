//! Workers that are killed at every boundary leave what workers leave that nobody disturbed: nothing less, and nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloudsim::world::{Subject, kinds};
use platform_tests::{Claim, Member, Places, Platform, Tap};
use rampart_domain::{ConnectorId, TenantId, TokenId};
use rampart_store::job::{self, JobKind};
use rampart_store::testing::TestDatabase;
use rampart_store::{Access, Actor, Visible, scan};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const BINARY: &str = env!("CARGO_BIN_EXE_rampart-under-test");
const CLUSTER: &str = "factory-floor";
const WORKERS: usize = 2;
/// Kills that a run must come to.
const ENOUGH: usize = 60;

/// What counts attempts or names a single run, and so differs between any two.
pub(crate) const VOLATILE: [&str; 11] = [
    "_sqlx_migrations",
    "work",
    "score_moves",
    "scans.scan_id",
    "scans.progress",
    "scans.calls",
    "permission_uses.calls",
    "permission_uses.refused",
    "jobs.job_id",
    "tenants.created_at",
    "tokens.last_used_at",
];

/// A part of the work, done by processes of one role: what is assessed is then read to its end, in every run.
#[derive(Debug, Clone, Copy)]
struct Part {
    role: &'static str,
    kinds: &'static str,
}

const READING: Part = Part { role: "discovery", kinds: "'scan', 'preflight', 'preview', 'delete'" };
const JUDGING: Part = Part { role: "assessor", kinds: "'assess', 'job'" };

/// One of two databases on which the same is done.
struct Run {
    name: &'static str,
    database: TestDatabase,
    places: Places,
    kills: Arc<AtomicUsize>,
    took: Duration,
}

impl Run {
    fn new(name: &'static str, database: TestDatabase) -> Self {
        Self { name, database, places: Places::default(), kills: Arc::default(), took: Duration::ZERO }
    }

    async fn has_work(&self, part: Part) -> bool {
        let open = format!(
            "select kind from work where kind in ({}) and (lease_until is not null or want > done)",
            part.kinds
        );
        !self.database.rows(&open).await.is_empty()
    }

    /// Lets two processes work until nothing of this part is left, and starts another for each that is killed.
    async fn work_off(&mut self, platform: &Platform, part: Part) {
        let begun = Instant::now();
        let stop = CancellationToken::new();
        let watch = async {
            while self.has_work(part).await {
                // Nothing is gained by waiting for more changes.
                let due = format!(
                    "update work set run_at = now() where kind in ({}) and want > done and run_at > now();
                     select pg_notify('rampart_work', 'assess')",
                    part.kinds
                );
                self.database.run(&due).await;
                let open =
                    "select kind || ' ' || subject || ' ' || coalesce(last_error, '') from work where want > done";
                assert!(begun.elapsed() < Duration::from_mins(15), "{:?}", self.database.rows(open).await);
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            stop.cancel();
        };
        let workers = futures::future::join_all((0..WORKERS).map(|_| self.keep_working(platform, part, &stop)));
        tokio::join!(watch, workers);
        self.took += begun.elapsed();
    }

    async fn keep_working(&self, platform: &Platform, part: Part, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let tap = Tap::open(&self.database.app_url, &self.places).await;
            let process = Member::start(BINARY, platform, &tap.url, part.role);
            let is_struck = tokio::select! {
                () = tap.struck() => true,
                () = stop.cancelled() => false,
            };
            process.kill().await;
            self.kills.fetch_add(usize::from(is_struck), Ordering::SeqCst);
            self.let_leases_run_out(&tap.claims()).await;
        }
    }

    /// Lets the time pass after which others may take what the dead process held.
    async fn let_leases_run_out(&self, claims: &[Claim]) {
        for (kind, subject, fence) in claims {
            let over = format!(
                "update work set lease_until = now() - interval '1 second'
                 where kind = '{kind}' and subject = '{subject}' and fence = {fence} and lease_until is not null;
                 select pg_notify('rampart_work', '{kind}')"
            );
            self.database.run(&over).await;
        }
    }

    async fn ask_for_scans(&self, tenant: TenantId, connectors: &[ConnectorId]) {
        let mut tx = self.database.store.tenant(tenant).await.unwrap();
        for connector in connectors {
            scan::request(&mut tx, *connector).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    async fn ask_for_a_job(&self, tenant: TenantId, cluster: &str) {
        let access =
            Access { tenant, actor: Actor::token(TokenId(Uuid::nil()), "test"), grants: Vec::new(), collector: None };
        let visible = Visible { all: true, ..Visible::default() };
        let mut tx = self.database.store.tenant(tenant).await.unwrap();
        job::request(
            &mut tx,
            JobKind::PodSecurity,
            &access,
            &visible,
            &json!({ "cluster_id": cluster, "version": "v1.34" }),
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    /// Everything that is stored, but for what differs between any two runs; and that no work is left or failed.
    async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        let mut dump = self.database.dump(&VOLATILE).await;
        dump.insert("score_moves".into(), moves(&self.database, "cause").await);
        let work = "select kind || ' ' || case kind when 'job' then '' else subject::text end || ' ' || (want > done)
                        || ' ' || (lease_until is null) || ' ' || coalesce(last_error, '-')
                    from work order by 1";
        dump.insert("work".into(), self.database.rows(work).await);
        dump
    }
}

/// The moves of the score in all, by unit, group and `distinction`: in which minutes they fell differs between any two runs.
pub(crate) async fn moves(database: &TestDatabase, distinction: &str) -> Vec<String> {
    let counters = ["healthy", "unhealthy", "unknown", "stale", "exempt"];
    let sums = counters.map(|it| format!("sum({it})")).join(" || ' ' || ");
    let moved = counters.map(|it| format!("sum({it}) <> 0")).join(" or ");
    let query = format!(
        "select tenant_id || ' ' || unit_id || ' ' || score_group || ' ' || {distinction} || ': ' || {sums}
         from score_moves group by tenant_id, unit_id, score_group, {distinction} having {moved} order by 1"
    );
    database.rows(&query).await
}

/// What changes in the world between two rounds.
fn change_the_world(platform: &Platform, round: u64) {
    let late = |round: u64| Subject::Kube {
        cluster: CLUSTER.to_owned(),
        kind: kinds::DEPLOYMENT,
        namespace: Some("payments-prod".to_owned()),
        name: format!("late-{round}"),
    };
    platform.simulator.mutate(0.1, 100 + round);
    if round > 0 {
        platform.simulator.delete(&late(round - 1));
    }
    let name = format!("late-{round}");
    let labels = json!({ "app": name });
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": "payments-prod", "labels": labels },
        "spec": {
            "replicas": 1, "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": "app", "image": "nginx", "securityContext": { "privileged": true } }] },
            },
        },
    });
    platform.simulator.put(CLUSTER, kinds::DEPLOYMENT, object).expect("the world has the cluster");
}

/// What only one of two dumps has.
pub(crate) fn differences(left: &BTreeMap<String, Vec<String>>, right: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut found = Vec::new();
    for (table, rows) in left {
        let counted = |rows: &[String]| {
            let mut counts = BTreeMap::<String, i64>::new();
            for row in rows {
                *counts.entry(row.clone()).or_default() += 1;
            }
            counts
        };
        let (a, b) = (counted(rows), counted(&right[table]));
        let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
        let differ = keys.into_iter().filter(|key| a.get(*key) != b.get(*key));
        found.extend(differ.map(|row| format!("{table}: {:?} against {:?} of {row:.900}", a.get(row), b.get(row))));
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_every_boundary_leave_what_undisturbed_ones_leave() {
    let mut platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    let partner = platform.simulator.accounts().remove(1).id;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    client.onboard_account(&platform.simulator, "partner", &partner).await;
    platform.scan(&client, &[CLUSTER, "partner"]).await;
    platform.replicas.remove(0).stop().await;
    let tenant = platform.database.rows("select tenant_id::text from tenants").await[0].parse().unwrap();
    let connectors = platform.database.rows("select connector_id::text from connectors order by 1").await;
    let connectors: Vec<ConnectorId> = connectors.iter().map(|id| id.parse().unwrap()).collect();
    let cluster = "select cluster_id::text from clusters where cloud = 'on_premises'";
    let cluster = platform.database.rows(cluster).await.remove(0);
    let copy = platform.database.copy().await;
    let mut quiet = Run::new("undisturbed", copy);
    let mut killed = Run::new("killed", platform.database.copy().await);
    assert_eq!(
        differences(&quiet.dump().await, &killed.dump().await),
        Vec::<String>::new(),
        "both begin with the same"
    );

    let rounds = if std::env::var_os("RAMPART_TEST_FULL").is_some() { 6 } else { 2 };
    for round in 0..rounds {
        change_the_world(&platform, round);
        for run in [&mut quiet, &mut killed] {
            run.ask_for_scans(tenant, &connectors).await;
        }
        for part in [READING, JUDGING] {
            if part.role == JUDGING.role {
                quiet.ask_for_a_job(tenant, &cluster).await;
                killed.ask_for_a_job(tenant, &cluster).await;
            }
            quiet.work_off(&platform, part).await;
            // Every place that the undisturbed run came by: once a round in the full test, once in all otherwise.
            let mut wanted: BTreeSet<String> = quiet.places.seen().into_keys().collect();
            if rounds == 2 {
                killed.places.struck().iter().for_each(|place| {
                    wanted.remove(place);
                });
            }
            killed.places.want(wanted);
            killed.work_off(&platform, part).await;
        }
    }

    let struck = killed.places.struck();
    let left: BTreeSet<String> = quiet.places.seen().into_keys().filter(|place| !struck.contains(place)).collect();
    let sorts = ["before", "after", "inside"].map(|sort| struck.iter().filter(|it| it.starts_with(sort)).count());
    eprintln!(
        "{} kills with SIGKILL, {WORKERS} workers: {} before a commit, {} after one, {} inside a transaction; {} rounds; \
         {} s undisturbed, {} s with kills; not come by again: {left:?}",
        killed.kills.load(Ordering::SeqCst),
        sorts[0],
        sorts[1],
        sorts[2],
        rounds,
        quiet.took.as_secs(),
        killed.took.as_secs(),
    );
    for place in &struck {
        eprintln!("  {place}");
    }
    // A worker may come by a place in the moment in which all work is done: it is ended then, but not at that place.
    let kills = killed.kills.load(Ordering::SeqCst);
    assert!((ENOUGH..=struck.len()).contains(&kills), "{kills} kills at {} places", struck.len());
    assert!(left.len() * 5 <= struck.len(), "too many places were not come by: {left:?}");
    let (expected, found) = (quiet.dump().await, killed.dump().await);
    let rows: usize = expected.values().map(Vec::len).sum();
    let different = differences(&expected, &found);
    assert!(different.is_empty(), "{} of {rows} rows differ:\n{}", different.len(), different.join("\n"));
    eprintln!("{rows} rows of {} tables are equal ({} and {})", expected.len(), quiet.name, killed.name);
}
