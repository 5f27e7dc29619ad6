//! Clients that speak to a simulator without any provider's SDK.

use chrono::Utc;
use cloudsim::world::{Preset, WorldSpec};
use cloudsim::{Keys, Simulator};
use reqwest::{Certificate, Client, Response};
use serde_json::{Value, json};

pub(crate) async fn simulator(preset: Preset) -> Simulator {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Simulator::start(WorldSpec { seed: 42, preset }).await.unwrap()
}

/// A client of AWS in one region.
#[derive(Clone)]
pub(crate) struct Aws {
    pub(crate) client: Client,
    pub(crate) endpoint: String,
    pub(crate) keys: Keys,
    pub(crate) region: String,
}

impl Aws {
    /// With the static keys of an account.
    pub(crate) fn new(simulator: &Simulator, account: usize, region: &str) -> Self {
        let account = &simulator.accounts()[account];
        let keys = Keys {
            access_key_id: account.access_key_id.clone(),
            secret_access_key: account.secret_access_key.clone(),
            session_token: None,
        };
        Self::with_keys(simulator, keys, region)
    }

    pub(crate) fn with_keys(simulator: &Simulator, keys: Keys, region: &str) -> Self {
        let client = Client::builder().build().unwrap();
        Self { client, endpoint: simulator.aws_endpoint(), keys, region: region.to_owned() }
    }

    /// `path` may carry a query.
    pub(crate) async fn send(
        &self,
        service: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let host = self.endpoint.trim_start_matches("http://");
        let signed = self.keys.sign((&self.region, service), Utc::now(), host, (method, path, query), body.as_bytes());
        let url = format!("{}{target}", self.endpoint);
        let mut request = self.client.request(method.parse().unwrap(), url).body(body.to_owned());
        for (name, value) in signed {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    pub(crate) async fn eks(&self, target: &str) -> (u16, Value) {
        let response = self.send("eks", "GET", target, &[], "").await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn ecr(&self, operation: &str, members: &Value) -> (u16, Value) {
        let target = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let headers = [("x-amz-target", target.as_str()), ("content-type", "application/x-amz-json-1.1")];
        let response = self.send("ecr", "POST", "/", &headers, &members.to_string()).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn log_groups(&self, members: &Value) -> (u16, Value) {
        let headers =
            [("x-amz-target", "Logs_20140328.DescribeLogGroups"), ("content-type", "application/x-amz-json-1.1")];
        let response = self.send("logs", "POST", "/", &headers, &members.to_string()).await;
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// A page of `GetAccountAuthorizationDetails`.
    pub(crate) async fn iam(&self, form: &str) -> (u16, String) {
        let form = format!("Action=GetAccountAuthorizationDetails&Version=2010-05-08{form}");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let response = self.send("iam", "POST", "/", &headers, &form).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    pub(crate) async fn sts(&self, form: &str) -> (u16, String) {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let response = self.send("sts", "POST", "/", &headers, form).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Keys of a role.
    pub(crate) async fn assume(&self, role: &str, external_id: Option<&str>) -> Result<Keys, String> {
        let external = external_id.map(|id| format!("&ExternalId={id}")).unwrap_or_default();
        let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={role}&RoleSessionName=test{external}");
        match self.sts(&form).await {
            (200, xml) => Ok(Keys {
                access_key_id: element(&xml, "AccessKeyId"),
                secret_access_key: element(&xml, "SecretAccessKey"),
                session_token: Some(element(&xml, "SessionToken")),
            }),
            (_, xml) => Err(element(&xml, "Code")),
        }
    }
}

/// Text of the first element of this name.
pub(crate) fn element(xml: &str, name: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    rest.split_once("</").unwrap().0.to_owned()
}

/// A client of one cluster's API.
#[derive(Clone)]
pub(crate) struct Kube {
    pub(crate) client: Client,
    pub(crate) url: String,
    pub(crate) token: Option<String>,
}

impl Kube {
    pub(crate) fn new(simulator: &Simulator, cluster: &str, token: Option<String>) -> Self {
        let ca = Certificate::from_pem(simulator.ca_pem().as_bytes()).unwrap();
        let client = Client::builder().tls_certs_only([ca]).build().unwrap();
        Self { client, url: simulator.cluster_url(cluster).unwrap(), token }
    }

    /// With the static token of a cluster on premises.
    pub(crate) fn on_premises(simulator: &Simulator) -> Self {
        Self::new(simulator, "factory-floor", simulator.bearer_token("factory-floor"))
    }

    /// With an EKS token of the account's static keys.
    pub(crate) fn eks(simulator: &Simulator, region: &str, cluster: &str) -> Self {
        let keys = Aws::new(simulator, 0, region).keys;
        let token = keys.eks_token(region, &simulator.aws_endpoint(), cluster, Utc::now(), 900);
        Self::new(simulator, cluster, Some(token))
    }

    pub(crate) async fn send(&self, path: &str) -> reqwest::Result<Response> {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request.send().await
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        let response = self.send(path).await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// Whether an access review allows this.
    pub(crate) async fn may(&self, verb: &str, group: &str, resource: &str) -> bool {
        let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": { "verb": verb, "group": group, "resource": resource } } });
        let url = format!("{}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", self.url);
        let request = self.client.post(url).bearer_auth(self.token.clone().unwrap()).body(review.to_string());
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        answer["status"]["allowed"].as_bool().unwrap()
    }
}
