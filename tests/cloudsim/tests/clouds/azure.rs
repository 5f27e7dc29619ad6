//! Azure as a client without any SDK sees it.

use std::time::Duration;

use cloudsim::world::{Preset, Subscription};
use cloudsim::{Fault, FaultKind, Simulator, Target, openapi};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::support::simulator;

const ARM: &str = "management.azure.com";
const SCOPE: &str = "https://management.azure.com/.default";
const VERSION: &str = "api-version=2025-10-01";
const CLUSTERS: &str = "providers/Microsoft.ContainerService/managedClusters";

/// A client with the credentials of one subscription.
struct Azure {
    client: Client,
    endpoint: String,
    subscription: Subscription,
}

impl Azure {
    fn new(simulator: &Simulator, subscription: usize) -> Self {
        let client = Client::builder().build().unwrap();
        Self {
            client,
            endpoint: simulator.azure_endpoint(),
            subscription: simulator.subscriptions().remove(subscription),
        }
    }

    fn request(&self, method: Method, host: &str, target: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{target}", self.endpoint)).header("host", host)
    }

    async fn form(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> (StatusCode, Value) {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        read(self.request(Method::POST, host, path).body(body).send().await.unwrap()).await
    }

    async fn sign_in(&self, secret: &str, scope: &str) -> (StatusCode, Value) {
        let path = format!("/{}/oauth2/v2.0/token", self.subscription.tenant_id);
        let client_id = self.subscription.client_id.as_str();
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", client_id),
            ("client_secret", secret),
            ("scope", scope),
        ];
        self.form("login.microsoftonline.com", &path, &fields).await
    }

