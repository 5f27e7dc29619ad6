use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::Utc;
use cloudsim::schemas::Schema;
use cloudsim::world::Preset;
use cloudsim::{Fault, FaultKind, Simulator, Target};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::{Kube, simulator};

const PROJECT: &str = "shop-prod-4711";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
const PROVIDER: &str = "projects/77/locations/global/workloadIdentityPools/rampart/providers/oidc";

struct Google {
    client: Client,
    endpoint: String,
}

impl Google {
    fn new(simulator: &Simulator) -> Self {
        Self { client: Client::builder().build().unwrap(), endpoint: simulator.gcp_endpoint() }
    }

    async fn get(&self, target: &str, token: &str) -> (u16, Value) {
        let request = self.client.get(format!("{}{target}", self.endpoint)).bearer_auth(token);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn post(&self, path: &str, token: &str, body: String) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.endpoint)).bearer_auth(token).body(body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Result<String, String> {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (_, answer) = self.post(path, "", form).await;
        let text = |field: &str| answer[field].as_str().map(str::to_owned);
        text("access_token").ok_or_else(|| text("error_description").unwrap())
    }

    /// The token of a key, for an assertion whose claims were changed.
    async fn sign_in(&self, key: &Value, change: impl FnOnce(&mut Value)) -> Result<String, String> {
        let now = Utc::now().timestamp();
        let mut claims = json!({ "iss": key["client_email"], "aud": TOKEN_URI, "iat": now, "exp": now + 3600,
            "scope": "https://www.googleapis.com/auth/cloud-platform" });
        change(&mut claims);
        let pem = key["private_key"].as_str().unwrap();
        let der: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let pair = RsaKeyPair::from_pkcs8(&STANDARD.decode(der).unwrap()).unwrap();
        let assertion = jwt(&pair, key["private_key_id"].as_str().unwrap(), &claims);
        let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        self.form("/token", &[("grant_type", grant), ("assertion", &assertion)]).await
    }
}

