use axum::http::StatusCode;
use rampart_api::Config;
use rampart_domain::ConnectorId;
use rampart_store::permission_use::{self, Declaration, Used};
use serde_json::{Value, json};

use crate::support::{ISSUER, start, start_with};

const ROLE: &str = "arn:aws:iam::111111111111:role/rampart";

#[tokio::test]
async fn the_issuer_describes_itself_and_its_public_keys() {
    let api = start().await;
    let configuration = api.get("/.well-known/openid-configuration", "").await.json();
    assert_eq!(configuration["issuer"], ISSUER);
    assert_eq!(configuration["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
    assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["RS256"]));
    let keys = api.get("/.well-known/jwks.json", "").await.expect(StatusCode::OK);
    let key = keys.json()["keys"][0].clone();
    assert_eq!((&key["kty"], &key["use"], &key["alg"]), (&json!("RSA"), &json!("sig"), &json!("RS256")));
    assert_eq!(key["e"], "AQAB");
    assert_eq!(key["n"].as_str().unwrap().len(), 342, "2048 bits");
    let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"], "no private member");
}

#[tokio::test]
async fn without_an_issuer_url_federation_is_off_and_says_so() {
    let api = start_with(Config { rate_limit: 10_000, ..Config::default() }).await;
    for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
        let answered = api.get(path, "").await.expect(StatusCode::NOT_FOUND);
        assert_eq!(answered.code(), "not_found");
        assert!(answered.text.contains("RAMPART_ISSUER_URL"), "{}", answered.text);
    }
    let world = api.world("alpha").await;
    let source = json!({"provider": "aws", "role_arn": ROLE, "web_identity": true});
    let body = json!({"name": "federated", "source": source});
    let refused = api.post("/v1/connectors", &world.owner, body).await.expect(StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("RAMPART_ISSUER_URL"), "{}", refused.text);
}

