//! The past reads as it was, whoever is still writing, and costs what is read of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use rampart_domain::{Kind, TenantId};
use rampart_store::moment::{self, Moment};
use rampart_store::page::{Cursor, Listed, Page};
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{StoreError, TenantTx, Visible, admin, finding, resource};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

fn everything() -> Visible {
    Visible { all: true, ..Visible::default() }
}

async fn now(db: &TestDatabase, tenant: TenantId) -> Moment {
    moment::settle(&mut db.store.tenant(tenant).await.unwrap(), None).await.unwrap()
}

/// Runs statements as the application does, in one transaction of one tenant.
async fn write(conn: &mut PgConnection, tenant: TenantId, statements: &str) {
    let all = format!("begin; set local app.tenant = '{tenant}'; {statements}; commit");
    sqlx::raw_sql(AssertSqlSafe(all.clone())).execute(conn).await.unwrap_or_else(|error| panic!("{all}: {error}"));
}

/// What a list says of each row, with the keys that the list is in order of.
type Dump = Vec<String>;

async fn whole<T>(limit: u16, mut page: impl AsyncFnMut(Page) -> Listed<T>, line: impl Fn(&T) -> String) -> Dump {
    let (mut lines, mut after) = (Vec::new(), None);
    loop {
        let listed = page(Page { limit, filters: String::new(), after }).await;
        lines.extend(listed.items.iter().map(&line));
        let Some(next) = listed.next else { return lines };
        after = Some(Cursor::decode(&next, "").unwrap());
    }
}

/// All that is not known of the past is left out.
fn finding_line(row: &finding::Finding) -> String {
    let row = row.clone();
    format!(
        "{:?}",
        finding::Finding {
            stale: false,
            observed_at: None,
            fix_unit_id: None,
            source_type: None,
            source_name: None,
            ..row
        }
    )
}

async fn dump(tx: &mut TenantTx, at: Option<Moment>, limit: u16, health: Option<resource::Health>) -> [Dump; 2] {
    let (visible, sort) = (everything(), finding::Sort::Severity);
    // Pods have no past.
    let kinds = vec!["k8s.deployment".to_owned()];
    let filter = resource::Filter { kinds, health, ..Default::default() };
    let resources = whole(
        limit,
        async |page| match at {
            None => resource::list(tx, &visible, &filter, resource::Sort::Name, &page).await.unwrap(),
            Some(at) => resource::list_at(tx, &visible, &filter, resource::Sort::Name, &page, at).await.unwrap(),
        },
        |row| format!("{row:?}"),
    )
    .await;
    let filter = finding::Filter::default();
    let findings = whole(
        limit,
        async |page| match at {
            None => finding::list(tx, &visible, &filter, sort, &page).await.unwrap(),
            Some(at) => finding::list_at(tx, &visible, &filter, sort, &page, at).await.unwrap(),
        },
        finding_line,
    )
    .await;
    [resources, findings]
}

/// A few statements that change something, or nothing.
fn step(random: &mut StdRng, tenant: TenantId) -> String {
    let n = random.random_range(0..8);
    let (resource, word) = (Uuid::from_u128(n + 1), random.random_range(0..4));
    let verdict = ["'\\x01', '\\x'", "'\\x', '\\x02'", "'\\x', '\\x'"][random.random_range(0..3)];
    let status = ["unhealthy", "healthy", "exempt"][random.random_range(0..3)];
    let content = format!(
        "name = 'r{word}', name_lower = 'r{word}', namespace = 'ns{}', hash = '{n}{word}'::bytea, changed_at = clock_timestamp(),
         revision = resources.revision + 1",
        word % 2
    );
    match random.random_range(0..8) {
        0..3 => format!(
            "insert into resources (tenant_id, resource_id, unit_id, native_id, kind, name, name_lower, cloud, managed_by,
                active, config, hash, connector_id, scope, first_seen, changed_at)
             values ('{tenant}', '{resource}', '{resource}', 'n{n}', 'k8s.deployment', 'new', 'new', 'aws', 'customer', true,
                '{{}}', 'new', '{resource}', 's', now(), now())
             on conflict (tenant_id, resource_id) do update set {content}"
        ),
        3 => format!("delete from resources where tenant_id = '{tenant}' and resource_id = '{resource}'"),
        4..6 => format!(
            "insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, kind,
                first_seen, since, changed_at, evidence, scored)
             values ('{tenant}', '{resource}', {word}, 'c{word}', 1 + {word}, '{status}', 'discovered', '{resource}',
                'k8s.deployment', now(), now(), now(), '{{\"message\": \"first\"}}', true)
             on conflict (tenant_id, resource_id, ordinal) do update set status = excluded.status, cause = 'resource',
                since = case when findings.status = excluded.status then findings.since else now() end,
                evidence = case when findings.status = excluded.status then findings.evidence
                    else '{{\"message\": \"{}\"}}' end", random.random_range(0..3)
        ),
        6 => format!(
            "insert into verdicts (tenant_id, resource_id, unit_id, inputs, revision, healthy, unknown, not_applicable,
                scored, evaluated_at)
             values ('{tenant}', '{resource}', '{resource}', 'x', 1, {verdict}, '\\x', true, now())
             on conflict (tenant_id, resource_id) do update set healthy = excluded.healthy, unknown = excluded.unknown"
        ),
        _ => format!("delete from verdicts where tenant_id = '{tenant}' and resource_id = '{resource}'"),
    }
}

