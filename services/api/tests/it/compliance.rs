use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use rampart_domain::ClusterId;
use rampart_store::{AccessScope, Role};
use serde_json::{Value, json};

use crate::support::{TestApi, World, start};

const PLACE: &str = "/v1/compliance/cis-eks-1.8.0";

/// Adds to the first cluster a resource that is unknown, one whose reading is old, and one that nothing applies to.
async fn add_doubts(api: &TestApi, world: &World) {
    let World { tenant, cluster, resource, .. } = world;
    api.db
        .run(&format!(
            "insert into checks (tenant_id, ordinal, control_id, params_hash, params) values
                ('{tenant}', 12, 'k8s.pod.host_pid', 'x', '{{}}'), ('{tenant}', 13, 'k8s.pod.host_ipc', 'x', '{{}}'),
                ('{tenant}', 14, 'k8s.pod.allow_privilege_escalation', 'x', '{{}}');
             insert into verdict_counts (tenant_id, unit_id, ordinal, healthy, not_applicable, unknown, stale) values
                ('{tenant}', '{cluster}', 12, 3, 0, 1, 0), ('{tenant}', '{cluster}', 13, 2, 0, 0, 2),
                ('{tenant}', '{cluster}', 14, 0, 4, 0, 0);
             update verdicts set healthy = '\\x0022', unknown = '\\x0030', not_applicable = '\\x0040'
             where resource_id = '{resource}';"
        ))
        .await;
}

fn statuses(answer: &Value) -> BTreeMap<String, String> {
    let requirements = answer["requirements"].as_array().unwrap().iter();
    requirements.map(|it| (it["id"].as_str().unwrap().into(), it["status"].as_str().unwrap().into())).collect()
}

#[tokio::test]
async fn frameworks_say_what_they_ask_for_and_what_answers_it() {
    let api = start().await;
    let world = api.world("alpha").await;
    let list = api.get("/v1/frameworks?limit=50", &world.owner).await.expect(StatusCode::OK).json();
    let items = list["items"].as_array().unwrap();
    let eks = items.iter().find(|item| item["id"] == "cis-eks-1.8.0").unwrap();
    let seen = api.get("/v1/frameworks/cis-eks-1.8.0", &world.owner).await.expect(StatusCode::OK).json();
    let requirements = seen["requirements"].as_array().unwrap();
    let with = |assessment: &str| requirements.iter().filter(|it| it["assessment"] == assessment).count();
    assert_eq!((&eks["automated"], &eks["manual"]), (&json!(with("automated")), &json!(with("manual"))), "{eks}");
    assert!(with("automated") > 10 && with("manual") > 5, "{eks}");
    for requirement in requirements {
        assert_eq!(requirement["assessment"] == "manual", requirement["reason"].is_string(), "{requirement}");
    }
    let privileged = requirements.iter().find(|it| it["id"] == "4.2.1").unwrap();
    assert!(privileged["controls"].as_array().unwrap().contains(&json!("k8s.pod.privileged")), "{privileged}");
    for path in ["/v1/frameworks/none", "/v1/compliance/none", "/v1/compliance/none/report?format=csv"] {
        let answered = api.get(path, &world.owner).await.expect(StatusCode::NOT_FOUND);
        assert_eq!(answered.code(), "not_found", "{path}");
    }
}

#[tokio::test]
async fn a_requirement_fails_is_unknown_passes_or_is_not_assessed() {
    let api = start().await;
    let world = api.world("alpha").await;
    add_doubts(&api, &world).await;
    let seen = api.get(PLACE, &world.owner).await.expect(StatusCode::OK).json();
    let found = statuses(&seen);
    for (requirement, status) in [
        ("4.2.1", "failed"),
        ("4.2.2", "unknown"),
        ("4.2.3", "unknown"),
        ("4.2.4", "passed"),
        ("4.2.5", "not_assessed"),
    ] {
        assert_eq!(found[requirement], status, "{requirement}");
    }
    let asked = api.get("/v1/frameworks/cis-eks-1.8.0", &world.owner).await.json();
    for requirement in asked["requirements"].as_array().unwrap() {
        let status = &found[requirement["id"].as_str().unwrap()];
        assert_eq!(requirement["assessment"] == "manual", status == "manual", "{requirement}");
    }
    let requirement = |id: &str| {
        seen["requirements"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap()["controls"][0].clone()
    };
    assert_eq!(
        (&requirement("4.2.1")["control_id"], &requirement("4.2.1")["unhealthy"]),
        (&json!("k8s.pod.privileged"), &json!(2))
    );
    assert_eq!((&requirement("4.2.3")["healthy"], &requirement("4.2.3")["stale"]), (&json!(2), &json!(2)));
    assert_eq!(requirement("4.2.5")["not_applicable"], 4);

    let all = api.get("/v1/compliance", &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&all["scope"], &all["narrowed"]), (&json!({"type": "tenant"}), &json!(false)));
    assert_eq!((&all["listings"], &all["whole"]), (&json!(2), &json!(2)), "{all}");
    for framework in all["frameworks"].as_array().unwrap() {
        let id = framework["id"].as_str().unwrap();
        let found = statuses(&api.get(&format!("/v1/compliance/{id}"), &world.owner).await.json());
        for status in ["passed", "failed", "unknown", "manual", "not_assessed"] {
            let count = found.values().filter(|it| *it == status).count();
            assert_eq!(framework[status], count, "{id}, {status}");
        }
        let (passed, failed) = (framework["passed"].as_f64().unwrap(), framework["failed"].as_f64().unwrap());
        let percent = (passed + failed > 0.0).then(|| passed * 100.0 / (passed + failed));
        match (framework["percent"].as_f64(), percent) {
            (Some(told), Some(percent)) => assert!((told - percent).abs() < 1e-6, "{id}: {told}"),
            (told, percent) => assert_eq!(told, percent, "{id}"),
        }
    }
}

