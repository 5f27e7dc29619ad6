use axum::http::StatusCode;
use rampart_store::Role;
use serde_json::{Value, json};

use crate::support::{TestApi, World, start};

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
}

/// The latest moment that can be read.
async fn watermark(api: &TestApi, world: &World) -> String {
    let now = time(chrono::Utc::now());
    let list = api.get(&format!("/v1/resources?limit=1&as_of={now}"), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(list["as_of"], now, "{list}");
    list["watermark"].as_str().unwrap().to_owned()
}

/// The deployment of the first cluster is scaled and renamed, its finding is resolved; the second cluster's goes away.
async fn change(api: &TestApi, world: &World) {
    let World { resource, other_resource, .. } = world;
    api.db
        .run(&format!(
            "insert into resource_versions (tenant_id, resource_id, revision, kind, native_id, config, valid_from, valid_to,
                gone)
             select tenant_id, resource_id, revision, kind, native_id, config, changed_at, now(), false from resources
             where resource_id = '{resource}';
             update resources set config = '{{\"spec\": {{\"replicas\": 3}}}}', hash = 'y', name = 'alpha-one-new',
                name_lower = 'alpha-one-new', revision = 2, changed_at = now() where resource_id = '{resource}';
             update findings set status = 'healthy', cause = 'resource', since = now(), changed_at = now()
             where resource_id = '{resource}';
             delete from resources where resource_id = '{other_resource}'"
        ))
        .await;
}

