//! The one way out: addresses that the egress policy allows, no redirects, a bounded part of the answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use rampart_connector::{Egress, EgressPolicy, USER_AGENT, causes};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Response};
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// Bytes of an answer that are looked at.
const EXCERPT: usize = 1 << 10;

/// Sends messages.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    policy: EgressPolicy,
    allow_http: bool,
    timeout: Duration,
}

/// A receiver's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    /// The beginning of its text.
    pub(crate) excerpt: String,
}

impl Client {
    pub(crate) fn new(egress: &Egress, timeout: Duration, allow_http: bool) -> anyhow::Result<Self> {
        rampart_chassis::install_crypto_provider();
        let authorities = egress.authorities.certificates().iter().map(|der| Certificate::from_der(der));
        let authorities: Vec<_> = authorities.collect::<Result<_, _>>().context("the authorities cannot be used")?;
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(Policy::none())
            .connect_timeout(Duration::from_secs(5).min(timeout))
            .timeout(timeout)
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(Duration::from_secs(20))
            .tls_certs_merge(authorities)
            .dns_resolver(Arc::new(Guard(egress.policy.clone())))
            .build()
            .context("no HTTP client")?;
        Ok(Self { http, policy: egress.policy.clone(), allow_http, timeout })
    }

    /// Posts a message once. The error says why there was no answer, without the URL.
    pub(crate) async fn post(&self, url: &SecretString, headers: HeaderMap, body: String) -> Result<Answer, String> {
        let url = Url::parse(url.expose_secret()).map_err(|error| format!("the URL is malformed: {error}"))?;
        self.check(&url)?;
        let sent = self.http.post(url).headers(headers).header(CONTENT_TYPE, "application/json").body(body).send();
        let response = match tokio::time::timeout(self.timeout, sent).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(causes(&error.without_url())),
            Err(_) => return Err(format!("no answer within {} s", self.timeout.as_secs())),
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok(Answer { status, retry_after, excerpt: excerpt(response).await })
    }

    /// Literal addresses are looked up nowhere, so the resolver does not see them.
    fn check(&self, url: &Url) -> Result<(), String> {
        if url.scheme() != "https" && !(self.allow_http && url.scheme() == "http") {
            return Err("only https is delivered to".to_owned());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => return Ok(()),
        };
        self.policy.check(address).map_err(|denied| denied.to_string())
    }
}

/// The beginning of an answer as text; what cannot be shown is left out.
async fn excerpt(response: Response) -> String {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while bytes.len() < EXCERPT {
        match stream.next().await {
            Some(Ok(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(EXCERPT - bytes.len())]),
            _ => break,
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).filter(|c| *c != '\u{fffd}').collect()
}

/// Resolves names to the addresses that the policy allows, for the connection that is about to be made.
struct Guard(EgressPolicy);

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0.clone();
        Box::pin(async move {
            let found = policy.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(url: &str, allow_http: bool) -> String {
        let client = Client::new(&Egress::default(), Duration::from_secs(2), allow_http).unwrap();
        client.post(&SecretString::from(url), HeaderMap::new(), String::new()).await.unwrap_err()
    }

    #[tokio::test]
    async fn addresses_inside_are_refused_however_they_are_written() {
        for url in [
            "https://127.0.0.1/hook",
            "https://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://localhost/",
        ] {
            let error = check(url, false).await;
            assert!(error.contains("not allowed"), "{url}: {error}");
            assert!(!error.contains("/hook") && !error.contains("meta-data"), "{error}");
        }
        assert_eq!(check("http://example.com/", false).await, "only https is delivered to");
        assert!(check("http://127.0.0.1/", true).await.contains("not allowed"));
        assert_eq!(check("ftp://example.com/", true).await, "only https is delivered to");
    }
}
