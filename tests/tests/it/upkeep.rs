//! What an operator does with the database: it is dumped and restored elsewhere, and its schema goes back and forth while it
//! is full.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use platform_tests::{Client, Platform};
use rampart_chassis::postgres::{APP_LOGIN, Durability, PrivatePostgres, SUPERUSER};
use rampart_domain::TenantId;
use rampart_store::page::Page;
use rampart_store::resource::{self, Filter, Sort};
use rampart_store::testing::for_libpq;
use rampart_store::{Store, StoreError, Visible};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

const CLUSTER: &str = "factory-floor";

/// A platform on which most of what can be is there.
async fn filled() -> (Platform, Client) {
    let platform = Platform::start().await;
    let client = platform.tenant("demo").await;
    client.onboard_cluster(&platform.simulator, CLUSTER, CLUSTER).await;
    platform.scan(&client, &[CLUSTER]).await;
    let cluster = client.list("/v1/clusters").await[0]["id"].clone();
    let scope = json!({"type": "cluster", "cluster_id": cluster});
    let exemption = json!({"name": "e", "category": "waiver", "reason": "r", "controls": ["k8s.pod.privileged"],
        "where": {"cluster": cluster}});
    client.post("/v1/exemptions", &exemption).await;
    let rule = json!({"name": "g", "priority": 1, "owner": "jo", "scope": scope});
    client.post("/v1/governance-rules", &rule).await;
    client.post("/v1/criticality-rules", &json!({"name": "c", "level": "high", "scope": scope})).await;
    let control = json!({"control": "k8s.pod.host_port", "reason": "r", "scope": scope});
    client.post("/v1/disabled-controls", &control).await;
    client.post("/v1/initiatives", &json!({"name": "own", "title": "t", "controls": [{"id": "*"}]})).await;
    client.post("/v1/pod-security-readiness", &json!({"cluster_id": cluster})).await;
    let finding = client.list("/v1/findings").await[0]["id"].clone();
    client.post("/v1/finding-bundles", &json!({"finding_id": finding})).await;
    client.get("/v1/bundle-keys").await;
    platform.settle().await;
    (platform, client)
}

