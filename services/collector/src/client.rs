use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use rampart_batch::CollectorToken;
use rampart_connector::{
    Authorities, Bucket, Caller, ConnectorError, ErrorKind, Limits, causes, is_local, read_capped,
};
use reqwest::Certificate;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use crate::Args;
use crate::writer::Destination;

const AGENT: &str = concat!("rampart-collector/", env!("CARGO_PKG_VERSION"));
/// Largest answer that is read. Answers are a session or a problem.
const ANSWER: usize = 64 << 10;

/// The platform's API, as far as a collector needs it.
pub(crate) struct Client {
    http: reqwest::Client,
    /// `…/v1/connectors/<connector>/batches`.
    batches: String,
    bearer: HeaderValue,
    caller: Caller,
    bucket: Bucket,
}

/// A session as the platform has it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Delivered {
    /// `open`, `closed`, `applied` and so on.
    pub(crate) state: String,
    pub(crate) next_sequence: u32,
    pub(crate) error: Option<String>,
}

/// What the platform says when it refuses.
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

impl Client {
    pub(crate) fn new(args: &Args, token: &CollectorToken, cancel: &CancellationToken) -> anyhow::Result<Self> {
        let server = args.server.as_ref().context("say where to push to: --server URL")?;
        let connector = args.connector.as_deref().context("say which connector to push to: --connector NAME")?;
        check_server(server)?;
        let mut batches = server.clone();
        batches
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("--server is not a base URL"))?
            .pop_if_empty()
            .extend(["v1", "connectors", connector, "batches"]);
        let http = http(args, server)?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.bearer.expose_secret()))
            .context("the collector's token is malformed")?;
        bearer.set_sensitive(true);
        // A platform that is being restarted is back within minutes; until then nothing is lost but time.
        let limits = Limits {
            attempts: 12,
            wait_budget: Duration::from_mins(10),
            backoff_max: Duration::from_mins(1),
            attempt_timeout: Duration::from_mins(2),
            ..Limits::default()
        };
        Ok(Self {
            http,
            batches: batches.to_string(),
            bearer,
            caller: Caller::new(limits, cancel.clone()),
            bucket: Bucket::new(server.as_str(), "", "rampart"),
        })
    }

    /// Hands over one batch. Sent again after a failure: a batch that came twice is taken once.
    pub(crate) async fn push(&self, frame: Bytes) -> Result<Delivered, ConnectorError> {
        self.call("push a batch", &Method::POST, &self.batches, frame).await
    }

    /// What the platform has of a session; `None` when it has nothing.
    pub(crate) async fn session(&self, session: Uuid) -> Result<Option<Delivered>, ConnectorError> {
        let url = format!("{}/{session}", self.batches);
        match self.call("ask for the session", &Method::GET, &url, Bytes::new()).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn call(&self, api: &str, method: &Method, url: &str, body: Bytes) -> Result<Delivered, ConnectorError> {
        let attempt = || self.attempt(api, method, url, body.clone());
        self.caller.call(&self.bucket, api, attempt).await
    }

    async fn attempt(&self, api: &str, method: &Method, url: &str, body: Bytes) -> Result<Delivered, ConnectorError> {
        let request = self
            .http
            .request(method.clone(), url)
            .header(AUTHORIZATION, &self.bearer)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/octet-stream")
            .body(body);
        let response = request.send().await.map_err(|error| {
            let kind = if error.is_connect() { ErrorKind::Unreachable } else { ErrorKind::Transient };
            ConnectorError::new(kind, api, causes(&error))
        })?;
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = read_capped(api, response.bytes_stream(), ANSWER).await?;
        if status.is_success() {
            let malformed =
                |_| ConnectorError::new(ErrorKind::Permanent, api, "the answer is not that of a Rampart API");
            return serde_json::from_slice(&bytes).map_err(malformed);
        }
        let problem: Problem = serde_json::from_slice(&bytes).unwrap_or_default();
        let kind = match status {
            StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
            StatusCode::FORBIDDEN => ErrorKind::Forbidden,
            StatusCode::NOT_FOUND => ErrorKind::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ErrorKind::Throttled { retry_after: seconds.map(Duration::from_secs) },
            StatusCode::REQUEST_TIMEOUT => ErrorKind::Transient,
            status if status.is_server_error() => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        };
        let message = match problem.code.as_str() {
            "" => status.to_string(),
            code => format!("{code}: {}", problem.detail),
        };
        Err(ConnectorError::new(kind, api, message))
    }
}

impl Destination for Client {
    async fn put(&mut self, frame: Vec<u8>) -> anyhow::Result<()> {
        self.push(frame.into()).await.context("the platform did not take a batch")?;
        Ok(())
    }
}

/// The token travels in every request.
fn check_server(server: &Url) -> anyhow::Result<()> {
    anyhow::ensure!(server.has_host(), "--server names no host");
    let guarded = server.scheme() == "https" || (server.scheme() == "http" && is_local(server));
    anyhow::ensure!(guarded, "--server must be https, or http on this machine: the token would travel in the clear");
    let plain = server.username().is_empty() && server.password().is_none() && server.query().is_none();
    anyhow::ensure!(plain, "--server must be https://host[:port][/path] and nothing else");
    Ok(())
}

/// The way to the platform: by the process's proxies, save on this machine.
fn http(args: &Args, server: &Url) -> anyhow::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Whoever was first has won the race for the same provider.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    }
    let mut builder = reqwest::Client::builder().redirect(Policy::none()).user_agent(AGENT);
    if is_local(server) {
        builder = builder.no_proxy();
    }
    let certificates = match &args.ca_file {
        Some(path) => Authorities::read(path)?.certificates().to_vec(),
        None => Vec::new(),
    };
    let certificates: Result<Vec<_>, _> = certificates.iter().map(|der| Certificate::from_der(der)).collect();
    let certificates = certificates.context("the authorities of --ca-file cannot be used")?;
    // On this machine alone the system's authorities are not needed, and a small image may have none.
    if args.ca_file.is_some() || server.scheme() == "http" {
        builder = builder.tls_certs_only(certificates);
    }
    builder.build().context("the system has no certificate authorities: give --ca-file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_never_travels_in_the_clear() {
        for (server, fits) in [
            ("https://rampart.example", true),
            ("https://rampart.example:8443/base", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://rampart.example", false),
            ("http://10.0.0.1:8080", false),
            ("https://user@rampart.example", false),
            ("ftp://rampart.example", false),
        ] {
            assert_eq!(check_server(&server.parse().unwrap()).is_ok(), fits, "{server}");
        }
    }
}
