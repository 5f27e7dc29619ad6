//! What may be said about a webhook, and what is never told of it.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::start;

fn webhook(url: &str) -> Value {
    json!({"name": "soc", "url": url, "events": ["finding.opened", "scan.finished"]})
}

#[tokio::test]
async fn what_is_secret_is_told_once_and_never_again() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = webhook("https://hooks.example:8443/services/T0K3N");
    let ask = async || {
        let key = [("idempotency-key", "once")];
        api.call(Method::POST, "/v1/webhooks", &world.owner, &key, Some(body.clone())).await
    };
    let made = ask().await.expect(StatusCode::CREATED);
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    assert_eq!(made.json()["origin"], "https://hooks.example:8443");
    let again = ask().await.expect(StatusCode::CREATED);
    assert_eq!(again.json()["secret"], Value::Null);
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let mut seen = vec![again.text, api.get(&place, &world.owner).await.expect(StatusCode::OK).text];
    let test = api.post(&format!("{place}/test"), &world.owner, json!({})).await.expect(StatusCode::ACCEPTED);
    seen.push(test.text);
    seen.push(api.get("/v1/webhooks?limit=10", &world.owner).await.text);
    seen.push(api.get(&format!("{place}/deliveries?limit=10"), &world.owner).await.text);
    for text in seen {
        assert!(!text.contains(&secret) && !text.contains("T0K3N"), "{text}");
    }
}

#[tokio::test]
async fn a_webhook_is_changed_by_who_saw_it_and_keeps_its_url() {
    let api = start().await;
    let world = api.world("alpha").await;
    let made = api.post("/v1/webhooks", &world.owner, webhook("https://hooks.example/in")).await;
    let (place, etag) = (made.headers["location"].to_str().unwrap(), made.headers["etag"].to_str().unwrap());
    let change = json!({"name": "soc", "events": ["finding.resolved"], "format": "slack", "batch_size": 500,
        "filter": {"severity": "high", "kinds": ["k8s.pod"]}});
    let put = async |tag: &str, body: &Value| {
        api.call(Method::PUT, place, &world.owner, &[("if-match", tag)], Some(body.clone())).await
    };
    let changed = put(etag, &change).await.expect(StatusCode::OK).json();
    assert_eq!(
        (&changed["origin"], &changed["format"], &changed["events"], &changed["filter"]["severity"]),
        (&json!("https://hooks.example"), &json!("slack"), &json!(["finding.resolved"]), &json!("high"))
    );
    assert_eq!(put(etag, &change).await.code(), "version_mismatch");
    for verb in ["pause", "resume"] {
        let answered = api.post(&format!("{place}/{verb}"), &world.owner, json!({})).await.expect(StatusCode::OK);
        assert_eq!(answered.json()["enabled"], verb == "resume");
    }
    api.call(Method::DELETE, place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(api.get(place, &world.owner).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_does_not_fit_is_said_by_field() {
    let api = start().await;
    let world = api.world("alpha").await;
    let refused = async |body: Value| -> Vec<String> {
        let answered = api.post("/v1/webhooks", &world.owner, body).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
        let errors = answered.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    };
    for url in [
        "http://hooks.example/in",
        "ftp://hooks.example/in",
        "https://user:secret@hooks.example/in",
        "https://hooks.example/in#part",
        "/in",
        "",
    ] {
        assert_eq!(refused(webhook(url)).await, ["/url"], "{url}");
    }
    let many = json!({"name": "not a name", "events": [], "batch_size": 0, "filter": {"controls": [""]}});
    let fields = refused(many).await;
    assert_eq!(fields, ["/name", "/url", "/events", "/batch_size", "/filter/controls/0"]);
    let unknown = json!({"name": "soc", "url": "https://hooks.example", "events": ["finding.seen"]});
    assert_eq!(refused(unknown).await, Vec::<String>::new());
    let place = format!("/v1/webhooks/{}/deliveries?limit=10&status=lost", world.webhook);
    assert_eq!(api.get(&place, &world.owner).await.code(), "invalid_query");
}
