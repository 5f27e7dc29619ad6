//! The issuer's keys: one for all replicas, published before they sign and after, never in the clear.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use rampart_store::issuer_key::{self, ANNOUNCED_FOR, SIGNS_FOR, TOKEN_LIFETIME, Takeover};
use rampart_store::keyring::Keyring;
use rampart_store::testing::{TestDatabase, database};
use rampart_store::{StoreError, admin};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

fn keyring(text: &str) -> Keyring {
    Keyring::parse(&SecretString::from(text)).unwrap()
}

fn key(id: char) -> String {
    format!("{id}:{}", STANDARD.encode([id as u8; 32]))
}

async fn published(db: &TestDatabase, at: DateTime<Utc>) -> Vec<String> {
    issuer_key::published(&db.store, at).await.unwrap().into_iter().map(|key| key.key_id).collect()
}

async fn count(db: &TestDatabase) -> i64 {
    let mut conn = PgConnection::connect(&db.super_url).await.unwrap();
    sqlx::query_scalar("select count(*) from issuer_keys").fetch_one(&mut conn).await.unwrap()
}

#[tokio::test]
async fn replicas_that_start_together_agree_on_one_key() {
    let db = database().await;
    let (ring, now) = (keyring(&key('a')), Utc::now());
    assert!(matches!(issuer_key::signing(&db.store, &ring, now).await, Err(StoreError::NotFound { .. })));
    let starts = (0..4).map(|_| issuer_key::keep(&db.store, &ring, now));
    futures_of(starts).await;
    let keys = published(&db, now).await;
    assert_eq!(keys, [issuer_key::signing(&db.store, &ring, now).await.unwrap().key_id]);
}

async fn futures_of(starts: impl Iterator<Item = impl Future<Output = Result<(), StoreError>>>) {
    let mut pending: Vec<_> = starts.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        pending.retain_mut(|start| match start.as_mut().poll(cx) {
            std::task::Poll::Ready(result) => {
                result.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_key_is_published_before_it_signs_and_until_its_tokens_have_ended() {
    let db = database().await;
    let (ring, start) = (keyring(&key('a')), Utc::now());
    let signs = async |at| issuer_key::signing(&db.store, &ring, at).await.unwrap().key_id;
    issuer_key::keep(&db.store, &ring, start).await.unwrap();
    let old = signs(start).await;

    let due = start + SIGNS_FOR - ANNOUNCED_FOR;
    issuer_key::keep(&db.store, &ring, due - TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(count(&db).await, 1, "not yet");
    issuer_key::keep(&db.store, &ring, due).await.unwrap();
    issuer_key::keep(&db.store, &ring, due + TimeDelta::hours(1)).await.unwrap();
    let both = published(&db, due).await;
    assert_eq!((both.len(), &both[0]), (2, &old), "announced once");

    let takeover = due + ANNOUNCED_FOR;
    assert_eq!(signs(takeover - TimeDelta::seconds(1)).await, old);
    assert_eq!(signs(takeover).await, both[1]);
    let last_token_ends = takeover + TOKEN_LIFETIME;
    issuer_key::keep(&db.store, &ring, last_token_ends).await.unwrap();
    assert_eq!(published(&db, last_token_ends).await, both, "the last token of the old key still lives");
    let later = takeover + TimeDelta::hours(2);
    assert_eq!(published(&db, later).await, both[1..], "also where nobody has tidied up");
    issuer_key::keep(&db.store, &ring, later).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn an_operator_can_rotate_gently_and_at_once() {
    let db = database().await;
    let (ring, now) = (keyring(&key('a')), Utc::now());
    issuer_key::keep(&db.store, &ring, now).await.unwrap();
    let first = published(&db, now).await;
    let (next, signs_from) = issuer_key::rotate(&db.store, &ring, Takeover::Announced, now).await.unwrap();
    assert_eq!(signs_from, now + ANNOUNCED_FOR);
    let again = issuer_key::rotate(&db.store, &ring, Takeover::Announced, now).await.unwrap();
    assert_eq!(again.0, next, "one that waits is not followed by another");
    assert_eq!(published(&db, now).await, [first[0].clone(), next]);
    let (fresh, _) = issuer_key::rotate(&db.store, &ring, Takeover::AtOnce, now).await.unwrap();
    assert_eq!(
        published(&db, now).await,
        std::slice::from_ref(&fresh),
        "what is not secret any more is not trusted any more"
    );
    assert_eq!(issuer_key::signing(&db.store, &ring, now).await.unwrap().key_id, fresh);
}

#[tokio::test]
async fn the_private_key_lies_sealed_and_moves_to_a_new_key() {
    let db = database().await;
    let now = Utc::now();
    let old = keyring(&key('a'));
    issuer_key::keep(&db.store, &old, now).await.unwrap();
    let pem = issuer_key::signing(&db.store, &old, now).await.unwrap().pem;
    let pem = pem.expose_secret();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
    let mut conn = PgConnection::connect(&db.super_url).await.unwrap();
    let dump: String =
        sqlx::query_scalar("select string_agg(k::text || encode(k.sealed, 'escape'), '') from issuer_keys k")
            .fetch_one(&mut conn)
            .await
            .unwrap();
    for secret in pem.lines() {
        assert!(!dump.contains(secret), "{secret} lies in the database in the clear");
    }
    assert!(!format!("{:?}", issuer_key::signing(&db.store, &old, now).await.unwrap()).contains("PRIVATE"));

    let both = keyring(&format!("{},{}", key('b'), key('a')));
    assert_eq!(issuer_key::reseal(&db.store, &both).await.unwrap(), 1);
    let alone = issuer_key::signing(&db.store, &keyring(&key('b')), now).await.unwrap();
    assert_eq!(alone.pem.expose_secret(), pem);
    assert!(issuer_key::signing(&db.store, &old, now).await.is_err());
}

#[tokio::test]
async fn no_customer_sees_the_keys() {
    let db = database().await;
    issuer_key::keep(&db.store, &keyring(&key('a')), Utc::now()).await.unwrap();
    let tenant = admin::create_tenant(&db.store, "acme").await.unwrap();
    let mut app = PgConnection::connect(&db.app_url).await.unwrap();
    let seen = async |app: &mut PgConnection, tenant: String| -> i64 {
        let set = format!("select set_config('app.tenant', '{tenant}', false)");
        sqlx::query(AssertSqlSafe(set)).execute(&mut *app).await.unwrap();
        sqlx::query_scalar("select count(*) from issuer_keys").fetch_one(app).await.unwrap()
    };
    assert_eq!(seen(&mut app, tenant.to_string()).await, 0);
    assert_eq!(seen(&mut app, uuid::Uuid::nil().to_string()).await, 1, "the view is not empty for lack of rows");
}