/// What the API tells.
async fn reads(client: &Client) -> Vec<(String, Value)> {
    let mut told = Vec::new();
    for path in ["resources", "findings", "exemptions", "governance-rules", "initiatives", "tokens"] {
        let path = format!("/v1/{path}");
        let mut items = client.list(&path).await;
        for item in &mut items {
            // Using a token to compare is a use of it.
            item.as_object_mut().unwrap().remove("last_used_at");
        }
        told.push((path, Value::Array(items)));
    }
    for path in ["/v1/secure-score", "/v1/compliance", "/v1/bundle-keys", "/v1/tenant"] {
        let mut answer = client.get(path).await;
        if path == "/v1/compliance" {
            // When it was asked.
            answer.as_object_mut().unwrap().remove("as_of");
        }
        told.push((path.to_owned(), answer));
    }
    told
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dump_restored_elsewhere_is_the_same_installation() {
    let (mut platform, client) = filled().await;
    let before = reads(&client).await;
    platform.replicas.remove(0).stop().await;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dump = dir.path().join("rampart.dump");
    let dump = dump.to_str().unwrap();
    run("pg_dump", &["--format=custom", "--file", dump, &for_libpq(&platform.database.super_url)]);

    // Row-level security binds the owner too: it gets no dump with rows missing, but none at all.
    let mut as_owner = Command::new("pg_dump");
    as_owner.args(["--format=custom", "--file", "/dev/null", &for_libpq(&platform.database.owner_url)]);
    assert!(!as_owner.output().unwrap().status.success(), "the owner must not be able to dump");

    // Another server: the roles first, since a dump holds none, then the database.
    let server = PrivatePostgres::start(&dir.path().join("other"), Durability::Scratch).await.unwrap();
    let url = |login: &str, database: &str| server.url(login, database).expose_secret().to_owned();
    let roles = "create role rampart_test_owner login createrole; create role rampart_app nologin; \
                 create role rampart_search nologin; grant rampart_app, rampart_search to rampart_test_owner;";
    run("psql", &["--set=ON_ERROR_STOP=1", "--quiet", "--command", roles, &url(SUPERUSER, "postgres")]);
    let grant = format!("grant rampart_app to {APP_LOGIN}");
    run("psql", &["--set=ON_ERROR_STOP=1", "--quiet", "--command", &grant, &url(SUPERUSER, "postgres")]);
    let create = "create database restored owner rampart_test_owner";
    run("psql", &["--set=ON_ERROR_STOP=1", "--quiet", "--command", create, &url(SUPERUSER, "postgres")]);
    run("pg_restore", &["--exit-on-error", "--dbname", &url(SUPERUSER, "restored"), dump]);

    let refused = Store::connect(&SecretString::from(url(SUPERUSER, "restored")), 2).await;
    assert!(matches!(refused, Err(StoreError::UnsafeRole { .. })), "{refused:?}");
    rampart_store::migrate(&SecretString::from(url("rampart_test_owner", "restored")), APP_LOGIN).await.unwrap();
    let store = Store::connect(&SecretString::from(url(APP_LOGIN, "restored")), 2).await.unwrap();
    let mut tx = store.tenant(TenantId(Uuid::new_v4())).await.unwrap();
    let page = Page { limit: 10, filters: String::new(), after: None };
    let everything = Visible { all: true, ..Visible::default() };
    let seen = resource::list(&mut tx, &everything, &Filter::default(), Sort::default(), &page).await.unwrap();
    assert!(seen.items.is_empty(), "who is no tenant sees nothing");
    drop(tx);
    store.close().await;

    let replica = platform.replica_on(&url(APP_LOGIN, "restored")).await;
    let client = client.at(&replica.url);
    for ((path, before), (_, after)) in before.iter().zip(reads(&client).await) {
        assert_eq!(*before, after, "{path}");
    }
    // It works on: what was sealed opens, and a scan finds nothing new.
    let scan = client.start_scan(CLUSTER).await;
    let ended = client.wait_for_scan(&scan).await;
    assert_eq!((&ended["status"], &ended["progress"]["added"]), (&json!("succeeded"), &json!(0)), "{ended}");
    replica.stop().await;
}

/// The migration that began to count unhealthy findings.
const COUNTED_SINCE: i64 = 20_261_123_000_052;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrations_go_down_and_up_again_on_a_full_database() {
    let (mut platform, _client) = filled().await;
    platform.replicas.remove(0).stop().await;
    let database = &platform.database;
    let fresh = database.schema();
    let mut versions = rampart_store::testing::migrations();
    assert!(versions.len() > 20, "{versions:?}");
    // What is counted as it changes is counted from what was there before; the owner of the tables is no tenant.
    let counts = "select to_jsonb(c)::text from unhealthy_counts c order by 1";
    let counted = database.rows(counts).await;
    let uncounted = versions.iter().rev().find(|version| **version < COUNTED_SINCE).copied().unwrap();
    database.down_to(uncounted).await;
    database.up().await;
    assert!(!counted.is_empty());
    assert_eq!(database.rows(counts).await, counted);
    let left_out = "select 'inputs' from assessments where inputs <> '' union all
        select 'work' from work where kind = 'assess' and want = done";
    assert_eq!(database.rows(left_out).await, Vec::<String>::new(), "all is assessed again");
    // Each with all that came after it: what lies below is still full.
    while versions.pop().is_some() {
        database.down_to(versions.last().copied().unwrap_or_default()).await;
        database.up().await;
    }
    assert_eq!(database.schema(), fresh, "from nothing the schema is what it was");
    let store = Store::connect(&SecretString::from(database.app_url.clone()), 2).await.unwrap();
    rampart_store::admin::create_tenant(&store, "again").await.unwrap();
    store.close().await;
}
