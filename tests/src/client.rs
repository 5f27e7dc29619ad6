use std::time::{Duration, Instant};

use cloudsim::Simulator;
use cloudsim::world::Subscription;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

const POLL: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_mins(3);

/// One tenant's view of the product: its REST API and nothing else.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: SecretString,
}

impl Client {
    /// A caller with a token.
    pub fn new(base: &str, token: SecretString) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_mins(1)).build().expect("a client");
        Self { http, base: base.to_owned(), token }
    }

    /// The same caller at another replica.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// Any request; the status and the body, null when there is none. Of a stream of events its whole text.
    ///
    /// # Panics
    /// When there is no answer or it is not JSON.
    pub async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(self.token.expose_secret()).header("if-match", "*");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the API answers");
        let status = response.status();
        let streamed = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let text = response.text().await.expect("the answer is whole");
        if streamed {
            return (status, Value::String(text));
        }
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("answers are JSON") };
        (status, body)
    }

    /// Reads anything, as text.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn request_text(&self, path: &str) -> (StatusCode, String) {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(self.token.expose_secret());
        let response = request.send().await.expect("the API answers");
        (response.status(), response.text().await.expect("the answer is whole"))
    }

    /// Like [`Client::request`] where even having no answer is one: the status, or why there is none.
    ///
    /// # Errors
    /// The connection failed or the answer is not whole.
    pub async fn try_request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<StatusCode, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.bearer_auth(self.token.expose_secret()).header("if-match", "*");
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await?;
        let status = response.status();
        response.bytes().await?;
        Ok(status)
    }

    /// The same caller with connections of its own.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(&self.base, self.token.clone())
    }

    /// The same API with another token.
    #[must_use]
    pub fn with_token(&self, token: SecretString) -> Self {
        Self { token, ..self.clone() }
    }

    /// The token that it calls with.
    pub const fn token(&self) -> &SecretString {
        &self.token
    }

    /// Base URL of the API.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends bytes, as `curl --data-binary` does; the status and the answer.
    ///
    /// # Panics
    /// When there is no answer or it is not JSON.
    pub async fn send(&self, path: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(self.token.expose_secret());
        let response = request.body(body).send().await.expect("the API answers");
        let status = response.status();
        (status, response.json().await.expect("answers are JSON"))
    }

    async fn succeed(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.request(method.clone(), path, body).await;
        assert!(status.is_success(), "{method} {path} answered {status}: {answer}");
        answer
    }

    /// Reads one thing.
    pub async fn get(&self, path: &str) -> Value {
        self.succeed(Method::GET, path, None).await
    }

    /// Reads every page of a list. `path` has no `limit`.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let mut items = Vec::new();
        let mut page = self.get(&format!("{path}{mark}limit=500")).await;
        loop {
            items.extend(page["items"].as_array().expect("lists have items").iter().cloned());
            let Some(cursor) = page["next_cursor"].as_str() else { return items };
            page = self.get(&format!("{path}{mark}limit=500&cursor={cursor}")).await;
        }
    }

    /// Creates something or asks for something to be done.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.succeed(Method::POST, path, Some(body)).await
    }

    /// Changes something, whatever its version.
    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        self.succeed(Method::PATCH, path, Some(body)).await
    }

    /// Deletes something.
    pub async fn delete(&self, path: &str) -> Value {
        self.succeed(Method::DELETE, path, None).await
    }

    /// Onboards a simulated account by its role, as a customer does. Its schedule is off: scans come when asked for.
    pub async fn onboard_account(&self, simulator: &Simulator, name: &str, account: &str) -> Value {
        let accounts = simulator.accounts();
        let account = accounts.iter().find(|known| known.id == account).expect("the world has the account");
        let source = json!({ "provider": "aws", "role_arn": account.role_arn, "regions": "enabled" });
        let connector = self.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        let external_id = connector["external_id"].as_str().expect("a role gets an external id");
        simulator.trust(&account.role_arn, external_id);
        self.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await
    }

    /// Onboards the simulated organisation by its management account's role; `rules` say which accounts are read. The roles
    /// of all accounts but `denied` trust it. Its schedule is off: scans come when asked for.
    pub async fn onboard_organization(
        &self,
        simulator: &Simulator,
        name: &str,
        rules: &Value,
        denied: &[&str],
    ) -> Value {
        let accounts = simulator.accounts();
        let mut source = json!({ "provider": "aws", "role_arn": accounts[0].role_arn, "regions": ["eu-west-1"] });
        source["organization"] = rules.clone();
        let connector = self.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        let external_id = connector["external_id"].as_str().expect("an organisation gets an external id");
        for account in accounts.iter().filter(|account| !denied.contains(&account.id.as_str())) {
            simulator.trust(&account.role_arn, external_id);
        }
        self.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await
    }

    /// Onboards a simulated Azure subscription. Its schedule is off: scans come when asked for.
    pub async fn onboard_subscription(&self, name: &str, subscription: &Subscription) -> Value {
        let source = json!({
            "provider": "azure", "subscription_id": subscription.id, "tenant_id": subscription.tenant_id,
            "client_id": subscription.client_id, "client_secret": subscription.client_secret,
        });
        self.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        self.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await
    }

    /// Onboards a simulated cluster by its kubeconfig. Its schedule is off: scans come when asked for.
    pub async fn onboard_cluster(&self, simulator: &Simulator, name: &str, cluster: &str) -> Value {
        let kubeconfig = simulator.kubeconfig(cluster).expect("the cluster has a kubeconfig");
        let source = json!({ "provider": "kubernetes", "kubeconfig": kubeconfig, "cluster_name": cluster });
        self.post("/v1/connectors", &json!({ "name": name, "source": source })).await;
        self.post(&format!("/v1/connectors/{name}/pause"), &json!({})).await
    }

    /// Asks for a scan.
    pub async fn start_scan(&self, connector: &str) -> String {
        let scan = self.post(&format!("/v1/connectors/{connector}/scans"), &json!({})).await;
        scan["id"].as_str().expect("scans have ids").to_owned()
    }

    /// Waits for a scan to end and returns it.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn wait_for_scan(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let scan = self.get(&format!("/v1/scans/{id}")).await;
            if !matches!(scan["status"].as_str(), Some("queued" | "running")) {
                return scan;
            }
            assert!(begun.elapsed() < PATIENCE, "the scan does not end: {scan}");
            tokio::time::sleep(POLL).await;
        }
    }
}