fn jwt(pair: &RsaKeyPair, kid: &str, claims: &Value) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&json!({ "alg": "RS256", "typ": "JWT", "kid": kid })), encode(claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn key(simulator: &Simulator) -> Value {
    let scanner = simulator.world().projects()[0].scanner.clone();
    serde_json::from_str(&simulator.gcp_key(&scanner).unwrap()).unwrap()
}

async fn start() -> (Simulator, Google, String) {
    let simulator = simulator(Preset::GoogleCloud).await;
    let google = Google::new(&simulator);
    let token = google.sign_in(&key(&simulator), |_| ()).await.unwrap();
    (simulator, google, token)
}

#[tokio::test]
async fn answers_have_the_shapes_of_the_discovery_documents() {
    let (_simulator, google, token) = start().await;
    let check = async |schema: Schema, of_type: &str, target: String| {
        let (status, answer) = google.get(&target, &token).await;
        assert_eq!(status, 200, "{target}: {answer}");
        assert_eq!(schema.check(of_type, &answer), [] as [String; 0], "{target}");
        answer
    };
    let clusters = format!("/v1/projects/{PROJECT}/locations/-/clusters");
    let clusters = check(Schema::Container, "ListClustersResponse", clusters).await;
    assert_eq!(clusters["clusters"].as_array().unwrap().len(), 4);
    let base = format!("/v1/projects/{PROJECT}/locations");
    let registry = Schema::ArtifactRegistry;
    let locations = check(registry, "ListLocationsResponse", base.clone()).await;
    let mut images = 0;
    for location in locations["locations"].as_array().unwrap() {
        let parent = format!("{base}/{}/repositories", location["locationId"].as_str().unwrap());
        let repositories = check(registry, "ListRepositoriesResponse", parent).await;
        for repository in repositories["repositories"].as_array().into_iter().flatten() {
            let name = repository["name"].as_str().unwrap();
            check(registry, "Policy", format!("/v1/{name}:getIamPolicy")).await;
            let mut page = String::new();
            loop {
                let target = format!("/v1/{name}/dockerImages?pageSize=30&pageToken={page}");
                let answer = check(registry, "ListDockerImagesResponse", target).await;
                images += answer["dockerImages"].as_array().map_or(0, Vec::len);
                let Some(next) = answer["nextPageToken"].as_str() else { break };
                page = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            }
        }
    }
    assert_eq!(images, 17 * 5);
}

#[tokio::test]
async fn policy_apis_and_networks_of_a_project_have_the_shapes_of_the_documents() {
    let (simulator, google, token) = start().await;
    let pages = async |schema: Schema, of_type: &str, target: String| {
        let (mut answers, mut page) = (Vec::new(), String::new());
        loop {
            let (status, answer) = google.get(&format!("{target}pageToken={page}"), &token).await;
            assert_eq!(status, 200, "{target}: {answer}");
            assert_eq!(schema.check(of_type, &answer), [] as [String; 0], "{target}");
            let next = answer["nextPageToken"].as_str().map(str::to_owned);
            answers.push(answer);
            let Some(next) = next else { return answers };
            page = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        }
    };
    let length = |list: &Value| list.as_array().map_or(0, Vec::len);
    let services = format!("/v1/projects/{PROJECT}/services?filter=state:ENABLED&");
    let services = pages(Schema::ServiceUsage, "ListServicesResponse", services).await;
    assert_eq!(services.iter().map(|answer| length(&answer["services"])).collect::<Vec<_>>(), [5, 3]);
    let base = format!("/compute/v1/projects/{PROJECT}");
    let subnetworks = format!("{base}/aggregated/subnetworks?returnPartialSuccess=true&");
    let subnetworks = pages(Schema::Compute, "SubnetworkAggregatedList", subnetworks).await;
    for (answer, region) in subnetworks.iter().zip(["regions/europe-west1", "regions/us-east4"]) {
        let regions = answer["items"].as_object().unwrap();
        let full = regions.iter().filter(|(_, it)| it["warning"].is_null()).map(|(name, _)| name.as_str());
        assert_eq!((regions.len(), full.collect::<Vec<_>>()), (3, vec![region]));
    }
    let firewalls = pages(Schema::Compute, "FirewallList", format!("{base}/global/firewalls?")).await;
    assert_eq!((subnetworks.len(), firewalls.len(), length(&firewalls[0]["items"])), (2, 1, 3));

    let policy = format!("/v3/projects/{PROJECT}:getIamPolicy");
    let (status, policy) = google.post(&policy, &token, "{}".into()).await;
    assert_eq!((status, length(&policy["bindings"])), (200, 6));
    assert_eq!(Schema::ResourceManager.check("Policy", &policy), [] as [String; 0]);

    let target = Target::gcp("compute.subnetworks.list");
    simulator.faults().inject(Fault { target, kind: FaultKind::MissingZones, times: None });
    let partial = format!("{base}/aggregated/subnetworks?");
    let partial = pages(Schema::Compute, "SubnetworkAggregatedList", partial).await;
    assert_eq!((partial.len(), &partial[0]["unreachables"]), (1, &json!(["regions/us-east4"])));
    assert_eq!(partial[0]["items"]["regions/us-east4"]["warning"]["code"], "UNREACHABLE");
}

#[test]
fn the_documents_refuse_what_does_not_follow_them() {
    let check = |cluster: Value| Schema::Container.check("Cluster", &cluster).len();
    assert_eq!(check(json!({ "name": "a", "legacyAbac": {}, "status": "RUNNING" })), 0);
    for wrong in [
        json!({ "name": 1 }),
        json!({ "nickname": "a" }),
        json!({ "status": "FINE" }),
        json!({ "legacyAbac": { "enabled": false } }),
        json!({ "locations": [] }),
    ] {
        assert_eq!(check(wrong.clone()), 1, "{wrong}");
    }
    let rule = |rule: Value| Schema::Compute.check("Firewall", &rule).len();
    assert_eq!(rule(json!({ "name": "a", "disabled": false })), 0, "Compute Engine writes defaults out");
    assert_eq!((rule(json!({ "nickname": "a" })), rule(json!({ "direction": "UP" }))), (1, 1));
}

#[tokio::test]
async fn tokens_are_for_those_who_can_prove_who_they_are() {
    let (simulator, google, token) = start().await;
    let project = format!("/v3/projects/{PROJECT}");
    assert_eq!(google.get(&project, &token).await.0, 200);
    assert_eq!(google.get(&project, "ya29.guessed").await.0, 401);
    let sound = key(&simulator);
    let mut stolen = key(&simulator);
    stolen["private_key_id"] = sound["private_key_id"].clone();
    assert_eq!(google.sign_in(&stolen, |_| ()).await.unwrap_err(), "Invalid JWT Signature.");
    for change in [
        (|claims| claims["aud"] = json!("https://evil.example/token")) as fn(&mut Value),
        |claims| claims["iss"] = json!("other@shop.iam.gserviceaccount.com"),
        |claims| claims["exp"] = json!(Utc::now().timestamp() - 10),
        |claims| claims["scope"] = json!("openid"),
    ] {
        assert!(google.sign_in(&sound, change).await.unwrap_err().contains("Invalid JWT"));
    }

    let act = format!("/v1/projects/-/serviceAccounts/other@{PROJECT}.iam.gserviceaccount.com:generateAccessToken");
    assert_eq!(google.post(&act, &token, "{}".into()).await.0, 403);
    let scanner = sound["client_email"].as_str().unwrap();
    simulator.gcp_allow_acting(scanner, &format!("other@{PROJECT}.iam.gserviceaccount.com"));
    let (status, acting) = google.post(&act, &token, "{}".into()).await;
    assert_eq!((status, google.get(&project, acting["accessToken"].as_str().unwrap()).await.0), (200, 403));

    simulator.expire_sessions();
    assert_eq!(google.get(&project, &token).await.0, 401);
}

#[tokio::test]
async fn a_statement_of_a_trusted_issuer_is_exchanged_for_the_subject_it_was_made_for() {
    let simulator = simulator(Preset::GoogleCloud).await;
    let google = Google::new(&simulator);
    let pair = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let public = pair.public_key();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (public.modulus(), public.exponent());
    let jwk = json!({ "kty": "RSA", "kid": "i1", "n": part(n.big_endian_without_leading_zero()),
        "e": part(e.big_endian_without_leading_zero()) });
    simulator.gcp_federate(PROVIDER, &json!({ "keys": [jwk] }), "tenant:connector");
    simulator.gcp_grant("tenant:connector");
    let claims = json!({ "sub": "tenant:connector", "aud": format!("https://iam.googleapis.com/{PROVIDER}"),
        "exp": Utc::now().timestamp() + 600 });
    let exchange = async |claims: &Value| {
        let statement = jwt(&pair, "i1", claims);
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", &format!("//iam.googleapis.com/{PROVIDER}")),
            ("subject_token", &statement),
        ];
        google.form("/v1/token", &fields).await
    };
    let token = exchange(&claims).await.unwrap();
    assert_eq!(google.get(&format!("/v3/projects/{PROJECT}"), &token).await.0, 200);
    for (field, value) in [("sub", "tenant:other"), ("aud", "https://iam.googleapis.com/projects/1")] {
        let mut wrong = claims.clone();
        wrong[field] = json!(value);
        assert!(exchange(&wrong).await.is_err(), "{field}");
    }
}

