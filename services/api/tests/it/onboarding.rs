use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{TestApi, World, start};

fn kubernetes(name: &str) -> Value {
    json!({"name": name, "source": {"provider": "kubernetes", "server": "https://k.example:6443", "token": "t"}})
}

fn organization(rules: &Value) -> Value {
    let role = "arn:aws:iam::111111111111:role/rampart";
    json!({"name": "org", "source": {"provider": "aws", "role_arn": role, "organization": rules}})
}

#[tokio::test]
async fn onboarding_begins_with_a_test_of_the_permissions() {
    let api = start().await;
    let world = api.world("alpha").await;
    let made = api.post("/v1/connectors", &world.owner, kubernetes("one")).await.expect(StatusCode::ACCEPTED);
    let place = made.headers["location"].to_str().unwrap().to_owned();
    let made = made.json();
    assert_eq!(made["preflight"]["location"], place.as_str(), "{made}");
    let test = api.get(&place, &world.owner).await.expect(StatusCode::OK).json();
    assert_eq!((&test["status"], &test["connector_id"]), (&json!("queued"), &made["id"]));

    // New credentials are tested, too; a change of the schedule is not.
    api.db.run("update preflights set status = 'succeeded', finished_at = now()").await;
    let change = async |body: Value| {
        api.call(Method::PATCH, "/v1/connectors/one", &world.owner, &[("if-match", "*")], Some(body)).await
    };
    let count = async || {
        let tests = api.get("/v1/connectors/one/preflights?limit=10", &world.owner).await.json();
        tests["items"].as_array().unwrap().len()
    };
    change(json!({"interval_minutes": 90})).await.expect(StatusCode::OK);
    assert_eq!(count().await, 1);
    change(json!({"source": kubernetes("one")["source"]})).await.expect(StatusCode::OK);
    assert_eq!(count().await, 2);
}

#[tokio::test]
async fn each_of_many_is_onboarded_or_refused_by_itself() {
    let api = start().await;
    let world = api.world("alpha").await;
    let mut broken = kubernetes("no spaces");
    broken["interval_minutes"] = json!(1);
    let many = [kubernetes("one"), broken, kubernetes("alpha-aws"), kubernetes("one"), kubernetes("two")];
    let body = json!({"connectors": many});
    let key = [("idempotency-key", "k")];
    let send = || api.call(Method::POST, "/v1/connectors:bulk", &world.owner, &key, Some(body.clone()));
    let answer = send().await.expect(StatusCode::ACCEPTED).json();
    let items = answer["items"].as_array().unwrap();
    let codes: Vec<_> = items.iter().map(|item| item["problem"]["code"].as_str().unwrap_or("none")).collect();
    assert_eq!(codes, ["none", "invalid_body", "already_exists", "already_exists", "none"]);
    assert_eq!(items[1]["problem"]["errors"].as_array().unwrap().len(), 2, "{}", items[1]);
    assert!(items[4]["connector"]["preflight"]["location"].is_string(), "{}", items[4]);
    api.get("/v1/connectors/two", &world.owner).await.expect(StatusCode::OK);
    assert_eq!(send().await.expect(StatusCode::ACCEPTED).json(), answer, "a repetition takes effect once");
    let none = api.post("/v1/connectors:bulk", &world.owner, json!({"connectors": []})).await;
    assert_eq!(none.code(), "invalid_body");
}

#[tokio::test]
async fn rules_of_an_organisation_are_checked_and_shown() {
    let api = start().await;
    let world = api.world("alpha").await;
    for (rules, part) in [
        (json!({"role_name": "a b"}), "/source/organization/role_name"),
        (json!({"include": ["ou with spaces"]}), "/source/organization/include"),
        (json!({"exclude": vec!["1"; 1001]}), "/source/organization/exclude"),
        (json!({"colour": "red"}), "colour"),
    ] {
        let answered = api.post("/v1/connectors", &world.owner, organization(&rules)).await;
        assert_eq!(answered.code(), "invalid_body", "{rules}");
        assert!(answered.text.contains(part), "{rules}: {}", answered.text);
    }
    let rules = json!({"include": ["ou-1"], "exclude": ["222222222222"]});
    let made = api.post("/v1/connectors", &world.owner, organization(&rules)).await.expect(StatusCode::ACCEPTED).json();
    let shown =
        json!({"role_name": "RampartReader", "include": ["ou-1"], "exclude": ["222222222222"], "auto_add": true});
    assert_eq!(made["source"]["organization"], shown);
    assert!(made["external_id"].is_string() && made["organization_id"].is_null(), "{made}");
    let account = json!({"source": {"provider": "aws", "role_arn": "arn:aws:iam::111111111111:role/rampart"}});
    let place = "/v1/connectors/org";
    let turned = api.call(Method::PATCH, place, &world.owner, &[("if-match", "*")], Some(account)).await;
    assert_eq!(turned.code(), "invalid_body", "an organisation does not become an account");
    let of_account = api.get("/v1/connectors/alpha-aws/accounts?limit=5", &world.owner).await;
    assert_eq!((of_account.status, of_account.code().as_str()), (StatusCode::CONFLICT, "wrong_state"));
}