    async fn token(&self) -> String {
        let (_, answer) = self.sign_in(&self.subscription.client_secret, SCOPE).await;
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn get(&self, token: &str, target: &str) -> Response {
        self.request(Method::GET, ARM, target).bearer_auth(token).send().await.unwrap()
    }

    /// All items of a list, and the pages that they came on.
    async fn list(&self, token: &str, path: &str, version: &str) -> (Vec<Value>, Vec<Value>) {
        let mut target = format!("{path}?api-version={version}");
        let (mut items, mut pages) = (Vec::new(), Vec::new());
        loop {
            let (status, page) = read(self.get(token, &target).await).await;
            assert_eq!(status, StatusCode::OK, "{target}: {page}");
            items.extend(page["value"].as_array().unwrap().clone());
            let next = page["nextLink"].as_str().map(|next| next.replace(&format!("https://{ARM}"), ""));
            pages.push(page);
            match next {
                Some(next) => target = next,
                None => return (items, pages),
            }
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/subscriptions/{}/{rest}", self.subscription.id)
    }
}

async fn read(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn every_answer_has_the_shape_of_the_document() {
    let simulator = simulator(Preset::Azure).await;
    let mut checked = 0;
    for index in 0..simulator.subscriptions().len() {
        let azure = Azure::new(&simulator, index);
        let token = azure.token().await;
        let mut hold = |schema: &str, pages: Vec<Value>| {
            for page in pages {
                let problems = openapi::check(schema, &page);
                assert!(problems.is_empty(), "{problems:#?}");
                checked += 1;
            }
        };
        let (clusters, pages) = azure.list(&token, &azure.path(CLUSTERS), "2025-10-01").await;
        hold("aks/ManagedClusterListResult", pages);
        for cluster in clusters {
            let id = cluster["id"].as_str().unwrap();
            hold("aks/AgentPoolListResult", azure.list(&token, &format!("{id}/agentPools"), "2025-10-01").await.1);
            let windows = azure.list(&token, &format!("{id}/maintenanceConfigurations"), "2025-10-01").await.1;
            hold("aks/MaintenanceConfigurationListResult", windows);
        }
        let registries = azure.path("providers/Microsoft.ContainerRegistry/registries");
        let (registries, pages) = azure.list(&token, &registries, "2025-11-01").await;
        hold("acr/RegistryListResult", pages);
        for registry in registries {
            let id = registry["id"].as_str().unwrap();
            hold("acr/ReplicationListResult", azure.list(&token, &format!("{id}/replications"), "2025-11-01").await.1);
            hold("acr/WebhookListResult", azure.list(&token, &format!("{id}/webhooks"), "2025-11-01").await.1);
        }
        let connected = azure.path("providers/Microsoft.Kubernetes/connectedClusters");
        hold("arc/ConnectedClusterList", azure.list(&token, &connected, "2024-01-01").await.1);
    }
    assert!(checked > 20, "{checked}");
}

#[tokio::test]
async fn plans_role_assignments_and_diagnostic_settings_are_told() {
    let simulator = simulator(Preset::Azure).await;
    let (shop, lab) = (Azure::new(&simulator, 0), Azure::new(&simulator, 1));
    let mut inherited = Vec::new();
    for (azure, tier, assigned, audited) in [(&shop, "Standard", 4, 1), (&lab, "Free", 1, 0)] {
        let token = azure.token().await;
        let (plans, _) = azure.list(&token, &azure.path("providers/Microsoft.Security/pricings"), "2024-01-01").await;
        let containers = plans.iter().find(|plan| plan["name"] == "Containers").unwrap();
        assert_eq!((containers["properties"]["pricingTier"].as_str(), plans.len()), (Some(tier), 2));
        let path = azure.path("providers/Microsoft.Authorization/roleAssignments");
        let (assignments, _) = azure.list(&token, &path, "2022-04-01").await;
        assert_eq!(assignments.len(), assigned);
        let ids = assignments.iter().map(|one| one["id"].as_str().unwrap().to_owned());
        inherited.push(ids.filter(|id| !id.starts_with("/subscriptions/")).collect::<Vec<_>>());
        let mut settings = 0;
        for cluster in azure.subscription.clusters.values() {
            let id = cluster.cluster["id"].as_str().unwrap();
            let path = format!("{id}/providers/Microsoft.Insights/diagnosticSettings");
            settings += azure.list(&token, &path, "2021-05-01-preview").await.0.len();
        }
        assert_eq!(settings, audited);
    }
    assert_eq!((inherited[0].len(), &inherited[0]), (1, &inherited[1]), "both subscriptions list the directory's own");
}

#[tokio::test]
async fn lists_have_pages_and_tell_what_is_left_of_the_quota() {
    let simulator = simulator(Preset::Azure).await;
    let azure = Azure::new(&simulator, 0);
    let token = azure.token().await;
    let (clusters, pages) = azure.list(&token, &azure.path(CLUSTERS), "2025-10-01").await;
    assert_eq!((clusters.len(), pages.len()), (4, 2));
    let first = azure.get(&token, &format!("{}?{VERSION}", azure.path(CLUSTERS))).await;
    assert!(first.headers().contains_key("x-ms-ratelimit-remaining-subscription-reads"));
    let bad = azure.get(&token, &format!("{}?{VERSION}&$skiptoken=words", azure.path(CLUSTERS))).await;
    assert_eq!(bad.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn refusals_have_azures_words() {
    let simulator = simulator(Preset::Azure).await;
    let (azure, other) = (Azure::new(&simulator, 0), Azure::new(&simulator, 1));
    let (status, answer) = azure.sign_in("guess", SCOPE).await;
    assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &json!("invalid_client")));
    let token = azure.token().await;
    for (token, target, status, code) in [
        ("guess", format!("{}?{VERSION}", azure.path(CLUSTERS)), 401, "ExpiredAuthenticationToken"),
        (token.as_str(), azure.path(CLUSTERS), 400, "MissingApiVersionParameter"),
        (token.as_str(), format!("{}?api-version=2019-01-01", azure.path(CLUSTERS)), 400, "NoRegisteredProviderFound"),
        (token.as_str(), format!("{}?{VERSION}", other.path(CLUSTERS)), 404, "SubscriptionNotFound"),
    ] {
        let (found, answer) = read(azure.get(token, &target).await).await;
        assert_eq!((found.as_u16(), answer["error"]["code"].as_str()), (status, Some(code)), "{target}");
    }
    let gone =
        azure.path("resourceGroups/clusters/providers/Microsoft.ContainerService/managedClusters/none/agentPools");
    let (status, answer) = read(azure.get(&token, &format!("{gone}?{VERSION}")).await).await;
    assert_eq!((status.as_u16(), &answer["code"]), (404, &json!("NotFound")), "flat, as some providers tell it");
    simulator.expire_sessions();
    assert_eq!(
        azure.get(&token, &format!("{}?{VERSION}", azure.path(CLUSTERS))).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn faults_hit_what_they_are_aimed_at() {
    let simulator = simulator(Preset::Azure).await;
    let azure = Azure::new(&simulator, 0);
    let token = azure.token().await;
    let target = Target::azure("arm", "managedClusters");
    simulator.faults().inject(Fault { target, kind: FaultKind::Throttle { retry_after: Some(7) }, times: Some(1) });
    let clusters = format!("{}?{VERSION}", azure.path(CLUSTERS));
    let throttled = azure.get(&token, &clusters).await;
    assert_eq!((throttled.status().as_u16(), throttled.headers()["retry-after"].to_str().unwrap()), (429, "7"));
    assert_eq!(azure.get(&token, &clusters).await.status(), StatusCode::OK);
    assert_eq!(simulator.calls().of("arm:managedClusters"), 2);
    let target = Target::azure("entra", "token");
    simulator.faults().inject(Fault { target, kind: FaultKind::Delay(Duration::from_millis(50)), times: None });
    let begun = std::time::Instant::now();
    azure.token().await;
    assert!(begun.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_registry_takes_its_own_tokens_only() {
    let simulator = simulator(Preset::Azure).await;
    let azure = Azure::new(&simulator, 0);
    let (host, entra) = ("shopimages.azurecr.io", azure.token().await);
    let tenant = azure.subscription.tenant_id.clone();
    let exchange = [
        ("grant_type", "access_token"),
        ("service", host),
        ("tenant", tenant.as_str()),
        ("access_token", entra.as_str()),
    ];
    let (_, answer) = azure.form(host, "/oauth2/exchange", &exchange).await;
    let refresh = answer["refresh_token"].as_str().unwrap().to_owned();
    let elsewhere = azure.form("shopgolden.azurecr.io", "/oauth2/exchange", &exchange).await;
    assert_eq!(elsewhere.0, StatusCode::UNAUTHORIZED);
    let grant = |scope: &'static str| {
        let refresh = refresh.clone();
        let azure = &azure;
        async move {
            let fields = [
                ("grant_type", "refresh_token"),
                ("service", host),
                ("scope", scope),
                ("refresh_token", refresh.as_str()),
            ];
            azure.form(host, "/oauth2/token", &fields).await.1["access_token"].as_str().unwrap().to_owned()
        }
    };
    let catalog = grant("registry:catalog:*").await;
    let get = |token: String, path: &'static str| azure.request(Method::GET, host, path).bearer_auth(token).send();
    let page = get(catalog.clone(), "/acr/v1/_catalog").await.unwrap();
    assert!(page.headers()["link"].to_str().unwrap().ends_with("rel=\"next\""));
    let metadata = grant("repository:data/api:metadata_read").await;
    for (token, path, status) in [
        (&metadata, "/acr/v1/data/api/_tags", 200),
        (&metadata, "/acr/v1/data/api", 200),
        (&metadata, "/acr/v1/data/web/_tags", 401),
        (&catalog, "/acr/v1/data/api/_manifests", 401),
        (&entra, "/acr/v1/_catalog", 401),
    ] {
        assert_eq!(get(token.clone(), path).await.unwrap().status().as_u16(), status, "{path}");
    }
    let denied = get(catalog, "/acr/v1/data/api/_manifests").await.unwrap();
    assert!(denied.headers()["www-authenticate"].to_str().unwrap().contains("insufficient_scope"));
}

#[tokio::test]
async fn clusters_take_tokens_for_their_api_servers_or_their_local_account() {
    let simulator = simulator(Preset::Azure).await;
    let authority = reqwest::Certificate::from_pem(simulator.ca_pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([authority]).build().unwrap();
    let get = |cluster: &str, token: &str| {
        let url = format!("{}/api/v1/namespaces", simulator.cluster_url(cluster).unwrap());
        client.get(url).bearer_auth(token).send()
    };
    let (shop, lab) = (Azure::new(&simulator, 0), Azure::new(&simulator, 1));
    let aks = "6dae42f8-4368-4678-94ff-3960e28e3630/.default";
    let (_, answer) = shop.sign_in(&shop.subscription.client_secret, aks).await;
    let token = answer["access_token"].as_str().unwrap();
    let local = simulator.bearer_token("lab-local").unwrap();
    for (cluster, token, status) in [
        ("shop-prod", token, 200),
        ("shop-denied", token, 403),
        ("lab-sealed", token, 401),
        ("shop-prod", shop.token().await.as_str(), 401),
        ("lab-local", local.as_str(), 200),
        ("lab-local", token, 401),
    ] {
        assert_eq!(get(cluster, token).await.unwrap().status().as_u16(), status, "{cluster}");
    }
    let id = &lab.subscription.clusters["lab-sealed"].cluster["id"];
    let target = format!("{}/listClusterUserCredential?{VERSION}", id.as_str().unwrap());
    let refused = lab.request(Method::POST, ARM, &target).bearer_auth(lab.token().await).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}
