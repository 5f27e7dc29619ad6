use axum::http::StatusCode;
use rampart_domain::ClusterId;
use rampart_store::{AccessScope, Role};
use serde_json::{Value, json};

use crate::support::{TestApi, World, start};

/// Ten more clusters, each with the world's chart: a controller that is privileged, in the tenth cluster of an older version,
/// of another configuration and on the host's network as well; and a job of which no two are alike.
async fn fleet(api: &TestApi, world: &World) {
    let World { tenant, connector, fix_unit, .. } = world;
    let finding = |of: &str, ordinal: u8, control: &str, severity: u8| {
        format!(
            "insert into findings (tenant_id, resource_id, ordinal, control_id, severity, status, cause, unit_id, cluster_id,
                account, namespace, kind, first_seen, since, changed_at, evidence, scored)
             select tenant_id, resource_id, {ordinal}, '{control}', {severity}, 'unhealthy', 'discovered', unit_id,
                cluster_id, account, namespace, kind, now(), now(), now(),
                '{{\"message\": \"\", \"facts\": [{{\"pointer\": \"/spec/x\", \"value\": true}}]}}', true
             from resources where tenant_id = '{tenant}' and {of};"
        )
    };
    let (privileged, network) = ("k8s.pod.privileged", "k8s.pod.host_network");
    let sql = [
        format!(
            "insert into clusters (tenant_id, cluster_id, name, cloud, account, region, native_id)
             select '{tenant}', md5('c' || n)::uuid, 'c' || n, 'aws', '333333333333', 'eu-west-1', 'c' || n
             from generate_series(1, 10) n;
             insert into resources (tenant_id, resource_id, unit_id, cluster_id, native_id, kind, name, name_lower, cloud,
                account, region, namespace, managed_by, active, config, hash, connector_id, scope, first_seen, changed_at)
             select '{tenant}', md5('r' || n || part)::uuid, md5('c' || n)::uuid, md5('c' || n)::uuid, 'r' || n || part,
                'k8s.deployment', 'r' || n || part, 'r' || n || part, 'aws', '333333333333', 'eu-west-1', 'edge', 'customer',
                true, '{{}}', 'x', '{connector}', 's', now(), now()
             from generate_series(1, 10) n, unnest(array['controller', 'job']) part;
             insert into resource_sources (tenant_id, resource_id, fix_unit_id, source_type, source_name, deliverer,
                instance, instance_namespace, part, version, fingerprint)
             select '{tenant}', md5('r' || n || part)::uuid, '{fix_unit}', 'helm_chart', 'alpha-one-chart', 'argo_cd',
                'app-' || n, null, part, case when part = 'job' then '0.0.' || n when n = 10 then '1.2.2' else '1.2.3' end,
                decode(md5(case when n = 10 or part = 'job' then n::text else '' end), 'hex')
             from generate_series(1, 10) n, unnest(array['controller', 'job']) part;"
        ),
        finding("native_id like 'r%controller'", 0, privileged, 4),
        finding("native_id = 'r10controller'", 9, network, 5),
    ];
    api.db.run(&sql.concat()).await;
}

