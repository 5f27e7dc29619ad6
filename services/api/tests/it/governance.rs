use axum::http::{Method, StatusCode};
use rampart_domain::ClusterId;
use rampart_store::{AccessScope, Role};
use serde_json::{Value, json};

use crate::support::{TestApi, World, start};

/// A world in which the findings of both clusters stand as rules would have made them: the first is two days overdue, the
/// second due in three days.
async fn governed(api: &TestApi) -> World {
    let world = api.world("alpha").await;
    let set = |resource, risk, owner: &str, days, grace| {
        format!(
            "update findings set risk = {risk}, rule_owner = '{owner}', due_days = {days}, grace_period_days = {grace},
                 open_since = now() - interval '7 days' where resource_id = '{resource}';"
        )
    };
    api.db.run(&set(world.resource, 4, "payments", 3, 2)).await;
    api.db.run(&set(world.other_resource, 2, "checkout", 10, 2)).await;
    let context = format!(
        "insert into resource_contexts (tenant_id, resource_id, unit_id, weight, factors)
         values ('{}', '{}', '{}', 2,
             '[{{\"factor\": \"internet_exposed\", \"because\": \"service web of type LoadBalancer selects it\"}}]')",
        world.tenant, world.resource, world.cluster
    );
    api.db.run(&context).await;
    world
}

