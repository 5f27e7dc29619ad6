//! An organisation of accounts: found, chosen, read each by itself; joined, left, come back; switched off and on.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Target};
use platform_tests::{Client, Platform};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const MANAGEMENT: &str = "111122223333";
const AUDIT: &str = "222200000001";
const NETWORK: &str = "222200000002";
const SHOP: &str = "222200000003";
const PAYMENTS: &str = "222200000004";
const MAINFRAME: &str = "222200000005";
const CLOSED: &str = "222200000006";
const WORKLOADS: &str = "ou-ram1-work0001";

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_default().to_owned()
}

/// Decision by account, as the organisation's list has it.
async fn decisions(client: &Client) -> BTreeMap<String, String> {
    let accounts = client.list("/v1/connectors/acme/accounts").await;
    accounts.iter().map(|account| (text(account, "account"), text(account, "decision"))).collect()
}

fn expected<const N: usize>(decisions: [(&str, &str); N]) -> BTreeMap<String, String> {
    decisions.into_iter().map(|(account, decision)| (account.to_owned(), decision.to_owned())).collect()
}

async fn account(client: &Client, id: &str) -> Value {
    client.get(&format!("/v1/connectors/acme/accounts/{id}")).await
}

/// Accounts of which the inventory has something.
async fn accounts_in_inventory(client: &Client) -> BTreeSet<String> {
    client.list("/v1/resources?kind=aws.ecr.repository").await.iter().map(|row| text(row, "account")).collect()
}

/// States of the coverage of a connector.
async fn coverage(client: &Client, connector: &str) -> BTreeSet<String> {
    client.list(&format!("/v1/coverage?connector={connector}")).await.iter().map(|row| text(row, "state")).collect()
}

