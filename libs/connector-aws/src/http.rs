use std::sync::OnceLock;

use aws_smithy_http_client::HttpClientError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError as HttpError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use futures::stream;
use rampart_connector::{Authorities, ConnectorError, ErrorKind, USER_AGENT, read_capped};

use crate::errors::TRANSPORT;

/// The one HTTP client of a connector: a shared pool, and bodies that are read whole up to a cap.
#[derive(Debug)]
pub(crate) struct CappedClient {
    proxy: ProxyConfig,
    tls: TlsContext,
    max_body: usize,
    connector: OnceLock<SharedHttpConnector>,
}

impl CappedClient {
    pub(crate) fn new(proxy: ProxyConfig, authorities: &Authorities, max_body: usize) -> Result<Self, HttpClientError> {
        let trusted = TrustStore::default();
        let more = authorities.pem();
        let trusted = if more.is_empty() { trusted } else { trusted.with_pem_certificate(more) };
        let tls = TlsContext::builder().with_trust_store(trusted).build()?;
        Ok(Self { proxy, tls, max_body, connector: OnceLock::new() })
    }
}

impl HttpClient for CappedClient {
    /// Every service client has the same settings, so that all share the connector made for the first.
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let make = || {
            let mut builder = aws_smithy_http_client::Connector::builder()
                .connector_settings(settings.clone())
                .proxy_config(self.proxy.clone())
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                .tls_context(self.tls.clone());
            builder.set_sleep_impl(parts.sleep_impl());
            SharedHttpConnector::new(Capped {
                inner: SharedHttpConnector::new(builder.build()),
                max_body: self.max_body,
            })
        };
        self.connector.get_or_init(make).clone()
    }
}

#[derive(Debug)]
struct Capped {
    inner: SharedHttpConnector,
    max_body: usize,
}

impl HttpConnector for Capped {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        // The signature leaves this header out, so that it can be set this late.
        let sdk = request.headers().get("user-agent").unwrap_or_default().to_owned();
        request.headers_mut().insert("user-agent", format!("{USER_AGENT} {sdk}").trim_end().to_owned());
        let (answer, max) = (self.inner.call(request), self.max_body);
        HttpConnectorFuture::new(async move { read(answer.await?, max).await })
    }
}

async fn read(mut response: HttpResponse, max: usize) -> Result<HttpResponse, HttpError> {
    let body = ByteStream::new(std::mem::replace(response.body_mut(), SdkBody::taken()));
    let chunks = stream::unfold(body, |mut body| async move { body.next().await.map(|chunk| (chunk, body)) });
    let refused = |error: ConnectorError| HttpError::other(error.into(), None);
    let body = read_capped(TRANSPORT, chunks, max).await.map_err(refused)?;
    let is_xml = response.headers().get("content-type").is_some_and(|of| of.contains("xml"));
    if is_xml && response.status().is_success() && !is_whole(&body) {
        let cut = ConnectorError::new(ErrorKind::Transient, TRANSPORT, "the answer ends in the middle of its XML");
        return Err(refused(cut));
    }
    *response.body_mut() = SdkBody::from(body);
    Ok(response)
}

/// Whether an answer of the query protocol ends with the root that it began with. The SDK takes what there is of one that does
/// not, and half a list would look like a short one.
fn is_whole(xml: &[u8]) -> bool {
    xml.trim_ascii_end().ends_with(b"Response>")
}
