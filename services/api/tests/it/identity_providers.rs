//! Tokens of identity providers, against issuers on the loopback.

use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rampart_api::Config;
use rampart_connector::EgressPolicy;
use serde_json::{Value, json};

use crate::support::{Replica, TestApi, World, open, start_with};

/// A key that signs, and what is published of it.
struct Key {
    id: &'static str,
    algorithm: Algorithm,
    signs: EncodingKey,
    public: Value,
}

impl Key {
    fn ec(id: &'static str) -> Self {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
        let public = json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": id, "x": x, "y": y});
        Self { id, algorithm: Algorithm::ES256, signs: EncodingKey::from_ec_der(der.as_ref()), public }
    }

    fn rsa(id: &'static str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
        let public = pair.public_key();
        let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        let public = json!({"kty": "RSA", "alg": "RS256", "kid": id, "n": n, "e": e});
        Self { id, algorithm: Algorithm::RS256, signs: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), public }
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        jsonwebtoken::encode(&header, claims, &self.signs).unwrap()
    }
}

/// What an issuer answers.
#[derive(Default)]
struct Served {
    /// What its discovery document says that it is; its own address when there is none.
    claims_to_be: Option<String>,
    keys: Vec<Value>,
    is_down: bool,
    asked: usize,
}

#[derive(Clone)]
struct Issuer {
    url: String,
    served: Arc<Mutex<Served>>,
}