fn ids(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_and_details_show_a_moment_as_it_was() {
    let api = start().await;
    let world = api.world("alpha").await;
    let kinds = "limit=50&kind=k8s.deployment";
    let place = format!("/v1/resources/{}", world.resource);
    let finding = format!("/v1/findings/{}.0", world.resource);
    let (list, detail) = (
        api.get(&format!("/v1/resources?{kinds}"), &world.owner).await.json(),
        api.get(&place, &world.owner).await.json(),
    );
    let before = watermark(&api, &world).await;
    change(&api, &world).await;
    let as_of = format!("as_of={before}");
    let now = api.get(&format!("/v1/resources?{kinds}"), &world.owner).await.json();
    assert_eq!((now["items"].as_array().unwrap().len(), now.get("as_of")), (1, None), "{now}");
    for query in [
        kinds,
        &format!("{kinds}&sort=kind"),
        &format!("{kinds}&label=app:web"),
        &format!("{kinds}&health=unhealthy"),
        &format!("{kinds}&name_contains=-web"),
    ] {
        let past = api.get(&format!("/v1/resources?{query}&{as_of}"), &world.owner).await.expect(StatusCode::OK).json();
        assert_eq!((&past["items"], &past["as_of"]), (&list["items"], &json!(before)), "{query}");
    }
    let groups = api.get(&format!("/v1/resources?limit=5&group_by=kind&{as_of}"), &world.owner).await.json();
    assert_eq!(groups["groups"][0], json!({"key": "k8s.deployment", "count": 2}), "{groups}");
    let past = api.get(&format!("{place}?{as_of}"), &world.owner).await.expect(StatusCode::OK).json();
    for field in ["name", "config", "revision", "health", "labels", "changed_at"] {
        assert_eq!(past[field], detail[field], "{field}");
    }
    assert_eq!(past["edges"], Value::Null, "relations have no history");
    assert_eq!(api.get(&place, &world.owner).await.json()["config"]["spec"]["replicas"], 3);

    let open = api.get(&format!("/v1/findings?limit=5&{as_of}"), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(open["items"].as_array().unwrap().len(), 2, "{open}");
    assert!(open["items"].as_array().unwrap().iter().all(|row| row["stale"].is_null() && row["message"] != ""));
    let groups = api.get(&format!("/v1/findings?limit=5&group_by=severity&{as_of}"), &world.owner).await.json();
    assert_eq!(groups["groups"], json!([{"key": "high", "count": 2}]));
    let past = api.get(&format!("{finding}?{as_of}"), &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&past["status"], &past["resource_name"]), (&json!("unhealthy"), &detail["name"]), "{past}");
    assert_eq!(api.get(&finding, &world.owner).await.json()["status"], "healthy");

    // What somebody may not see now was not there for them either.
    let elsewhere = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    let seen = api.get(&format!("/v1/resources?{kinds}&{as_of}"), &elsewhere).await.expect(StatusCode::OK).json();
    assert_eq!(ids(&seen), [world.other_resource.to_string()]);
    for path in [&place, &finding] {
        api.get(&format!("{path}?{as_of}"), &elsewhere).await.expect(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn moments_that_cannot_be_read_are_told_apart() {
    let api = start().await;
    let world = api.world("alpha").await;
    let ahead = time(chrono::Utc::now() + chrono::TimeDelta::hours(1));
    let now = time(chrono::Utc::now());
    for (query, code) in [
        ("as_of=2001-01-01T00:00:00Z", "history_gone"),
        (&format!("as_of={ahead}"), "not_settled"),
        ("as_of=yesterday", "invalid_query"),
        (&format!("as_of={now}&kind=k8s.pod"), "invalid_query"),
        (&format!("as_of={now}&image_digest={}", world.digest), "invalid_query"),
    ] {
        let answered = api.get(&format!("/v1/resources?limit=5&{query}"), &world.owner).await;
        assert_eq!(answered.code(), code, "{query}: {}", answered.text);
    }
    let answered = api.get(&format!("/v1/findings?limit=5&as_of={now}&stale=true"), &world.owner).await;
    assert_eq!(answered.code(), "invalid_query");
    let answered = api.get(&format!("/v1/findings/diff?limit=5&from={ahead}&to={now}"), &world.owner).await;
    assert_eq!(answered.code(), "invalid_query", "{}", answered.text);
}

#[tokio::test]
async fn two_moments_are_compared() {
    let api = start().await;
    let world = api.world("alpha").await;
    let from = watermark(&api, &world).await;
    change(&api, &world).await;
    let to = watermark(&api, &world).await;
    let between = format!("limit=1&from={from}&to={to}");
    let mut rows = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/resources/diff?{between}{cursor}");
        let page = api.get(&path, &world.owner).await.expect(StatusCode::OK).json();
        rows.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    rows.sort_by_key(|row| row["change"].as_str().unwrap().to_owned());
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!((&rows[0]["id"], &rows[0]["change"]), (&json!(world.resource), &json!("changed")));
    let differences = json!([
        {"pointer": "/config/spec/replicas", "after": 3},
        {"pointer": "/name", "before": "alpha-one-Web", "after": "alpha-one-new"},
    ]);
    assert_eq!(rows[0]["differences"], differences);
    assert_eq!((&rows[1]["change"], &rows[1]["resource"]["name"]), (&json!("removed"), &json!("alpha-two-Web")));

    let found = api.get(&format!("/v1/findings/diff?{between}"), &world.owner).await.expect(StatusCode::OK).json();
    let row = &found["items"][0];
    let told = |field: &str| row[field].as_str().unwrap().to_owned();
    assert_eq!(
        [told("from_status"), told("to_status"), told("cause")],
        ["unhealthy", "healthy", "resource"],
        "{found}"
    );
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    let none = api.get(&format!("/v1/findings/diff?{between}&status=exempt"), &world.owner).await.json();
    assert_eq!(none["items"], json!([]));

    let elsewhere = api.scoped(&world, Role::SecurityReader, world.other_cluster).await;
    let seen = api.get(&format!("/v1/resources/diff?{between}"), &elsewhere).await.expect(StatusCode::OK).json();
    assert_eq!((seen["items"].as_array().unwrap().len(), ids(&seen)), (1, vec![world.other_resource.to_string()]));
    let seen = api.get(&format!("/v1/findings/diff?{between}"), &elsewhere).await.expect(StatusCode::OK).json();
    assert_eq!(seen["items"], json!([]));
}
