use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{POLICY, TestApi, World, control_source, start};

async fn put(api: &TestApi, world: &World, path: &str, version: &str, source: &str) -> crate::support::Answered {
    let body = Some(json!({ "source": source }));
    api.call(Method::PUT, path, &world.owner, &[("if-match", version)], body).await
}

#[tokio::test]
async fn what_is_wrong_with_a_source_has_its_place() {
    let api = start().await;
    let world = api.world("alpha").await;
    let check = async |path: &str, body: Value, place: (&str, u64, u64)| {
        let answered = api.post(path, &world.owner, body).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answered.code(), "invalid_body");
        let error = answered.json()["errors"][0].clone();
        let source = &error["source"];
        let found = (source["pointer"].as_str().unwrap(), source["line"].as_u64(), source["column"].as_u64());
        assert_eq!(
            (&*error["field"].to_string(), found),
            ("\"/source\"", (place.0, Some(place.1), Some(place.2))),
            "{error}"
        );
    };
    let typo = control_source("custom.typo").replace("has(resource.labels.bad)", "resource.label.bad == 'x'");
    check("/v1/custom-controls", json!({"source": typo}), ("/violation", 9, 20)).await;
    check("/v1/policy-trials", json!({"format": "control", "source": typo}), ("/violation", 9, 20)).await;
    let shadow = control_source("k8s.pod.privileged");
    check("/v1/custom-controls", json!({"source": shadow}), ("/id", 1, 5)).await;
    let broken = POLICY.replace("object.spec.replicas >= 2", "object.spec.replicas >= two");
    let place = ("/spec/validations/0/expression", 8, 43);
    check("/v1/policies", json!({"name": "broken", "source": broken}), place).await;
    check("/v1/policies", json!({"name": "broken", "source": "a: [1\n"}), ("", 1, 4)).await;
}

#[tokio::test]
async fn controls_of_ones_own_have_versions_and_stand_beside_the_products() {
    let api = start().await;
    let (world, other) = (api.world("alpha").await, api.world("beta").await);
    let path = "/v1/custom-controls/custom.mine";
    let body = json!({"source": control_source("custom.mine")});
    let made = api.post("/v1/custom-controls", &world.owner, body.clone()).await.expect(StatusCode::CREATED);
    assert_eq!((&made.headers["location"], &made.json()["version"]), (&path.parse().unwrap(), &json!(1)));
    let again = api.post("/v1/custom-controls", &world.owner, body).await.expect(StatusCode::CONFLICT);
    assert_eq!(again.code(), "already_exists");

    let shown = api.get("/v1/controls/custom.mine", &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&shown["built_in"], &shown["severity"]), (&json!(false), &json!("high")), "{shown}");
    api.get("/v1/controls/custom.mine", &other.owner).await.expect(StatusCode::NOT_FOUND);
    let listed = api.get("/v1/controls?limit=10&id_prefix=custom.mine", &world.owner).await.json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    let listed = api.get("/v1/controls?limit=10&id_prefix=custom.mine", &other.owner).await.json();
    assert_eq!(listed["items"], json!([]));

    let next = control_source("custom.mine").replace("severity: high", "severity: low");
    let renamed = put(&api, &world, path, "\"1\"", &control_source("custom.other")).await;
    assert_eq!(renamed.code(), "invalid_body");
    put(&api, &world, path, "\"1\"", &next).await.expect(StatusCode::OK);
    let stale = put(&api, &world, path, "\"1\"", &next).await.expect(StatusCode::PRECONDITION_FAILED);
    assert_eq!(stale.code(), "version_mismatch");
    let shown = api.get("/v1/controls/custom.mine", &world.owner).await.json();
    assert_eq!(shown["severity"], "low", "a new version is seen at once");
    let versions = api.get(&format!("{path}/versions?limit=10"), &world.owner).await.json();
    let numbers: Vec<_> = versions["items"].as_array().unwrap().iter().map(|it| it["version"].clone()).collect();
    assert_eq!(numbers, [json!(2), json!(1)], "{versions}");

    let initiative = json!({"name": "mine", "title": "Mine", "controls": [{"id": "custom.mine"}]});
    api.post("/v1/initiatives", &world.owner, initiative.clone()).await.expect(StatusCode::CREATED);
    let refused = api.post("/v1/initiatives", &other.owner, initiative).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("selects no control"), "{}", refused.text);
    let kept = api.call(Method::DELETE, path, &world.owner, &[], None).await.expect(StatusCode::CONFLICT);
    assert_eq!(kept.code(), "in_use");
    api.call(Method::DELETE, "/v1/initiatives/mine", &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    api.call(Method::DELETE, path, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    api.get("/v1/controls/custom.mine", &world.owner).await.expect(StatusCode::NOT_FOUND);
    let versions = api.get(&format!("{path}/versions?limit=10"), &world.owner).await.json();
    assert_eq!(versions["items"][0]["source"], Value::Null, "{versions}");
}

#[tokio::test]
async fn policies_become_controls() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body = json!({"name": "mine", "source": POLICY});
    let made = api.post("/v1/policies", &world.owner, body).await.expect(StatusCode::CREATED).json();
    assert_eq!(made["controls"][0]["id"], "policy.mine.replicas", "{made}");
    assert_eq!(made["controls"][0]["kinds"], json!(["k8s.deployment"]), "{made}");
    let control = api.get("/v1/controls/policy.mine.replicas", &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!(control["title"], "replicas", "{control}");
    let recommended = api.get("/v1/recommendations/policy.mine.replicas", &world.owner).await;
    recommended.expect(StatusCode::OK);
    let initiative = json!({"name": "mine", "title": "Mine", "controls": [{"id": "policy.mine.replicas"}]});
    api.post("/v1/initiatives", &world.owner, initiative).await.expect(StatusCode::CREATED);
    // Neither may the bundle go nor the policy in it.
    let renamed = POLICY.replace("name: replicas", "name: copies");
    assert_eq!(put(&api, &world, "/v1/policies/mine", "*", &renamed).await.code(), "in_use");
    let kept = api.call(Method::DELETE, "/v1/policies/mine", &world.owner, &[], None).await;
    assert_eq!(kept.code(), "in_use");
    let name = api.post("/v1/policies", &world.owner, json!({"name": "A.b", "source": POLICY})).await;
    assert_eq!(name.json()["errors"][0]["field"], "/name", "{}", name.text);
}

#[tokio::test]
async fn a_trial_waits_for_the_assessor() {
    let api = start().await;
    let world = api.world("alpha").await;
    let body =
        json!({"format": "policies", "source": POLICY, "scope": {"type": "cluster", "cluster_id": world.cluster}});
    let asked = api.post("/v1/policy-trials", &world.owner, body).await.expect(StatusCode::ACCEPTED);
    let place = asked.headers["location"].to_str().unwrap().to_owned();
    let trial = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&trial["status"], &trial["result"]), (&json!("queued"), &Value::Null), "{trial}");
}