#[tokio::test]
async fn compliance_is_that_of_the_scope_and_of_what_the_caller_sees() {
    let api = start().await;
    let world = api.world("alpha").await;
    add_doubts(&api, &world).await;
    let shop = AccessScope::Namespace(ClusterId(world.cluster), "shop".into());
    let empty = AccessScope::Namespace(ClusterId(world.cluster), "empty".into());
    let shop = api.token(world.tenant, Role::SecurityReader, shop).await;
    let empty = api.token(world.tenant, Role::SecurityReader, empty).await;
    let other = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    let (one, two) = (format!("?cluster={}", world.cluster), format!("?cluster={}", world.other_cluster));
    let namespace = format!("{one}&namespace=shop");
    for (who, token, query, privileged, expected) in [
        ("the tenant", &world.owner, "", 2, ["failed", "unknown", "unknown", "passed"]),
        ("the first cluster", &world.owner, &one, 1, ["failed", "unknown", "unknown", "passed"]),
        ("its namespace", &world.owner, &namespace, 1, ["failed", "unknown", "unknown", "passed"]),
        ("the second cluster", &world.owner, &two, 1, ["failed", "not_assessed", "not_assessed", "passed"]),
        ("its account", &world.owner, "?account=222222222222", 1, ["failed", "not_assessed", "not_assessed", "passed"]),
        ("a reader of the second", &other, "", 1, ["failed", "not_assessed", "not_assessed", "passed"]),
        ("a reader of the namespace", &shop, "", 1, ["failed", "unknown", "unknown", "passed"]),
        ("a reader of nothing", &empty, "", 0, ["not_assessed", "not_assessed", "not_assessed", "not_assessed"]),
    ] {
        let seen = api.get(&format!("{PLACE}{query}"), token).await.expect(StatusCode::OK).json();
        let found = statuses(&seen);
        let found = ["4.2.1", "4.2.2", "4.2.3", "4.2.4"].map(|id| found[id].as_str());
        assert_eq!(found, expected, "{who}");
        let requirement = seen["requirements"].as_array().unwrap().iter().find(|it| it["id"] == "4.2.1").unwrap();
        assert_eq!(requirement["controls"][0]["unhealthy"], privileged, "{who}");
        assert_eq!(seen["narrowed"], *token != world.owner, "{who}");
    }
    for (query, token, code) in [
        (&two, &shop, "not_found"),
        (&one, &other, "not_found"),
        (&"?namespace=shop".to_owned(), &world.owner, "invalid_query"),
    ] {
        for place in ["/v1/compliance", PLACE, &format!("{PLACE}/report")] {
            assert_eq!(api.get(&format!("{place}{query}"), token).await.code(), code, "{place}{query}");
        }
    }
    let answered = api.get(&format!("{PLACE}/report?format=pdf"), &world.owner).await;
    assert_eq!(answered.code(), "invalid_query");
}

