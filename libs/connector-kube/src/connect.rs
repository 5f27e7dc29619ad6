//! The HTTP client of one cluster: dials only what the egress policy allows, trusts only the cluster's own authority,
//! follows no redirect.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rampart_connector::{
    Authorities, ClusterAccess, ClusterEndpoint, ConnectorError, Egress, EgressError, EgressPolicy, ErrorKind, causes,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::net::TcpStream;
use tower::{Service, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;
use url::Url;

use crate::client::Use;

/// What failed, in errors.
const API: &str = "connect";

type BoxError = Box<dyn StdError + Send + Sync>;

/// Longest time for one TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection that carries watches is probed, and how long the answer may take.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_PATIENCE: Duration = Duration::from_secs(20);
/// Bytes that a server may send ahead of what was read, per watch and for all watches of a cluster.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Opens TCP connections to addresses that the policy allows. The check is made on the address that is dialled.
#[derive(Debug, Clone)]
struct GuardedConnector(Arc<EgressPolicy>);

impl Service<Uri> for GuardedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let egress = Arc::clone(&self.0);
        Box::pin(async move {
            let host = target.host().ok_or("the address names no host")?;
            let default = if target.scheme_str() == Some("http") { 80 } else { 443 };
            let addresses = egress.resolve(host, target.port_u16().unwrap_or(default)).await?;
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&addresses[..]))
                .await
                .map_err(|_| format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))??;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}

/// Builds the client. Nothing is sent yet, but what will be dialled must be allowed by the policy: that is reported at once
/// instead of after retries.
pub(crate) async fn client(
    access: &dyn ClusterAccess,
    endpoint: &ClusterEndpoint,
    egress: &Egress,
    to: Use,
) -> Result<kube::Client, ConnectorError> {
    let route = Route::find(access.proxy(), &endpoint.url, &egress.policy).await?;
    let tls = tls_config(access, endpoint, &egress.authorities)
        .map_err(|message| ConnectorError::new(ErrorKind::Permanent, API, message))?;
    let guarded = GuardedConnector(Arc::new(route.dialled));
    let name = endpoint.tls_server_name.as_deref();
    match route.proxy {
        None => Ok(service(https(tls, name, guarded, to)?, to)),
        Some(proxy) => {
            let mut tunnel = Tunnel::new(proxy.uri().clone(), guarded);
            if let Some(auth) = proxy.basic_auth() {
                tunnel = tunnel.with_auth(auth.clone());
            }
            Ok(service(https(tls, name, tunnel, to)?, to))
        }
    }
}

/// How a cluster is reached.
struct Route {
    proxy: Option<Intercept>,
    /// What the next hop's address must satisfy.
    dialled: EgressPolicy,
}

impl Route {
    /// A kubeconfig's own proxy comes first, and is dialled as any address of a tenant's choice; then the process's, which
    /// the operator chose.
    async fn find(own: Option<Url>, cluster: &Url, policy: &EgressPolicy) -> Result<Self, ConnectorError> {
        let unreachable = |error: EgressError| ConnectorError::new(ErrorKind::Unreachable, API, causes(&error));
        let resolve = |url: &Url| {
            let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default());
            async move { policy.resolve(&host, port.unwrap_or(443)).await }
        };
        let malformed = |what: &str| ConnectorError::new(ErrorKind::Permanent, API, format!("{what} is malformed"));
        let target: Uri = cluster.as_str().parse().map_err(|_| malformed("the cluster's address"))?;
        let (proxy, dialled) = if let Some(own) = own {
            resolve(&own).await.map_err(unreachable)?;
            let proxy = Matcher::builder().https(own.as_str()).build().intercept(&target);
            (Some(proxy.ok_or_else(|| malformed("the proxy address"))?), policy.clone())
        } else {
            let proxy = Matcher::from_env().intercept(&target);
            match resolve(cluster).await {
                // The proxy may know names that this machine does not.
                Err(EgressError::Unresolved { .. }) if proxy.is_some() => {}
                resolved => drop(resolved.map_err(unreachable)?),
            }
            let dialled = if proxy.is_some() { EgressPolicy::anywhere() } else { policy.clone() };
            (proxy, dialled)
        };
        if let Some(proxy) = proxy.as_ref().filter(|proxy| proxy.uri().scheme_str() != Some("http")) {
            let scheme = proxy.uri().scheme_str().unwrap_or_default();
            let message = format!("a proxy to a cluster is spoken to over http, not {scheme}");
            return Err(ConnectorError::new(ErrorKind::Permanent, API, message));
        }
        Ok(Self { proxy, dialled })
    }
}

fn service<C>(connector: C, to: Use) -> kube::Client
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: hyper_util::client::legacy::connect::Connection + hyper::rt::Read + hyper::rt::Write + Send + Unpin,
    C::Future: Send + Unpin,
    C::Error: Into<BoxError>,
{
    let mut builder = HyperClient::builder(TokioExecutor::new());
    builder.pool_idle_timeout(Duration::from_secs(30));
    if to == Use::Watches {
        // A connection that died without a word is noticed by its pings; what one watch may send ahead is bounded, so that
        // a slow store slows the server down.
        builder
            .timer(TokioTimer::new())
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_PATIENCE)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW);
        // Watches are not compressed: a compressor would hold events back.
        return kube::Client::new(builder.build::<_, kube::client::Body>(connector), "default");
    }
    let http = builder.build::<_, kube::client::Body>(connector);
    let service = ServiceBuilder::new().layer(DecompressionLayer::new()).service(http);
    kube::Client::new(service, "default")
}

fn https<C>(tls: ClientConfig, name: Option<&str>, inner: C, to: Use) -> Result<HttpsConnector<C>, ConnectorError> {
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    let builder = match name {
        Some(name) => {
            let name = ServerName::try_from(name.to_owned()).map_err(|_| {
                ConnectorError::new(ErrorKind::Permanent, "connect", "the TLS server name is not a host name")
            })?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(match to {
        Use::Calls => builder.enable_http1().wrap_connector(inner),
        Use::Watches => builder.enable_http1().enable_http2().wrap_connector(inner),
    })
}

/// The cluster's own authority when there is one, else the system's and the operator's; never both.
fn tls_config(
    access: &dyn ClusterAccess,
    endpoint: &ClusterEndpoint,
    more: &Authorities,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match &endpoint.ca_pem {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|_| "the cluster's CA is not PEM".to_owned())?;
                roots.add(certificate).map_err(|error| format!("the cluster's CA cannot be used: {error}"))?;
            }
            if roots.is_empty() {
                return Err("the cluster's CA holds no certificate".to_owned());
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_root_certificates(believed(more)?),
    };
    let Some(identity) = access.client_identity_pem() else { return Ok(builder.with_no_client_auth()) };
    let pem = identity.expose_secret().as_bytes();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| "the client certificate is not PEM".to_owned())?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "the client key is not PEM".to_owned())?;
    builder.with_client_auth_cert(chain, key).map_err(|_| "the client certificate and its key do not match".to_owned())
}

fn believed(more: &Authorities) -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's bundle may hold what no TLS library takes.
    roots.add_parsable_certificates(found.certs);
    for certificate in more.certificates() {
        roots.add(certificate.clone()).map_err(|error| format!("an extra authority cannot be used: {error}"))?;
    }
    match found.errors.first() {
        _ if !roots.is_empty() => Ok(roots),
        Some(error) => Err(format!("the system's certificate authorities cannot be read: {error}")),
        None => Err("the system has no certificate authorities".to_owned()),
    }
}
