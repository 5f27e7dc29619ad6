use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, TryStreamExt as _};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method};
use rampart_connector::{ConnectorError, Egress, ErrorKind, Limits, causes, is_local, read_capped};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use crate::errors;

/// Says who calls, for the audit log of the project.
const AGENT: &str = concat!("rampart/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest error body that is read for its message.
const ERROR_BODY: usize = 64 * 1024;

/// A Google service that is called. Their addresses are fixed: no answer, key file or customer names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    OAuth,
    Sts,
    IamCredentials,
    Metadata,
    ResourceManager,
    Container,
    ArtifactRegistry,
    ApiManagement,
    Compute,
}

impl Service {
    const fn origin(self) -> &'static str {
        match self {
            Self::OAuth => "https://oauth2.googleapis.com",
            Self::Sts => "https://sts.googleapis.com",
            Self::IamCredentials => "https://iamcredentials.googleapis.com",
            Self::Metadata => "http://metadata.google.internal",
            Self::ResourceManager => "https://cloudresourcemanager.googleapis.com",
            Self::Container => "https://container.googleapis.com",
            Self::ArtifactRegistry => "https://artifactregistry.googleapis.com",
            Self::ApiManagement => "https://serviceusage.googleapis.com",
            Self::Compute => "https://compute.googleapis.com",
        }
    }
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) service: Service,
    /// Begins with a slash; its variable parts are words that were checked.
    pub(crate) path: &'a str,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Body,
}

/// With what.
#[derive(Debug)]
pub(crate) enum Body {
    /// A GET.
    None,
    /// A POST of JSON.
    Json(Value),
    /// A POST of a form; its values may be secret.
    Form(Vec<(&'static str, SecretString)>),
}

/// The one way out of a connector.
#[derive(Debug)]
pub(crate) struct Http {
    client: Client,
    /// For this machine's own metadata service, which no proxy could reach.
    direct: Client,
    endpoint: Option<Url>,
    max_body: usize,
}

impl Http {
    /// No redirect is followed. The process's proxy settings apply, save for an override on this machine.
    pub(crate) fn new(endpoint: Option<&Url>, limits: &Limits, egress: &Egress) -> Result<Self, ConnectorError> {
        let failed =
            |error: reqwest::Error| ConnectorError::new(ErrorKind::Permanent, "http", causes(&error.without_url()));
        let authorities = egress.authorities.certificates().iter().map(|der| Certificate::from_der(der));
        let authorities: Vec<_> = authorities.collect::<Result<_, _>>().map_err(failed)?;
        let builder = || {
            Client::builder()
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT.min(limits.attempt_timeout))
                .user_agent(AGENT)
                .tls_certs_merge(authorities.clone())
        };
        let client = if endpoint.is_some_and(is_local) { builder().no_proxy() } else { builder() };
        let client = client.build().map_err(failed)?;
        let direct = builder().no_proxy().build().map_err(failed)?;
        Ok(Self { client, direct, endpoint: endpoint.cloned(), max_body: limits.max_body })
    }

    /// One attempt. The token, when there is one, and the form never appear in errors.
    pub(crate) async fn send(
        &self,
        api: &str,
        ask: &Ask<'_>,
        token: Option<&SecretString>,
    ) -> Result<Value, ConnectorError> {
        let method = if matches!(ask.body, Body::None) { Method::GET } else { Method::POST };
        let client = if ask.service == Service::Metadata { &self.direct } else { &self.client };
        let mut request = client.request(method, self.url(api, ask)?);
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if ask.service == Service::Metadata {
            // Without it the metadata service refuses: a request that was forwarded by mistake does not have it.
            request = request.header("metadata-flavor", "Google");
        }
        request = match &ask.body {
            Body::None => request,
            Body::Json(json) => request.header(CONTENT_TYPE, "application/json").body(json.to_string()),
            Body::Form(fields) => {
                let mut form = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, value.expose_secret());
                }
                request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish())
            }
        };
        let response = request.send().await.map_err(|error| failed(api, error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        if !status.is_success() {
            let body = read_capped(api, chunks(response), ERROR_BODY).await.unwrap_or_default();
            return Err(errors::refused(api, status, retry_after, &body));
        }
        let max = self.max_body;
        if response.content_length().is_some_and(|length| length > max as u64) {
            let message = format!("the answer is larger than {max} bytes");
            return Err(ConnectorError::new(ErrorKind::TooLarge, api, message));
        }
        let body = read_capped(api, chunks(response), max).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ConnectorError::new(ErrorKind::Permanent, api, format!("the answer is not JSON: {error}")))
    }

    fn url(&self, api: &str, ask: &Ask<'_>) -> Result<Url, ConnectorError> {
        let base = self.endpoint.as_ref().map_or(ask.service.origin(), Url::as_str).trim_end_matches('/');
        let url = Url::parse(&format!("{base}{}", ask.path));
        let mut url = url.map_err(|error| ConnectorError::new(ErrorKind::Permanent, api, error.to_string()))?;
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        Ok(url)
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    Duration::try_from_secs_f64(value.trim().parse().ok()?).ok()
}

fn chunks(response: reqwest::Response) -> impl Stream<Item = Result<Bytes, String>> {
    response.bytes_stream().map_err(|error| causes(&error.without_url()))
}

/// A request without an answer.
fn failed(api: &str, error: reqwest::Error) -> ConnectorError {
    let kind = match &error {
        error if error.is_connect() || error.is_timeout() => ErrorKind::Unreachable,
        error if error.is_builder() => ErrorKind::Permanent,
        _ => ErrorKind::Transient,
    };
    ConnectorError::new(kind, api, causes(&error.without_url()))
}
