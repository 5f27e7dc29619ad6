use axum::http::StatusCode;
use serde_json::Value;

use crate::support::{TestApi, start};

/// Walks a list to its end; the ids in order.
async fn walk(api: &TestApi, path: &str, token: &str, limit: usize) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}limit={limit}{cursor}"), token).await.expect(StatusCode::OK).json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{path}: {} rows", items.len());
        let id =
            |item: &Value| ["id", "control_id", "name"].iter().find_map(|key| item[*key].as_str().map(str::to_owned));
        ids.extend(items.iter().map(|item| id(item).unwrap()));
        let Some(next) = page["next_cursor"].as_str() else { return ids };
        assert_eq!(items.len(), limit, "{path}: a page before the last is full");
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test]
async fn pages_of_any_size_make_up_the_whole_list() {
    let api = start().await;
    let world = api.world("alpha").await;
    let (tenant, cluster, connector) = (world.tenant, world.cluster, world.connector);
    // Equal names and equal times: the id alone must tell rows apart.
    api.db
        .run(&format!(
            "insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
                managed_by, active, config, hash, connector_id, scope, first_seen, changed_at)
             select '{tenant}', gen_random_uuid(), '{cluster}', '{cluster}', 'n' || n,
                (array['k8s.pod', 'k8s.node'])[1 + n % 2], 'same' || n % 3, 'same' || n % 3, 'aws', 'customer', true,
                '{{}}', 'x', '{connector}', 'x', now(), date_trunc('day', now()) from generate_series(1, 23) n;
             insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, kind,
                first_seen, since, changed_at, evidence, scored)
             select tenant_id, resource_id, 0, 'k8s.pod.privileged', 1 + (row_number() over ())::int % 2, 'unhealthy',
                'discovered', unit_id, kind, now(), now(), changed_at, '{{}}', true
             from resources where tenant_id = '{tenant}' and native_id like 'n%';
             insert into resource_sources (tenant_id, resource_id, fix_unit_id, source_type, source_name, part)
             select tenant_id, resource_id, md5((substr(native_id, 2)::int % 7)::text)::uuid, 'helm_chart', 'same', 'x'
             from resources where tenant_id = '{tenant}' and native_id like 'n%';
             update findings set due_days = 3, risk = 1 + severity % 3 where tenant_id = '{tenant}';
             insert into governance_rules (tenant_id, governance_rule_id, name, priority, scope_type, owner)
             select '{tenant}', gen_random_uuid(), 'rule-' || n, n / 2, 'tenant', 'jo' from generate_series(1, 5) n;
             insert into criticality_rules (tenant_id, criticality_rule_id, name, scope_type, level)
             select '{tenant}', gen_random_uuid(), 'rule-' || n, 'tenant', 'low' from generate_series(1, 5) n;
             insert into scans (tenant_id, scan_id, connector_id, status, trigger, requested_at)
             select '{tenant}', gen_random_uuid(), '{connector}', 'succeeded', 'schedule', date_trunc('hour', now())
             from generate_series(1, 9);
             insert into initiatives (tenant_id, name, title, definition)
             select '{tenant}', 'own-' || n, 't', '{{\"description\": \"\", \"controls\": []}}' from generate_series(1, 5) n;"
        ))
        .await;
    for path in [
        "/v1/resources?",
        "/v1/resources?sort=kind&",
        "/v1/resources?sort=changed_at&",
        "/v1/resources?kind=k8s.pod&",
        "/v1/resources?name_contains=SAM&",
        "/v1/resources?name_prefix=same1&",
        "/v1/findings?",
        "/v1/findings?sort=changed_at&",
        "/v1/fix-units?",
        "/v1/fix-units?sort=clusters&",
        "/v1/fix-units?sort=severity&type=helm_chart&",
        "/v1/findings?sort=risk&",
        "/v1/findings?sort=due_at&",
        "/v1/governance-rules?",
        "/v1/criticality-rules?",
        "/v1/scans?",
        "/v1/clusters?",
        "/v1/controls?",
        "/v1/frameworks?",
        "/v1/initiatives?",
        "/v1/assignments?",
        "/v1/connectors?",
        "/v1/tokens?",
        "/v1/recommendations?satisfied=true&",
    ] {
        let whole = walk(&api, path, &world.owner, 500).await;
        assert!(whole.len() > 1 || path.contains("connectors"), "{path}: {} rows", whole.len());
        let mut unique = whole.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), whole.len(), "{path}: a row twice");
        for limit in [1, 2, 3, 7, 24] {
            assert_eq!(walk(&api, path, &world.owner, limit).await, whole, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn a_cursor_works_only_where_it_was_given_out() {
    let api = start().await;
    let world = api.world("alpha").await;
    let page = api.get("/v1/resources?limit=1", &world.owner).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for path in ["/v1/resources?limit=1&kind=k8s.pod", "/v1/clusters?limit=1", "/v1/resources?limit=1&sort=kind"] {
        let answered = api.get(&format!("{path}&cursor={cursor}"), &world.owner).await;
        assert_eq!(answered.code(), "invalid_cursor", "{path}");
    }
    api.get(&format!("/v1/resources?limit=3&cursor={cursor}"), &world.owner).await.expect(StatusCode::OK);
}