/// Adds the account that waits; its connector.
async fn add(api: &TestApi, world: &World) -> Value {
    let place = format!("/v1/connectors/{}/accounts/add", world.organization);
    let added =
        api.post(&place, &world.owner, json!({"accounts": [world.account]})).await.expect(StatusCode::OK).json();
    let id = added["items"][0]["connector_id"].as_str().unwrap().to_owned();
    api.get(&format!("/v1/connectors/{id}"), &world.owner).await.expect(StatusCode::OK).json()
}

#[tokio::test]
async fn the_connector_of_an_account_belongs_to_its_organisation() {
    let api = start().await;
    let world = api.world("alpha").await;
    let child = add(&api, &world).await;
    let place = format!("/v1/connectors/{}", child["id"].as_str().unwrap());
    assert_eq!(child["organization_id"], world.organization.to_string());
    assert_eq!((&child["account"], &child["source"]["organization"]), (&json!(world.account), &Value::Null));
    let change =
        async |body: Value| api.call(Method::PATCH, &place, &world.owner, &[("if-match", "*")], Some(body)).await;
    assert_eq!(change(json!({"name": "mine"})).await.code(), "wrong_state");
    assert_eq!(api.call(Method::DELETE, &place, &world.owner, &[], None).await.code(), "wrong_state");
    let pause = |verb: &str| format!("{place}/{verb}");
    assert_eq!(api.post(&pause("pause"), &world.owner, json!({})).await.json()["paused"], true);
    assert_eq!(api.post(&pause("resume"), &world.owner, json!({})).await.json()["paused"], false);

    let organization = format!("/v1/connectors/{}", world.organization);
    let exclude = format!("{organization}/accounts/exclude");
    api.post(&exclude, &world.owner, json!({"accounts": [world.account]})).await.expect(StatusCode::OK);
    let retired = api.get(&place, &world.owner).await.json();
    assert!(retired["retired_at"].is_string(), "{retired}");
    for verb in ["scans", "test"] {
        assert_eq!(api.post(&pause(verb), &world.owner, json!({})).await.code(), "wrong_state", "{verb}");
    }
    api.call(Method::DELETE, &organization, &world.owner, &[], None).await.expect(StatusCode::ACCEPTED);
    assert_eq!(api.get(&place, &world.owner).await.json()["deleting"], true, "it goes with its organisation");
}

#[tokio::test]
async fn a_plan_holds_from_above_until_it_is_set() {
    let api = start().await;
    let world = api.world("alpha").await;
    let child = add(&api, &world).await;
    let organization = format!("/v1/connectors/{}", world.organization);
    let account = format!("/v1/connectors/{}", child["id"].as_str().unwrap());
    let plan = async |place: &str| api.get(&format!("{place}/pricings/discovery"), &world.owner).await.json();
    let set = async |place: &str, enabled: bool| {
        let body = Some(json!({"enabled": enabled}));
        api.call(Method::PUT, &format!("{place}/pricings/discovery"), &world.owner, &[], body).await.json()
    };
    let nothing = plan(&account).await;
    assert_eq!(
        (&nothing["enabled"], &nothing["inherited"], &nothing["inherited_from"]),
        (&json!(true), &json!(true), &Value::Null)
    );
    assert_eq!(nothing["enablement_time"], child["created_at"], "on from its beginning");
    let off = set(&organization, false).await;
    assert_eq!(
        (&off["enabled"], &off["inherited"], &off["enablement_time"]),
        (&json!(false), &json!(false), &Value::Null)
    );
    let below = plan(&account).await;
    assert_eq!((&below["enabled"], &below["inherited_from"]), (&json!(false), &json!(world.organization)));
    assert_eq!(set(&account, true).await["enabled"], true);
    let since = plan(&account).await["enablement_time"].clone();
    assert_ne!(since, child["created_at"], "on again only now");
    set(&account, true).await;
    assert_eq!(plan(&account).await["enablement_time"], since, "and since then without a break");
    let place = format!("{account}/pricings/discovery");
    let reset = api.call(Method::DELETE, &place, &world.owner, &[], None).await.expect(StatusCode::OK).json();
    assert_eq!((&reset["enabled"], &reset["inherited"]), (&json!(false), &json!(true)));
    let listed = api.get(&format!("{account}/pricings?limit=1"), &world.owner).await.json();
    assert!(listed["items"][0]["name"] == "discovery" && listed["next_cursor"].is_string(), "{listed}");
    assert_eq!(api.get(&format!("{account}/pricings/unknown"), &world.owner).await.code(), "not_found");
}