#[tokio::test]
async fn one_change_closes_what_the_list_says() {
    let api = start().await;
    let world = api.world("alpha").await;
    fleet(&api, &world).await;
    let listed = api.get("/v1/fix-units?limit=10", &world.owner).await.expect(StatusCode::OK).json();
    let units = listed["items"].as_array().unwrap();
    assert_eq!(units.len(), 2, "{listed}");
    let chart = &units[0];
    assert_eq!(chart["id"], world.fix_unit.to_string());
    let summary = "One change of the chart alpha-one-chart closes 12 findings of 2 controls in 11 clusters.";
    assert_eq!(chart["summary"], summary);
    assert_eq!((&chart["type"], &chart["severity"]), (&json!("helm_chart"), &json!("critical")));
    let by_severity = json!({"critical": 1, "high": 11, "medium": 0, "low": 0, "informational": 0});
    assert_eq!(chart["by_severity"], by_severity);
    assert_eq!((&chart["resources"], &chart["clusters"]), (&json!(11), &json!(11)));
    assert_eq!(chart["controls"], json!(["k8s.pod.host_network", "k8s.pod.privileged"]));
    assert_eq!(chart["versions"][0], json!({"version": "1.2.3", "clusters": 10}));
    assert_eq!((&units[1]["type"], &units[1]["findings"]), (&json!("manifest"), &json!(1)));

    for (query, expected) in [
        ("type=manifest", json!([1])),
        ("type=manifest&type=helm_chart", json!([12, 1])),
        ("account=333333333333", json!([11])),
        (&format!("cluster={}", world.other_cluster), json!([1])),
        ("namespace=edge", json!([11])),
        ("control=k8s.pod.host_network", json!([1])),
        ("control=k8s.rbac.wildcard", json!([])),
        ("min_severity=critical", json!([1])),
        ("min_severity=low&sort=severity", json!([12, 1])),
    ] {
        let found =
            api.get(&format!("/v1/fix-units?limit=10&{query}"), &world.owner).await.expect(StatusCode::OK).json();
        let counts: Vec<&Value> = found["items"].as_array().unwrap().iter().map(|unit| &unit["findings"]).collect();
        assert_eq!(json!(counts), expected, "{query}");
    }
    for query in ["type=chart", "min_severity=bad", "sort=name", "chart=x"] {
        let refused = api.get(&format!("/v1/fix-units?limit=10&{query}"), &world.owner).await;
        assert_eq!(refused.expect(StatusCode::BAD_REQUEST).code(), "invalid_query", "{query}");
    }
    let findings = format!("/v1/findings?limit=50&fix_unit={}", world.fix_unit);
    let findings = api.get(&findings, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(findings["items"].as_array().unwrap().len(), 12);
    let reference = json!({"id": world.fix_unit, "type": "helm_chart", "name": "alpha-one-chart"});
    assert_eq!(findings["items"][0]["fix_unit"], reference);
}

#[tokio::test]
async fn a_fix_unit_says_where_it_is_and_how_to_change_it() {
    let api = start().await;
    let world = api.world("alpha").await;
    fleet(&api, &world).await;
    let unit = api.get(&format!("/v1/fix-units/{}", world.fix_unit), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&unit["findings"], &unit["instances_total"]), (&json!(12), &json!(11)));
    assert_eq!(unit["by_control"][0]["control_id"], "k8s.pod.host_network", "the worst first");
    assert_eq!(unit["by_control"][1]["clusters"], 11);
    assert!(unit["by_control"][1]["remediation"]["patch"].is_object(), "{unit}");
    let worst = &unit["instances"][0];
    assert_eq!(
        (&worst["cluster_name"], &worst["name"], &worst["findings"]),
        (&json!("c10"), &json!("app-10"), &json!(2))
    );
    let ways: Vec<&Value> = unit["remediation"].as_array().unwrap().iter().map(|way| &way["deliverer"]).collect();
    assert_eq!(json!(ways), json!(["argo_cd", "helm"]));
    assert_eq!(unit["remediation"][0]["commands"][0]["command"], "argocd app sync app-10");
    let upgrade = unit["remediation"][1]["commands"][0]["command"].as_str().unwrap();
    assert!(upgrade.starts_with("helm upgrade web REPOSITORY/alpha-one-chart --namespace shop"), "{upgrade}");
    for id in ["00000000-0000-0000-0000-000000000000", "x"] {
        for path in [format!("/v1/fix-units/{id}"), format!("/v1/fix-units/{id}/outliers?limit=1")] {
            api.get(&path, &world.owner).await.expect(StatusCode::NOT_FOUND);
        }
    }
    api.db.run("update findings set status = 'healthy'").await;
    let unit = api.get(&format!("/v1/fix-units/{}", world.fix_unit), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&unit["findings"], &unit["severity"], &unit["by_control"]), (&json!(0), &Value::Null, &json!([])));
    assert_eq!(unit["instances_total"], 11);
    let listed = api.get("/v1/fix-units?limit=10", &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(listed["items"], json!([]), "what is healthy needs no change");
}