fn set(items: &[&str]) -> BTreeSet<String> {
    items.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accounts_are_read_each_by_itself_join_leave_and_come_back() {
    let platform = Platform::over(Preset::Organization).await;
    let client = platform.tenant("acme").await;
    platform.simulator.reorganize(|organization| organization.remove(MAINFRAME));
    let rules = json!({ "exclude": ["ou-ram1-core0001"], "include": ["r-ram1", AUDIT] });
    client.onboard_organization(&platform.simulator, "acme", &rules, &[PAYMENTS]).await;
    let scans = platform.scan(&client, &["acme"]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);

    only_what_is_chosen_is_read(&client).await;
    a_failed_reading_changes_nothing(&platform, &client).await;
    who_joins_is_read_and_who_leaves_is_kept(&platform, &client).await;
    who_comes_back_is_read_again(&platform, &client).await;
    choices_go_before_rules(&platform, &client).await;
    the_organisation_goes_with_its_accounts(&platform, &client).await;
}

async fn only_what_is_chosen_is_read(client: &Client) {
    let now = decisions(client).await;
    let (included, excluded, suspended) = ("included", "excluded", "suspended");
    let wanted = [
        (MANAGEMENT, included),
        (AUDIT, included),
        (NETWORK, excluded),
        (SHOP, included),
        (PAYMENTS, included),
        (CLOSED, suspended),
    ];
    assert_eq!(now, expected(wanted));
    // One account that refuses stops no other, and says so.
    assert_eq!(accounts_in_inventory(client).await, set(&[MANAGEMENT, AUDIT, SHOP]));
    let payments = text(&account(client, PAYMENTS).await, "connector_id");
    let scans = client.list(&format!("/v1/scans?connector={payments}")).await;
    assert_eq!(text(&scans[0], "status"), "failed", "{}", scans[0]);
    assert!(text(&scans[0], "error").contains("sts:AssumeRole"), "{}", scans[0]);
    let organization = client.list("/v1/resources?kind=aws.organization").await;
    assert_eq!(organization.len(), 1, "{organization:?}");
    let rows = client.list("/v1/coverage?kind=aws.organization").await;
    assert_eq!(rows.iter().map(|row| text(row, "state")).collect::<Vec<_>>(), ["read"]);
    let page = client.get(&format!("/v1/connectors/acme/accounts?limit=1&unit={WORKLOADS}&decision=included")).await;
    assert_eq!(text(&page["items"][0], "account"), SHOP);
    assert!(page["next_cursor"].is_string(), "{page}");
    let (status, answer) =
        client.request(Method::PATCH, &format!("/v1/connectors/{payments}"), Some(&json!({ "kinds": [] }))).await;
    assert_eq!((status, text(&answer, "code").as_str()), (StatusCode::OK, ""), "nothing is changed: {answer}");
    let change = json!({ "interval_minutes": 90 });
    let (status, answer) = client.request(Method::PATCH, &format!("/v1/connectors/{payments}"), Some(&change)).await;
    assert_eq!((status, text(&answer, "code").as_str()), (StatusCode::CONFLICT, "wrong_state"), "{answer}");
}

async fn a_failed_reading_changes_nothing(platform: &Platform, client: &Client) {
    let before = client.list("/v1/connectors/acme/accounts").await;
    platform.simulator.reorganize(|organization| organization.remove(SHOP));
    for (kind, state) in [(FaultKind::Forbidden, "denied"), (FaultKind::HalfPage, "failed")] {
        let target = Target::aws("organizations", "ListAccountsForParent");
        platform.simulator.faults().inject(Fault { target, kind, times: None });
        let scans = platform.scan(client, &["acme"]).await;
        assert_eq!(scans[0]["status"], "failed", "{}", scans[0]);
        assert_eq!(client.list("/v1/connectors/acme/accounts").await, before, "{kind:?}");
        let rows = client.list("/v1/coverage?kind=aws.organization").await;
        assert_eq!(rows.iter().map(|row| text(row, "state")).collect::<Vec<_>>(), [state], "{rows:?}");
        platform.simulator.faults().clear();
    }
    platform.simulator.reorganize(|organization| organization.place(SHOP, "shop", WORKLOADS));
}

async fn who_joins_is_read_and_who_leaves_is_kept(platform: &Platform, client: &Client) {
    let shop = text(&account(client, SHOP).await, "connector_id");
    let resources = client.list(&format!("/v1/resources?account={SHOP}")).await.len();
    assert!(resources > 3, "{resources}");
    platform.simulator.reorganize(|organization| {
        organization.remove(SHOP);
        organization.place(MAINFRAME, "mainframe", "ou-ram1-lega0001");
    });
    platform.scan(client, &["acme"]).await;
    assert_eq!(text(&account(client, MAINFRAME).await, "decision"), "included");
    assert!(accounts_in_inventory(client).await.contains(MAINFRAME), "a new account is read at once");

    let left = account(client, SHOP).await;
    assert_eq!((text(&left, "decision").as_str(), left["gone_at"].is_string()), ("removed", true), "{left}");
    assert_eq!((text(&left, "connector_id"), left["retired_at"].is_string()), (shop.clone(), true), "{left}");
    assert_eq!(client.list(&format!("/v1/resources?account={SHOP}")).await.len(), resources, "its data is kept");
    assert_eq!(coverage(client, &shop).await, set(&["disabled"]), "and says that it is not read any more");
    for finding in client.list(&format!("/v1/findings?account={SHOP}")).await {
        assert_eq!(finding["stale"], true, "{finding}");
    }
    let (status, answer) =
        client.request(Method::POST, &format!("/v1/connectors/{shop}/scans"), Some(&json!({}))).await;
    assert_eq!((status, text(&answer, "code").as_str()), (StatusCode::CONFLICT, "wrong_state"), "{answer}");
}

async fn who_comes_back_is_read_again(platform: &Platform, client: &Client) {
    let before = account(client, SHOP).await;
    platform.simulator.reorganize(|organization| organization.place(SHOP, "shop", WORKLOADS));
    platform.scan(client, &["acme"]).await;
    let after = account(client, SHOP).await;
    assert_eq!(text(&after, "connector_id"), text(&before, "connector_id"), "by the same connector");
    assert_eq!((&after["retired_at"], &after["gone_at"]), (&Value::Null, &Value::Null), "{after}");
    assert_eq!(after["first_seen"], before["first_seen"]);
    assert!(coverage(client, &text(&after, "connector_id")).await.contains("read"));
    assert_eq!(client.list(&format!("/v1/findings?account={SHOP}&stale=true")).await, Vec::<Value>::new());
}

async fn choices_go_before_rules(platform: &Platform, client: &Client) {
    let chosen = json!({ "accounts": [NETWORK, "999999999999"] });
    let answer = client.post("/v1/connectors/acme/accounts/add", &chosen).await;
    assert_eq!(
        (&answer["unknown"], text(&answer["items"][0], "choice")),
        (&json!(["999999999999"]), "added".to_owned())
    );
    platform.scan(client, &["acme"]).await;
    assert!(accounts_in_inventory(client).await.contains(NETWORK));
    client.post("/v1/connectors/acme/accounts/exclude", &json!({ "accounts": [AUDIT] })).await;
    let audit = account(client, AUDIT).await;
    assert_eq!((text(&audit, "decision").as_str(), audit["retired_at"].is_string()), ("excluded", true), "{audit}");
    client.post("/v1/connectors/acme/accounts/release", &json!({ "accounts": [AUDIT, NETWORK] })).await;
    let now = decisions(client).await;
    assert_eq!((now[AUDIT].as_str(), now[NETWORK].as_str()), ("included", "excluded"));
    // The rules themselves take effect at once, too.
    let role = &platform.simulator.accounts()[0].role_arn;
    let source = json!({ "provider": "aws", "role_arn": role, "organization": { "include": [WORKLOADS] } });
    client.patch("/v1/connectors/acme", &json!({ "source": source })).await;
    let now = decisions(client).await;
    assert_eq!(
        (now[AUDIT].as_str(), now[MANAGEMENT].as_str(), now[SHOP].as_str()),
        ("excluded", "excluded", "included")
    );
}

async fn the_organisation_goes_with_its_accounts(platform: &Platform, client: &Client) {
    platform.settle().await;
    client.delete("/v1/connectors/acme").await;
    platform.settle().await;
    for path in ["/v1/connectors", "/v1/resources", "/v1/coverage"] {
        assert_eq!(client.list(path).await, Vec::<Value>::new(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_added_before_it_was_seen_and_wanted() {
    let platform = Platform::over(Preset::Organization).await;
    let client = platform.tenant("acme").await;
    let rules = json!({ "auto_add": false, "exclude": ["ou-ram1-core0001"] });
    client.onboard_organization(&platform.simulator, "acme", &rules, &[]).await;
    let body = json!({ "selection": { "include": [WORKLOADS], "auto_add": true } });
    let preview = client.post("/v1/connectors/acme/previews", &body).await;
    platform.settle().await;
    let preview = client.get(&format!("/v1/connectors/acme/previews/{}", text(&preview, "id"))).await;
    assert_eq!(preview["status"], "succeeded", "{preview}");
    let added = preview["accounts"].as_array().expect("accounts").iter().filter(|row| row["effect"] == "add");
    let added: BTreeSet<String> = added.map(|row| text(row, "account")).collect();
    assert_eq!(added, set(&[SHOP, PAYMENTS, MAINFRAME]), "{preview}");
    assert_eq!((&preview["added"], &preview["suspended"]), (&json!(3), &json!(0)), "{preview}");
    assert_eq!(client.list("/v1/connectors").await.len(), 1, "a preview adds nothing");
    assert!(decisions(&client).await.is_empty(), "nor does it decide");

    platform.scan(&client, &["acme"]).await;
    assert_eq!(client.list("/v1/connectors").await.len(), 1, "nor does a scan, unless it is told to");
    let now = decisions(&client).await;
    assert_eq!((now[SHOP].as_str(), now[NETWORK].as_str(), now[CLOSED].as_str()), ("waiting", "excluded", "suspended"));
    client.post("/v1/connectors/acme/accounts/add", &json!({ "accounts": [SHOP] })).await;
    platform.scan(&client, &["acme"]).await;
    assert_eq!(accounts_in_inventory(&client).await, set(&[SHOP]));
    let preview = client.post("/v1/connectors/acme/previews", &json!({})).await;
    platform.settle().await;
    let preview = client.get(&format!("/v1/connectors/acme/previews/{}", text(&preview, "id"))).await;
    assert_eq!((&preview["kept"], &preview["added"]), (&json!(1), &json!(0)), "{preview}");
}

async fn plan(client: &Client, place: &str, name: &str) -> Value {
    client.get(&format!("{place}/pricings/{name}")).await
}

async fn switch(client: &Client, place: &str, name: &str, enabled: bool) {
    let (status, answer) =
        client.request(Method::PUT, &format!("{place}/pricings/{name}"), Some(&json!({ "enabled": enabled }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_are_inherited_from_organisation_to_account_to_cluster() {
    let platform = Platform::over(Preset::Organization).await;
    let client = platform.tenant("acme").await;
    client.onboard_organization(&platform.simulator, "acme", &json!({ "include": [SHOP, MAINFRAME] }), &[]).await;
    platform.scan(&client, &["acme"]).await;
    let id = text(&account(&client, SHOP).await, "connector_id");
    let (organization, shop) = ("/v1/connectors/acme", format!("/v1/connectors/{id}"));
    let clusters = client.list("/v1/clusters").await;
    let cluster = format!("/v1/clusters/{}", text(&clusters[0], "id"));
    let open =
        async |account: &str| client.list(&format!("/v1/findings?status=unhealthy&account={account}")).await.len();
    let (of_shop, of_mainframe) = (open(SHOP).await, open(MAINFRAME).await);
    assert!(of_shop > 10 && of_mainframe > 0, "{of_shop} {of_mainframe}");

    // Off for the organisation, on for one cluster.
    let began = plan(&client, &cluster, "posture").await;
    assert_eq!((&began["enabled"], &began["inherited"]), (&json!(true), &json!(true)), "{began}");
    switch(&client, &cluster, "posture", true).await;
    assert_eq!(plan(&client, &cluster, "posture").await["enablement_time"], began["enablement_time"]);
    switch(&client, organization, "posture", false).await;
    platform.settle().await;
    let of_account = plan(&client, &shop, "posture").await;
    assert_eq!((&of_account["enabled"], &of_account["enablement_time"]), (&json!(false), &Value::Null), "{of_account}");
    assert!(of_account["inherited_from"].is_string(), "{of_account}");
    assert_eq!(open(MAINFRAME).await, 0, "what is not judged has no findings");
    let left = client.list("/v1/findings?status=unhealthy").await;
    assert!(!left.is_empty() && left.iter().all(|finding| finding["cluster_id"] == clusters[0]["id"]), "{left:?}");
    let (status, _) = client.request(Method::DELETE, &format!("{organization}/pricings/posture"), None).await;
    assert_eq!(status, StatusCode::OK);
    platform.settle().await;
    assert_eq!((open(SHOP).await, open(MAINFRAME).await), (of_shop, of_mainframe), "and has them again");

    discovery_that_is_off_reads_nothing(&platform, &client, (&shop, &cluster)).await;
}

async fn discovery_that_is_off_reads_nothing(platform: &Platform, client: &Client, (shop, cluster): (&str, &str)) {
    let resources = client.list("/v1/resources").await.len();
    let id = shop.rsplit('/').next().unwrap_or_default();
    let of_cluster = format!("/v1/coverage?cluster={}", cluster.rsplit('/').next().unwrap_or_default());
    switch(client, cluster, "discovery", false).await;
    platform.scan(client, &[id]).await;
    let states: BTreeSet<String> = client.list(&of_cluster).await.iter().map(|row| text(row, "state")).collect();
    assert_eq!(states, set(&["disabled"]));
    assert!(coverage(client, id).await.contains("read"), "the account itself is read");
    switch(client, "/v1/connectors/acme", "discovery", false).await;
    let scans = platform.scan(client, &[id]).await;
    assert_eq!(scans[0]["status"], "cancelled", "{}", scans[0]);
    assert_eq!(coverage(client, id).await, set(&["disabled"]));
    assert_eq!(client.list("/v1/resources").await.len(), resources, "what was read is kept");
    // The account's own setting goes before the organisation's; the cluster's before both.
    switch(client, shop, "discovery", true).await;
    let scans = platform.scan(client, &[id]).await;
    assert_eq!(scans[0]["status"], "succeeded", "{}", scans[0]);
    let states: BTreeSet<String> = client.list(&of_cluster).await.iter().map(|row| text(row, "state")).collect();
    assert_eq!(states, set(&["disabled"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kubernetes_extension_is_inherited_and_leaves_the_cloud_as_it_is() {
    let platform = Platform::over(Preset::Organization).await;
    let client = platform.tenant("acme").await;
    client.onboard_organization(&platform.simulator, "acme", &json!({ "include": [SHOP] }), &[]).await;
    platform.scan(&client, &["acme"]).await;
    let id = text(&account(&client, SHOP).await, "connector_id");
    let cluster = text(&client.list("/v1/clusters").await[0], "id");
    let of_cluster = format!("/v1/coverage?cluster={cluster}");
    let told = async |kubernetes: bool| -> BTreeSet<String> {
        let rows = client.list(&of_cluster).await;
        let wanted = rows.iter().filter(|row| text(row, "kind").starts_with("k8s.") == kubernetes);
        wanted.map(|row| text(row, "state")).filter(|state| state != "not_applicable").collect()
    };
    let put = async |place: &str, body: &Value| {
        client.request(Method::PUT, &format!("{place}/pricings/discovery"), Some(body)).await
    };
    let off = json!({ "enabled": true, "extensions": [{ "name": "kubernetes", "enabled": false }] });
    let (status, answer) = put("/v1/connectors/acme", &off).await;
    assert_eq!((status, &answer["extensions"][0]["enabled"]), (StatusCode::OK, &json!(false)), "{answer}");
    let of_account = plan(&client, &format!("/v1/connectors/{id}"), "discovery").await;
    let extension = &of_account["extensions"][0];
    assert_eq!((&extension["enabled"], &extension["inherited"]), (&json!(false), &json!(true)), "{of_account}");
    assert_eq!(of_account["enabled"], true);

    assert_eq!(told(true).await, set(&["disabled"]), "at once");
    let pods = client.list("/v1/resources?kind=k8s.pod").await.len();
    platform.scan(&client, &[&id]).await;
    assert_eq!(told(true).await, set(&["disabled"]));
    assert_eq!(client.list("/v1/resources?kind=k8s.pod").await.len(), pods, "what was read is kept");
    assert!(coverage(&client, &id).await.contains("read"), "the cloud is read");

    // The cluster's own setting goes before the organisation's.
    let on = json!({ "enabled": true, "extensions": [{ "name": "kubernetes", "enabled": true }] });
    let (status, _) = put(&format!("/v1/clusters/{cluster}"), &on).await;
    assert_eq!(status, StatusCode::OK);
    platform.scan(&client, &[&id]).await;
    assert!(told(true).await.contains("read"));
    let unknown = json!({ "enabled": true, "extensions": [{ "name": "mainframes", "enabled": true }] });
    let (status, answer) = put("/v1/connectors/acme", &unknown).await;
    assert_eq!((status, answer.to_string().contains("/extensions/0/name")), (StatusCode::UNPROCESSABLE_ENTITY, true));
}