#[tokio::test]
async fn a_template_is_filled_in_for_a_connector() {
    let principal = "arn:aws:iam::999900001111:role/rampart".to_owned();
    let config = Config {
        rate_limit: 10_000,
        issuer_url: Some(ISSUER.parse().unwrap()),
        aws_principal: Some(principal.clone()),
        ..Config::default()
    };
    let api = start_with(config).await;
    let world = api.world("alpha").await;
    let connector = api.get(&format!("/v1/connectors/{}", world.connector), &world.owner).await.json();
    let place = format!("/v1/onboarding/aws/template?format=cloudformation&connector={}", world.connector);
    let answered = api.get(&place, &world.owner).await.expect(StatusCode::OK);
    assert_eq!(answered.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answered.headers["content-disposition"], "attachment; filename=\"rampart.yaml\"");
    for part in [connector["external_id"].as_str().unwrap(), &principal, "eks:DescribeCluster", "Default: external_id"]
    {
        assert!(answered.text.contains(part), "{part} is missing: {}", answered.text);
    }
    let source = json!({"provider": "aws", "role_arn": ROLE, "web_identity": true});
    let body = json!({"name": "federated", "source": source});
    let federated = api.post("/v1/connectors", &world.owner, body).await.expect(StatusCode::ACCEPTED).json();
    assert_eq!((&federated["external_id"], &federated["source"]["web_identity"]), (&Value::Null, &json!(true)));
    let place = "/v1/onboarding/aws/template?format=terraform&connector=federated";
    let text = api.get(place, &world.owner).await.expect(StatusCode::OK).text;
    let subject = format!("{}:{}", world.tenant, federated["id"].as_str().unwrap());
    for part in [subject.as_str(), "rampart.example", "default     = \"web_identity\""] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let open = api.get("/v1/onboarding/kubernetes/template", &world.owner).await.expect(StatusCode::OK).text;
    assert!(open.contains("kind: ClusterRole") && !open.contains("secrets"));
    for (path, status, code) in [
        ("/v1/onboarding/mars/template", StatusCode::NOT_FOUND, "not_found"),
        ("/v1/onboarding/aws/template?format=bicep", StatusCode::BAD_REQUEST, "invalid_query"),
        ("/v1/onboarding/aws/template?connector=nobody", StatusCode::NOT_FOUND, "not_found"),
        ("/v1/onboarding/aws/template?colour=red", StatusCode::BAD_REQUEST, "invalid_query"),
    ] {
        assert_eq!(api.get(path, &world.owner).await.expect(status).code(), code, "{path}");
    }
    let elsewhere = api.scoped(&world, rampart_store::Role::Owner, world.cluster).await;
    let hidden = format!("/v1/onboarding/aws/template?connector={}", world.connector);
    api.get(&hidden, &elsewhere).await.expect(StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_receipt_tells_used_from_unused_in_the_window() {
    let api = start().await;
    let world = api.world("alpha").await;
    let connector = ConnectorId(world.connector);
    let at = |days: i64| chrono::Utc::now() - chrono::Duration::days(days);
    let used = |permission: &str, calls, refused, first, last| Used {
        permission: permission.into(),
        family: "eks".into(),
        calls,
        refused,
        first: at(first),
        last: at(last),
    };
    api.db
        .run(&format!(
            "update connectors set created_at = now() - interval '400 days' where connector_id = '{connector}'"
        ))
        .await;
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut tx = api.db.store.tenant(world.tenant).await.unwrap();
    let all = names(&["eks:ListClusters", "eks:ListAddons", "eks:DescribeAddon"]);
    permission_use::declare(&mut tx, connector, &all, Declaration::Whole).await.unwrap();
    let batch = [used("eks:ListClusters", 3, 1, 50, 40), used("eks:ListAddons", 1, 0, 200, 200)];
    permission_use::record(&mut tx, connector, &batch).await.unwrap();
    let batch = [used("eks:ListClusters", 2, 0, 10, 10), used("sts:AssumeRole", 1, 0, 10, 10)];
    permission_use::record(&mut tx, connector, &batch).await.unwrap();
    tx.commit().await.unwrap();

    let place = format!("/v1/connectors/{connector}/access-receipt");
    let receipt = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    let lines: Vec<_> = receipt["used"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (it["permission"].as_str().unwrap().to_owned(), it["declared"] == true, it["calls"].as_u64().unwrap())
        })
        .collect();
    let line = |name: &str, declared, calls| (name.to_owned(), declared, calls);
    assert_eq!(
        lines,
        [line("eks:ListAddons", true, 1), line("eks:ListClusters", true, 5), line("sts:AssumeRole", false, 1)]
    );
    assert_eq!(receipt["used"][1]["refused"], 1);
    let unused = |receipt: &Value| -> Vec<String> {
        let lines = receipt["never_used"].as_array().unwrap();
        lines.iter().map(|line| line["permission"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(unused(&receipt), ["eks:DescribeAddon", "eks:ListAddons"], "not in the last 90 days");
    let year = api.get(&format!("{place}?days=365"), &world.owner).await.json();
    assert_eq!(unused(&year), ["eks:DescribeAddon"]);
    assert_eq!(receipt["trace"]["session_name"], format!("rampart-{}", world.connector.simple()));
    api.get(&format!("{place}?days=0"), &world.owner).await.expect(StatusCode::BAD_REQUEST);

    let mut tx = api.db.store.tenant(world.tenant).await.unwrap();
    permission_use::declare(&mut tx, connector, &names(&["eks:ListClusters"]), Declaration::Whole).await.unwrap();
    tx.commit().await.unwrap();
    let narrowed = api.get(&place, &world.owner).await.json();
    assert!(unused(&narrowed).is_empty(), "what is needed no more is not asked for: {narrowed}");
    assert_eq!(narrowed["used"].as_array().unwrap().len(), 3, "what was used stays on the receipt");
}
