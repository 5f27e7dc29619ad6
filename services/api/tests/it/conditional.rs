use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::start;

fn kubernetes(name: &str) -> Value {
    json!({"name": name, "source": {"provider": "kubernetes", "server": "https://k.example:6443",
        "token": "very-secret-token"}})
}

#[tokio::test]
async fn a_repeated_creation_takes_effect_once() {
    let api = start().await;
    let world = api.world("alpha").await;
    let create = async |key: &str, body: Value| {
        api.call(Method::POST, "/v1/connectors", &world.owner, &[("idempotency-key", key)], Some(body)).await
    };
    let first = create("k1", kubernetes("one")).await.expect(StatusCode::ACCEPTED);
    let again = create("k1", kubernetes("one")).await.expect(StatusCode::ACCEPTED);
    assert_eq!(first.json(), again.json());
    assert_eq!(first.headers["location"], again.headers["location"]);
    assert_eq!(first.headers["etag"], again.headers["etag"]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(create("k1", kubernetes("two")).await.code(), "idempotency_key_reused");
    assert_eq!(create("k2", kubernetes("one")).await.code(), "already_exists");
    // What failed is not kept: the key is free for another try.
    create("k2", kubernetes("two")).await.expect(StatusCode::ACCEPTED);
    assert_eq!(create("no spaces", kubernetes("three")).await.code(), "invalid_header");
}

#[tokio::test]
async fn a_repeated_token_request_does_not_show_the_secret_again() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = json!({"name": "ci", "grants": [{"role": "owner", "scope": {"type": "tenant"}}]});
    let create = || api.call(Method::POST, "/v1/tokens", &world.owner, &[("idempotency-key", "k")], Some(body.clone()));
    let first = create().await.expect(StatusCode::CREATED).json();
    let secret = first["secret"].as_str().unwrap().to_owned();
    api.get("/v1/tenant", &secret).await.expect(StatusCode::OK);
    let again = create().await.expect(StatusCode::CREATED).json();
    assert_eq!((&again["id"], &again["secret"]), (&first["id"], &Value::Null));
}

#[tokio::test]
async fn an_update_needs_the_version_that_it_saw() {
    let api = start().await;
    let world = api.world("alpha").await;
    let place = format!("/v1/connectors/{}", world.connector);
    let update = async |tag: Option<&str>| {
        let headers: Vec<_> = tag.into_iter().map(|tag| ("if-match", tag)).collect();
        api.call(Method::PATCH, &place, &world.owner, &headers, Some(json!({"interval_minutes": 120}))).await
    };
    assert_eq!(update(None).await.code(), "precondition_required");
    assert_eq!(update(Some("7")).await.code(), "invalid_header");
    let seen = api.get(&place, &world.owner).await;
    let tag = seen.headers["etag"].to_str().unwrap().to_owned();
    let changed = update(Some(&tag)).await.expect(StatusCode::OK);
    assert_eq!(changed.json()["interval_minutes"], 120);
    assert_ne!(changed.headers["etag"], tag.as_str());
    assert_eq!(update(Some(&tag)).await.code(), "version_mismatch");
    update(Some("*")).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn scans_coalesce_wait_and_can_be_cancelled() {
    let api = start().await;
    let world = api.world("alpha").await;
    let place = format!("/v1/connectors/{}/scans", world.connector);
    let second = api.call(Method::POST, &place, &world.owner, &[("prefer", "wait=1")], None).await;
    assert_eq!(second.status, StatusCode::ACCEPTED, "{}", second.text);
    assert_eq!(second.json()["id"], world.scan.to_string(), "a waiting scan is not doubled");
    assert_eq!(second.headers["location"].to_str().unwrap(), format!("/v1/scans/{}", world.scan));
    let cancel = format!("/v1/scans/{}/cancel", world.scan);
    let cancelled = api.call(Method::POST, &cancel, &world.owner, &[], None).await.expect(StatusCode::OK).json();
    assert_eq!(cancelled["status"], "cancelled");
    let third = api.call(Method::POST, "/v1/connectors/alpha-aws/scans", &world.owner, &[], None).await;
    assert_ne!(third.expect(StatusCode::ACCEPTED).json()["id"], world.scan.to_string());
}

#[tokio::test]
async fn credentials_are_never_returned_and_deleting_hides_nothing() {
    let api = start().await;
    let world = api.world("alpha").await;
    let made = api.post("/v1/connectors", &world.owner, kubernetes("one")).await.expect(StatusCode::ACCEPTED);
    assert!(!made.text.contains("very-secret-token"), "{}", made.text);
    for path in ["/v1/connectors/one", "/v1/connectors?limit=10"] {
        let seen = api.get(path, &world.owner).await.expect(StatusCode::OK);
        assert!(!seen.text.contains("very-secret-token"), "{}", seen.text);
    }
    let aws = api.get("/v1/connectors/alpha-aws", &world.owner).await.json();
    assert!(aws["external_id"].as_str().unwrap().len() >= 32, "{aws}");
    let gone = api.call(Method::DELETE, "/v1/connectors/one", &world.owner, &[], None).await;
    assert_eq!(gone.expect(StatusCode::ACCEPTED).json()["deleting"], true);
    let again = api.call(Method::DELETE, "/v1/connectors/one", &world.owner, &[], None).await;
    assert_eq!(again.code(), "not_found");
}

#[tokio::test]
async fn policy_changes_make_units_due() {
    let api = start().await;
    let world = api.world("alpha").await;
    let place = format!("/v1/assignments/{}", world.assignment);
    let body = json!({"name": "moved", "initiative": world.initiative,
        "scope": {"type": "account", "account": "222222222222"}, "params": {"k8s.pod.nothing": {}}});
    let put =
        async |body: Value| api.call(Method::PUT, &place, &world.owner, &[("if-match", "\"1\"")], Some(body)).await;
    let refused = put(body.clone()).await;
    assert_eq!(refused.code(), "invalid_body");
    assert_eq!(refused.json()["errors"][0]["field"], "/params/k8s.pod.nothing");
    let body = json!({"name": "moved", "initiative": world.initiative,
        "scope": {"type": "account", "account": "222222222222"}});
    put(body).await.expect(StatusCode::OK);
    let mut worker = api.db.store.worker().await.unwrap();
    let kinds = [rampart_store::work::WorkKind::Assess];
    let due = rampart_store::work::claim(&mut worker, &kinds, 10, 10).await.unwrap();
    let mut units: Vec<_> = due.iter().map(|lease| lease.subject).collect();
    let mut expected = vec![world.cluster, world.other_cluster];
    units.sort_unstable();
    expected.sort_unstable();
    assert_eq!(units, expected, "the cluster it left and the one it reached");
    drop(worker);
    let own = format!("/v1/initiatives/{}", world.initiative);
    let deleted = api.call(Method::DELETE, &own, &world.owner, &[], None).await;
    assert_eq!((deleted.status, deleted.code().as_str()), (StatusCode::CONFLICT, "in_use"));
}