#[tokio::test]
async fn the_past_reads_as_it_was() {
    let db = database().await;
    for seed in 0..6 {
        let tenant = admin::create_tenant(&db.store, &format!("t{seed}")).await.unwrap();
        let mut random = StdRng::seed_from_u64(seed);
        let mut app = PgConnection::connect(&db.app_url).await.unwrap();
        let mut recorded = Vec::new();
        for _ in 0..40 {
            let statements: Vec<String> = (0..random.random_range(1..4)).map(|_| step(&mut random, tenant)).collect();
            write(&mut app, tenant, &statements.join(";")).await;
            let moment = now(&db, tenant).await;
            let mut tx = db.store.tenant(tenant).await.unwrap();
            let mut healths = Vec::new();
            for health in [resource::Health::Unhealthy, resource::Health::Healthy, resource::Health::Unknown] {
                healths.push((health, dump(&mut tx, None, 100, Some(health)).await));
            }
            recorded.push((moment, dump(&mut tx, None, 100, None).await, healths, rows(&mut app, tenant).await));
        }
        let mut tx = db.store.tenant(tenant).await.unwrap();
        for (step, (moment, expected, healths, _)) in recorded.iter().enumerate() {
            let limit = [1, 3, 100][step % 3];
            assert_eq!(&dump(&mut tx, Some(*moment), limit, None).await, expected, "seed {seed}, step {step}");
            for (health, expected) in healths {
                let read = dump(&mut tx, Some(*moment), limit, Some(*health)).await;
                assert_eq!(&read, expected, "seed {seed}, step {step}, {health:?}");
            }
        }
        for from in (0..recorded.len()).step_by(5) {
            for to in (from..recorded.len()).step_by(7) {
                let moments = [recorded[from].0, recorded[to].0];
                let expected = differing(&recorded[from].3, &recorded[to].3);
                assert_eq!(changes(&mut tx, moments).await, expected, "seed {seed}, from {from} to {to}");
            }
        }
    }
}

/// What decides whether a row differs, by key.
async fn rows(conn: &mut PgConnection, tenant: TenantId) -> BTreeMap<String, String> {
    let query = format!(
        "select 'r' || resource_id, encode(hash, 'hex') from resources where tenant_id = '{tenant}'
         union all select 'f' || resource_id || ordinal, status || evidence from findings where tenant_id = '{tenant}'"
    );
    let mut tx = conn.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("set local app.tenant = '{tenant}'"))).execute(&mut *tx).await.unwrap();
    sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut *tx).await.unwrap().into_iter().collect()
}

fn differing(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> BTreeSet<(String, bool, bool)> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differs.map(|key| (key.clone(), before.contains_key(key), after.contains_key(key))).collect()
}

async fn changes(tx: &mut TenantTx, moments: [Moment; 2]) -> BTreeSet<(String, bool, bool)> {
    let (mut found, mut after) = (BTreeSet::new(), None);
    loop {
        let page = Page { limit: 2, filters: String::new(), after };
        let filter = resource::Filter::default();
        let listed = resource::changes(tx, &everything(), &filter, &page, moments).await.unwrap();
        for row in listed.items {
            assert!(found.insert((format!("r{}", row.resource_id), row.before.is_some(), row.after.is_some())));
        }
        let Some(next) = listed.next else { break };
        after = Some(Cursor::decode(&next, "").unwrap());
    }
    let page = Page::first(500);
    let listed = finding::changes(tx, &everything(), &finding::Filter::default(), &page, moments).await.unwrap();
    for row in listed.items {
        let key = format!("f{}{}", row.resource_id, row.ordinal);
        assert!(found.insert((key, row.before.is_some(), row.after.is_some())));
    }
    found
}

