use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How often progress is asked for: at first often, so that short work shows some, then seldom, so that asking costs nothing.
const POLL: Duration = Duration::from_millis(150);
const SLOWEST_POLL: Duration = Duration::from_secs(1);

/// The few calls of the REST API that the demo makes, as any customer's script would.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: SecretString,
}

/// One page of a listing.
#[derive(Debug, Deserialize)]
pub(crate) struct List<T> {
    /// The page.
    pub(crate) items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

/// A finding, as far as its time matters.
#[derive(Debug, Deserialize)]
pub(crate) struct Finding {
    pub(crate) resource_native_id: Option<String>,
    pub(crate) changed_at: chrono::DateTime<chrono::Utc>,
}

/// An onboarded account or cluster.
#[derive(Debug, Deserialize)]
pub(crate) struct Connector {
    pub(crate) name: String,
    /// What the trust policy of an AWS role must demand.
    pub(crate) external_id: Option<String>,
    /// For the collector of a cluster that is pushed; shown once.
    pub(crate) collector_token: Option<String>,
    /// Rises with every change; an update names the one it changes.
    pub(crate) version: i64,
}

/// What to onboard.
#[derive(Debug, Serialize)]
pub(crate) struct NewConnector {
    pub(crate) name: String,
    pub(crate) source: Value,
    /// Kinds to read; none means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) kinds: Vec<&'static str>,
}

/// One run of a connector's permission check.
#[derive(Debug, Deserialize)]
pub(crate) struct Preflight {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    #[serde(default)]
    pub(crate) checks: Vec<PermissionCheck>,
}

/// One permission in one place.
#[derive(Debug, Deserialize)]
pub(crate) struct PermissionCheck {
    pub(crate) permission: String,
    pub(crate) scope: String,
    /// `granted`, `missing` or `unproven`.
    pub(crate) state: String,
}

/// One run of a connector.
#[derive(Debug, Deserialize)]
pub(crate) struct Scan {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) error: Option<String>,
    pub(crate) progress: Progress,
}

/// How far a scan is.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Progress {
    #[serde(default)]
    pub(crate) phases: Vec<Phase>,
    #[serde(default)]
    pub(crate) added: u64,
    #[serde(default)]
    pub(crate) changed: u64,
    #[serde(default)]
    pub(crate) unchanged: u64,
}

/// One phase of a scan, such as a region or a cluster.
#[derive(Debug, Deserialize)]
pub(crate) struct Phase {
    #[serde(rename = "phase")]
    pub(crate) name: String,
    pub(crate) listings: u64,
    pub(crate) finished: u64,
    pub(crate) resources: u64,
}

/// The secure score of the tenant.
#[derive(Debug, Deserialize)]
pub(crate) struct Score {
    /// 0 to 100; null while nothing has been assessed.
    pub(crate) percent: Option<f64>,
    pub(crate) coverage: ScoreCoverage,
}

/// How much of the estate the score speaks for.
#[derive(Debug, Deserialize)]
pub(crate) struct ScoreCoverage {
    /// Share of the verdicts that are known, 0 to 1; null while there are none.
    pub(crate) known: Option<f64>,
    /// Listings, a kind in a place each, that were tried.
    pub(crate) listings: u64,
    /// Those of them that were read to their end.
    pub(crate) whole: u64,
}

/// One recommendation with its counts.
#[derive(Debug, Deserialize)]
pub(crate) struct Recommendation {
    pub(crate) title: String,
    pub(crate) severity: String,
    /// Unhealthy resources.
    pub(crate) affected: u64,
    pub(crate) healthy: u64,
    /// Points of the score that mending it gains.
    pub(crate) score_gain: f64,
}

/// How well one kind could be read in one place.
#[derive(Debug, Deserialize)]
pub(crate) struct Coverage {
    pub(crate) scope: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) remedy: Option<String>,
}

/// A group of resources and how many there are.
#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    pub(crate) key: Option<String>,
    pub(crate) count: u64,
}

/// The groups of a listing.
#[derive(Debug, Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