async fn found(api: &TestApi, token: &str, query: &str) -> Vec<Value> {
    let path = format!("/v1/findings?limit=50&{query}");
    let listed = api.get(&path, token).await.expect(StatusCode::OK).json();
    listed["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn findings_are_found_by_risk_owner_and_due_date() {
    let api = start().await;
    let world = governed(&api).await;
    let soon = (chrono::Utc::now() + chrono::TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:%SZ");
    for (query, expected) in [
        ("risk=critical", 1),
        ("risk=critical&risk=medium", 2),
        ("risk=low", 0),
        ("owner=payments", 1),
        ("owner=nobody", 0),
        ("owned=true", 2),
        ("owned=false", 0),
        ("overdue=true", 1),
        ("overdue=false", 1),
        ("overdue=true&owner=checkout", 0),
        ("sort=due_at", 2),
        ("sort=risk&overdue=true", 1),
        (&format!("due_before={soon}"), 1),
    ] {
        assert_eq!(found(&api, &world.owner, query).await.len(), expected, "{query}");
    }
    let worst = &found(&api, &world.owner, "sort=risk").await[0];
    assert_eq!((&worst["risk_level"], &worst["governance_state"]), (&json!("critical"), &json!("overdue")));
    assert_eq!(worst["owner"], "payments");
    assert_eq!(found(&api, &world.owner, "sort=due_at").await[1]["governance_state"], "on_time");
    let groups = api.get("/v1/findings?limit=5&group_by=risk", &world.owner).await.json();
    assert_eq!(groups["groups"], json!([{"key": "medium", "count": 1}, {"key": "critical", "count": 1}]));
    api.get("/v1/findings?limit=5&risk=dire", &world.owner).await.expect(StatusCode::BAD_REQUEST);

    let id = worst["id"].as_str().unwrap();
    let detail = api.get(&format!("/v1/findings/{id}"), &world.owner).await.json();
    let factor = json!({"factor": "internet_exposed", "effect": 2,
        "because": "service web of type LoadBalancer selects it"});
    assert_eq!(detail["risk_factors"], json!([factor]));
    assert!(
        detail["risk_unread"].as_array().unwrap().contains(&json!("k8s.service")),
        "services were never read: {detail}"
    );
    let recommended = api.get("/v1/recommendations/k8s.pod.privileged", &world.owner).await.json();
    assert_eq!(recommended["risk_levels"], json!({"critical": 1, "medium": 1}));
}

#[tokio::test]
async fn the_summary_counts_by_owner_and_severity_within_the_scope() {
    let api = start().await;
    let world = governed(&api).await;
    let all = api.get("/v1/governance", &world.owner).await.expect(StatusCode::OK).json();
    let numbers =
        |part: &Value| ["open", "overdue", "grace", "due_within_7_days"].map(|name| part[name].as_i64().unwrap());
    assert_eq!(numbers(&all), [2, 1, 0, 1]);
    assert_eq!(numbers(&all["severities"][0]), [2, 1, 0, 1], "{all}");
    assert_eq!((&all["owners"][0]["owner"], numbers(&all["owners"][0])), (&json!("payments"), [1, 1, 0, 0]));
    let reader = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    let part = api.get("/v1/governance", &reader).await.json();
    assert_eq!((numbers(&part), part["owners"].as_array().unwrap().len()), ([1, 0, 0, 1], 1));
    let foreign = format!("/v1/governance?cluster={}", world.cluster);
    api.get(&foreign, &reader).await.expect(StatusCode::NOT_FOUND);
    api.db.run(&format!("update findings set grace_period_days = 5 where resource_id = '{}'", world.resource)).await;
    assert_eq!(numbers(&api.get("/v1/governance", &world.owner).await.json()), [2, 0, 1, 1]);
}

#[tokio::test]
async fn people_overrule_owner_and_date_and_leave_them_to_the_rules_again() {
    let api = start().await;
    let world = governed(&api).await;
    let finding = format!("/v1/findings/{}.0", world.resource);
    let place = format!("{finding}/assignment");
    let put = async |token: &str, headers: &[(&str, &str)], body: Value| {
        api.call(Method::PUT, &place, token, headers, Some(body)).await
    };
    let refused = put(&world.owner, &[], json!({"owner": " jo", "note": "x".repeat(2001)})).await;
    assert_eq!(refused.code(), "invalid_body");
    let fields: Vec<Value> =
        refused.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["/owner", "/note"]);
    assert_eq!(put(&world.owner, &[], json!({"note": "why"})).await.code(), "invalid_body", "it decides nothing");
    assert_eq!(put(&world.owner, &[], json!({"owner": "jo", "until": "now"})).await.code(), "invalid_body");
    let elsewhere = api.scoped(&world, Role::SecurityAdmin, world.other_cluster).await;
    assert_eq!(put(&elsewhere, &[], json!({"owner": "jo"})).await.code(), "not_found");

    let set = put(&world.owner, &[], json!({"owner": "jo", "due_at": "2030-01-02T03:04:05Z", "note": "agreed"})).await;
    let set = set.expect(StatusCode::OK);
    assert_eq!(set.headers["etag"], "\"1\"");
    let seen = api.get(&finding, &world.owner).await.json();
    assert_eq!((&seen["owner"], &seen["due_at"]), (&json!("jo"), &json!("2030-01-02T03:04:05Z")));
    assert_eq!(seen["overdue_at"], "2030-01-04T03:04:05Z", "the grace period is the rule's");
    assert_eq!((&seen["governance_state"], &seen["assignment"]["note"]), (&json!("on_time"), &json!("agreed")));
    assert_eq!(found(&api, &world.owner, "owner=jo").await.len(), 1);
    assert_eq!(found(&api, &world.owner, "owner=payments").await.len(), 0);
    let stale = put(&world.owner, &[("if-match", "\"7\"")], json!({"owner": "mo"})).await;
    assert_eq!(stale.code(), "version_mismatch");
    let only = put(&world.owner, &[("if-match", "\"1\"")], json!({"owner": "mo"})).await.expect(StatusCode::OK);
    assert_eq!((&only.json()["due_at"], &only.json()["version"]), (&Value::Null, &json!(2)));
    assert_eq!(api.get(&finding, &world.owner).await.json()["governance_state"], "overdue", "the rule's date again");
    api.call(Method::DELETE, &place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    let seen = api.get(&finding, &world.owner).await.json();
    assert_eq!((&seen["owner"], &seen["assignment"]), (&json!("payments"), &Value::Null));
}

#[tokio::test]
async fn rules_are_checked_scoped_and_guarded_by_versions() {
    let api = start().await;
    let world = api.world("alpha").await;
    let tenant = json!({"type": "tenant"});
    let bad = json!({"name": "no good", "priority": -1, "scope": tenant, "owner": "", "owner_label": "",
        "controls": [""], "due_days": {"high": 9999}, "grace_period_days": -1,
        "selector": {"matchExpressions": [{"key": "", "operator": "In"}]}});
    let refused = api.post("/v1/governance-rules", &world.owner, bad).await;
    assert_eq!(refused.code(), "invalid_body");
    let fields: Vec<String> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        fields,
        [
            "/name",
            "/priority",
            "/controls/0",
            "/selector/matchExpressions/0/key",
            "/selector/matchExpressions/0/values",
            "/owner",
            "/owner_label",
            "/due_days/high",
            "/grace_period_days",
        ]
    );
    for (path, body) in [
        ("/v1/governance-rules", json!({"name": "n", "priority": 1, "scope": tenant})),
        ("/v1/governance-rules", json!({"name": "n", "priority": 1, "scope": tenant, "due_days": {"dire": 1}})),
        ("/v1/criticality-rules", json!({"name": "n", "scope": tenant, "level": "medium"})),
        ("/v1/criticality-rules", json!({"name": "n", "scope": tenant, "level": "high", "selector": {}})),
        (
            "/v1/criticality-rules",
            json!({"name": "n", "scope": tenant, "level": "high",
            "selector": {"matchlabels": {"a": "b"}}}),
        ),
    ] {
        assert_eq!(api.post(path, &world.owner, body.clone()).await.code(), "invalid_body", "{path} {body}");
    }

    // Who manages a namespace makes rules inside it and nowhere else.
    let scope = AccessScope::Namespace(ClusterId(world.cluster), "shop".into());
    let manager = api.token(world.tenant, Role::SecurityAdmin, scope).await;
    let inside = json!({"type": "namespace", "cluster_id": world.cluster, "namespace": "shop"});
    let beside = json!({"type": "namespace", "cluster_id": world.cluster, "namespace": "other"});
    for (path, rest, whole) in [
        ("/v1/governance-rules", json!({"priority": 1, "owner": "shop"}), world.governance_rule),
        ("/v1/criticality-rules", json!({"level": "low"}), world.criticality_rule),
    ] {
        let body = |name: &str, scope: &Value| {
            let mut body = rest.clone();
            body["name"] = json!(name);
            body["scope"] = scope.clone();
            body
        };
        let around = json!({"type": "cluster", "cluster_id": world.cluster});
        for (scope, code) in [(&tenant, "forbidden"), (&around, "forbidden"), (&beside, "not_found")] {
            assert_eq!(api.post(path, &manager, body("own", scope)).await.code(), code, "{path} {scope}");
        }
        let made = api.post(path, &manager, body("own", &inside)).await.expect(StatusCode::CREATED);
        let place = made.headers["location"].to_str().unwrap().to_owned();
        assert_eq!(api.post(path, &world.owner, body("own", &tenant)).await.code(), "already_exists");
        let change = |scope: &Value| Some(body("own", scope));
        let put = async |headers: &[(&str, &str)], scope: &Value| {
            api.call(Method::PUT, &place, &manager, headers, change(scope)).await
        };
        assert_eq!(put(&[], &inside).await.code(), "precondition_required");
        assert_eq!(put(&[("if-match", "\"1\"")], &tenant).await.code(), "forbidden", "it must not reach out later");
        put(&[("if-match", "\"1\"")], &inside).await.expect(StatusCode::OK);
        assert_eq!(put(&[("if-match", "\"1\"")], &inside).await.code(), "version_mismatch");
        // The rule of the whole cluster is seen, and not the manager's to change.
        let above = format!("{path}/{whole}");
        api.get(&above, &manager).await.expect(StatusCode::OK);
        assert_eq!(api.call(Method::DELETE, &above, &manager, &[], None).await.code(), "forbidden");
        api.call(Method::DELETE, &place, &manager, &[], None).await.expect(StatusCode::NO_CONTENT);
        assert_eq!(api.get(&place, &manager).await.code(), "not_found");
        let listed = api.get(&format!("{path}?limit=9"), &manager).await.json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    }
}

#[tokio::test]
async fn a_rule_makes_what_it_reaches_and_leaves_due() {
    let api = start().await;
    let world = api.world("alpha").await;
    api.db.run("update work set done = want where kind = 'assess'").await;
    let place = format!("/v1/governance-rules/{}", world.governance_rule);
    let body = json!({"name": "moved", "priority": 2, "owner": "jo",
        "scope": {"type": "account", "account": "222222222222"}});
    api.call(Method::PUT, &place, &world.owner, &[("if-match", "*")], Some(body)).await.expect(StatusCode::OK);
    let mut worker = api.db.store.worker().await.unwrap();
    let kinds = [rampart_store::work::WorkKind::Assess];
    let due = rampart_store::work::claim(&mut worker, &kinds, 10, 10).await.unwrap();
    let mut units: Vec<_> = due.iter().map(|lease| lease.subject).collect();
    let mut expected = vec![world.cluster, world.other_cluster];
    units.sort_unstable();
    expected.sort_unstable();
    assert_eq!(units, expected);
}