impl Issuer {
    async fn start(keys: &[&Key]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = keys.iter().map(|key| key.public.clone()).collect();
        let issuer = Self { url, served: Arc::new(Mutex::new(Served { keys, ..Served::default() })) };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys_of))
            .with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        issuer
    }

    fn claims(&self, audience: &str, more: &Value) -> Value {
        let now = Utc::now().timestamp();
        let mut claims = json!({"iss": self.url, "aud": audience, "sub": "u-7", "exp": now + 300, "iat": now,
            "email": "jo@acme.example"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    }
}

async fn discovery(State(issuer): State<Issuer>) -> (StatusCode, Json<Value>) {
    let mut served = issuer.served.lock().unwrap();
    served.asked += 1;
    let status = if served.is_down { StatusCode::BAD_GATEWAY } else { StatusCode::OK };
    let name = served.claims_to_be.clone().unwrap_or_else(|| issuer.url.clone());
    (status, Json(json!({"issuer": name, "jwks_uri": format!("{}/keys", issuer.url)})))
}

async fn keys_of(State(issuer): State<Issuer>) -> Json<Value> {
    Json(json!({"keys": issuer.served.lock().unwrap().keys}))
}

/// The operator opens the loopback, where the issuers of these tests are.
fn config() -> Config {
    Config { egress: "127.0.0.0/8".parse::<EgressPolicy>().unwrap().into(), ..open() }
}

fn rule(group: &str, role: &str, scope: &Value) -> Value {
    json!({"claims": [{"path": "/realm/groups", "value": group}], "role": role, "scope": scope})
}

async fn trust(api: &TestApi, world: &World, name: &str, issuer: &str, audience: Option<&str>) -> Value {
    let rules = [
        rule("security", "security_reader", &json!({"type": "tenant"})),
        rule("team-a", "owner", &json!({"type": "cluster", "cluster_id": world.cluster})),
        rule("admins", "owner", &json!({"type": "tenant"})),
    ];
    let body = json!({"name": name, "issuer": issuer, "audience": audience, "rules": rules});
    api.post("/v1/identity-providers", &world.owner, body).await.expect(StatusCode::CREATED).json()
}

fn groups(groups: &[&str]) -> Value {
    json!({"realm": {"groups": groups}})
}

#[tokio::test]
async fn claims_grant_roles_in_scopes() {
    let (key, issuer_key) = (Key::ec("e1"), Key::rsa("r1"));
    let issuer = Issuer::start(&[&key, &issuer_key]).await;
    let api = start_with(config()).await;
    let world = api.world("alpha").await;
    let made = trust(&api, &world, "sso", &issuer.url, None).await;
    let audience = format!("rampart:{}", world.tenant);
    assert_eq!((&made["audience"], &made["needs_tenant_header"]), (&json!(audience), &json!(false)));
    let sign = |key: &Key, more: &Value| key.sign(&issuer.claims(&audience, more));

    for key in [&key, &issuer_key] {
        let reader = sign(key, &groups(&["x", "security"]));
        let answered = api.get("/v1/tenant", &reader).await.expect(StatusCode::OK);
        assert!(answered.headers.contains_key("ratelimit-remaining"));
        assert_eq!(api.get("/v1/tokens?limit=1", &reader).await.code(), "forbidden");
    }
    let part = sign(&key, &groups(&["team-a"]));
    let seen = api.get("/v1/resources?limit=50", &part).await.expect(StatusCode::OK).json();
    assert!(seen["items"].as_array().unwrap().iter().any(|item| item["id"] == world.resource.to_string()), "{seen}");
    assert!(!seen.to_string().contains("alpha-two"), "{seen}");
    let path = format!("/v1/resources/{}", world.other_resource);
    assert_eq!(api.get(&path, &part).await.expect(StatusCode::NOT_FOUND).code(), "not_found");
    let none = sign(&key, &groups(&["nobody"]));
    assert_eq!(api.get("/v1/tenant", &none).await.expect(StatusCode::FORBIDDEN).code(), "forbidden");

    // The same key of two callers is two keys, and the log tells who it was.
    let admin = |subject: &str| sign(&key, &json!({"sub": subject, "realm": {"groups": ["admins"]}}));
    let rule = json!({"name": "one", "level": "high", "scope": {"type": "tenant"}});
    let send = async |subject: &str| {
        let headers = [("idempotency-key", "k1")];
        api.call(Method::POST, "/v1/criticality-rules", &admin(subject), &headers, Some(rule.clone())).await
    };
    send("a").await.expect(StatusCode::CREATED);
    let again = send("a").await.expect(StatusCode::CREATED);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(send("b").await.code(), "idempotency_key_reused");
    let log =
        api.get("/v1/audit-log?limit=10&operation=create_criticality_rule&outcome=refused", &world.owner).await.json();
    let actor = &log["items"][0]["actor"];
    assert_eq!((&actor["type"], &actor["name"]), (&json!("identity"), &json!("jo@acme.example")), "{log}");
    assert_eq!((&actor["provider"], &actor["subject"]), (&json!("sso"), &json!("b")), "{log}");
    assert_eq!(issuer.served.lock().unwrap().asked, 1, "the keys are read once");
}

#[tokio::test]
async fn a_token_that_does_not_hold_opens_nothing() {
    let (key, stranger) = (Key::ec("e1"), Key::ec("e1"));
    let issuer = Issuer::start(&[&key]).await;
    let api = start_with(config()).await;
    let world = api.world("alpha").await;
    trust(&api, &world, "sso", &issuer.url, None).await;
    let audience = format!("rampart:{}", world.tenant);
    let now = Utc::now().timestamp();
    let claims = |more: Value| {
        let mut all = groups(&["admins"]);
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        issuer.claims(&audience, &all)
    };
    api.get("/v1/tenant", &key.sign(&claims(json!({})))).await.expect(StatusCode::OK);
    api.get("/v1/tenant", &key.sign(&claims(json!({"exp": now - 30})))).await.expect(StatusCode::OK);

    let secret = EncodingKey::from_secret(issuer.served.lock().unwrap().keys[0].to_string().as_bytes());
    let header = Header { kid: Some("e1".into()), ..Header::new(Algorithm::HS256) };
    let shared = jsonwebtoken::encode(&header, &claims(json!({})), &secret).unwrap();
    let signed = key.sign(&claims(json!({})));
    let [_, payload, signature] = signed.split('.').collect::<Vec<_>>()[..] else { panic!("{signed}") };
    let unsigned = format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"e1"}"#));
    let altered = claims(json!({"sub": "u-8"})).to_string();
    let altered = format!("{}.{}.{signature}", signed.split('.').next().unwrap(), URL_SAFE_NO_PAD.encode(altered));
    for (what, token) in [
        ("expired", key.sign(&claims(json!({"exp": now - 120})))),
        ("without an end", key.sign(&claims(json!({"exp": null})))),
        ("not yet valid", key.sign(&claims(json!({"nbf": now + 120})))),
        ("from the future", key.sign(&claims(json!({"iat": now + 120})))),
        ("of nobody", key.sign(&claims(json!({"sub": ""})))),
        ("for another audience", key.sign(&claims(json!({"aud": "other"})))),
        ("for nobody", key.sign(&claims(json!({"aud": null})))),
        ("of another issuer", key.sign(&claims(json!({"iss": "https://other.example"})))),
        ("of a stranger's key", stranger.sign(&claims(json!({})))),
        ("of an unknown key", Key::ec("e9").sign(&claims(json!({})))),
        ("with a shared secret", shared),
        ("unsigned", unsigned),
        ("altered", altered),
        ("no token", "a.b.c".to_owned()),
    ] {
        let answered = api.get("/v1/tenant", &token).await;
        assert_eq!(
            (answered.status, answered.code().as_str()),
            (StatusCode::UNAUTHORIZED, "unauthenticated"),
            "{what}"
        );
    }
    let log = api.get("/v1/audit-log?limit=50&operation=get_tenant", &world.owner).await.json();
    let left: Vec<&Value> = log["items"].as_array().unwrap().iter().map(|entry| &entry["actor"]["subject"]).collect();
    assert_eq!(left, ["u-7"; 4], "only a token whose signature holds is anybody's");
}

