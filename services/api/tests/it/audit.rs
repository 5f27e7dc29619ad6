use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, StatusCode};
use chrono::Utc;
use rampart_api::Config;
use rampart_store::{AccessScope, Role, retention};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::document::Operation;
use crate::support::{Answered, TestApi, World, open, start, start_with};

async fn entries(api: &TestApi, owner: &str, filter: &str) -> Vec<Value> {
    let answered = api.get(&format!("/v1/audit-log?limit=500&{filter}"), owner).await.expect(StatusCode::OK);
    answered.json()["items"].as_array().unwrap().clone()
}

/// What was just asked is in the log, once, if it was a change; and not, if it was a read.
pub(crate) async fn check(api: &TestApi, world: &World, operation: &Operation, answered: &Answered) {
    let mut found = entries(api, &world.owner, &format!("operation={}", operation.id)).await;
    let request = answered.headers["x-request-id"].to_str().unwrap();
    found.retain(|entry| entry["request_id"] == request);
    let is_logged =
        operation.method != Method::GET || operation.id.contains("export") || operation.id == "get_compliance_report";
    assert_eq!(found.len(), usize::from(is_logged), "{}: {found:?}", operation.id);
    for entry in found {
        assert_eq!(entry["outcome"], "succeeded", "{}: {entry}", operation.id);
        assert_eq!(entry["status"], answered.status.as_u16(), "{}: {entry}", operation.id);
        assert_eq!((&entry["method"], &entry["path"]), (&json!(operation.method.as_str()), &json!(operation.path)));
        assert_eq!(entry["actor"]["type"], "token", "{entry}");
        let all = api.get(&format!("/v1/audit-log/{}", entry["id"].as_str().unwrap()), &world.owner).await.json();
        let (before, after) = (!all["before"].is_null(), !all["after"].is_null());
        let replaces = matches!(operation.method, Method::PUT | Method::PATCH);
        // Nothing was decided about the finding before, and a collector is what its token is.
        let is_first = ["set_finding_assignment", "delete_finding_assignment", "revoke_collector"]
            .contains(&operation.id.as_str());
        if (replaces || operation.method == Method::DELETE) && !is_first {
            assert!(before, "{}: {all}", operation.id);
        }
        if answered.status != StatusCode::NO_CONTENT
            && operation.method != Method::GET
            && operation.id != "preview_exemption"
        {
            assert!(after, "{}: {all}", operation.id);
        }
    }
}

#[tokio::test]
async fn an_entry_says_who_changed_what_from_what_to_what() {
    let api = start().await;
    let world = api.world("alpha").await;
    let path = format!("/v1/exemptions/{}", world.exemption);
    let body = json!({"name": "alpha-exemption", "category": "waiver", "reason": "changed",
        "controls": ["k8s.pod.host_path"], "where": {"cluster": world.cluster}});
    let changed =
        api.call(Method::PUT, &path, &world.owner, &[("if-match", "*")], Some(body)).await.expect(StatusCode::OK);
    let found = entries(&api, &world.owner, &format!("target={}&operation=update_exemption", world.exemption)).await;
    let [entry] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(entry["params"], json!({"exemption_id": world.exemption}));
    assert_eq!(entry["actor"]["name"], "test");
    let all = api.get(&format!("/v1/audit-log/{}", entry["id"].as_str().unwrap()), &world.owner).await.json();
    assert_eq!((&all["before"]["reason"], &all["after"]["reason"]), (&json!("accepted"), &json!("changed")));
    assert_eq!(all["after"], changed.json());
    let made = entries(&api, &world.owner, &format!("target={}&operation=create_exemption", world.exemption)).await;
    assert_eq!(made.len(), 1, "what was made is the target: {made:?}");
}