#[tokio::test]
async fn a_moment_is_read_once_nobody_can_write_into_it_any_more() {
    let db = database().await;
    let tenant = admin::create_tenant(&db.store, "one").await.unwrap();
    let mut app = PgConnection::connect(&db.app_url).await.unwrap();
    fill(&db, tenant, 4).await;
    let begun = now(&db, tenant).await;
    // A transaction that has written and goes on: others that come and go do not move the watermark past it.
    let mut slow = PgConnection::connect(&db.app_url).await.unwrap();
    let mut running = slow.begin().await.unwrap();
    let change =
        format!("set local app.tenant = '{tenant}'; update resources set name = 'slow' where native_id = 'native-4'");
    sqlx::raw_sql(AssertSqlSafe(change)).execute(&mut *running).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    write(&mut app, tenant, "update resources set name = 'quick' where native_id = 'native-2'").await;
    let held = now(&db, tenant).await;
    assert!(held.as_of > begun.as_of && Utc::now() - held.as_of > TimeDelta::milliseconds(30), "{held:?}");
    let mut tx = db.store.tenant(tenant).await.unwrap();
    let refused = moment::settle(&mut tx, Some(Utc::now())).await;
    assert!(matches!(refused, Err(StoreError::NotSettled { watermark }) if watermark == held.watermark), "{refused:?}");
    let seen = dump(&mut tx, Some(held), 100, None).await;
    assert!(!format!("{seen:?}").contains("quick"), "it is later than the watermark");
    // The same moment reads the same once the other has ended, and a later one shows both.
    let waiting = tokio::spawn({
        let (store, at) = (db.store.clone(), Utc::now());
        async move { moment::settle(&mut store.tenant(tenant).await.unwrap(), Some(at)).await }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.commit().await.unwrap();
    let after = waiting.await.unwrap().unwrap();
    assert_eq!(dump(&mut tx, Some(held), 100, None).await, seen);
    let both = format!("{:?}", dump(&mut tx, Some(after), 100, None).await);
    assert!(both.contains("quick") && both.contains("slow"), "{both}");
    let early = moment::settle(&mut tx, Some(Utc::now() - TimeDelta::days(400))).await;
    assert!(matches!(early, Err(StoreError::NotKept { .. })), "{early:?}");
}

/// Deployments with an unhealthy finding each, and a pod for each.
async fn fill(db: &TestDatabase, tenant: TenantId, size: usize) {
    db.run(&format!(
        "insert into resources (tenant_id, resource_id, unit_id, native_id, kind, name, name_lower, cloud, managed_by,
            active, config, hash, connector_id, scope, first_seen, changed_at)
         select '{tenant}', md5('{tenant}' || n)::uuid, md5('{tenant}')::uuid, 'native-' || n,
            (array['k8s.deployment', 'k8s.pod'])[1 + n % 2], md5(n::text), md5(n::text), 'aws', 'customer', true, '{{}}',
            'x', md5('{tenant}')::uuid, 's', now(), now()
         from generate_series(1, 2 * {size}) n;
         insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, kind,
            first_seen, since, changed_at, evidence, scored)
         select tenant_id, resource_id, o, 'control-' || o, 1 + o % 5, 'unhealthy', 'discovered', unit_id, kind, now(), now(),
            changed_at, '{{}}', true
         from resources, generate_series(1, 3) o where tenant_id = '{tenant}' and kind = 'k8s.deployment';
         insert into verdicts (tenant_id, resource_id, unit_id, inputs, revision, healthy, unknown, not_applicable, scored,
            evaluated_at)
         select tenant_id, resource_id, unit_id, 'x', 1, '\\x01', '\\x', '\\x', true, now()
         from resources where tenant_id = '{tenant}'"
    ))
    .await;
}