#[tokio::test]
async fn tenants_that_trust_one_issuer_do_not_get_each_others_callers() {
    let key = Key::ec("e1");
    let issuer = Issuer::start(&[&key]).await;
    let api = start_with(config()).await;
    let (one, two) = (api.world("alpha").await, api.world("beta").await);
    let foreign = json!({"name": "x", "issuer": issuer.url, "audience": format!("rampart:{}", two.tenant),
        "rules": [rule("admins", "owner", &json!({"type": "tenant"}))]});
    let refused = api.post("/v1/identity-providers", &one.owner, foreign).await;
    assert_eq!((refused.status.as_u16(), &refused.json()["errors"][0]["field"]), (422, &json!("/audience")));

    // Whoever comes first takes nothing from whoever comes later.
    for world in [&one, &two] {
        trust(&api, world, "cloud", &issuer.url, Some("client-1")).await;
        trust(&api, world, "own", &issuer.url, None).await;
    }
    let shared = key.sign(&issuer.claims("client-1", &groups(&["admins"])));
    let own = key.sign(&issuer.claims(&format!("rampart:{}", one.tenant), &groups(&["admins"])));
    let replica: Replica = api.replica(&config());
    let (first, second) = (one.tenant.to_string(), two.tenant.to_string());
    let ask = async |token: &str, tenant: Option<&str>| {
        let headers: Vec<_> = tenant.map(|tenant| ("rampart-tenant", tenant)).into_iter().collect();
        let answered = replica.get("/v1/tenant", token, &headers).await;
        (answered.status.as_u16(), answered.json()["name"].as_str().map(str::to_owned))
    };
    assert_eq!(ask(&shared, None).await.0, 401, "whose data is meant is never guessed");
    assert_eq!(ask(&shared, Some(&first)).await, (200, Some("alpha".to_owned())));
    assert_eq!(ask(&shared, Some(&second)).await, (200, Some("beta".to_owned())));
    assert_eq!(ask(&own, None).await, (200, Some("alpha".to_owned())));
    assert_eq!(ask(&own, Some(&second)).await.0, 401, "a token for one tenant never opens another");
}