#[tokio::test]
async fn what_was_refused_is_in_the_log_and_what_was_read_is_not() {
    let api = start().await;
    let (world, foreign) = (api.world("alpha").await, api.world("beta").await);
    let reader = api.token(world.tenant, Role::SecurityReader, AccessScope::Tenant).await;
    let token = json!({"name": "gone", "grants": [{"role": "owner", "scope": {"type": "tenant"}}]});
    let revoked = api.post("/v1/tokens", &world.owner, token).await.json();
    let place = format!("/v1/tokens/{}", revoked["id"].as_str().unwrap());
    api.call(Method::DELETE, &place, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    let before = entries(&api, &world.owner, "").await.len();
    api.get("/v1/findings?limit=5", &reader).await.expect(StatusCode::OK);
    api.get("/v1/findings", &reader).await.expect(StatusCode::BAD_REQUEST);
    api.get("/v1/tenant", &format!("rmp_{}", "A".repeat(43))).await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(entries(&api, &world.owner, "").await.len(), before, "reads and strangers leave nothing");
    for (what, status, operation) in [
        (api.post("/v1/connectors", &reader, json!({})).await, 403, "create_connector"),
        (api.get("/v1/tokens?limit=1", &reader).await, 403, "list_tokens"),
        (api.get(&format!("/v1/resources/{}", foreign.resource), &reader).await, 404, "get_resource"),
        (api.post("/v1/tokens", &world.owner, json!({"name": "x"})).await, 422, "create_token"),
        (api.get("/v1/tenant", revoked["secret"].as_str().unwrap()).await, 401, "get_tenant"),
    ] {
        assert_eq!(what.status.as_u16(), status, "{}", what.text);
        let found = entries(&api, &world.owner, &format!("operation={operation}&outcome=refused")).await;
        let [entry] = found.as_slice() else { panic!("{operation}: {found:?}") };
        assert_eq!((&entry["status"], &entry["code"]), (&json!(status), &what.json()["code"]), "{entry}");
    }
    assert!(entries(&api, &foreign.owner, "outcome=refused").await.is_empty(), "it is the log of who asked");
}

#[tokio::test]
async fn nothing_changes_without_its_entry_and_no_entry_changes() {
    let api = start().await;
    let world = api.world("alpha").await;
    for statement in ["update audit_log set actor_name = 'x'", "delete from audit_log", "truncate audit_log"] {
        let error = api.db.as_application(world.tenant, statement).await.unwrap_err();
        assert!(error.contains("permission denied"), "{statement}: {error}");
    }
    let error = api.db.as_application(world.tenant, "select drop_audit_partitions(current_date)").await.unwrap_err();
    assert!(error.contains("30 days"), "{error}");
    api.db.run("revoke insert on audit_log from rampart_app").await;
    let rule = json!({"name": "unseen", "level": "high", "scope": {"type": "tenant"}});
    api.post("/v1/criticality-rules", &world.owner, rule).await.expect(StatusCode::INTERNAL_SERVER_ERROR);
    let rules = api.get("/v1/criticality-rules?limit=100", &world.owner).await.expect(StatusCode::OK);
    assert!(!rules.text.contains("unseen"), "{}", rules.text);
}

#[tokio::test]
async fn no_secret_is_in_the_log() {
    let api = start().await;
    let world = api.world("alpha").await;
    let source = json!({"provider": "kubernetes", "server": "https://k.example", "token": "planted-credential"});
    let made = api.post("/v1/connectors", &world.owner, json!({"name": "secret", "source": source})).await;
    made.expect(StatusCode::ACCEPTED);
    let token = json!({"name": "new", "grants": [{"role": "owner", "scope": {"type": "tenant"}}]});
    let token = api.post("/v1/tokens", &world.owner, token).await.expect(StatusCode::CREATED).json();
    let path = format!("/v1/connectors/{}/collector", world.pushed);
    let collector = api.post(&path, &world.owner, json!({})).await.expect(StatusCode::CREATED).json();
    let later = json!({"source": {"provider": "kubernetes", "server": "https://k.example", "token": "planted-later"}});
    let patched =
        api.call(Method::PATCH, "/v1/connectors/secret", &world.owner, &[("if-match", "*")], Some(later)).await;
    patched.expect(StatusCode::OK);
    let secrets = [token["secret"].as_str().unwrap(), collector["token"].as_str().unwrap(), &world.owner, "planted-"];
    let log = api.db.text_of("audit_log").await;
    assert!(log.contains("rotate_collector") && log.contains("update_connector"));
    for secret in secrets {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn entries_are_found_page_by_page_and_only_by_who_answers_for_the_whole_tenant() {
    let api = start().await;
    let world = api.world("alpha").await;
    let admin = api.token(world.tenant, Role::SecurityAdmin, AccessScope::Tenant).await;
    let part = api.scoped(&world, Role::Owner, world.cluster).await;
    api.get("/v1/audit-log?limit=1", &part).await.expect(StatusCode::FORBIDDEN);
    let all: Vec<Value> = entries(&api, &admin, "outcome=succeeded").await;
    assert!(all.len() > 15, "{}", all.len());
    let (mut paged, mut place) = (Vec::new(), "/v1/audit-log?limit=4&outcome=succeeded".to_owned());
    let first = place.clone();
    loop {
        let page = api.get(&place, &admin).await.expect(StatusCode::OK).json();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        place = format!("{first}&cursor={cursor}");
    }
    assert_eq!(paged, all);
    let (oldest, newest) = (all.last().unwrap(), &all[0]);
    let at = |entry: &Value| entry["at"].as_str().unwrap().replace('+', "%2B");
    let until = entries(&api, &admin, &format!("outcome=succeeded&to={}", at(newest))).await;
    assert_eq!(until, all[1..]);
    let from = entries(
        &api,
        &admin,
        &format!("outcome=succeeded&from={}&actor={}", at(oldest), oldest["actor"]["id"].as_str().unwrap()),
    )
    .await;
    assert_eq!(from, all);
    assert!(entries(&api, &admin, &format!("actor={}", Uuid::nil())).await.is_empty());
    assert!(entries(&api, &admin, "outcome=failed").await.is_empty());
}

async fn from_address(api: &TestApi, peer: &str, forwarded: &str, token: &str) -> Answered {
    let mut request = Request::get("/v1/tokens/0").header("x-forwarded-for", forwarded);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let peer: SocketAddr = peer.parse().unwrap();
    api.send(request.extension(ConnectInfo(peer)).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn an_address_is_the_clients_own_and_limits_who_is_not_known() {
    let trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
    let api = start_with(Config { trusted_proxies, address_rate_limit: 1, ..open() }).await;
    let tenant = rampart_store::admin::create_tenant(&api.db.store, "alpha").await.unwrap();
    let owner = api.token(tenant, Role::Owner, AccessScope::Tenant).await;
    from_address(&api, "10.0.0.1:7", "192.0.2.7", &owner).await.expect(StatusCode::NOT_FOUND);
    from_address(&api, "192.0.2.8:7", "192.0.2.1", &owner).await.expect(StatusCode::NOT_FOUND);
    let found = entries(&api, &owner, "operation=get_token").await;
    let addresses: Vec<_> = found.iter().map(|entry| entry["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, ["192.0.2.8", "192.0.2.7"]);
    let mut last = from_address(&api, "192.0.2.9:7", "", "").await.expect(StatusCode::UNAUTHORIZED);
    for _ in 0..10 {
        last = from_address(&api, "192.0.2.9:7", "", "").await;
    }
    assert_eq!((last.status, last.code().as_str()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    assert!(last.headers.contains_key("retry-after"));
    for _ in 0..20 {
        // Whoever is known does not use up what its address may ask.
        from_address(&api, "192.0.2.7:7", "", &owner).await.expect(StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn entries_are_kept_for_their_own_period() {
    let api = start().await;
    let world = api.world("alpha").await;
    api.db
        .run(&format!(
            "create table audit_log_2020_01 partition of audit_log for values from ('2020-01-01') to ('2020-02-01');
             alter table audit_log_2020_01 owner to rampart_test_owner;
             insert into audit_log (tenant_id, entry_id, at, actor_kind, actor_id, actor_name, operation, method, path,
                 params, status, request_id)
             values ('{}', gen_random_uuid(), '2020-01-07', 'token', gen_random_uuid(), 'old', 'get_tenant', 'GET', '/', '{{}}',
                 200, 'r')",
            world.tenant
        ))
        .await;
    let left = entries(&api, &world.owner, "").await.len();
    // Longer than anything is kept: the old entry stays, then goes.
    retention::sweep_audit_log(&api.db.store, Utc::now(), 3650).await.unwrap();
    assert_eq!(entries(&api, &world.owner, "").await.len(), left);
    retention::sweep_audit_log(&api.db.store, Utc::now(), 365).await.unwrap();
    assert_eq!(entries(&api, &world.owner, "").await.len(), left - 1);
}
