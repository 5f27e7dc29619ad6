use axum::http::StatusCode;
use rampart_domain::ClusterId;
use rampart_store::{AccessScope, Role};
use serde_json::json;

use crate::support::start;

#[tokio::test]
async fn resources_are_found_by_every_filter() {
    let api = start().await;
    let world = api.world("alpha").await;
    for (query, expected) in [
        ("kind=k8s.deployment", 2),
        ("kind=k8s.deployment&kind=image.running", 3),
        ("account=111111111111", 1),
        ("label=app:web", 2),
        ("label=app:db", 0),
        ("name_contains=ONE-w", 1),
        ("name_contains=___", 0),
        ("name_prefix=alpha-t", 1),
        ("health=unhealthy", 2),
        ("health=healthy", 0),
        ("health=unknown", 1),
        ("managed_by=customer&namespace=shop", 2),
        ("native_id=k8s://alpha/one/web", 1),
        (&format!("cluster={}", world.cluster), 1),
        (&format!("image_digest={}", world.digest), 1),
    ] {
        let found =
            api.get(&format!("/v1/resources?limit=50&{query}"), &world.owner).await.expect(StatusCode::OK).json();
        assert_eq!(found["items"].as_array().unwrap().len(), expected, "{query}: {found}");
    }
    let groups = api.get("/v1/resources?limit=50&group_by=kind", &world.owner).await.json();
    assert_eq!(groups["groups"], json!([{"key": "k8s.deployment", "count": 2}, {"key": "image.running", "count": 1}]));
}

#[tokio::test]
async fn a_resource_tells_its_health_verdicts_relations_and_history() {
    let api = start().await;
    let world = api.world("alpha").await;
    let place = format!("/v1/resources/{}", world.resource);
    let seen = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(seen["health"], json!({"status": "unhealthy", "unhealthy": {"high": 1}, "exempt": 0}));
    assert_eq!(seen["edges"][0]["kind"], "runs_image");
    assert!(seen["observed_at"].is_string(), "{seen}");
    let verdicts = api.get(&format!("{place}/verdicts"), &world.owner).await.json();
    let verdict =
        |index: usize| (verdicts["items"][index]["control_id"].clone(), verdicts["items"][index]["status"].clone());
    assert_eq!(verdict(0), (json!("k8s.pod.privileged"), json!("unhealthy")));
    assert_eq!(verdict(1), (json!("k8s.pod.host_network"), json!("healthy")), "bit 9 of the bitmap");
    let history = api.get(&format!("{place}/history?limit=5"), &world.owner).await.json();
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
    let image = api.get(&format!("/v1/images/{}", world.digest), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&image["running"], &image["workloads"][0]["id"]), (&json!(1), &json!(world.resource.to_string())));
    let images = api.get("/v1/images?limit=5&running=true", &world.owner).await.json();
    assert_eq!(images["items"][0]["digest"], world.digest);
}

#[tokio::test]
async fn findings_say_why_what_to_do_and_how_fresh_they_are() {
    let api = start().await;
    let world = api.world("alpha").await;
    let place = format!("/v1/findings/{}.0", world.resource);
    let seen = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&seen["severity"], &seen["stale"], &seen["cause"]),
        (&json!("high"), &json!(false), &json!("discovered"))
    );
    assert!(seen["remediation"]["text"].is_string() && seen["history"][0]["to_status"] == "unhealthy", "{seen}");
    api.db.run("update coverage set state = 'denied'").await;
    assert_eq!(api.get(&place, &world.owner).await.json()["stale"], true, "what cannot be read again is stale");
    for (query, expected) in [
        ("", 2),
        ("stale=true", 2),
        ("stale=false", 0),
        ("severity=high", 2),
        ("severity=low", 0),
        ("status=healthy", 0),
        ("account=222222222222", 1),
        ("changed_since=2020-01-01T00:00:00Z&sort=changed_at", 2),
        (&format!("cluster={}", world.cluster), 1),
    ] {
        let found =
            api.get(&format!("/v1/findings?limit=50&{query}"), &world.owner).await.expect(StatusCode::OK).json();
        assert_eq!(found["items"].as_array().unwrap().len(), expected, "{query}: {found}");
    }
    let groups = api.get("/v1/findings?limit=5&group_by=severity", &world.owner).await.json();
    assert_eq!(groups["groups"], json!([{"key": "high", "count": 2}]));
}

#[tokio::test]
async fn score_and_recommendations_cover_what_the_caller_sees() {
    let api = start().await;
    let world = api.world("alpha").await;
    let cluster = ClusterId(world.cluster);
    let namespace = api.token(world.tenant, Role::SecurityReader, AccessScope::Namespace(cluster, "shop".into())).await;
    let scoped = api.scoped(&world, Role::SecurityReader, world.cluster).await;
    for (who, token, affected) in [("owner", &world.owner, 2), ("cluster", &scoped, 1), ("namespace", &namespace, 1)] {
        let list = api.get("/v1/recommendations?limit=10", token).await.expect(StatusCode::OK).json();
        let first = &list["items"][0];
        assert_eq!(
            (&first["control_id"], &first["affected"]),
            (&json!("k8s.pod.privileged"), &json!(affected)),
            "{who}"
        );
        assert!(first["score_gain"].as_f64().unwrap() > 0.0, "{who}: {list}");
        let score = api.get("/v1/secure-score", token).await.expect(StatusCode::OK).json();
        assert_eq!(score["percent"], 50.0, "one of two groups is healthy, for {who}: {score}");
        assert_eq!(score["groups"][0]["unhealthy"], affected, "{who}: {score}");
        assert_eq!(score["coverage"]["listings"], affected, "{who}: {score}");
    }
    for (query, status) in [
        (format!("cluster={}", world.cluster), 200),
        (format!("cluster={}&namespace=shop", world.cluster), 200),
        (format!("cluster={}&namespace=other", world.cluster), 404),
        (format!("cluster={}", world.other_cluster), 404),
        ("account=222222222222".to_owned(), 404),
    ] {
        let answered = api.get(&format!("/v1/secure-score?{query}"), &namespace).await;
        assert_eq!(answered.status.as_u16(), status, "{query}: {}", answered.text);
    }
}
