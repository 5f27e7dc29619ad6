//! A customer trusts Rampart's issuer instead of a key or an external id, and reads afterwards what the access was for.

use cloudsim::Simulator;
use platform_tests::{Client, Platform};
use serde_json::{Value, json};

/// Onboards the first account by statement; its schedule is off. Returns the subject that its trust policy should name.
async fn onboard(client: &Client, simulator: &Simulator, name: &str) -> (String, String) {
    let role = simulator.accounts().remove(0).role_arn;
    let source = json!({ "provider": "aws", "role_arn": role, "web_identity": true, "regions": "enabled" });
    let connector = client.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
    assert_eq!(connector["external_id"], Value::Null, "a statement needs no external id");
    client.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await;
    let tenant = client.get("/v1/tenant").await;
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    (role, format!("{}:{}", text(&tenant["id"]), text(&connector["id"])))
}

async fn role_check(client: &Client, name: &str) -> Value {
    let place = format!("/v1/connectors/{name}/test");
    let test = client.post(&place, &json!({})).await;
    let place = format!("/v1/connectors/{name}/preflights/{}", test["id"].as_str().expect("an id"));
    for _ in 0..300 {
        let test = client.get(&place).await;
        if test["finished_at"].is_string() {
            assert_eq!(test["status"], "succeeded", "{test}");
            let checks = test["checks"].as_array().expect("checks").clone();
            let is_role = |check: &Value| check["permission"] == "sts:AssumeRoleWithWebIdentity";
            return checks.into_iter().find(is_role).expect("the role is tried");
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the test of {name} does not end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_opens_the_role_of_its_own_connector_only() {
    let platform = Platform::start().await;
    let (simulator, issuer) = (&platform.simulator, platform.replicas[0].url.clone());
    let (acme, globex) = (platform.tenant("acme").await, platform.tenant("globex").await);
    let (role, subject) = onboard(&acme, simulator, "federated").await;
    onboard(&globex, simulator, "stolen").await;

    let before = role_check(&acme, "federated").await;
    assert_eq!(before["state"], "missing", "the role trusts nobody yet: {before}");
    simulator.federate(&role, &issuer, Some(&subject));
    let granted = role_check(&acme, "federated").await;
    assert_eq!(granted["state"], "granted", "{granted}");

    let scans = platform.scan(&acme, &["federated"]).await;
    assert!(matches!(scans[0]["status"].as_str(), Some("succeeded" | "partial")), "{}", scans[0]);
    assert!(!acme.list("/v1/resources?kind=aws.eks.cluster").await.is_empty());
    assert!(simulator.calls().of("sts:AssumeRoleWithWebIdentity") > 0);
    assert_eq!(simulator.calls().of("sts:AssumeRole"), 0);

    let stolen = platform.scan(&globex, &["stolen"]).await;
    assert_eq!(stolen[0]["status"], "failed", "a role of another tenant's connector: {}", stolen[0]);
    assert!(globex.list("/v1/resources").await.is_empty());

    simulator.federate(&role, &issuer, None);
    let careless = role_check(&acme, "federated").await;
    assert_eq!(careless["state"], "missing", "{careless}");
    assert!(careless["message"].as_str().is_some_and(|text| text.contains("any connector")), "{careless}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_receipt_names_what_was_called_and_what_never_was() {
    let platform = Platform::start().await;
    let client = platform.tenant("acme").await;
    let simulator = &platform.simulator;
    let account = simulator.accounts().remove(0).id;
    let connector = client.onboard_account(simulator, "prod", &account).await;
    let unknown = client.get("/v1/connectors/prod/scan-estimate").await;
    assert_eq!(
        (&unknown["basis"], &unknown["calls"], &unknown["seconds"]),
        (&json!("none"), &Value::Null, &Value::Null)
    );

    role_check_of_external_id(&client).await;
    let least = client.get("/v1/connectors/prod/scan-estimate").await;
    assert_eq!(least["basis"], "preflight");
    let least = least["calls"].as_u64().expect("a number");
    assert!(least > 20, "{least}");

    simulator.calls().reset();
    let before = calls_of(&client.get("/v1/connectors/prod/access-receipt").await);
    platform.scan(&client, &["prod"]).await;
    let receipt = client.get("/v1/connectors/prod/access-receipt").await;
    let after = calls_of(&receipt);
    for (permission, made) in simulator.calls().all() {
        if permission.starts_with("eks:") || permission.starts_with("ecr:") || permission.starts_with("account:") {
            let counted = after(&permission) - before(&permission);
            assert_eq!(counted, made, "{permission} was called {made} times: {receipt}");
        }
    }
    assert!(after("list pods") > 0 && after("get /version") > 0, "{receipt}");
    let id = connector["id"].as_str().expect("an id").replace('-', "");
    assert_eq!(receipt["trace"]["session_name"], format!("rampart-{id}"));
    assert!(receipt["trace"]["user_agent"].as_str().is_some_and(|agent| agent.starts_with("rampart/")));
    let used = receipt["used"].as_array().expect("a list");
    let declared: Vec<&str> =
        used.iter().filter(|it| it["declared"] == true).filter_map(|it| it["permission"].as_str()).collect();
    assert!(declared.contains(&"eks:ListClusters") && declared.contains(&"list pods"), "{declared:?}");
    let own = ["sts:AssumeRole", "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"];
    for line in used {
        let permission = line["permission"].as_str().expect("a name");
        assert!(line["declared"] == true || own.contains(&permission), "{permission} is called and not declared");
    }
    let unused = receipt["never_used"].as_array().expect("a list");
    for line in unused {
        let permission = line["permission"].as_str().expect("a name");
        assert_eq!(after(permission), 0, "{permission} was used");
    }

    let estimate = client.get("/v1/connectors/prod/scan-estimate").await;
    assert_eq!(estimate["basis"], "last_scan");
    let of = |family: &str| {
        let families = estimate["families"].as_array().expect("a list");
        families.iter().find(|it| it["family"] == family).and_then(|it| it["calls"].as_u64()).unwrap_or_default()
    };
    let made = |family: &str| -> u64 {
        simulator.calls().all().iter().filter(|(call, _)| call.starts_with(family)).map(|(_, made)| made).sum()
    };
    assert_eq!((of("eks"), of("ecr")), (made("eks:"), made("ecr:")));
    assert!(of("kubernetes") > 0);
}

/// How often a receipt says that a permission was used.
fn calls_of(receipt: &Value) -> impl Fn(&str) -> u64 + use<> {
    let used = receipt["used"].as_array().expect("a list").clone();
    move |permission| {
        used.iter().find(|it| it["permission"] == permission).and_then(|it| it["calls"].as_u64()).unwrap_or_default()
    }
}

async fn role_check_of_external_id(client: &Client) {
    let test = client.post("/v1/connectors/prod/test", &json!({})).await;
    let place = format!("/v1/connectors/prod/preflights/{}", test["id"].as_str().expect("an id"));
    for _ in 0..300 {
        if client.get(&place).await["finished_at"].is_string() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("the test does not end");
}
