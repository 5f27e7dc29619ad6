//! The one way out: bodies up to a cap, no redirects, and hosts that an answer named only behind the egress guard.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, header};
use rampart_connector::{ConnectorError, Egress, EgressPolicy, ErrorKind, Limits, is_local, read_capped};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::config::AzureConfigError;

/// A request of ours.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) bearer: Option<SecretString>,
    pub(crate) body: Body,
}

/// What goes along.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    Empty,
    /// Fields of a form; they hold credentials.
    Form(SecretString),
    /// The mark by which a machine's identity service knows that no browser was tricked into asking.
    Metadata,
}

/// What came back, whatever the status.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Whose choice the host of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Ours or the operator's.
    Here,
    /// An answer's.
    ByAnswer,
}

/// The clients of one connector.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    open: Client,
    guarded: Client,
    /// For this machine's own services, which no proxy could reach.
    direct: Client,
    policy: EgressPolicy,
    redirected: Option<Url>,
    max_body: usize,
}

impl Http {
    /// `redirected` is the operator's gateway, which gets every request.
    pub(crate) fn new(redirected: Option<Url>, egress: Egress, limits: &Limits) -> Result<Self, AzureConfigError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Whoever was first has won the race for the same provider.
            drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        }
        let failed = |error: reqwest::Error| AzureConfigError::Client(format!("no HTTP client: {error}"));
        let authorities = egress.authorities.certificates().iter().map(|der| Certificate::from_der(der));
        let authorities: Vec<_> = authorities.collect::<Result<_, _>>().map_err(failed)?;
        let builder = || builder(redirected.as_ref(), limits).tls_certs_merge(authorities.clone());
        let open = builder().build().map_err(failed)?;
        let guarded = builder().dns_resolver(Arc::new(Guard(egress.policy.clone()))).build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Self { open, guarded, direct, policy: egress.policy, redirected, max_body: limits.max_body })
    }

    /// Sends a request once and reads its answer.
    pub(crate) async fn send(&self, api: &str, chosen: Chosen, request: Request) -> Result<Answer, ConnectorError> {
        let (client, url, host) = match (&self.redirected, &request.body) {
            (_, Body::Metadata) => (&self.direct, request.url, None),
            (None, _) => {
                let client = if chosen == Chosen::ByAnswer { &self.guarded } else { &self.open };
                (client, request.url, None)
            }
            (Some(gateway), _) => (&self.open, through(gateway, &request.url), authority(&request.url)),
        };
        let mut sent = client.request(request.method, url);
        if let Some(host) = host {
            sent = sent.header(header::HOST, host);
        }
        if let Some(token) = &request.bearer {
            sent = sent.bearer_auth(token.expose_secret());
        }
        sent = match request.body {
            Body::Empty => sent.header(header::CONTENT_LENGTH, 0),
            Body::Metadata => sent.header("metadata", "true"),
            Body::Form(fields) => sent
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(fields.expose_secret().to_owned()),
        };
        let response = sent.send().await.map_err(|error| crate::errors::unanswered(api, &error))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_capped(api, response.bytes_stream(), self.max_body).await?;
        Ok(Answer { status, headers, body })
    }

    /// Whether a host that an answer named may be asked at all. Told at once: no repetition would change it.
    pub(crate) async fn check(&self, api: &str, url: &Url) -> Result<(), ConnectorError> {
        if self.redirected.is_some() {
            return Ok(());
        }
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(443));
        let resolved = self.policy.resolve(host, port).await;
        resolved.map(drop).map_err(|error| ConnectorError::new(ErrorKind::Unreachable, api, error.to_string()))
    }
}

/// A form's fields as they are sent.
pub(crate) fn form(fields: &[(&str, &str)]) -> Body {
    let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Body::Form(text.into())
}

fn builder(redirected: Option<&Url>, limits: &Limits) -> ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("rampart/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .connect_timeout(Duration::from_secs(5).min(limits.attempt_timeout))
        .timeout(limits.attempt_timeout);
    let Some(gateway) = redirected else { return builder };
    // The name of the service goes into `Host`, which the second version of the protocol has no room for.
    let builder = builder.http1_only();
    if is_local(gateway) { builder.no_proxy() } else { builder }
}

fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn through(gateway: &Url, url: &Url) -> Url {
    let mut sent = gateway.clone();
    sent.set_path(&format!("{}{}", gateway.path().trim_end_matches('/'), url.path()));
    sent.set_query(url.query());
    sent
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

    #[test]
    fn a_gateway_gets_the_whole_path_and_the_name_of_the_service() {
        let url: Url = "https://management.azure.com/subscriptions/s?api-version=1&$skiptoken=a%3D".parse().unwrap();
        for (gateway, sent) in [
            ("http://127.0.0.1:9/", "http://127.0.0.1:9/subscriptions/s?api-version=1&$skiptoken=a%3D"),
            ("https://gw.example/azure/", "https://gw.example/azure/subscriptions/s?api-version=1&$skiptoken=a%3D"),
        ] {
            assert_eq!(through(&gateway.parse().unwrap(), &url).as_str(), sent);
        }
        assert_eq!(authority(&url).as_deref(), Some("management.azure.com"));
    }
}
