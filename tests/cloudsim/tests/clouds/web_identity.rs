use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use axum::{Json, Router, routing::get};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use cloudsim::Simulator;
use cloudsim::world::Preset;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::simulator;

const SUBJECT: &str = "tenant:connector";

/// An issuer on the loopback with one key.
struct Issuer {
    url: String,
    key: EncodingKey,
}

fn key() -> (EncodingKey, Value) {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    let public = pair.public_key();
    let n = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
    let e = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
    let jwk = json!({"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": n, "e": e});
    (EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), jwk)
}

impl Issuer {
    async fn start() -> Self {
        let (key, jwk) = key();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let configuration = json!({"issuer": url, "jwks_uri": format!("{url}/.well-known/jwks.json")});
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { Json(configuration) }))
            .route("/.well-known/jwks.json", get(move || async move { Json(json!({"keys": [jwk]})) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, key }
    }

    fn claims(&self) -> Value {
        let now = chrono::Utc::now().timestamp();
        json!({"iss": self.url, "sub": SUBJECT, "aud": "sts.amazonaws.com", "iat": now, "nbf": now - 5, "exp": now + 300})
    }

    fn token(&self, claims: &Value) -> String {
        signed(&self.key, claims)
    }
}

fn signed(key: &EncodingKey, claims: &Value) -> String {
    encode(&Header { kid: Some("one".into()), ..Header::new(Algorithm::RS256) }, claims, key).unwrap()
}

/// The status and the text of the answer.
async fn assume(simulator: &Simulator, role: &str, token: &str) -> (u16, String) {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "AssumeRoleWithWebIdentity").append_pair("Version", "2011-06-15");
    form.append_pair("RoleArn", role).append_pair("RoleSessionName", "test").append_pair("WebIdentityToken", token);
    let request = reqwest::Client::builder().no_proxy().build().unwrap().post(simulator.aws_endpoint());
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.finish());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn a_role_opens_to_a_true_statement_and_to_nothing_else() {
    let simulator = simulator(Preset::Demo).await;
    let issuer = Issuer::start().await;
    let role = simulator.accounts().remove(0).role_arn;
    let good = issuer.token(&issuer.claims());
    let check = async |token: &str, status: u16, word: &str| {
        let (found, text) = assume(&simulator, &role, token).await;
        assert!(found == status && text.contains(word), "{found} {text}, not {status} {word}");
    };
    check(&good, 400, "InvalidIdentityToken").await;
    simulator.federate(&role, &issuer.url, Some(SUBJECT));
    check(&good, 200, "<SessionToken>").await;

    let with = |member: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[member] = value;
        issuer.token(&claims)
    };
    let now = chrono::Utc::now().timestamp();
    check(&with("sub", "tenant:another".into()), 403, "AccessDenied").await;
    check(&with("aud", "api://AzureADTokenExchange".into()), 400, "InvalidIdentityToken").await;
    check(&with("iss", "https://elsewhere.example".into()), 400, "InvalidIdentityToken").await;
    check(&with("exp", (now - 1).into()), 400, "ExpiredToken").await;
    check(&with("nbf", (now + 60).into()), 400, "ExpiredToken").await;
    check(&signed(&key().0, &issuer.claims()), 400, "InvalidIdentityToken").await;
    check("not.a.token", 400, "InvalidIdentityToken").await;
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "kid": "one"}).to_string());
    let body = URL_SAFE_NO_PAD.encode(issuer.claims().to_string());
    check(&format!("{header}.{body}."), 400, "InvalidIdentityToken").await;

    let other = simulator.accounts().remove(1).role_arn;
    simulator.federate(&other, "http://127.0.0.1:9", Some(SUBJECT));
    let (status, text) = assume(&simulator, &other, &good).await;
    assert!(status == 400 && text.contains("IDPCommunicationError"), "{status} {text}");
}