#[tokio::test]
async fn a_report_holds_some_evidence_of_every_control_and_says_how_much_there_is() {
    let api = start().await;
    let world = api.world("alpha").await;
    let World { tenant, cluster, .. } = world;
    api.db
        .run(&format!(
            "insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id,
                cluster_id, namespace, kind, first_seen, since, changed_at, evidence, scored)
             select '{tenant}', gen_random_uuid(), 0, 'k8s.pod.privileged', 4, 'unhealthy', 'discovered', '{cluster}',
                '{cluster}', 'elsewhere', 'k8s.deployment', now(), now(), now(), '{{\"message\": \"far away\"}}', true
             from generate_series(1, 60);
             update findings set evidence = '{{\"message\": \"near\", \"facts\": [
                {{\"pointer\": \"/spec/a\", \"value\": true}},
                {{\"pointer\": \"/spec/b\", \"resource\": \"k8s://other\"}}]}}' where resource_id = '{}';
             update verdict_counts set unhealthy = 61 where unit_id = '{cluster}' and ordinal = 0;",
            world.resource
        ))
        .await;
    let report = format!("{PLACE}/report?cluster={cluster}");
    let whole = api.get(&report, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(whole["scope"], json!({"type": "cluster", "cluster_id": cluster}));
    let evidence = whole["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), 1, "{evidence:?}");
    assert_eq!((&evidence[0]["control_id"], &evidence[0]["total"]), (&json!("k8s.pod.privileged"), &json!(61)));
    assert_eq!(evidence[0]["findings"].as_array().unwrap().len(), 50);

    let shop = AccessScope::Namespace(ClusterId(cluster), "shop".into());
    let shop = api.token(tenant, Role::SecurityReader, shop).await;
    for query in ["", "?format=json", "?format=csv", "?format=html"] {
        let own = api.get(&format!("{PLACE}/report{query}"), &shop).await.expect(StatusCode::OK);
        assert!(own.text.contains("near") && !own.text.contains("far away"), "{query}: {}", own.text);
        assert!(!own.text.contains("alpha-two"), "{query}: {}", own.text);
    }
    let own = api.get(&format!("{PLACE}/report"), &shop).await.json();
    let finding = &own["evidence"][0]["findings"][0];
    assert_eq!(own["evidence"][0]["total"], 1);
    assert_eq!(finding["finding_id"], format!("{}.0", world.resource));
    assert_eq!(
        (&finding["resource_native_id"], &finding["cluster"], &finding["namespace"], &finding["pointers"]),
        (
            &json!("k8s://alpha/one/web"),
            &json!("alpha-one"),
            &json!("shop"),
            &json!(["/spec/a", "k8s://other /spec/b"])
        )
    );
}

#[tokio::test]
async fn hostile_names_stay_text_in_every_form_of_a_report() {
    let api = start().await;
    let world = api.world("alpha").await;
    add_doubts(&api, &world).await;
    let name = "=cmd|calc!A0,\"<script>alert(1)</script>";
    let message = "<img src=x onerror=alert(1)> & \"quoted\",\nnext";
    let evidence = json!({"message": message, "facts": [{"pointer": "/spec/<b>", "value": true}]});
    api.db
        .run(&format!(
            "update resources set native_id = '{name}' where resource_id = '{id}';
             update findings set evidence = '{evidence}' where resource_id = '{id}';",
            id = world.resource
        ))
        .await;
    let report = format!("{PLACE}/report?cluster={}&format=", world.cluster);

    let sheet = api.get(&format!("{report}csv"), &world.owner).await.expect(StatusCode::OK);
    assert_eq!(sheet.headers["content-type"], "text/csv; charset=utf-8");
    assert!(sheet.headers["content-disposition"].to_str().unwrap().contains("filename=\"cis-eks-1.8.0-"));
    let mut reader = csv::Reader::from_reader(sheet.text.as_bytes());
    let lines: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    let found: Vec<_> = lines.iter().filter(|line| !line["resource"].is_empty()).collect();
    assert_eq!(found.len(), 1, "{}", sheet.text);
    let line = found[0];
    assert_eq!(line["resource"], format!("'{name}"), "no formula");
    assert_eq!((line["message"].as_str(), line["pointers"].as_str()), (message, "/spec/<b>"));
    assert_eq!((line["requirement"].as_str(), line["status"].as_str()), ("4.2.1", "failed"));
    assert_eq!((line["cluster"].as_str(), line["unhealthy"].as_str()), ("alpha-one", "1"));
    let asked = api.get("/v1/frameworks/cis-eks-1.8.0", &world.owner).await.json();
    let asked: BTreeSet<&str> =
        asked["requirements"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    let told: BTreeSet<&str> = lines.iter().map(|line| line["requirement"].as_str()).collect();
    assert_eq!(told, asked, "every requirement has a line");
    for line in &lines {
        assert_eq!(line["scope"], format!("cluster {}", world.cluster));
        assert!(line["as_of"].ends_with('Z') && line["framework"] == "cis-eks-1.8.0", "{line:?}");
        assert_eq!(line["status"] == "manual", !line["reason"].is_empty(), "{line:?}");
    }

    let page = api.get(&format!("{report}html"), &world.owner).await.expect(StatusCode::OK);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for markup in ["<script", "<img", "<b>"] {
        assert!(!page.text.contains(markup), "{markup} in {}", page.text);
    }
    for text in
        ["=cmd|calc!A0,&quot;&lt;script&gt;alert(1)&lt;", "&lt;img src=x onerror=alert(1)&gt; &amp; &quot;quoted&quot;"]
    {
        assert!(page.text.contains(text), "{text} is not in {}", page.text);
    }
    assert!(page.text.contains(&format!("Scope: cluster {}.", world.cluster)), "{}", page.text);
    assert!(page.text.contains("1 of 1 unhealthy findings are shown"), "{}", page.text);
    let told = api.get(&format!("{report}json"), &world.owner).await.json();
    assert_eq!(told["evidence"][0]["findings"][0]["resource_native_id"], name);
}
