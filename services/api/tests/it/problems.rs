use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use rampart_api::Config;
use serde_json::json;

use crate::support::{open, start, start_with};

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let api = start_with(Config { body_limit: 2000, ..open() }).await;
    let world = api.world("alpha").await;
    for (path, status, code) in [
        ("/v1/nothing", 404, "not_found"),
        ("/nothing", 404, "not_found"),
        ("/v1/resources", 400, "limit_required"),
        ("/v1/resources?limit=0", 400, "invalid_query"),
        ("/v1/resources?limit=1&colour=red", 400, "invalid_query"),
        ("/v1/resources?limit=1&name_contains=ab", 400, "invalid_query"),
        ("/v1/resources?limit=1&label=app", 400, "invalid_query"),
        ("/v1/resources?limit=1&cursor=x", 400, "invalid_cursor"),
        ("/v1/resources/7", 404, "not_found"),
        ("/v1/findings/7", 404, "not_found"),
        ("/v1/secure-score?namespace=a", 400, "invalid_query"),
        ("/v1/tenant?limit=1", 200, ""),
    ] {
        let answered = api.get(path, &world.owner).await;
        assert_eq!(answered.status.as_u16(), status, "{path}: {}", answered.text);
        if status != 200 {
            assert_eq!(answered.code(), code, "{path}");
        }
    }
    let method = api.call(Method::PUT, "/v1/clusters", &world.owner, &[], None).await;
    assert_eq!((method.status.as_u16(), method.code().as_str()), (405, "method_not_allowed"));
    let large = api.post("/v1/connectors", &world.owner, json!({"name": "x".repeat(3000)})).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "body_too_large"));
    let raw = |kind: &str, text: &str| {
        let request = Request::post("/v1/connectors").header("authorization", format!("Bearer {}", world.owner));
        request.header("content-type", kind).body(Body::from(text.to_owned())).unwrap()
    };
    for (kind, text, status, code) in [
        ("text/plain", "{}", 415, "unsupported_media_type"),
        ("application/json", "{", 400, "malformed_body"),
        ("application/json", r#"{"colour": "red"}"#, 422, "invalid_body"),
        ("application/json", "", 422, "invalid_body"),
    ] {
        let answered = api.send(raw(kind, text)).await;
        assert_eq!((answered.status.as_u16(), answered.code().as_str()), (status, code), "{kind} {text}");
    }
}

#[tokio::test]
async fn everything_wrong_with_a_body_is_said_at_once() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = json!({"name": "no spaces", "interval_minutes": 5, "source": {"provider": "aws", "role_arn": "x"}});
    let answered = api.post("/v1/connectors", &world.owner, body).await;
    assert_eq!(answered.code(), "invalid_body");
    let problem = answered.json();
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["/name", "/interval_minutes", "/source/role_arn"]);
    let body = json!({"name": "own", "source": {"provider": "aws", "external_id": "mine",
        "role_arn": "arn:aws:iam::111111111111:role/r"}});
    assert_eq!(api.post("/v1/connectors", &world.owner, body).await.code(), "external_id_not_accepted");
}

#[tokio::test]
async fn a_callers_request_id_comes_back() {
    let api = start().await;
    let sent = api.call(Method::GET, "/v1/tenant", "", &[("x-request-id", "trace-7")], None).await;
    assert_eq!(sent.headers["x-request-id"], "trace-7");
    assert_eq!(sent.code(), "unauthenticated");
    let bad = api.call(Method::GET, "/v1/tenant", "", &[("x-request-id", "no spaces")], None).await;
    assert_ne!(bad.headers["x-request-id"], "no spaces");
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_to_wait() {
    let api = start_with(Config { rate_limit: 1, ..Config::default() }).await;
    let tenant = rampart_store::admin::create_tenant(&api.db.store, "alpha").await.unwrap();
    let token = api.token(tenant, rampart_store::Role::Owner, rampart_store::AccessScope::Tenant).await;
    let mut last = api.get("/v1/tenant", &token).await.expect(StatusCode::OK);
    for _ in 0..20 {
        last = api.get("/v1/tenant", &token).await;
    }
    assert_eq!(last.code(), "rate_limited");
    assert!(last.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn the_documentation_is_served() {
    let api = start().await;
    let docs = api.get("/docs/", "").await.expect(StatusCode::OK);
    assert!(docs.text.contains("swagger-ui"), "{}", docs.text);
    let document = api.get("/openapi.json", "").await.expect(StatusCode::OK).json();
    assert_eq!(document["info"]["title"], "Rampart");
}

#[tokio::test]
async fn an_assignment_sets_what_its_initiative_and_controls_declare() {
    let api = start().await;
    let world = api.world("alpha").await;
    let assign = |name: &str, params: serde_json::Value| json!({"name": name, "initiative": "pss-baseline", "scope": {"type": "tenant"}, "params": params});
    let sound = assign("old", json!({"pss-baseline": {"version": "v1.25"}, "k8s.pod.sysctls": {"version": "v1.30"}}));
    let answered = api.post("/v1/assignments", &world.owner, sound).await;
    assert_eq!(answered.status, StatusCode::CREATED, "{}", answered.text);
    let wrong = assign(
        "wrong",
        json!({"pss-baseline": {"version": "v9", "colour": "red"}, "pss-restricted": {"version": "latest"}}),
    );
    let answered = api.post("/v1/assignments", &world.owner, wrong).await;
    assert_eq!(answered.code(), "invalid_body", "{}", answered.text);
    let problem = answered.json();
    let mut fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["/params/pss-baseline/colour", "/params/pss-baseline/version", "/params/pss-restricted"]);
    let shown = api.get("/v1/initiatives/pss-baseline", &world.owner).await.json();
    assert_eq!(shown["parameters"]["version"]["default"], "latest");
}
