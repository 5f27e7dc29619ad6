use std::time::{Duration, SystemTime};

use axum::http::{Method, StatusCode};
use rampart_api::Config;
use rampart_store::{AccessScope, Role, admin};
use serde_json::json;

use crate::support::{Answered, Replica, open, start_with};

fn number(answered: &Answered, header: &str) -> u64 {
    answered.headers[header].to_str().unwrap().parse().unwrap()
}

/// Waits for the start of a window of four seconds.
async fn next_window() {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    tokio::time::sleep(Duration::from_millis(4000 - since % 4000 + 20)).await;
}

#[tokio::test]
async fn the_limit_of_a_caller_holds_over_replicas() {
    let config = Config { rate_limit: 5, ..open() };
    let api = start_with(config.clone()).await;
    let tenant = admin::create_tenant(&api.db.store, "alpha").await.unwrap();
    let (token, other) = (
        api.token(tenant, Role::Owner, AccessScope::Tenant).await,
        api.token(tenant, Role::Owner, AccessScope::Tenant).await,
    );
    let replicas: [Replica; 2] = [api.replica(&config), api.replica(&config)];
    for replica in &replicas {
        // Whatever is made once is made.
        replica.get("/v1/tenant", &other, &[]).await.expect(StatusCode::OK);
    }
    let mut tries = 0;
    let admitted = loop {
        next_window().await;
        let began = std::time::Instant::now();
        let mut admitted = 0_u128;
        for request in 0..60 {
            let answered = replicas[request % 2].get("/v1/tenant", &token, &[]).await;
            assert_eq!(number(&answered, "ratelimit-limit"), 20);
            assert!((1..=4).contains(&number(&answered, "ratelimit-reset")));
            if answered.status == StatusCode::OK {
                admitted += 1;
            } else {
                assert_eq!(answered.code(), "rate_limited");
                assert_eq!(number(&answered, "ratelimit-remaining"), 0);
                assert!((1..=4).contains(&number(&answered, "retry-after")));
            }
        }
        tries += 1;
        // A slow machine may have needed more than one window for this: each of them has the limit of its own.
        let windows = 1 + began.elapsed().as_millis() / 4000 + u128::from(began.elapsed().as_millis() % 4000 >= 3900);
        assert!(admitted <= 22 * windows, "{admitted} in {windows}");
        if began.elapsed() < Duration::from_millis(3900) {
            break admitted;
        }
        assert!(tries < 10, "60 requests never fit into a window");
    };
    eprintln!("limit 20 in 4 s, two replicas, 60 requests: {admitted} admitted");
    assert!((18..=22).contains(&admitted), "{admitted}");
    replicas[0].get("/v1/tenant", &other, &[]).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_revoked_everywhere_with_the_next_request() {
    let api = start_with(open()).await;
    let tenant = admin::create_tenant(&api.db.store, "alpha").await.unwrap();
    let owner = api.token(tenant, Role::Owner, AccessScope::Tenant).await;
    let body = json!({"name": "ci", "grants": [{"role": "security_reader", "scope": {"type": "tenant"}}]});
    let made = api.post("/v1/tokens", &owner, body).await.expect(StatusCode::CREATED).json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let replica = api.replica(&open());
    replica.get("/v1/tenant", secret, &[]).await.expect(StatusCode::OK);
    let place = format!("/v1/tokens/{id}");
    let mut used = api.get(&place, &owner).await.json();
    for _ in 0..100 {
        if !used["last_used_at"].is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        used = api.get(&place, &owner).await.json();
    }
    assert!(used["last_used_at"].is_string(), "{used}");
    api.call(Method::DELETE, &place, &owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    let refused = replica.get("/v1/tenant", secret, &[]).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
}