#[tokio::test]
async fn what_a_provider_says_holds_with_the_next_request_on_every_replica() {
    let key = Key::ec("e1");
    let issuer = Issuer::start(&[&key]).await;
    let api = start_with(config()).await;
    let world = api.world("alpha").await;
    let made = trust(&api, &world, "sso", &issuer.url, None).await;
    let path = format!("/v1/identity-providers/{}", made["id"].as_str().unwrap());
    let token = key.sign(&issuer.claims(&format!("rampart:{}", world.tenant), &groups(&["security"])));
    let replica = api.replica(&config());
    let status = async || replica.get("/v1/tenant", &token, &[]).await.status.as_u16();
    assert_eq!(status().await, 200);
    let put = async |version: &str, enabled: bool, group: &str| {
        let rules = [rule(group, "security_reader", &json!({"type": "tenant"}))];
        let body = json!({"name": "sso", "issuer": issuer.url, "rules": rules, "enabled": enabled});
        api.call(Method::PUT, &path, &world.owner, &[("if-match", version)], Some(body)).await
    };
    assert_eq!(put("\"7\"", true, "other").await.code(), "version_mismatch");
    put("\"1\"", true, "other").await.expect(StatusCode::OK);
    assert_eq!(status().await, 403, "no rule applies any more");
    put("\"2\"", false, "security").await.expect(StatusCode::OK);
    assert_eq!(status().await, 401);
    put("*", true, "security").await.expect(StatusCode::OK);
    assert_eq!(status().await, 200);
    api.call(Method::DELETE, &path, &world.owner, &[], None).await.expect(StatusCode::NO_CONTENT);
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_lets_nobody_through() {
    let (key, next) = (Key::ec("e1"), Key::ec("e2"));
    let issuer = Issuer::start(&[&key]).await;
    let api = start_with(config()).await;
    let world = api.world("alpha").await;
    trust(&api, &world, "sso", &issuer.url, None).await;
    let claims = issuer.claims(&format!("rampart:{}", world.tenant), &groups(&["security"]));
    let (token, later) = (key.sign(&claims), next.sign(&claims));
    let unavailable = async |replica: &Replica, token: &str| {
        let answered = replica.get("/v1/tenant", token, &[]).await;
        let wait: u64 = answered.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=31).contains(&wait), "{wait}");
        assert_eq!((answered.status.as_u16(), answered.code().as_str()), (503, "identity_provider_unavailable"));
    };

    // Without the operator's leave, no request goes to the loopback, whatever a tenant writes.
    let closed = api.replica(&open());
    unavailable(&closed, &token).await;
    assert_eq!(issuer.served.lock().unwrap().asked, 0);

    issuer.served.lock().unwrap().claims_to_be = Some("https://other.example".to_owned());
    unavailable(&api.replica(&config()), &token).await;
    issuer.served.lock().unwrap().claims_to_be = None;

    let knows = api.replica(&config());
    knows.get("/v1/tenant", &token, &[]).await.expect(StatusCode::OK);
    issuer.served.lock().unwrap().is_down = true;
    knows.get("/v1/tenant", &token, &[]).await.expect(StatusCode::OK);
    unavailable(&api.replica(&config()), &token).await;

    {
        let mut served = issuer.served.lock().unwrap();
        served.is_down = false;
        served.keys = vec![next.public.clone()];
    }
    let rotated = api.replica(&config());
    rotated.get("/v1/tenant", &later, &[]).await.expect(StatusCode::OK);
    rotated.get("/v1/tenant", &token, &[]).await.expect(StatusCode::UNAUTHORIZED);
    let asked = issuer.served.lock().unwrap().asked;
    rotated.get("/v1/tenant", &token, &[]).await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(issuer.served.lock().unwrap().asked, asked, "keys that nobody has are not asked for again and again");
}

#[tokio::test]
async fn a_provider_is_checked_before_it_is_stored() {
    let api = start_with(config()).await;
    let world = api.world("alpha").await;
    let body = json!({"name": "no spaces", "issuer": "http://10.0.0.1", "audience": "", "rules": [
        {"claims": [{"path": "groups", "value": ""}], "role": "owner", "scope": {"type": "tenant"}},
        {"claims": [], "role": "owner", "scope": {"type": "tenant"}}]});
    let problem =
        api.post("/v1/identity-providers", &world.owner, body).await.expect(StatusCode::UNPROCESSABLE_ENTITY).json();
    let fields: Vec<_> = problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    let expected =
        ["/name", "/issuer", "/audience", "/rules/0/claims/0/path", "/rules/0/claims/0/value", "/rules/1/claims"];
    assert_eq!(fields, expected);
    trust(&api, &world, "sso", "https://one.example", None).await;
    let again = json!({"name": "other", "issuer": "https://one.example",
        "rules": [rule("a", "owner", &json!({"type": "tenant"}))]});
    assert_eq!(api.post("/v1/identity-providers", &world.owner, again).await.code(), "already_exists");
}