impl Client {
    pub(crate) fn new(base: &str, token: SecretString) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy().build();
        Ok(Self { http: http.context("could not make an HTTP client")?, base: base.to_owned(), token })
    }

    /// The connector of that name, if it was onboarded before.
    pub(crate) async fn connector(&self, name: &str) -> anyhow::Result<Option<Connector>> {
        let response = self.request(Method::GET, &format!("/v1/connectors/{name}")).send().await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        Ok(Some(read(response).await?))
    }

    pub(crate) async fn create_connector(&self, new: &NewConnector) -> anyhow::Result<Connector> {
        self.send(self.request(Method::POST, "/v1/connectors").json(new)).await
    }

    /// Gives the collector of a connector a new token and returns it.
    pub(crate) async fn rotate_collector(&self, connector: &str) -> anyhow::Result<String> {
        let path = format!("/v1/connectors/{connector}/collector");
        let made: Value = self.send(self.request(Method::POST, &path).json(&json!({}))).await?;
        Ok(made["token"].as_str().context("the API gave no token for the collector")?.to_owned())
    }

    /// Gives a connector new credentials, as after a rotation.
    pub(crate) async fn replace_source(&self, connector: &Connector, source: &Value) -> anyhow::Result<()> {
        let request = self.request(Method::PATCH, &format!("/v1/connectors/{}", connector.name));
        let if_match = format!("\"{}\"", connector.version);
        let _: Connector = self.send(request.header("if-match", if_match).json(&json!({ "source": source }))).await?;
        Ok(())
    }

    /// Checks the connector's permissions and waits for the outcome.
    pub(crate) async fn test_connector(&self, name: &str) -> anyhow::Result<Preflight> {
        let path = format!("/v1/connectors/{name}/test");
        let mut preflight: Preflight = self.send(self.request(Method::POST, &path).json(&json!({}))).await?;
        let mut wait = POLL;
        while matches!(preflight.status.as_str(), "queued" | "running") {
            tokio::time::sleep(wait).await;
            wait = (wait * 9 / 8).min(SLOWEST_POLL);
            preflight = self.get(&format!("/v1/connectors/{name}/preflights/{}", preflight.id)).await?;
        }
        Ok(preflight)
    }

    pub(crate) async fn start_scan(&self, name: &str) -> anyhow::Result<Scan> {
        self.send(self.request(Method::POST, &format!("/v1/connectors/{name}/scans")).json(&json!({}))).await
    }

    /// Waits for a scan to end; `seen` is shown every state on the way.
    pub(crate) async fn watch_scan(&self, id: &str, mut seen: impl FnMut(&Scan)) -> anyhow::Result<Scan> {
        let mut wait = POLL;
        loop {
            let scan: Scan = self.get(&format!("/v1/scans/{id}")).await?;
            seen(&scan);
            if !matches!(scan.status.as_str(), "queued" | "running") {
                return Ok(scan);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 9 / 8).min(SLOWEST_POLL);
        }
    }

    /// Waits until everything that was read has been assessed.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let mut wait = POLL;
        loop {
            let tenant: Tenant = self.get("/v1/tenant").await?;
            if tenant.pending.scans == 0 && tenant.pending.assessments == 0 {
                return Ok(());
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 9 / 8).min(SLOWEST_POLL);
        }
    }

    /// How many scans run or wait to.
    pub(crate) async fn pending_scans(&self) -> anyhow::Result<u64> {
        let tenant: Tenant = self.get("/v1/tenant").await?;
        Ok(tenant.pending.scans)
    }

    /// The latest scan of a connector.
    pub(crate) async fn last_scan(&self, connector: &str) -> anyhow::Result<Option<Scan>> {
        let scans: List<Scan> = self.get(&format!("/v1/scans?connector={connector}&limit=1")).await?;
        Ok(scans.items.into_iter().next())
    }

    /// Switches watching on for a connector, whatever its version.
    pub(crate) async fn watch(&self, connector: &str) -> anyhow::Result<()> {
        let request = self.request(Method::PATCH, &format!("/v1/connectors/{connector}")).header("if-match", "*");
        let _: Value = self.send(request.json(&json!({ "watch": true }))).await?;
        Ok(())
    }

    /// How many clusters are watched.
    pub(crate) async fn watched(&self) -> anyhow::Result<usize> {
        let clusters: Vec<Value> = self.every_page("/v1/clusters?limit=500").await?;
        Ok(clusters.iter().filter(|cluster| cluster["watch"]["state"] == "watching").count())
    }

    /// Findings of a control that changed since a moment.
    pub(crate) async fn findings_since(&self, control: &str, since: &str) -> anyhow::Result<Vec<Finding>> {
        let since = since.replace('+', "%2B");
        self.every_page(&format!("/v1/findings?control={control}&changed_since={since}&limit=500")).await
    }

    async fn every_page<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let mut page: Page<T> = self.get(path).await?;
        loop {
            items.append(&mut page.items);
            let Some(cursor) = page.next_cursor else { return Ok(items) };
            page = self.get(&format!("{path}&cursor={cursor}")).await?;
        }
    }

    pub(crate) async fn inventory(&self) -> anyhow::Result<Vec<Group>> {
        let groups: Groups = self.get("/v1/resources?group_by=kind&limit=200").await?;
        Ok(groups.groups)
    }

    pub(crate) async fn score(&self) -> anyhow::Result<Score> {
        self.get("/v1/secure-score").await
    }

    pub(crate) async fn recommendations(&self, limit: u32) -> anyhow::Result<Vec<Recommendation>> {
        let list: List<Recommendation> = self.get(&format!("/v1/recommendations?limit={limit}")).await?;
        Ok(list.items)
    }

    pub(crate) async fn coverage(&self) -> anyhow::Result<Vec<Coverage>> {
        let list: List<Coverage> = self.get("/v1/coverage?limit=500").await?;
        Ok(list.items)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::GET, path)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(self.token.expose_secret())
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        read(request.send().await.context("the API does not answer")?).await
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    let (status, url) = (response.status(), response.url().clone());
    let body = response.text().await.context("the answer was cut off")?;
    if !status.is_success() {
        bail!("{url} answered {status}: {body}");
    }
    serde_json::from_str(&body).with_context(|| format!("{url} answered in another shape than expected: {body}"))
}

#[derive(Debug, Deserialize)]
struct Tenant {
    pending: Pending,
}

#[derive(Debug, Deserialize)]
struct Pending {
    scans: u64,
    assessments: u64,
}