async fn count(conn: &mut PgConnection, table: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn only_changes_write_history() {
    let db = database().await;
    let tenant = admin::create_tenant(&db.store, "one").await.unwrap();
    fill(&db, tenant, 2_000).await;
    let (mut app, mut all) =
        (PgConnection::connect(&db.app_url).await.unwrap(), PgConnection::connect(&db.super_url).await.unwrap());
    let tables = ["resource_history", "finding_history", "verdict_history"];
    for table in tables {
        assert_eq!(count(&mut all, table).await, 0, "{table}: a first write has no past");
    }
    // Twice in one transaction is one change; a pod has no past; the same health anew is no change of health.
    let twice = "update resources set name = name || 'x'; update resources set name = name || 'y'";
    write(&mut app, tenant, twice).await;
    write(&mut app, tenant, "update verdicts set evaluated_at = now(), revision = 2, healthy = '\\x03'").await;
    write(&mut app, tenant, "update findings set status = 'healthy' where ordinal = 1").await;
    for (table, expected) in tables.into_iter().zip([2_000, 2_000, 0]) {
        assert_eq!(count(&mut all, table).await, expected, "{table}");
    }
    write(&mut app, tenant, "update verdicts set unknown = '\\x01'").await;
    assert_eq!(count(&mut all, "verdict_history").await, 4_000);
}

#[tokio::test]
async fn the_database_and_the_code_agree_on_what_is_short_lived() {
    let db = database().await;
    let mut conn = PgConnection::connect(&db.super_url).await.unwrap();
    for kind in Kind::ALL {
        let stored: bool =
            sqlx::query_scalar("select is_short_lived($1)").bind(kind.as_str()).fetch_one(&mut conn).await.unwrap();
        assert_eq!(stored, kind.is_short_lived(), "{kind}");
        assert_eq!(moment::has_history(*kind), !stored, "{kind}");
    }
}

/// What Postgres counted per table and partition: sequential scans, and rows fetched through indexes.
async fn reads(db: &TestDatabase) -> BTreeMap<String, (i64, i64)> {
    let mut conn = PgConnection::connect(&db.super_url).await.unwrap();
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "select relname::text, seq_scan, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
         where relname ~ '^(resources|findings|verdicts|(resource|finding|verdict)_history_.*)$'
           and pg_relation_size(relid) > 0",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap();
    rows.into_iter().map(|(table, scans, fetched)| (table, (scans, fetched))).collect()
}

/// One tenant has nearly all rows, and a tenth of them changed since the moment that is read.
#[tokio::test]
async fn a_page_of_the_past_costs_what_it_returns() {
    let db = database().await;
    let full = std::env::var_os("RAMPART_TEST_FULL").is_some_and(|value| value == "1");
    let size = if full { 500_000 } else { 10_000 };
    let mut tenants = Vec::new();
    for (name, size) in [("large", size), ("small", 10)] {
        let tenant = admin::create_tenant(&db.store, name).await.unwrap();
        fill(&db, tenant, size).await;
        tenants.push(tenant);
    }
    let moment = now(&db, tenants[0]).await;
    let mut app = PgConnection::connect(&db.app_url).await.unwrap();
    for tenant in &tenants {
        write(
            &mut app,
            *tenant,
            "update resources set hash = 'y' where name < '1';
             update findings set status = 'healthy' from resources r
             where r.tenant_id = findings.tenant_id and r.resource_id = findings.resource_id and r.name < '1'",
        )
        .await;
    }
    app.close().await.unwrap();
    let later = now(&db, tenants[0]).await;
    db.run("analyze").await;
    let before = reads(&db).await;
    let mut tx = db.store.tenant(tenants[0]).await.unwrap();
    let (visible, page) = (everything(), Page::first(20));
    for sort in [resource::Sort::Name, resource::Sort::Kind] {
        let kinds = vec!["k8s.deployment".to_owned()];
        let filter = resource::Filter { kinds, ..Default::default() };
        let listed = resource::list_at(&mut tx, &visible, &filter, sort, &page, moment).await.unwrap();
        assert_eq!(listed.items.len(), 20, "{sort:?}");
    }
    let filter = finding::Filter { statuses: vec!["unhealthy".into()], ..Default::default() };
    let listed = finding::list_at(&mut tx, &visible, &filter, finding::Sort::Severity, &page, moment).await.unwrap();
    let one = &listed.items[0];
    finding::get_at(&mut tx, &visible, one.resource_id.into(), one.ordinal, moment).await.unwrap();
    resource::get_at(&mut tx, &visible, one.resource_id.into(), moment).await.unwrap();
    let middle = Uuid::from_u128(u128::MAX / 2);
    let rows = finding::export_at(&mut tx, &visible, &filter, Some((middle, 0)), 20, moment.as_of).await.unwrap();
    assert_eq!(rows.len(), 20);
    let all = resource::Filter::default();
    let rows = resource::export_at(&mut tx, &visible, &all, Some(middle), 20, moment.as_of).await.unwrap();
    assert_eq!(rows.len(), 20);
    tx.commit().await.unwrap();
    let mut tx = db.store.tenant(tenants[1]).await.unwrap();
    let listed = finding::changes(&mut tx, &visible, &filter, &page, [moment, later]).await.unwrap();
    assert!(listed.items.len() <= 20);
    tx.commit().await.unwrap();
    db.store.close().await;
    let after = reads(&db).await;
    assert!(after.len() >= 5, "{after:?}");
    for (table, (scans, fetched)) in after {
        let (scans_before, fetched_before) = before[&table];
        assert_eq!(scans - scans_before, 0, "{table} was read from end to end");
        let fetched = fetched - fetched_before;
        assert!(fetched < i64::try_from(size).unwrap(), "{table}: {fetched} rows fetched for a few pages");
    }
}