#[tokio::test]
async fn a_cluster_takes_the_token_of_whoever_it_knows() {
    let (simulator, _google, token) = start().await;
    let pods = async |cluster: &str, token: &str| {
        Kube::new(&simulator, cluster, Some(token.to_owned())).get("/api/v1/pods?limit=1").await.0
    };
    assert_eq!(pods("checkout-prod", &token).await, 200);
    assert_eq!(pods("checkout-prod", "ya29.guessed").await, 401);
    assert_eq!(pods("sealed", &token).await, 401);
}

#[tokio::test]
async fn faults_speak_google() {
    let (simulator, google, token) = start().await;
    let clusters = format!("/v1/projects/{PROJECT}/locations/-/clusters");
    let inject = |kind| {
        simulator.faults().clear();
        simulator.faults().inject(Fault { target: Target::gcp("container.*"), kind, times: None });
    };
    inject(FaultKind::Throttle { retry_after: Some(7) });
    let (status, answer) = google.get(&clusters, &token).await;
    assert_eq!((status, &answer["error"]["details"][1]["retryDelay"]), (429, &json!("7s")));
    inject(FaultKind::Disabled);
    let (status, answer) = google.get(&clusters, &token).await;
    assert_eq!((status, &answer["error"]["details"][0]["reason"]), (403, &json!("SERVICE_DISABLED")));
    assert_eq!(google.get(&format!("/v3/projects/{PROJECT}"), &token).await.0, 200, "other services are not hit");
    inject(FaultKind::MissingZones);
    let (_, answer) = google.get(&clusters, &token).await;
    assert_eq!(
        (answer["missingZones"].clone(), answer["clusters"].as_array().unwrap().len()),
        (json!(["us-east4"]), 2)
    );
    assert_eq!(Schema::Container.check("ListClustersResponse", &answer), [] as [String; 0]);
    simulator.faults().clear();
    let (status, answer) = google.get("/v3/projects?parent=folders/500000000001&showDeleted=true", &token).await;
    assert_eq!((status, &answer["error"]["status"]), (403, &json!("PERMISSION_DENIED")), "a project's role is no more");
}
