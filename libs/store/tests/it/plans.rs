//! Every list query is served by an index, under row-level security, for a tenant among others.

use chrono::Utc;
use rampart_domain::TenantId;
use rampart_store::page::Page;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{Visible, admin, cluster, coverage, finding, image, resource, scan};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

/// 200,000 resources with `RAMPART_TEST_FULL=1`, else 20,000.
fn size() -> usize {
    if std::env::var_os("RAMPART_TEST_FULL").is_some_and(|value| value == "1") { 200_000 } else { 20_000 }
}

async fn fill(db: &TestDatabase, tenant: TenantId) {
    let connector = Uuid::new_v4();
    let size = size();
    db.run(&format!(
        "insert into connectors (tenant_id, connector_id, name, provider, settings)
         values ('{tenant}', '{connector}', 'c', 'aws', '{{}}');
         insert into clusters (tenant_id, cluster_id, name, cloud, account)
         select '{tenant}', md5('{tenant}c' || n)::uuid, 'cluster-' || n, 'aws', n % 50 from generate_series(0, {size} / 100) n;
         insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
            account, namespace, labels, managed_by, active, config, hash, connector_id, scope, first_seen, changed_at)
         select '{tenant}', md5('{tenant}' || n)::uuid, md5('{tenant}c' || n % ({size} / 100))::uuid,
            md5('{tenant}c' || n % ({size} / 100))::uuid, case when n % 40 = 0 then 'image://sha256:' || md5(n::text) || md5(n::text)
            else 'native-' || n end,
            case when n % 40 = 0 then 'image.running' else (array['k8s.pod', 'k8s.deployment', 'k8s.service'])[1 + n % 3] end,
            md5(n::text), md5(n::text), 'aws', n % 50, 'ns' || n % 40, jsonb_build_object('app', 'app' || n % 1000),
            'customer', true, '{{}}', 'x', '{connector}', 's', now(), now() - n * interval '1 s'
         from generate_series(1, {size}) n;
         insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id,
            kind, first_seen, since, changed_at, evidence, scored)
         select tenant_id, resource_id, o, 'control-' || o, 1 + o % 5,
            case when o % 4 = 0 then 'healthy' else 'unhealthy' end, 'discovered', unit_id, cluster_id, kind, now(), now(),
            changed_at, '{{}}', true
         from resources, generate_series(1, 3) o where tenant_id = '{tenant}';
         insert into scans (tenant_id, scan_id, connector_id, status, trigger, requested_at)
         select '{tenant}', gen_random_uuid(), '{connector}', 'succeeded', 'schedule', now() - n * interval '1 s'
         from generate_series(1, {size} / 10) n;
         insert into coverage (tenant_id, connector_id, scope, kind, cloud, cluster_id, state, attempted_at)
         select '{tenant}', '{connector}', 's' || n, 'k8s.pod', 'aws', md5('{tenant}c' || n)::uuid, 'read', now()
         from generate_series(1, {size} / 10) n;"
    ))
    .await;
}

/// A page of every list: no large table is read from end to end. A search may walk its tenant's
/// index once when the planner expects many matches; plain lists may not.
#[tokio::test]
async fn a_page_costs_what_it_returns() {
    let db = database().await;
    let mut tenants = Vec::new();
    for name in ["one", "two"] {
        let tenant = admin::create_tenant(&db.store, name).await.unwrap();
        fill(&db, tenant).await;
        tenants.push(tenant);
    }
    db.run("analyze").await;
    let before = reads(&db).await;
    let tenant = tenants[0];
    let visible = Visible { all: true, ..Visible::default() };
    let page = Page::first(20);
    let resources = |change: &dyn Fn(&mut resource::Filter)| {
        let mut filter = resource::Filter::default();
        change(&mut filter);
        filter
    };
    let lists = [
        ("by name", resources(&|_| ()), resource::Sort::Name),
        ("by kind", resources(&|_| ()), resource::Sort::Kind),
        ("by change", resources(&|_| ()), resource::Sort::ChangedAt),
        ("of a kind", resources(&|f| f.kinds = vec!["k8s.pod".into()]), resource::Sort::Name),
        ("by prefix", resources(&|f| f.name_prefix = Some("ab".into())), resource::Sort::Name),
        ("by part", resources(&|f| f.name_contains = Some("abc".into())), resource::Sort::Name),
        ("by label", resources(&|f| f.labels = vec![("app".into(), "app7".into())]), resource::Sort::Name),
    ];
    for (what, filter, sort) in lists {
        let mut tx = db.store.tenant(tenant).await.unwrap();
        let rows = resource::list(&mut tx, &visible, &filter, sort, &page).await.unwrap();
        assert!(!rows.items.is_empty(), "resources {what}");
        tx.commit().await.unwrap();
    }
    let mut tx = db.store.tenant(tenant).await.unwrap();
    for sort in [finding::Sort::Severity, finding::Sort::ChangedAt] {
        let filter = finding::Filter { statuses: vec!["unhealthy".into()], ..finding::Filter::default() };
        assert_eq!(finding::list(&mut tx, &visible, &filter, sort, &page).await.unwrap().items.len(), 20);
    }
    let since = finding::Filter { changed_since: Some(Utc::now() - chrono::Duration::days(1)), ..Default::default() };
    assert_eq!(
        finding::list(&mut tx, &visible, &since, finding::Sort::ChangedAt, &page).await.unwrap().items.len(),
        20
    );
    assert_eq!(scan::list(&mut tx, &scan::Filter::default(), &page).await.unwrap().items.len(), 20);
    assert_eq!(cluster::list(&mut tx, &visible, &cluster::Filter::default(), &page).await.unwrap().items.len(), 20);
    assert_eq!(coverage::list(&mut tx, &visible, &coverage::Filter::default(), &page).await.unwrap().items.len(), 20);
    assert_eq!(image::list(&mut tx, &visible, &image::Filter::default(), &page).await.unwrap().items.len(), 20);
    tx.commit().await.unwrap();
    db.store.close().await;
    let after = reads(&db).await;
    assert_eq!(after.len(), 4, "{after:?}");
    let rows = i64::try_from(size()).unwrap();
    for ((table, seq_before, fetched_before), (_, seq_after, fetched_after)) in before.into_iter().zip(after) {
        assert_eq!(seq_after - seq_before, 0, "{table} was read from end to end");
        let fetched = fetched_after - fetched_before;
        assert!(fetched > 0 && fetched < 2 * rows, "{table}: {fetched} rows fetched for a few pages");
    }
}

/// What Postgres counted per table: sequential scans, and rows fetched through indexes. Backends report when they end.
async fn reads(db: &TestDatabase) -> Vec<(String, i64, i64)> {
    let mut conn = PgConnection::connect(&db.super_url).await.unwrap();
    sqlx::query_as(
        "select relname::text, seq_scan, coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
         where relname in ('resources', 'findings', 'scans', 'coverage') order by 1",
    )
    .fetch_all(&mut conn)
    .await
    .unwrap()
}