#[tokio::test]
async fn outliers_are_what_most_places_are_not() {
    let api = start().await;
    let world = api.world("alpha").await;
    fleet(&api, &world).await;
    let path = format!("/v1/fix-units/{}/outliers?limit=1", world.fix_unit);
    let seen = api.get(&path, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(seen["summary"], "1 of 11 clusters differ.");
    assert_eq!(seen["next_cursor"], Value::Null, "of the jobs, no two are alike, so that none differs: {seen}");
    let outlier = &seen["items"][0];
    assert_eq!((&outlier["cluster_name"], &outlier["part"]), (&json!("c10"), &json!("controller")));
    assert_eq!(outlier["differs_in"], json!(["version", "verdicts", "configuration"]));
    assert_eq!((&outlier["version"], &outlier["typical_version"]), (&json!("1.2.2"), &json!("1.2.3")));
    assert_eq!(outlier["worse_by"], json!([{"control_id": "k8s.pod.host_network", "fields": ["/spec/x"]}]));
    assert_eq!((&outlier["better_by"], &outlier["compared"]), (&json!([]), &json!(10)));

    // Two more, healed: they are better, and pages follow one another.
    let healed = "resource_id in (md5('r1controller')::uuid, md5('r2controller')::uuid)";
    api.db.run(&format!("update findings set status = 'healthy' where {healed}")).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}{cursor}"), &world.owner).await.expect(StatusCode::OK).json();
        assert_eq!(page["differing_clusters"], 3);
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| (item["cluster_name"].as_str().unwrap().to_owned(), item["better_by"].clone())),
        );
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let better = json!(["k8s.pod.privileged"]);
    assert_eq!(seen, [("c1".into(), better.clone()), ("c10".into(), json!([])), ("c2".into(), better)]);
}

#[tokio::test]
async fn a_reader_counts_only_what_it_sees() {
    let api = start().await;
    let world = api.world("alpha").await;
    fleet(&api, &world).await;
    let one = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    let listed = api.get("/v1/fix-units?limit=10", &one).await.expect(StatusCode::OK).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let unit = &listed["items"][0];
    assert_eq!((&unit["findings"], &unit["clusters"]), (&json!(1), &json!(1)));
    assert_eq!(unit["versions"], json!([{"version": "1.2.3", "clusters": 1}]));
    let place = format!("/v1/fix-units/{}", world.fix_unit);
    let detail = api.get(&place, &one).await.expect(StatusCode::OK).json();
    assert_eq!((&detail["instances_total"], &detail["by_control"][0]["clusters"]), (&json!(1), &json!(1)));
    assert!(!detail.to_string().contains("app-"), "{detail}");
    let outliers = api.get(&format!("{place}/outliers?limit=9"), &one).await.expect(StatusCode::OK).json();
    assert_eq!((&outliers["clusters"], &outliers["items"]), (&json!(1), &json!([])), "nothing to compare with");

    let namespace = AccessScope::Namespace(ClusterId(world.cluster), "other".into());
    let none = api.token(world.tenant, Role::SecurityReader, namespace).await;
    api.get(&place, &none).await.expect(StatusCode::NOT_FOUND);
    let account = AccessScope::Account("333333333333".into());
    let account = api.token(world.tenant, Role::SecurityReader, account).await;
    let listed = api.get("/v1/fix-units?limit=10", &account).await.expect(StatusCode::OK).json();
    assert_eq!(listed["items"][0]["clusters"], 10);
    let stranger = api.world("beta").await;
    for path in [place.clone(), format!("{place}/outliers?limit=9")] {
        api.get(&path, &stranger.owner).await.expect(StatusCode::NOT_FOUND);
    }
}
